import { own } from '../../actors/runtime/plain.ts'
import { meet, type Window, within } from '../../controllers/guests/groc/windows.ts'
import { some, span } from '../../controllers/sentence.ts'
import type { Written } from './config.ts'
import { type CrossComplaint, error, type Path, warning } from './cross-complaint.ts'

type Guest = Written['guests'][number]
export type Groc = Extract<Guest['controller'], { kind: 'groc' }>
export type Place = (...path: PropertyKey[]) => Path

const HOUR_MS = 60 * 60_000

/** Thresholds that hold, each by itself, and that do not do what was meant. */
export function grocChecks(
  batch: Guest['batch'],
  controller: Groc,
  site: Written['site'],
  at: Place,
): readonly CrossComplaint[] {
  return [
    ...withoutRecords(batch, controller, at),
    ...withoutEffect(controller, at),
    ...budgetOfIdle(controller, at),
    ...(site === undefined ? [] : windowsAgainstSite(site, controller, at)),
    ...(site === undefined ? [] : togetherWithoutSwitch(site, controller, at)),
  ]
}

/**
 * A Torque server without a node record refuses at submission what asks for nodes, and its pbs_sched deletes the rest: what
 * nobody sees nobody gets a machine for. The last record of ours is kept under pbs_sched, but before the first machine has
 * come there is none, and Maui's or Moab's is deleted: so one has to be there always, ours by `min`, or an own one.
 */
function withoutRecords(batch: Guest['batch'], groc: Groc, at: Place): readonly CrossComplaint[] {
  if (batch.kind !== 'torque' || batch.ownNode !== undefined) return []
  const { windows } = groc
  const isEmpty = ({ min, reserve }: Groc): boolean => min === 0 && reserve === 0
  const sentence =
    'is 0, and a Torque without any node record refuses jobs that ask for nodes, and its pbs_sched deletes the others: such jobs are seen by nobody, and no machine comes for them. Keep at least 1 (min: 1), or name a node of your own that stays (batch.ownNode)'
  if (isEmpty(groc)) return [error(at('controller', 'min'), sentence)]
  const keyOf = ({ min }: Window): 'min' | 'reserve' => (min === undefined ? 'reserve' : 'min')
  const emptyAlone = windows.map((window) => isEmpty(within(groc, window)))
  return windows.flatMap((window, i) => {
    const place = at('controller', 'windows', i, keyOf(window))
    if (emptyAlone[i]) return [error(place, sentence)]
    const j = windows.findIndex(
      (other, j) =>
        j < i && !emptyAlone[j] && isEmpty(within(within(groc, other), window)) && meet(other, window),
    )
    return j < 0 ? [] : [error(place, `with windows.${j}, open at the same time, ${sentence}`)]
  })
}

function withoutEffect(
  { grow, max, userMax, userBudget, budget, windows, queues = [] }: Groc,
  at: Place,
): readonly CrossComplaint[] {
  const found: CrossComplaint[] = []
  const most = windows.reduce((all, window) => Math.max(all, window.max ?? 0), max)
  if (userMax !== undefined && userMax > most)
    found.push(warning(at('controller', 'userMax'), `found ${userMax}, and max is ${most}: it limits nobody`))
  if (userBudget !== undefined && budget !== undefined)
    if (userBudget.nodeHours / userBudget.per > budget.nodeHours / budget.per)
      found.push(
        warning(
          at('controller', 'userBudget', 'nodeHours'),
          `found ${userBudget.nodeHours} in ${span(userBudget.per)}, and the budget of all is ${budget.nodeHours} in ${span(budget.per)}: it limits nobody`,
        ),
      )
  queues.forEach((queue, i) => {
    const inQueue = (...path: string[]): Path => at('controller', 'queues', i, ...path)
    if (queue.max !== undefined && queue.max > most)
      found.push(warning(inQueue('max'), `found ${queue.max}, and max of all is ${most}: it limits nothing`))
    const wait = queue.grow?.wait
    if (wait !== undefined && grow.target !== undefined && wait >= grow.target / 2)
      found.push(
        warning(
          inQueue('grow', 'wait'),
          `found ${span(wait)}, and grow.target is ${span(grow.target)}: for its jobs nothing can begin later, for half of that is over when it is asked for`,
        ),
      )
  })
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

/** A host that names no switch is a group of its own: what is wide is on one host then, or nowhere. */
function togetherWithoutSwitch(
  { hosts }: NonNullable<Written['site']>,
  { together, queues = [] }: Groc,
  at: Place,
): readonly CrossComplaint[] {
  if (hosts.length < 2 || hosts.some((host) => host.switch !== undefined)) return []
  const sentence =
    'and no host of the site names its `switch`: only machines on one and the same host are together'
  const found = (path: Path, how: string): CrossComplaint => warning(path, `found ${how}, ${sentence}`)
  return [
    ...(together === undefined ? [] : [found(at('controller', 'together'), together)]),
    ...queues.flatMap((queue, i) =>
      queue.together === undefined ? [] : [found(at('controller', 'queues', i, 'together'), queue.together)],
    ),
  ]
}
