import type { Supply } from '../../actors/leases/calendar.ts'
import type { Term } from '../../actors/leases/term.ts'
import type { Instant } from '../../actors/runtime/clock.ts'
import type { Allocation, BrokerPolicy, TicketRequest } from '../controller.ts'
import { hour, some } from '../sentence.ts'

/**
 * First come, first served, without gaps:
 *
 *   1. extensions, up to what they hold   2. extensions that want more, with what is left
 *   3. new requests                          each in order of arrival
 *
 *   fits now                      grant: the site with the fewest units left over, then by name
 *   elastic, some are free        grant what there is, if that is not under `unitsMin`
 *   deferrable, fits before       wait; its planned start is set aside, so that later requests pass it only
 *     `startBy`                     where they do not delay it. Only an extension may
 *   deferrable, does not          wait all the same (units may come back early), with nothing set aside
 *   otherwise                     refuse, and say when it would fit and how many units are free now
 *
 * A waiting request is decided anew with every batch; since it is planned in its old place, its planned start
 * moves only forward, unless a site takes units back or an extension is granted.
 */
export const firstCome = ((requests, supply, now) => {
  const decided = new Map<string, Allocation>()
  const arrived = inOrder(requests)
  let left = supply
  const decide = (request: TicketRequest, { allocation, after }: Answer): void => {
    decided.set(request.leaseId, allocation)
    left = after
  }
  const extensions = arrived.filter(isExtension)
  // Whoever only wants to keep what it has must not lose it because another one grows.
  for (const request of extensions.toSorted((a, b) => Number(mustGrow(a)) - Number(mustGrow(b))))
    decide(request, answerExtension({ ...request, units: firstUnits(request) }, left, now))
  for (const request of extensions) {
    const given = decided.get(request.leaseId)
    if (given?.kind === 'grant' && given.units < request.units) decide(request, grow(request, given, left))
  }
  for (const request of arrived) if (!isExtension(request)) decide(request, answerNew(request, left, now))
  return requests.flatMap(({ leaseId }) => decided.get(leaseId) ?? [])
}) satisfies BrokerPolicy

type Grant = Extract<Allocation, { kind: 'grant' }>

interface Answer {
  readonly allocation: Allocation
  readonly after: Supply
}

/** Stable: requests that came at the same instant keep the order in which they were handed over. */
const inOrder = (requests: readonly TicketRequest[]): readonly TicketRequest[] =>
  requests.toSorted((a, b) => a.arrivedAt - b.arrivedAt)

type Extension = TicketRequest & { readonly extends: NonNullable<TicketRequest['extends']> }

const isExtension = (request: TicketRequest): request is Extension => request.extends !== undefined

const mustGrow = (request: Extension): boolean => least(request) > request.extends.units

/** What an extension gets before any other grows. */
const firstUnits = (request: Extension): number =>
  Math.max(least(request), Math.min(request.units, request.extends.units))

const termFrom = ({ durationMs }: TicketRequest, start: Instant): Term => ({ start, end: start + durationMs })

function answerExtension(request: Extension, supply: Supply, now: Instant): Answer {
  const { leaseId, type, units, start } = request
  const { site } = request.extends
  if (now >= start) {
    const reason = `the lease ended at ${hour(start)}; an extension has to be asked for before that`
    return {
      allocation: { kind: 'refuse', leaseId, reason, earliest: undefined, unitsNow: 0 },
      after: supply,
    }
  }
  const term = termFrom(request, start)
  const free = supply.free(site, type, term)
  const granted = Math.min(units, free)
  if (granted >= least(request)) return grant(request, site, granted, start, supply)
  const reason = `${site} has ${some(free, `unit`)} of ${type} free from ${hour(term.start)} to ${hour(term.end)}, and ${atLeast(request)} are asked for`
  const earliest = supply.earliest(
    site,
    type,
    least(request),
    request.durationMs,
    start,
    Number.POSITIVE_INFINITY,
  )
  return { allocation: { kind: 'refuse', leaseId, reason, earliest, unitsNow: free }, after: supply }
}

/** The same term with as many units more as are free. */
function grow(request: TicketRequest, given: Grant, supply: Supply): Answer {
  const { site, units, term } = given
  const before = supply.take(site, request.type, -units, term)
  const most = Math.min(request.units, before.free(site, request.type, term))
  return grant(request, site, Math.max(units, most), term.start, before)
}

