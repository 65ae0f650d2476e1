import type { Supply } from '../../actors/leases/calendar.ts'

/**
 * A supply as somebody sees it who may never hold more than a cap: the cap is a calendar of its own, with one
 * site for each guest, and there is only what is free in both.
 */
export function capped(supply: Supply, caps: Supply, guest: string): Supply {
  return {
    sites: supply.sites,
    free: (site, type, term) => Math.min(supply.free(site, type, term), caps.free(guest, type, term)),
    earliest(site, type, units, lengthMs, after, latest) {
      let start = after
      for (;;) {
        const there = supply.earliest(site, type, units, lengthMs, start, latest)
        if (there === undefined) return undefined
        const allowed = caps.earliest(guest, type, units, lengthMs, there, latest)
        if (allowed === undefined || allowed === there) return allowed
        start = allowed
      }
    },
    take: (site, type, units, term) =>
      capped(supply.take(site, type, units, term), caps.take(guest, type, units, term), guest),
    offered: (site, type) => Math.min(supply.offered(site, type), caps.offered(guest, type)),
    longest: supply.longest,
  }
}
