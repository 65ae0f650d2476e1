import { own } from '../../actors/runtime/plain.ts'
import { some, span } from '../../controllers/sentence.ts'
import type { Written } from './config.ts'
import { type CrossComplaint, error, type Path, warning } from './cross-complaint.ts'

type Guest = Written['guests'][number]
export type Groc = Extract<Guest['controller'], { kind: 'groc' }>
export type Place = (...path: PropertyKey[]) => Path

const HOUR_MS = 60 * 60_000

/** Thresholds that hold, each by itself, and that do not do what was meant. */
export function grocChecks(
  { kind }: Guest['batch'],
  controller: Groc,
  site: Written['site'],
  at: Place,
): readonly CrossComplaint[] {
  return [
    ...withoutRecords(kind, controller, at),
    ...withoutEffect(controller, at),
    ...budgetOfIdle(controller, at),
    ...(site === undefined ? [] : windowsAgainstSite(site, controller, at)),
  ]
}

/** A Torque server without a node record can tell no job from one that no node could ever run. */
function withoutRecords(
  kind: Guest['batch']['kind'],
  { min, reserve, windows }: Groc,
  at: Place,
): readonly CrossComplaint[] {
  if (kind !== 'torque') return []
  const sentence =
    'is 0, and a Torque server without any node record refuses jobs that ask for nodes, and its pbs_sched deletes those that do not: keep at least 1, unless it has nodes of your own'
  const inWindows = windows.flatMap((window, i) =>
    window.min === 0 && (window.reserve ?? reserve) === 0
      ? [warning(at('controller', 'windows', i, 'min'), sentence)]
      : [],
  )
  return [...(min === 0 && reserve === 0 ? [warning(at('controller', 'min'), sentence)] : []), ...inWindows]
}

function withoutEffect({ grow, max, userMax, windows }: Groc, at: Place): readonly CrossComplaint[] {
  const found: CrossComplaint[] = []
  const most = windows.reduce((all, window) => Math.max(all, window.max ?? 0), max)
  if (userMax !== undefined && userMax > most)
    found.push(warning(at('controller', 'userMax'), `found ${userMax}, and max is ${most}: it limits nobody`))
  if (grow.target !== undefined && grow.wait >= grow.target / 2)
    found.push(
      warning(
        at('controller', 'grow', 'target'),
        `found ${span(grow.target)}, and grow.wait is ${span(grow.wait)}: nothing can begin later, for half of the time is over when it is asked for`,
      ),
    )
  return found
}

/** What is kept empty is paid for, too. */
function budgetOfIdle({ budget, min, reserve }: Groc, at: Place): readonly CrossComplaint[] {
  if (budget === undefined) return []
  const idleHours = ((min + reserve) * budget.per) / HOUR_MS
  return reserve > 0 && idleHours > budget.nodeHours
    ? [
        warning(
          at('controller', 'reserve'),
          `found ${reserve}: with min ${min} that alone takes ${idleHours} node-hours in ${span(budget.per)}, and the budget is ${budget.nodeHours}`,
        ),
      ]
    : []
}

function windowsAgainstSite(
  site: NonNullable<Written['site']>,
  { types, windows }: Groc,
  at: Place,
): readonly CrossComplaint[] {
  const lent = types.flatMap(({ type }) => own(site.types, type)?.units ?? [])
  if (lent.length < types.length) return []
  const units = lent.reduce((sum, one) => sum + one, 0)
  return windows.flatMap(({ min = 0, max = 0 }, i) => {
    const place = (key: string): Path => at('controller', 'windows', i, key)
    if (min > units) return [error(place('min'), `found ${min}, and the site lends ${some(units, 'unit')}`)]
    return max > units
      ? [warning(place('max'), `found ${max}, and the site lends ${some(units, 'unit')}`)]
      : []
  })
}
