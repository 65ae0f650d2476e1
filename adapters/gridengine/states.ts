import type { HeldBy, JobState } from '../batch-system.ts'

/**
 * A job's state is a word of letters, such as `qw`, `hqw`, `Eqw`, `Rr`, `dr`. The first row of which a
 * letter is there tells.
 */
const JOB_LETTERS: readonly (readonly [letters: string, state: JobState, heldBy?: HeldBy])[] = [
  // Listed for a while after its end (finished_jobs).
  ['z', 'ended'],
  // Being deleted while on a node: its processes, or its epilog, are not yet known to be gone.
  ['d', 'completing'],
  ['rtsSTN', 'running'],
  ['E', 'held', 'system'],
  ['h', 'held'],
  ['qwR', 'pending'],
]

export interface JobWord {
  readonly state: JobState
  readonly heldBy?: HeldBy
  /** GridEngine started it again. */
  readonly restarted: boolean
  /** A letter that is in no row. */
  readonly unknown?: string
}

export function jobWord(word: string, onNode: boolean): JobWord {
  const letters = [...word]
  const restarted = letters.includes('R')
  const row = JOB_LETTERS.find(([any]) => letters.some((letter) => any.includes(letter)))
  const strange = letters.find((letter) => !JOB_LETTERS.some(([any]) => any.includes(letter)))
  const unknown = strange === undefined ? {} : { unknown: strange }
  // Whatever holds a node is treated as running, so that the node is not empty.
  if (row === undefined || (onNode && row[1] !== 'completing' && row[1] !== 'ended'))
    return onNode
      ? { state: 'running', restarted, ...unknown }
      : { state: 'held', heldBy: 'unknown', restarted, ...unknown }
  const [, state, heldBy] = row
  // Deleted before it started: nothing of it is anywhere.
  if (state === 'completing' && !onNode) return { state: 'ended', restarted, ...unknown }
  return { state, restarted, ...(heldBy !== undefined && { heldBy }), ...unknown }
}

/**
 * What holds a job: the filters of `qstat -s`, and what each kind means. A job may be in several; the
 * first counts.
 */
export const HOLDS: readonly (readonly [filter: string, heldBy: HeldBy, words: string])[] = [
  ['hs', 'system', 'system hold'],
  ['ho', 'operator', 'operator hold'],
  ['hu', 'user', 'user hold'],
  ['hj', 'dependency', 'waits for other jobs'],
  ['hd', 'dependency', 'waits for tasks of another array'],
  ['ha', 'start-time', 'its start time has not come'],
]

/**
 * Why the scheduler passes a waiting job over, in its own words (`qstat -j`, while `schedd_job_info` is
 * on). Only what a machine more would not cure stands here.
 */
const REASONS: readonly (readonly [words: RegExp, heldBy: HeldBy])[] = [
  // `exceeds limit "user/project/pe/queue/host" in rule "name/1"`: a limit of one host is not the job's.
  [/exceeds limit "(?:[^"/]*\/){4}\/" in rule/, 'limit'],
  [/dropped because of user limitations|exceeds the (?:maximum )?(?:job|slot)s? (?:limit|per user)/, 'limit'],
  [/cannot run (?:because|globally)[^\n]*\bg[cfvlh]:/, 'licence'],
  [/cannot run globally because/, 'licence'],
  [/job dependenc|predecessor/, 'dependency'],
  [/execution time not reached|start time/, 'start-time'],
  [/advance reservation/, 'reservation'],
]

export function heldByReason(words: string): HeldBy | undefined {
  return REASONS.find(([pattern]) => pattern.test(words))?.[1]
}

export type NodeFitness = 'works' | 'refuses' | 'silent'

/** Letters of a queue instance's state: what they are called, and whether the host takes new jobs. */
const QUEUE_LETTERS: Readonly<Record<string, readonly [word: string, fitness: NodeFitness]>> = {
  a: ['load-alarm', 'refuses'],
  A: ['suspend-alarm', 'refuses'],
  c: ['ambiguous', 'refuses'],
  C: ['calendar-suspended', 'refuses'],
  d: ['disabled', 'refuses'],
  D: ['calendar-disabled', 'refuses'],
  E: ['error', 'refuses'],
  o: ['orphaned', 'refuses'],
  P: ['preempted', 'refuses'],
  s: ['suspended', 'refuses'],
  S: ['subordinate', 'refuses'],
  u: ['unheard', 'silent'],
}

export interface QueueWord {
  readonly words: readonly string[]
  readonly fitness: NodeFitness
  /** Somebody (or a calendar of the admin's) took it out. */
  readonly disabled: boolean
  readonly unknown: readonly string[]
}

export function queueWord(letters: string): QueueWord {
  const each = [...letters]
  const known = each.map((letter) => QUEUE_LETTERS[letter])
  const unknown = each.filter((letter) => QUEUE_LETTERS[letter] === undefined)
  const words = each.map((letter, at) => known[at]?.[0] ?? letter)
  const has = (fitness: NodeFitness): boolean => known.some((row) => row?.[1] === fitness)
  return {
    words,
    fitness: has('silent') ? 'silent' : has('refuses') || unknown.length > 0 ? 'refuses' : 'works',
    disabled: each.includes('d') || each.includes('D'),
    unknown,
  }
}
