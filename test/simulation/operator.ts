import type { AuthorityTables } from '../../actors/authority/rows.ts'
import type { Actor } from '../../actors/runtime/actor.ts'
import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import type { Random } from '../../actors/runtime/random.ts'
import type { ServiceManagerTables } from '../../actors/service-manager/rows.ts'
import type { Caretaker, SiteGrip } from './caretaker.ts'
import type { Middleware } from './middleware.ts'
import type { World } from './world.ts'

/** What the owner of a site wants back, and from when on. */
export interface Recalled {
  readonly type: string
  readonly units: number
  readonly by: number
  readonly binding: boolean
  /** A notice that is just long enough may be so by one clock and not by the other. */
  readonly mayBind: boolean
  readonly orderedAt: number
}

/** What the owner orders back: so many units of the small type, or all of one. */
interface Order {
  readonly type: string
  /** All that is lent, if it is undefined. */
  readonly units: number | undefined
  readonly noticeMs: Millis
  /** So long after the time of the recall they are lent again; undefined: never. */
  readonly lastsMs?: Millis | undefined
  /** So long after the order it is called off; undefined: never. */
  readonly calledOffMs?: Millis | undefined
}

/** The owner of a site, who takes units back while it storms, and lends some of them again. */
export class Operator {
  recalls: Recalled[] = []
  readonly #grip: SiteGrip
  readonly #caretaker: Caretaker
  readonly #random: Random
  /** Ordered, and not yet known to be written down. */
  #ordered = 0
  /** Units of each type that are to be lent again by now, over the whole run. */
  readonly #owed = new Map<string, number>()
  /** Who is to lend again and has not answered; one that died over it never will. */
  #asked: Actor<AuthorityTables> | undefined

  constructor(grip: SiteGrip, caretaker: Caretaker, random: Random) {
    this.#grip = grip
    this.#caretaker = caretaker
    this.#random = random
  }

