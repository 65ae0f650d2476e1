import type { AuthorityTables, HostRow, OfferRow } from '../../actors/authority/rows.ts'
import type { Actor } from '../../actors/runtime/actor.ts'
import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { Random } from '../../actors/runtime/random.ts'
import type { Disk } from './disk.ts'
import type { SitePlan } from './plan.ts'
import type { World } from './world.ts'

/** A host that somebody works on. */
interface Maintenance {
  readonly by: Instant
  /** The notice may be long enough by what the site promises. */
  readonly mayBind: boolean
}

/** What somebody at the site has a hand on. */
export interface SiteGrip {
  readonly world: World
  readonly plan: SitePlan
  readonly disk: Disk
  readonly authority: () => Actor<AuthorityTables> | undefined
}

const LOOK_EVERY_MS: Millis = 2_000
const NOTICE_MS_MAX: Millis = 60_000

/**
 * Works on the hosts of a site by a time, and withdraws types for a while. He looks at how things stand and orders
 * what differs from what he wants: so an order that is lost with the power, or in a restore, is given again.
 */
export class Caretaker {
  readonly #grip: SiteGrip
  readonly #random: Random
  readonly #hosts = new Map<string, Maintenance>()
  readonly #withdrawn = new Set<string>()
  /** Who has an order and has not answered; one that died over it never will. */
  #asked: Actor<AuthorityTables> | undefined

  constructor(grip: SiteGrip, random: Random) {
    this.#grip = grip
    this.#random = random
  }

  begin(maintenance: number, withdrawals: number, stormMs: Millis): void {
    const { world, plan } = this.#grip
    const own = this.#random
    for (let i = 0; i < maintenance; i++) {
      const [host, noticeMs] = [`host-${1 + own.int(plan.hosts)}`, own.int(NOTICE_MS_MAX)]
      const lastsMs = 10_000 + own.int(90_000)
      world.after(own.int(stormMs), () => this.#workOn(host, noticeMs, lastsMs))
    }
    const types = Object.keys(plan.types)
    for (let i = 0; i < withdrawals; i++) {
      const [type, lastsMs] = [types[own.int(types.length)]!, 5_000 + own.int(60_000)]
      world.after(own.int(stormMs), () => this.withdraw(type, lastsMs))
    }
    if (maintenance + withdrawals > 0) this.#look()
  }

  /** Nothing of the type is given away for so long. */
  withdraw(type: string, lastsMs: Millis): void {
    if (this.#withdrawn.has(type)) return
    this.#withdrawn.add(type)
    this.#grip.world.count('withdrawal')
    this.#grip.world.after(lastsMs, () => void this.#withdrawn.delete(type))
  }

  /** The time by which the host is wanted empty, if what is there may be ended before its term is over. */
  takesFrom(host: string): Instant | undefined {
    const work = this.#hosts.get(host)
    return work?.mayBind === true ? work.by : undefined
  }

  /** One at a time: what serves has to find room elsewhere. */
  #workOn(host: string, noticeMs: Millis, lastsMs: Millis): void {
    if (this.#hosts.size > 0) return
    const { world, plan } = this.#grip
    const { recallable, noticeMs: least } = plan.conditions
    // A notice that is just long enough may be so by one clock and not by the other.
    this.#hosts.set(host, { by: world.now + noticeMs, mayBind: recallable && noticeMs >= least - 1_000 })
    world.count('maintenance')
    world.after(noticeMs + lastsMs, () => void this.#hosts.delete(host))
  }

  #look(): void {
    this.#grip.world.after(LOOK_EVERY_MS, () => this.#look())
    const actor = this.#grip.authority()
    const order = this.#orderDue()
    if (actor === undefined || order === undefined || this.#asked === actor) return
    this.#asked = actor
    actor
      .command(order.name, order.args)
      // The actor died, or a type is not configured in this life: it is looked at again.
      .catch(() => undefined)
      .finally(() => {
        if (this.#asked === actor) this.#asked = undefined
      })
  }

  #orderDue(): { readonly name: string; readonly args: object } | undefined {
    const { disk, world } = this.#grip
    const hosts = disk.table<HostRow>('host')
    for (const host of hosts.keys()) if (!this.#hosts.has(host)) return { name: 'maintained', args: { host } }
    for (const [host, { by }] of this.#hosts)
      if (!hosts.has(host))
        return {
          name: 'maintain',
          args: { host, by: Math.max(by, world.now), reason: 'its fans are changed' },
        }
    for (const { id: type, withdrawn } of disk.table<OfferRow>('offer').values()) {
      if (withdrawn === undefined && this.#withdrawn.has(type))
        return { name: 'withdraw', args: { type, reason: 'the owner thinks it over' } }
      if (withdrawn !== undefined && !this.#withdrawn.has(type))
        return { name: 'lend again', args: { type, units: 0, reason: 'the owner has thought it over' } }
    }
    return undefined
  }
}
