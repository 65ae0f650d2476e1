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
}

/** What a site lends the broker. */
export interface Offer {
  readonly site: string
  readonly type: string
  readonly units: number
  /** Undefined: until further notice. */
  readonly term: Term | undefined
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
}

export type Pools = ReadonlyMap<string, Pool>

export const poolKey = (site: string, type: string): string => `${site}\n${type}`

export function supplyOf(offers: readonly Offer[], promises: readonly Promised[]): Supply {
  const pools = new Map<string, Pool>()
  for (const offer of offers) lend(pools, offer)
  for (const promise of promises) take(pools, promise)
  return supply(pools)
}

export function lend(pools: Map<string, Pool>, { site, type, units, term = ALWAYS }: Offer): void {
  const { lent, free } = pools.get(poolKey(site, type)) ?? emptyPool(site)
  pools.set(poolKey(site, type), {
    site,
    lent: withUnits(lent, units, term),
    free: withUnits(free, units, term),
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

function supplyAt(sites: readonly string[], pools: Pools): Supply {
  return {
    sites,
    free(site, type, term) {
      const pool = pools.get(poolKey(site, type))
      return pool === undefined ? 0 : Math.max(0, leastWithin(pool.free, term))
    },
    earliest(site, type, units, lengthMs, after, latest) {
      const pool = pools.get(poolKey(site, type))
      return pool === undefined ? undefined : earliestStart(pool.free, units, lengthMs, after, latest)
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
  }
}
