import type { HeldBy, Job } from '../../../adapters/batch-system.ts'
import { HELD_BY } from '../../../adapters/batch-system.ts'
import { few, hour } from '../../sentence.ts'

/** What no machine would cure: in two or three words for a count, and in a sentence for the job's owner. */
const WORDS: Readonly<Record<HeldBy, readonly [short: string, sentence: string]>> = {
  user: [
    'by their owners',
    'Its owner holds it, and can let it go (`qrls`, `scontrol release`); then it is counted.',
  ],
  operator: [
    'by an operator',
    'An administrator holds it, and only an administrator can let it go: ask one why.',
  ],
  system: [
    'by the batch system itself',
    'The batch system itself holds it, as a rule since its start failed; an administrator has to look why, and let it go.',
  ],
  dependency: ['by other jobs', 'Other jobs have to end first; then it is counted.'],
  'start-time': ['until later', 'The time it may begin at has not come.'],
  limit: [
    'by a limit',
    'A limit of its user, account, class or array is reached; it may start when others of them have ended.',
  ],
  licence: ['by a licence', 'It waits for something counted that no machine brings, such as a licence.'],
  reservation: [
    'by a reservation',
    'A reservation has what it could use, or it waits for its own to begin; no further machine is of that reservation, so it starts when that is over, or has begun.',
  ],
  queue: ['by a closed queue', 'Its queue or partition is closed or stopped; an administrator can open it.'],
  impossible: [
    'for ever',
    'As it is it can never start, whatever nodes there are: it asks for more than its queue or account may have, or waits for what cannot come any more. It has to be changed or removed, or the limit be raised.',
  ],
  unknown: ['for unknown reasons', 'Why, is in no table of what a machine would cure, so none is asked for.'],
}

/** Jobs that are held, by what holds them; array tasks one by one. */
export type HeldCounts = ReadonlyMap<HeldBy, number>

/** ` (4 more are held: 3 by their owners, 1 by other jobs)`; empty without any. */
export function heldInWords(held: HeldCounts): string {
  const all = [...held.values()].reduce((sum, count) => sum + count, 0)
  if (all === 0) return ''
  const each = HELD_BY.flatMap((by) => {
    const count = held.get(by)
    return count === undefined ? [] : [`${count} ${WORDS[by][0]}`]
  })
  return ` (${all} more ${all === 1 ? 'is' : 'are'} held: ${each.join(', ')})`
}

export function heldSentence({ heldBy = 'unknown', notBefore }: Job): string {
  if (heldBy === 'start-time' && notBefore !== undefined) return `It may not begin before ${hour(notBefore)}.`
  return WORDS[heldBy][1]
}

/** Held by the batch system though nobody wanted that: somebody has to look. */
export const isAlarming = ({ heldBy, launchFailed }: Job): boolean =>
  heldBy === 'system' || launchFailed === true

export function alarms(jobs: readonly Job[]): readonly string[] {
  if (jobs.length === 0) return []
  const named = jobs.map(
    ({ id, user, vendorReason }) => `${id} of ${user}${vendorReason === '' ? '' : ` (${vendorReason})`}`,
  )
  return [
    `Alarm: the batch system itself holds ${jobs.length === 1 ? 'a job' : `${jobs.length} jobs`}, as a rule since a start failed, and no machine will cure it: ${few(named)}.`,
  ]
}

/** Jobs that hold nodes for ever without running there: nobody else will ever say so. */
export function neverBegunNotes(jobs: readonly Job[]): readonly string[] {
  const found = jobs.filter(({ state, neverBegan }) => state === 'running' && neverBegan === true)
  if (found.length === 0) return []
  const named = found.map(
    ({ id, user, startedAt, nodeNames }) =>
      `${id} of ${user}${startedAt === undefined ? '' : ` since ${hour(startedAt)}`} on ${few(nodeNames)}`,
  )
  const [what, they] =
    found.length === 1 ? ['a job that never began holds', 'it'] : ['jobs that never began hold', 'them']
  return [
    `Alarm: ${what} nodes for ever, for the batch system counts ${they} as running and ends ${they} at no walltime: ${few(named)}. An administrator has to put ${they} back or delete ${they}; “sublet check middleware” says how, and why.`,
  ]
}
