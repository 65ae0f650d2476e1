import type { AuthorityTables } from '../../actors/authority/rows.ts'
import type { Actor } from '../../actors/runtime/actor.ts'
import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { Random } from '../../actors/runtime/random.ts'
import type { ServiceManagerTables } from '../../actors/service-manager/rows.ts'
import type { Site } from './machines.ts'
import type { Middleware } from './middleware.ts'
import type { SitePlan } from './plan.ts'
import type { World } from './world.ts'

/** What the owner of a site wants back, and from when on. */
export interface Recalled {
  readonly units: number
  readonly by: number
  readonly binding: boolean
  readonly orderedAt: number
}

/** The owner of a site, who takes units back while it storms. */
export class Operator {
  recalls: Recalled[] = []
  readonly #world: World
  readonly #plan: SitePlan
  readonly #machines: Site
  readonly #authority: () => Actor<AuthorityTables> | undefined
  /** How many units the site has recalled by what it has written down: an order may outlive the answer to it. */
  readonly #written: () => number
  readonly #random: Random
  /** Ordered, and not yet known to be written down. */
  #ordered = 0

  constructor(
    world: World,
    plan: SitePlan,
    machines: Site,
    authority: () => Actor<AuthorityTables> | undefined,
    written: () => number,
    random: Random,
  ) {
    this.#world = world
    this.#plan = plan
    this.#machines = machines
    this.#authority = authority
    this.#written = written
    this.#random = random
  }

  begin(orders: number, stormMs: Millis): void {
    for (let i = 0; i < orders; i++) {
      const units = 1 + this.#random.int(2)
      const noticeMs = this.#random.int(60_000)
      this.#world.after(this.#random.int(stormMs), () => this.#recall(units, noticeMs))
    }
    for (let i = 0; i < orders; i++) {
      const host = `host-${1 + this.#random.int(this.#plan.hosts)}`
      const noticeMs = this.#random.int(60_000)
      const workMs = this.#random.int(300_000)
      this.#world.after(this.#random.int(stormMs), () => this.#maintain(host, noticeMs, workMs))
    }
  }

  /** A host is worked on for a while; what is ordered twice, or was forgotten, comes to the same. */
  #maintain(host: string, noticeMs: Millis, workMs: Millis): void {
    const authority = this.#authority()
    if (authority === undefined)
      return void this.#world.after(1_000, () => this.#maintain(host, noticeMs, workMs))
    const by = this.#world.now + noticeMs
    // It may be durable though nobody hears so.
    this.#machines.wantedEmpty.push({ host, by })
    const worked = (): void => void this.#world.after(noticeMs + workMs, () => this.#maintained(host))
    authority.command('maintain', { host, by, reason: 'a new disk' }).then(worked, worked)
  }

  #maintained(host: string): void {
    const again = (): void => void this.#world.after(1_000, () => this.#maintained(host))
    const failed = (error: unknown): void => {
      // It was not durable, or another order of the same host has ended already.
      if (!(error instanceof SubletError && error.code === 'unknown-id')) again()
    }
    const authority = this.#authority()
    if (authority === undefined) again()
    else authority.command('maintained', { host }).then(() => undefined, failed)
  }

  /** The site knows nothing of what was ordered since; its owner orders that once more. */
  forgotten(since: Instant): void {
    const lost = this.recalls.filter(({ orderedAt }) => orderedAt >= since)
    this.recalls = this.recalls.filter(({ orderedAt }) => orderedAt < since)
    for (const { units, by } of lost)
      this.#world.after(1_000, () => this.#recall(units, Math.max(0, by - this.#world.now)))
  }

  #recall(units: number, noticeMs: Millis): void {
    const { types, kept, conditions } = this.#plan
    if (types['vm.small']!.units - this.#written() - this.#ordered - units < kept) return
    const again = (): void => void this.#world.after(1_000, () => this.#recall(units, noticeMs))
    const authority = this.#authority()
    if (authority === undefined) return again()
    const by = this.#world.now + noticeMs
    const before = this.#written()
    const taken = (): void => {
      const binding = conditions.recallable && noticeMs >= conditions.noticeMs + 1_000
      this.recalls.push({ units, by, binding, orderedAt: this.#world.now })
      // A notice that is just long enough may be so by one clock and not by the other.
      if (conditions.recallable && noticeMs >= conditions.noticeMs - 1_000)
        this.#machines.bindingRecalls.push(by)
    }
    // The actor died, or less is lent at present: unless the order was durable by then, it is given again.
    const failed = (): void => (this.#written() > before ? taken() : again())
    this.#ordered += units
    authority
      .command('recall', { type: 'vm.small', units, by, reason: 'the owner needs them' })
      .finally(() => {
        this.#ordered -= units
      })
      .then(taken, failed)
  }
}

const TIDY_EVERY_MS: Millis = 30_000

/** What an administrator of a guest has a hand on. */
export interface Grip {
  readonly world: World
  readonly middleware: Middleware | undefined
  readonly serviceManager: () => Actor<ServiceManagerTables> | undefined
}

/** The people of a guest: ask what there is, release everything, drain a node for a while, start the middleware without its state. */
export class Administrator {
  readonly #grip: Grip
  readonly #random: Random

  constructor(grip: Grip, random: Random) {
    this.#grip = grip
    this.#random = random
  }

  begin(orders: number, stormMs: Millis): void {
    for (let i = 0; i < orders; i++) {
      const kind = this.#random.int(5)
      this.#grip.world.after(this.#random.int(stormMs), () => this.#act(kind, stormMs))
    }
  }

  /** Once in a while: what a restore left in the middleware, and no actor can know of, is removed by hand. */
  tidyUp(isNobodys: (leaseId: string) => boolean): void {
    this.#grip.middleware?.removeDead(isNobodys)
    this.#grip.world.after(TIDY_EVERY_MS, () => this.tidyUp(isNobodys))
  }

  /** A question that the actor takes and then dies over is not asked again. */
  #ask(): void {
    const about = this.#random.next() < 0.5 ? 'types' : 'availability'
    const question = { about, type: 'vm.small', units: 1 + this.#random.int(8), durationMs: 30_000 }
    this.#grip
      .serviceManager()
      ?.command('query', question)
      .catch(() => undefined)
  }

  #act(kind: number, stormMs: Millis): void {
    const { middleware, world, serviceManager } = this.#grip
    if (kind === 4) return this.#ask()
    if (kind === 0 || middleware === undefined)
      return void serviceManager()
        ?.command('release all', { reason: 'the operator says so' })
        // It died before the order was durable: then nothing is released.
        .catch(() => undefined)
    if (kind === 1) return middleware.coldStart()
    const names = [...middleware.nodes.keys()]
    const name = names[this.#random.int(names.length)]
    if (name === undefined) return
    middleware.adminDrain(name, true)
    world.after(Math.max(1, this.#random.int(stormMs - world.elapsed)), () =>
      middleware.adminDrain(name, false),
    )
  }
}
