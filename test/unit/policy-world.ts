import fc from 'fast-check'
import { type Offer, type Promised, type Supply, supplyOf } from '../../actors/leases/calendar.ts'
import type { Term } from '../../actors/leases/term.ts'
import type { Allocation, Holding, TicketRequest } from '../../controllers/controller.ts'

/** Requests, offers and holdings for the tests of broker policies; minutes count from NOW. */
export const NOW = Date.parse('2026-03-02T08:00:00Z')
export const MINUTE = 60_000

export const offer = (site: string, units: number, over: Partial<Offer> = {}): Offer => ({
  site,
  type: 'vm',
  units,
  term: undefined,
  ...over,
})
export const term = (fromMinute: number, toMinute: number): Term => ({
  start: NOW + fromMinute * MINUTE,
  end: NOW + toMinute * MINUTE,
})
export const promised = (site: string, units: number, from: number, to: number): Promised => ({
  site,
  type: 'vm',
  units,
  term: term(from, to),
})

export const ask = (leaseId: string, units: number, over: Partial<TicketRequest> = {}): TicketRequest => ({
  leaseId,
  holder: 'grid',
  type: 'vm',
  units,
  unitsMin: units,
  durationMs: 60 * MINUTE,
  start: NOW,
  startBy: over.start ?? NOW,
  arrivedAt: NOW,
  extends: undefined,
  ...over,
})

/** A lease that ends at `end` and asks for more. */
export const extension = (
  leaseId: string,
  units: number,
  held: number,
  over: Partial<TicketRequest> = {},
): TicketRequest =>
  ask(leaseId, units, { start: NOW + 10 * MINUTE, extends: { site: 'a', units: held }, ...over })

export const holding = (leaseId: string, holder: string, units: number, to: number, site = 'a'): Holding => ({
  ...{ leaseId, holder, site, units },
  type: 'vm',
  term: term(-50, to),
})

const told = (one: Allocation): string => {
  switch (one.kind) {
    case 'grant':
      return `${one.leaseId}: ${one.units} at ${one.site} from ${(one.term.start - NOW) / MINUTE} to ${(one.term.end - NOW) / MINUTE}`
    case 'wait':
      return `${one.leaseId}: waits${one.planned === undefined ? '' : ` for ${(one.planned.start - NOW) / MINUTE}`}`
    case 'refuse':
      return `${one.leaseId}: refused, ${one.earliest === undefined ? 'never' : `from ${(one.earliest - NOW) / MINUTE}`}, now ${one.unitsNow}`
  }
}

export const inShort = (allocations: readonly Allocation[]): readonly string[] => allocations.map(told)

export interface PolicyWorld {
  readonly offers: readonly Offer[]
  readonly supply: Supply
  readonly holdings: readonly Holding[]
  /** Extensions first, then in order of arrival. */
  readonly requests: readonly TicketRequest[]
}

export const HOLDERS = ['ana', 'ben', 'cem'] as const

const minutes = (max: number) => fc.integer({ min: 0, max })
const holders = fc.constantFrom(...HOLDERS)

const offersArbitrary = fc
  .array(fc.integer({ min: 1, max: 8 }), { minLength: 1, maxLength: 3 })
  .map((sizes) => sizes.map((units, i) => offer(`s${i}`, units)))

const heldArbitrary = fc.array(
  fc.record({
    site: fc.nat(2),
    units: fc.integer({ min: 1, max: 3 }),
    from: minutes(40),
    lasts: fc.integer({ min: 1, max: 60 }),
    holder: holders,
    /** Whether it asks for an extension, of so many units, down to so many. */
    extends: fc.option(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })), {
      nil: undefined,
    }),
  }),
  { maxLength: 6 },
)

export const newArbitrary = fc
  .record({
    units: fc.integer({ min: 1, max: 6 }),
    least: fc.integer({ min: 1, max: 6 }),
    lasts: fc.integer({ min: 1, max: 90 }),
    start: minutes(20),
    defer: fc.option(minutes(60), { nil: undefined }),
    holder: holders,
    priority: fc.integer({ min: 0, max: 3 }),
  })
  .map(({ units, least, lasts, start, defer, holder, priority }) => ({
    units,
    unitsMin: Math.min(units, least),
    durationMs: lasts * MINUTE,
    start: NOW + start * MINUTE,
    startBy: NOW + (start + (defer ?? 0)) * MINUTE,
    holder,
    properties: { priority: String(priority) },
  }))