function answerNew(request: TicketRequest, supply: Supply, now: Instant): Answer {
  const { leaseId, type, units, durationMs, startBy } = request
  const start = Math.max(request.start, now)
  const rooms = supply.sites
    .filter((site) => supply.offered(site, type) > 0)
    .map((site) => ({ site, free: supply.free(site, type, termFrom(request, start)) }))
  const unitsNow = rooms.reduce((most, { free }) => Math.max(most, free), 0)
  const refuse = (reason: string, earliest: Instant | undefined): Answer => ({
    allocation: { kind: 'refuse', leaseId, reason, earliest, unitsNow },
    after: supply,
  })
  if (rooms.length === 0) return refuse(`no site offers units of type ${type}`, undefined)

  const deferrable = startBy > request.start
  if (deferrable && now > startBy)
    return refuse(
      `nothing came free before ${hour(startBy)}, the latest start asked for`,
      earliestOf(request, supply, start, Number.POSITIVE_INFINITY)?.start,
    )
  const [whole] = rooms.filter(({ free }) => free >= units).sort(fewestLeftOver)
  if (whole !== undefined) return grant(request, whole.site, units, start, supply)
  const [part] = rooms
    .filter(({ free }) => free >= least(request))
    .sort((a, b) => b.free - a.free || byName(a, b))
  if (part !== undefined) return grant(request, part.site, part.free, start, supply)

  const most = rooms.reduce((sum, { site }) => Math.max(sum, supply.offered(site, type)), 0)
  const wants = `${atLeast(request)} of ${type} for ${Math.round(durationMs / 1000)} s`
  if (least(request) > most)
    return refuse(`${wants} are asked for, and no site offers more than ${most}`, undefined)
  const planned = earliestOf(request, supply, start, Number.POSITIVE_INFINITY)
  const has = `${wants} are asked for, and at most ${some(unitsNow, 'unit')} of one site ${unitsNow === 1 ? 'is' : 'are'} free from ${hour(start)} on`
  if (!deferrable) return refuse(has, planned?.start)
  if (planned === undefined || planned.start > startBy)
    return {
      allocation: {
        kind: 'wait',
        leaseId,
        reason: `${has}; waits until ${hour(startBy)} in case some come back early`,
      },
      after: supply,
    }
  return {
    allocation: {
      kind: 'wait',
      leaseId,
      reason: `${has}; planned to start at ${planned.site} at ${hour(planned.start)}`,
    },
    after: supply.take(planned.site, type, least(request), termFrom(request, planned.start)),
  }
}

/** A request that asks for none is taken to ask for one: a ticket for nothing helps nobody. */
const least = ({ unitsMin }: TicketRequest): number => Math.max(1, unitsMin)

const atLeast = (request: TicketRequest): string =>
  least(request) < request.units
    ? `${least(request)} to ${some(request.units, 'unit')}`
    : some(request.units, 'unit')

function grant(request: TicketRequest, site: string, units: number, start: Instant, supply: Supply): Answer {
  const { leaseId, type } = request
  const term = termFrom(request, start)
  const free = supply.free(site, type, term)
  const part =
    units < request.units
      ? `${units} of ${some(request.units, 'unit')}, all that is free`
      : some(units, 'unit')
  const reason = `${part} of ${type} at ${site} from ${hour(term.start)} to ${hour(term.end)}; ${free - units} of ${supply.offered(site, type)} left`
  return {
    allocation: { kind: 'grant', leaseId, site, units, term, reason },
    after: supply.take(site, type, units, term),
  }
}

interface Room {
  readonly site: string
  readonly free: number
}

const byName = (a: Room, b: Room): number => (a.site < b.site ? -1 : a.site > b.site ? 1 : 0)

const fewestLeftOver = (a: Room, b: Room): number => a.free - b.free || byName(a, b)

/** The earliest start at any site, the first by name among equals. */
function earliestOf(
  request: TicketRequest,
  supply: Supply,
  after: Instant,
  latest: Instant,
): { readonly site: string; readonly start: Instant } | undefined {
  let best: { site: string; start: Instant } | undefined
  for (const site of supply.sites) {
    const start = supply.earliest(site, request.type, least(request), request.durationMs, after, latest)
    if (start !== undefined && (best === undefined || start < best.start)) best = { site, start }
  }
  return best
}
