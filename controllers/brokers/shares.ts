import { type Supply, supplyOf } from '../../actors/leases/calendar.ts'
import type { Instant } from '../../actors/runtime/clock.ts'
import type { Holding, TicketRequest } from '../controller.ts'
import type { Share, WeightedShareConfig } from './config.ts'
import { type Asker, guestOf, settingOf } from './guests.ts'
import { isExtension, least } from './requests.ts'
import { waterFill } from './water-filling.ts'

/** What one guest has of one type, and what it may have. */
export interface Account {
  readonly guest: string
  readonly type: string
  readonly setting: Share
  /** Units held, and granted or planned in this batch. */
  used: number
  /** Its part of what is lent now, between its minimum and what it wants. */
  share: number
}

const keyOf = (guest: string, type: string): string => `${guest}\n${type}`

/** The accounts of one batch. */
export class Shares {
  readonly #config: WeightedShareConfig
  readonly #accounts = new Map<string, Account>()

  constructor(
    config: WeightedShareConfig,
    requests: readonly TicketRequest[],
    supply: Supply,
    now: Instant,
    holdings: readonly Holding[],
  ) {
    this.#config = config
    // A lease that is extended is held once, not twice.
    const held = new Map<string, number>()
    const types = new Set(requests.map(({ type }) => type))
    for (const one of holdings) {
      if (one.term.end <= now || !types.has(one.type)) continue
      const before = held.get(one.leaseId) ?? 0
      if (one.units <= before) continue
      held.set(one.leaseId, one.units)
      this.of(one, one.type).used += one.units - before
    }
    const wanted = new Map<Account, number>()
    for (const one of requests) {
      const account = this.of(one, one.type)
      const more = Math.max(0, Math.max(least(one), one.units) - (isExtension(one) ? one.extends.units : 0))
      wanted.set(account, (wanted.get(account) ?? 0) + more)
    }
    for (const type of types) {
      const accounts = [...this.#accounts.values()]
        .filter((one) => one.type === type)
        .sort((a, b) => (a.guest < b.guest ? -1 : 1))
      const capacity = supply.sites.reduce((sum, site) => sum + supply.offered(site, type), 0)
      const claims = accounts.map((account) => {
        const { used, setting } = account
        const wants = used + (wanted.get(account) ?? 0)
        const most = Math.min(wants, setting.max ?? wants)
        return { weight: setting.weight, least: Math.min(setting.min, most), most }
      })
      for (const [i, share] of waterFill(capacity, claims).entries()) accounts[i]!.share = share
    }
  }

  of(asker: Asker, type: string): Account {
    return this.named(guestOf(asker, this.#config.guests), type)
  }

  named(guest: string, type: string): Account {
    const { guests, otherwise } = this.#config
    const known = this.#accounts.get(keyOf(guest, type))
    if (known !== undefined) return known
    const account = { guest, type, setting: settingOf(guest, guests, otherwise), used: 0, share: 0 }
    this.#accounts.set(keyOf(guest, type), account)
    return account
  }

  /** A calendar of what each guest with a cap may still hold: one site for each. */
  caps(holdings: readonly Holding[]): Supply {
    const limited = [...this.#accounts.values()].flatMap(({ guest, type, setting }) =>
      setting.max === undefined ? [] : [{ site: guest, type, units: setting.max, term: undefined }],
    )
    if (limited.length === 0) return supplyOf([], [])
    const { guests, otherwise } = this.#config
    return supplyOf(
      limited,
      holdings.flatMap(({ type, units, term, ...asker }) => {
        const guest = guestOf(asker, guests)
        const { max } = settingOf(guest, guests, otherwise)
        return max === undefined ? [] : [{ site: guest, type, units, term }]
      }),
    )
  }
}
