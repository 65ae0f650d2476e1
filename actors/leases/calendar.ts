import type { Instant, Millis } from '../runtime/clock.ts'
import type { Term } from './term.ts'

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

/**
 * Free units of one type at one site over time, as steps: `free[i]` holds from `from[i]` until `from[i + 1]`,
 * the last for ever. `from[0]` is minus infinity.
 *
 *   free  4 ┤      ┌───────
 *         2 ┤──┐   │
 *         0 ┤  └───┘
 */
interface Profile {
  readonly from: readonly Instant[]
  readonly free: readonly number[]
  readonly offered: number
}

/** Promises beyond an offer (a site took units back) show as negative room; `free` then answers 0. */
export function supplyOf(offers: readonly Offer[], promises: readonly Promised[]): Supply {
  const changes = new Map<string, Map<Instant, number>>()
  const offered = new Map<string, number>()
  const sites = new Set<string>()
  const change = (key: string, at: Instant, units: number): void => {
    const ofKey = changes.get(key) ?? new Map<Instant, number>()
    changes.set(key, ofKey)
    ofKey.set(at, (ofKey.get(at) ?? 0) + units)
  }
  const add = (key: string, term: Term, units: number): void => {
    if (term.end <= term.start) return
    change(key, term.start, units)
    if (term.end !== Number.POSITIVE_INFINITY) change(key, term.end, -units)
  }
  for (const { site, type, units, term } of offers) {
    const key = keyOf(site, type)
    sites.add(site)
    offered.set(key, (offered.get(key) ?? 0) + units)
    add(key, term ?? { start: Number.NEGATIVE_INFINITY, end: Number.POSITIVE_INFINITY }, units)
  }
  for (const { site, type, units, term } of promises) add(keyOf(site, type), term, -units)
  const profiles = new Map<string, Profile>()
  for (const [key, ofKey] of changes) profiles.set(key, profileOf(ofKey, offered.get(key) ?? 0))
  return supply([...sites].sort(), profiles)
}

const keyOf = (site: string, type: string): string => `${site}\n${type}`

function profileOf(changes: ReadonlyMap<Instant, number>, offered: number): Profile {
  const from = [Number.NEGATIVE_INFINITY]
  const free = [changes.get(Number.NEGATIVE_INFINITY) ?? 0]
  let level = free[0] ?? 0
  for (const at of [...changes.keys()]
    .filter((at) => at !== Number.NEGATIVE_INFINITY)
    .sort((a, b) => a - b)) {
    const units = changes.get(at) ?? 0
    if (units === 0) continue
    level += units
    from.push(at)
    free.push(level)
  }
  return { from, free, offered }
}

function supply(sites: readonly string[], profiles: ReadonlyMap<string, Profile>): Supply {
  return {
    sites,
    free(site, type, term) {
      const profile = profiles.get(keyOf(site, type))
      return profile === undefined ? 0 : Math.max(0, leastFree(profile, term))
    },
    earliest(site, type, units, lengthMs, after, latest) {
      const profile = profiles.get(keyOf(site, type))
      return profile === undefined ? undefined : earliestStart(profile, units, lengthMs, after, latest)
    },
    take(site, type, units, term) {
      const key = keyOf(site, type)
      const profile = profiles.get(key) ?? { from: [Number.NEGATIVE_INFINITY], free: [0], offered: 0 }
      return supply(sites, new Map(profiles).set(key, less(profile, units, term)))
    },
    offered: (site, type) => profiles.get(keyOf(site, type))?.offered ?? 0,
  }
}

/** The step that holds at an instant. */
function stepAt({ from }: Profile, at: Instant): number {
  let low = 0
  let high = from.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((from[middle] ?? 0) <= at) low = middle
    else high = middle - 1
  }
  return low
}

function leastFree(profile: Profile, term: Term): number {
  let least = Number.POSITIVE_INFINITY
  for (let i = stepAt(profile, term.start); i < profile.from.length; i += 1) {
    if (i > 0 && (profile.from[i] ?? 0) >= term.end) break
    least = Math.min(least, profile.free[i] ?? 0)
  }
  return least
}

/** One pass: a step without room moves the start to where that step ends. */
function earliestStart(
  { from, free }: Profile,
  units: number,
  lengthMs: Millis,
  after: Instant,
  latest: Instant,
): Instant | undefined {
  let start = after
  for (let i = stepAt({ from, free, offered: 0 }, after); i < from.length; i += 1) {
    if ((from[i] ?? 0) >= start + lengthMs) break
    if ((free[i] ?? 0) >= units) continue
    const next = from[i + 1]
    if (next === undefined) return undefined
    start = next
  }
  return start <= latest ? start : undefined
}

function less({ from, free, offered }: Profile, units: number, term: Term): Profile {
  const newFrom: Instant[] = []
  const newFree: number[] = []
  const push = (at: Instant, level: number): void => {
    if (newFree.at(-1) === level && newFrom.length > 0) return
    newFrom.push(at)
    newFree.push(level)
  }
  for (let i = 0; i < from.length; i += 1) {
    const start = from[i] ?? 0
    const end = from[i + 1] ?? Number.POSITIVE_INFINITY
    const level = free[i] ?? 0
    const takenFrom = Math.max(start, term.start)
    const takenTo = Math.min(end, term.end)
    if (takenFrom >= takenTo) {
      push(start, level)
      continue
    }
    if (start < takenFrom) push(start, level)
    push(takenFrom, level - units)
    if (takenTo < end) push(takenTo, level)
  }
  return { from: newFrom, free: newFree, offered }
}
