import type { Instant, Millis } from '../runtime/clock.ts'
import { earliestStart, leastWithin, levelAlways, mostEver, type Profile, withUnits } from './profile.ts'
import { ALWAYS, type Term } from './term.ts'

/** What is free of each site's offer over time. Pure reads; `take` returns a new one. */
export interface Supply {
  readonly sites: readonly string[]
  /** Least number of units of the type free at the site at every instant of the term. */
  free(site: string, type: string, term: Term): number
  /** The earliest start in [after, latest] with `units` free for the whole length; undefined if none. */
  earliest(
    site: string,
    type: string,
    units: number,
    lengthMs: Millis,
    after: Instant,
    latest: Instant,
  ): Instant | undefined
  take(site: string, type: string, units: number, term: Term): Supply
  /** The most units the site would have if nothing were promised; 0 if it does not offer the type. */
  offered(site: string, type: string): number
  /**
   * The longest term that the site gives units of the type for: for a longer one none are free. Undefined if it does not
   * offer the type, be it none of it now.
   */
  longest(site: string, type: string): Millis | undefined
}

/** What a site lends the broker. */
export interface Offer {
  readonly site: string
  readonly type: string
  readonly units: number
  /** Undefined: until further notice. */
  readonly term: Term | undefined
  /** How long a term may be at most; undefined if the site does not say. */
  readonly termMsMax?: Millis | undefined
}

/** Units the broker has given away: a ticket, until its units are surely free again. */
export interface Promised {
  readonly site: string
  readonly type: string
  readonly units: number
  readonly term: Term
}

/** What one site has of one type. */
export interface Pool {
  readonly site: string
  readonly lent: Profile
  /** Lent and not promised; negative where more is promised than lent, as when a site took units back. */
  readonly free: Profile
  /** Undefined if nothing of it is offered, not even none. */
  readonly termMsMax?: Millis | undefined
}

export type Pools = ReadonlyMap<string, Pool>

export const poolKey = (site: string, type: string): string => `${site}\n${type}`

export function supplyOf(offers: readonly Offer[], promises: readonly Promised[]): Supply {
  const pools = new Map<string, Pool>()
  for (const offer of offers) lend(pools, offer)
  for (const promise of promises) take(pools, promise)
  return supply(pools)
}

export function lend(
  pools: Map<string, Pool>,
  { site, type, units, term = ALWAYS, termMsMax = Infinity }: Offer,
): void {
  const { lent, free } = pools.get(poolKey(site, type)) ?? emptyPool(site)
  pools.set(poolKey(site, type), {
    site,
    lent: withUnits(lent, units, term),
    free: withUnits(free, units, term),
    termMsMax,
  })
}

/** Less is free; more, if `units` is negative. */
export function take(pools: Map<string, Pool>, { site, type, units, term }: Promised): void {
  const pool = pools.get(poolKey(site, type)) ?? emptyPool(site)
  pools.set(poolKey(site, type), { ...pool, free: withUnits(pool.free, -units, term) })
}

const emptyPool = (site: string): Pool => ({ site, lent: levelAlways(0), free: levelAlways(0) })

/** Where more is promised than lent, `free` answers 0. */
export function supply(pools: Pools): Supply {
  const sites = new Set<string>()
  for (const { site } of pools.values()) sites.add(site)
  return supplyAt([...sites].sort(), pools)
}

const isTooLong = ({ termMsMax = Infinity }: Pool, lengthMs: Millis): boolean => lengthMs > termMsMax

function supplyAt(sites: readonly string[], pools: Pools): Supply {
  return {
    sites,
    free(site, type, term) {
      const pool = pools.get(poolKey(site, type))
      if (pool === undefined || isTooLong(pool, term.end - term.start)) return 0
      return Math.max(0, leastWithin(pool.free, term))
    },
    earliest(site, type, units, lengthMs, after, latest) {
      const pool = pools.get(poolKey(site, type))
      if (pool === undefined || isTooLong(pool, lengthMs)) return undefined
      return earliestStart(pool.free, units, lengthMs, after, latest)
    },
    take(site, type, units, term) {
      const left = new Map(pools)
      take(left, { site, type, units, term })
      return supplyAt(sites, left)
    },
    offered(site, type) {
      const pool = pools.get(poolKey(site, type))
      return pool === undefined ? 0 : mostEver(pool.lent)
    },
    longest: (site, type) => pools.get(poolKey(site, type))?.termMsMax,
  }
}