  begin(orders: number, withdrawals: number, stormMs: Millis): void {
    const { world, plan } = this.#grip
    for (let i = 0; i < orders; i++) {
      const units = 1 + this.#random.int(2)
      const noticeMs = this.#random.int(60_000)
      world.after(this.#random.int(stormMs), () => this.#recall({ type: 'vm.small', units, noticeMs }))
    }
    if (withdrawals === 0) return
    const own = this.#random.child('withdrawals')
    const second = this.#random.child('second thoughts')
    const types = Object.keys(plan.types)
    for (let i = 0; i < withdrawals; i++) {
      const isWhole = own.next() < 0.3
      const type = isWhole ? types[own.int(types.length)]! : 'vm.small'
      const [units, noticeMs] = [isWhole ? undefined : 1 + own.int(2), own.int(60_000)]
      const isOff = !isWhole && second.next() < 0.4
      const calledOffMs = isOff ? second.int(noticeMs + 1) : undefined
      const order: Order = { type, units, noticeMs, lastsMs: 5_000 + own.int(60_000), calledOffMs }
      world.after(own.int(stormMs), () => this.#recall(order))
    }
    this.#lend()
  }

  /** The site knows nothing of what was ordered since; its owner orders that once more. */
  forgotten(since: Instant): void {
    const { world } = this.#grip
    const lost = this.recalls.filter(({ orderedAt }) => orderedAt >= since)
    // What it still knows of may have been called off since: if its time is over, it binds nobody any more.
    this.recalls = this.recalls
      .filter(({ orderedAt }) => orderedAt < since)
      .map((order) => (order.by > world.now ? order : { ...order, by: world.now, binding: false }))
    for (const { type, units, by } of lost)
      world.after(1_000, () => this.#recall({ type, units, noticeMs: Math.max(0, by - world.now) }))
  }

  /** Units of a type that were recalled, by what the site has written down: an order may outlive the answer to it. */
  #written(type: string, by?: Instant): number {
    return this.#grip.disk.ledger
      .filter(({ kind }) => kind === 'recalled')
      .map(({ data }) => data as { type: string; units: number; by: Instant })
      .filter((line) => line.type === type && (by === undefined || line.by === by))
      .reduce((sum, { units }) => sum + units, 0)
  }

  #recall(order: Order): void {
    const { plan, world, authority } = this.#grip
    const { type, units, noticeMs, lastsMs, calledOffMs } = order
    const { types, kept, conditions } = plan
    const before = this.#written(type)
    const gone = before - lentAgain(this.#grip.disk.ledger, type) + this.#ordered
    if (units !== undefined && type === 'vm.small' && types[type]!.units - gone - units < kept) return
    const again = (): void => void world.after(1_000, () => this.#recall(order))
    const actor = authority()
    // What is too much by what somebody else had back meanwhile is not ordered.
    if (actor === undefined || (units === undefined && this.#ordered > 0)) return again()
    const by = world.now + noticeMs
    const beforeBy = this.#written(type, by)
    const taken = (back: number): void => {
      if (back === 0) return
      const binding = conditions.recallable && noticeMs >= conditions.noticeMs + 1_000
      const mayBind = conditions.recallable && noticeMs >= conditions.noticeMs - 1_000
      this.recalls.push({ type, units: back, by, binding, mayBind, orderedAt: world.now })
      if (lastsMs === undefined) return
      world.after(noticeMs + lastsMs, () => this.#owed.set(type, (this.#owed.get(type) ?? 0) + back))
    }
    // The actor died, or less is lent at present: unless the order was durable by then, it is given again.
    const failed = (): void => {
      // What is written besides is another order, which was under way with this one.
      const back = this.#written(type, by) - beforeBy
      if (back > 0) taken(units ?? back)
      else if (units === undefined) return
      else again()
    }
    const ordered = units ?? 1
    this.#ordered += ordered
    let isOpen = true
    const over = (then: () => void): void => {
      if (!isOpen) return
      isOpen = false
      this.#ordered -= ordered
      then()
    }
    const reason = 'the owner needs them'
    const name = units === undefined ? 'reclaim' : 'recall'
    if (units === undefined) this.#caretaker.withdraw(type, noticeMs + (lastsMs ?? 0))
    actor.command(name, { type, by, reason, ...(units === undefined ? {} : { units }) }).then(
      (answer) => {
        const { recallId, units: all } = answer as { recallId: string; units: number }
        over(() => taken(units ?? all))
        if (calledOffMs !== undefined) world.after(calledOffMs, () => this.#callOff(recallId))
      },
      () => over(failed),
    )
    this.#watch(
      actor,
      () => isOpen,
      () => over(failed),
    )
  }

  /** Where it comes too late, or its site is down, what was taken is lent again later. */
  #callOff(recallId: string): void {
    const { world, authority } = this.#grip
    const order = { recallId, reason: 'the owner has thought again' }
    authority()
      ?.command('call off', order)
      .then(
        () => world.count('recall called off'),
        () => undefined,
      )
  }

  /** An actor that dies between its commit and its answer never gives one. */
  #watch(actor: Actor<AuthorityTables>, isOpen: () => boolean, died: () => void): void {
    const { world, authority } = this.#grip
    world.after(1_000, () => {
      if (!isOpen()) return
      const current = authority()
      if (current === undefined || current === actor) this.#watch(actor, isOpen, died)
      else died()
    })
  }

  /** What is owed is lent again once it has been taken; an order that was lost is given again. */
  #lend(): void {
    const { world, authority, disk } = this.#grip
    world.after(LEND_EVERY_MS, () => this.#lend())
    const actor = authority()
    if (actor === undefined || this.#asked === actor) return
    for (const [type, owed] of this.#owed) {
      const units = owed - lentAgain(disk.ledger, type)
      if (units <= 0) continue
      this.#asked = actor
      world.count('lent again')
      const order = { type, units, reason: 'the owner needs them no more' }
      return void actor
        .command('lend again', order)
        .catch(() => undefined)
        .finally(() => {
          if (this.#asked === actor) this.#asked = undefined
        })
    }
  }
}

const LEND_EVERY_MS: Millis = 3_000

/** Units of a type that were lent again after recalls, by the ledger. */
export const lentAgain = (ledger: readonly LedgerEntry[], type: string): number =>
  ledger
    .filter(({ kind, subject }) => kind === 'offered' && subject === type)
    .reduce((sum, { reason }) => sum + lentAgainIn(reason), 0)

/** Units that a line about an offer lends again. */
export const lentAgainIn = (reason: string): number =>
  Number(/: (\d+) units? lent again after a recall/.exec(reason)?.[1] ?? 0)

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
