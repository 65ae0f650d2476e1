import type { HeldBy, JobState } from '../batch-system.ts'
import type { NodeFitness, Verdict } from '../pbs/records.ts'

/** Torque's letters. `H` is judged by what holds the job, `Q` by the scheduler's comment. */
const JOB_STATES: Readonly<Record<string, JobState>> = {
  Q: 'pending',
  W: 'held',
  H: 'held',
  // On its way to another queue or server.
  T: 'held',
  R: 'running',
  // A suspended job keeps its nodes.
  S: 'running',
  E: 'completing',
  C: 'ended',
}

/** Hold_Types is a word of these letters; the first of them, in this order, is named. `n` is none. */
const HOLDS: readonly (readonly [string, HeldBy])[] = [
  ['o', 'operator'],
  // pbs_server itself; with a dependency it is that.
  ['s', 'system'],
  ['u', 'user'],
  // Of an array, beyond its %limit.
  ['l', 'limit'],
]

/** What pbs_sched says of a waiting job that no machine would let start. */
const NOT_CURED: readonly (readonly [RegExp, HeldBy])[] = [
  // procs=N, which pbs_sched cannot place.
  [/Unknown node-attribute/i, 'impossible'],
  [/would never run|never be (?:run|able)/i, 'impossible'],
  [/queue (?:is )?(?:not started|stopped)|not (?:an execution|allowed).*queue/i, 'queue'],
  [/\blimit\b|too many (?:jobs|running)|max_(?:user_)?run/i, 'limit'],
  [/reserv/i, 'reservation'],
  [/licen[cs]e/i, 'licence'],
]

export interface Words {
  readonly letter: string
  readonly holds: string
  readonly depend: string
  readonly comment: string
  readonly hasHosts: boolean
}

/** `afterok:1.srv` waits for another; `beforeok:13.srv` is waited for. */
export const waitsFor = (depend: string): boolean => /(?:^|,)(?:after|on|syncwith)/.test(depend)

export function jobVerdict({ letter, holds, depend, comment, hasHosts }: Words): Verdict {
  const state = JOB_STATES[letter]
  // Whatever has nodes is treated as running, so that the nodes are not empty.
  if (state === undefined)
    return hasHosts
      ? { state: 'running', unknown: `the state ${letter}` }
      : { state: 'held', heldBy: 'unknown', unknown: `the state ${letter}` }
  if (state === 'pending') {
    const heldBy = NOT_CURED.find(([words]) => words.test(comment))?.[1]
    return heldBy === undefined ? { state } : { state: 'held', heldBy }
  }
  if (state !== 'held') return { state }
  if (letter === 'W') return { state, heldBy: 'start-time' }
  if (letter === 'T') return { state, heldBy: 'queue' }
  const heldBy = HOLDS.find(([hold]) => holds.includes(hold))?.[1]
  if ((heldBy === 'system' || heldBy === undefined) && waitsFor(depend))
    return { state, heldBy: 'dependency' }
  if (heldBy === undefined) return { state, heldBy: 'unknown', unknown: `the hold “${holds}”` }
  return { state, heldBy }
}

/** The words of a node's state, which is a list of them. */
const NODE_STATES: Readonly<Record<string, NodeFitness>> = {
  free: 'works',
  // All its slots are taken; with one of two taken it is still `free`.
  'job-exclusive': 'works',
  'job-sharing': 'works',
  'time-shared': 'works',
  offline: 'refuses',
  reserve: 'refuses',
  // Its load is above the mom's $max_load.
  busy: 'refuses',
  deleted: 'refuses',
  down: 'silent',
  unknown: 'silent',
  'state-unknown': 'silent',
  'mom-list-not-sent': 'silent',
}

export function nodeFitness(states: readonly string[]): {
  readonly fitness: NodeFitness
  readonly isOffline: boolean
  readonly unknown: readonly string[]
} {
  const judged = states.map((state) => NODE_STATES[state])
  const unknown = states.filter((state) => NODE_STATES[state] === undefined)
  const isNewborn = states.includes('mom-list-not-sent')
  const refuses = judged.includes('refuses') || unknown.length > 0 || states.length === 0
  return {
    fitness: judged.includes('silent') ? 'silent' : refuses ? 'refuses' : 'works',
    // The offline of the first seconds is nobody's: it goes by itself.
    isOffline: states.includes('offline') && !isNewborn,
    unknown,
  }
}
