import type { HeldBy, JobState } from '../batch-system.ts'
import type { NodeFitness, Verdict } from '../pbs/records.ts'

/** OpenPBS's letters. `H` is judged by what holds the job, `Q` by the scheduler's comment. */
const JOB_STATES: Readonly<Record<string, JobState>> = {
  Q: 'pending',
  W: 'held',
  H: 'held',
  T: 'held',
  R: 'running',
  // Suspended, by the scheduler or by its user: it keeps its nodes.
  S: 'running',
  U: 'running',
  E: 'completing',
  // Finished, a finished task, moved to another server.
  F: 'ended',
  X: 'ended',
  M: 'ended',
}

/** Hold_Types is a word of these letters; the first of them, in this order, is named. `n` is none. */
const HOLDS: readonly (readonly [string, HeldBy])[] = [
  ['o', 'operator'],
  // The server itself, after a job could not be started many times; with a dependency it is that.
  ['s', 'system'],
  // A bad password.
  ['p', 'user'],
  ['u', 'user'],
]

/** What a machine more would give. */
const GIVEN_BY_MACHINES = /^(?:ncpus|mem|vmem|ngpus|mpiprocs|nodect|host|vnode|naccelerators)\b/i

/** What the scheduler says of a waiting job that no machine would let start. */
const NOT_CURED: readonly (readonly [RegExp, HeldBy])[] = [
  [/queue (?:is )?not (?:started|an execution queue)/i, 'queue'],
  [/\blimit\b|would exceed|max_run/i, 'limit'],
  [/licen[cs]e/i, 'licence'],
  [/dedicated time|(?:non-?)?prime-?time/i, 'start-time'],
  // “or top job”: it waits behind a job that machines would let start.
  [/conflict with (?:confirmed )?reservation(?! or top job)|reservation is/i, 'reservation'],
]

const heldByComment = (comment: string): HeldBy | undefined => {
  const lacking = /^Can Never Run: Insufficient amount of (?:server |queue )?resource: (.*)/i.exec(
    comment,
  )?.[1]
  if (lacking !== undefined) return GIVEN_BY_MACHINES.test(lacking) ? undefined : 'impossible'
  return NOT_CURED.find(([words]) => words.test(comment))?.[1]
}

export interface Words {
  readonly letter: string
  readonly holds: string
  readonly depend: string
  readonly comment: string
  readonly hasHosts: boolean
}

/** `afterok:1.srv` waits for another; `beforeok:13.srv` is waited for. */
export const waitsFor = (depend: string): boolean => /(?:^|,)(?:after|on|syncwith|runone)/.test(depend)

export function jobVerdict({ letter, holds, depend, comment, hasHosts }: Words): Verdict {
  const state = JOB_STATES[letter]
  // Whatever has nodes is treated as running, so that the nodes are not empty.
  if (state === undefined)
    return hasHosts
      ? { state: 'running', unknown: `the state ${letter}` }
      : { state: 'held', heldBy: 'unknown', unknown: `the state ${letter}` }
  if (state === 'pending') {
    const heldBy = heldByComment(comment)
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
  // All its cpus are taken, or one job has it alone.
  'job-busy': 'works',
  'job-exclusive': 'works',
  busy: 'refuses',
  'resv-exclusive': 'refuses',
  offline: 'refuses',
  maintenance: 'refuses',
  down: 'silent',
  'state-unknown': 'silent',
  unresolvable: 'silent',
  stale: 'silent',
  initializing: 'silent',
  provisioning: 'silent',
  'wait-provisioning': 'silent',
  sleep: 'silent',
}

export function nodeFitness(states: readonly string[]): {
  readonly fitness: NodeFitness
  readonly isOffline: boolean
  readonly unknown: readonly string[]
} {
  const judged = states.map((state) => NODE_STATES[state])
  const unknown = states.filter((state) => NODE_STATES[state] === undefined)
  const refuses = judged.includes('refuses') || unknown.length > 0 || states.length === 0
  return {
    fitness: judged.includes('silent') ? 'silent' : refuses ? 'refuses' : 'works',
    isOffline: states.includes('offline'),
    unknown,
  }
}