const groupArbitrary = fc
  .record({
    members: fc.array(
      fc.record({ units: fc.integer({ min: 1, max: 4 }), lasts: fc.integer({ min: 1, max: 60 }) }),
      { minLength: 2, maxLength: 3 },
    ),
    start: minutes(10),
    defer: minutes(80),
    holder: holders,
  })
  .map(({ members, start, defer, holder }) =>
    members.map(({ units, lasts }) => ({
      ...{ units, unitsMin: units, durationMs: lasts * MINUTE, holder },
      start: NOW + start * MINUTE,
      startBy: NOW + (start + defer) * MINUTE,
      size: members.length,
    })),
  )

/** Held leases fit their sites, some ask for more, and others are new; no two came at the same instant. */
export const worldArbitrary = fc
  .tuple(
    offersArbitrary,
    heldArbitrary,
    fc.array(newArbitrary, { maxLength: 8 }),
    fc.array(groupArbitrary, { maxLength: 2 }),
    fc.nat(100),
  )
  .map(([offers, held, news, groups, shuffle]): PolicyWorld => {
    let supply = supplyOf(offers, [])
    const holdings: Holding[] = []
    const extensions: TicketRequest[] = []
    for (const [i, { site, units, from, lasts, holder, extends: more }] of held.entries()) {
      const one = promised(`s${site % offers.length}`, units, from - 20, from - 20 + lasts)
      if (supply.free(one.site, 'vm', one.term) < units || one.term.end <= NOW) continue
      supply = supply.take(one.site, 'vm', units, one.term)
      holdings.push({ ...one, leaseId: `x${i}`, holder })
      if (more === undefined || one.term.start > NOW) continue
      const over = { start: one.term.end, durationMs: 30 * MINUTE, holder, arrivedAt: NOW - 1000 + i }
      extensions.push(
        ask(`x${i}`, more[0], {
          ...{ ...over, unitsMin: Math.min(more[0], more[1], units) },
          extends: { site: one.site, units },
        }),
      )
    }
    const fresh = [
      ...news.map((over, i) => ask(`n${i}`, over.units, over)),
      ...groups.flatMap((members, g) =>
        members.map(({ size, ...over }, i) =>
          ask(`g${g}-${i}`, over.units, { ...over, group: { id: `g${g}`, size } }),
        ),
      ),
    ]
    const turned = [
      ...fresh.slice(shuffle % (fresh.length + 1)),
      ...fresh.slice(0, shuffle % (fresh.length + 1)),
    ]
    const arrived = turned.map((one, i) => ({ ...one, arrivedAt: NOW - 100 + i }))
    const world = { offers, supply, holdings, requests: [...extensions, ...arrived] }
    return Object.assign(world, { [fc.toStringMethod]: () => shown(world) })
  })

/** A counterexample that one can read. */
const shown = ({ offers, holdings, requests }: PolicyWorld): string =>
  [
    ...offers.map(({ site, units }) => `${site} offers ${units}`),
    ...holdings.map(
      ({ leaseId, holder, site, units, term: { start, end } }) =>
        `${leaseId} of ${holder} holds ${units} at ${site} from ${minute(start)} to ${minute(end)}`,
    ),
    ...requests.map(({ leaseId, holder, units, unitsMin, durationMs, start, startBy, group, properties }) =>
      [
        `${leaseId} of ${holder} asks for ${unitsMin} to ${units} for ${durationMs / MINUTE}`,
        `from ${minute(start)} to ${minute(startBy)} ${group?.size ?? ''} ${properties?.priority ?? ''}`,
      ].join(' '),
    ),
  ].join('\n')

const minute = (at: number): number => (at - NOW) / MINUTE

export const grantsOf = (allocations: readonly Allocation[]) =>
  allocations.filter((one) => one.kind === 'grant')

/** What is left beside all that was granted and planned. */
export function leftBeside(
  allocations: readonly Allocation[],
  { supply, requests }: Pick<PolicyWorld, 'supply' | 'requests'>,
  plans = true,
): Supply {
  let left = supply
  for (const one of allocations) {
    const { type, unitsMin, durationMs } = requests.find(({ leaseId }) => leaseId === one.leaseId)!
    if (one.kind === 'grant') left = left.take(one.site, type, one.units, one.term)
    if (one.kind === 'wait' && one.planned !== undefined && plans) {
      const { site, start } = one.planned
      left = left.take(site, type, Math.max(1, unitsMin), { start, end: start + durationMs })
    }
  }
  return left
}
