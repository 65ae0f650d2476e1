import { few } from '../runtime/sentence.ts'
import type { JobRefused, Parting } from './membership.ts'
import type { LeaseRow, PartedJobs, ServiceManagerDraft, UnitRow } from './rows.ts'
import { unitsOf } from './steps.ts'

/**
 * What became of the jobs on units that had to go though work ran there: at the end of a lease, for a recall, or since the
 * machine died.
 *
 *   had to leave ──from the end of the grace on──▶ put back into the queue
 *        │                                    └──▶ not put back: stays, with the reason, until it ends ──▶ forgotten
 *        └──machine lost──▶ put back, or cut with it                  └── its site ends the machine: cut
 *
 * Told unit by unit as it happens, and once more of the whole lease, when nothing of it is left.
 */

/** Of one unit; what is beyond is in the ledger of the batch system. */
const JOBS_MAX = 50
const TOLD_MAX = 8

const NOTHING: PartedJobs = { back: [], kept: [], cut: [] }

/** Writes down what a try to leave, or the removal of a lost machine, has come to. */
export function parted(unit: UnitRow, seen: Parting | undefined, draft: ServiceManagerDraft): UnitRow {
  const before = unit.parted ?? NOTHING
  const { back = [], kept = [], cut = [] } = seen ?? {}
  const fresh = back.filter((id) => !before.back.includes(id))
  const isBack = (id: string): boolean => back.includes(id) || before.back.includes(id)
  // One that was put back may be still listed there for a moment.
  const stays = kept.filter(({ id }) => !isBack(id))
  const isLost = unit.state === 'lost'
  const known = new Map(before.kept.map((one) => [one.id, one.reason]))
  const ended = cut.map(({ id, reason }) => ({ id, reason: known.get(id) ?? reason }))
  // Nobody could look when the machine went.
  const unseen = isLost && seen === undefined ? before.kept : []
  const gone = [...ended, ...unseen]
  if (fresh.length > 0)
    tell('jobs put back', `back in the queue: ${few(fresh, TOLD_MAX)}`, unit, fresh, draft)
  const staysNow = stays.filter(({ id }) => !known.has(id))
  if (staysNow.length > 0)
    tell(
      'jobs not put back',
      `${inWords(staysNow)}; cut if still there when the site ends ${unit.name}`,
      unit,
      staysNow.map(({ id }) => id),
      draft,
    )
  if (gone.length > 0)
    tell(
      'jobs cut',
      `cut with ${unit.name}: ${inWords(gone)}`,
      unit,
      gone.map(({ id }) => id),
      draft,
    )
  const after: PartedJobs = {
    back: [...before.back, ...fresh].slice(0, JOBS_MAX),
    kept: (isLost || unit.state === 'left' ? [] : stays).slice(0, JOBS_MAX),
    cut: [...before.cut, ...gone].slice(0, JOBS_MAX),
  }
  const isNothing = after.back.length + after.kept.length + after.cut.length === 0
  if (isNothing && unit.parted === undefined) return unit
  const row: UnitRow = { ...unit, parted: isNothing ? undefined : after }
  draft.put('unit', row)
  return row
}

/** The last word on the jobs of a lease of which nothing is left, if there is anything to say. */
export function tellParted(lease: LeaseRow, draft: ServiceManagerDraft): void {
  if (lease.jobsTold === true) return
  const all = unitsOf(lease, draft).map((unit) => unit.parted ?? NOTHING)
  const back = all.flatMap((one) => one.back)
  const cut = all.flatMap((one) => one.cut)
  if (back.length + cut.length === 0) return
  draft.put('lease', { ...draft.get('lease', lease.id)!, jobsTold: true })
  draft.note(
    'jobs at the end',
    lease.id,
    [
      back.length === 0 ? 'none was put back' : `put back into the queue: ${few(back, TOLD_MAX)}`,
      cut.length === 0 ? 'none was cut' : `cut: ${inWords(cut)}`,
    ].join('; '),
    { back: back.slice(0, JOBS_MAX), cut: cut.slice(0, JOBS_MAX) },
  )
}

const inWords = (jobs: readonly JobRefused[]): string =>
  few(
    jobs.map(({ id, reason }) => `${id} (${reason.slice(0, 200)})`),
    TOLD_MAX,
  )

function tell(
  kind: string,
  reason: string,
  { id, leaseId }: UnitRow,
  jobs: readonly string[],
  draft: ServiceManagerDraft,
): void {
  draft.note(kind, id, reason, { leaseId, jobs: jobs.slice(0, JOBS_MAX) })
}
