import type { Supply } from '../../actors/leases/calendar.ts'
import type { Instant } from '../../actors/runtime/clock.ts'
import type { Allocation, BrokerPolicy, Holding, TicketRequest } from '../controller.ts'
import { some } from '../sentence.ts'
import { Book } from './book.ts'
import { capped } from './capped.ts'
import type { WeightedShareConfig } from './config.ts'
import { extend, grow, keeps, tooLate } from './extending.ts'
import { waitForTheRest } from './first-come.ts'
import { serve } from './line.ts'
import { type Extension, type Item, inOrder, isExtension, itemsOf, least, termFrom } from './requests.ts'
import { type Account, Shares } from './shares.ts'

/**
 * Units by weight, with a guaranteed minimum and a cap for each guest. Of each type the shares are filled like
 * water (`waterFill`), anew with every batch, between each guest's minimum and what it wants. Then, one after
 * another, with what is left:
 *
 *   1. extensions as far as they lie within their guest's share
 *   2. new requests of guests that hold less than their minimum
 *   3. extensions and new requests of which at least half lies within the share
 *   4. the other extensions, and those that grow
 *   5. the other new requests, then more for elastic ones that were given a part
 *
 * In 2, 3 and 5 next is always who is furthest below its weight: the least (units held + half of those asked for) /
 * weight. A waiting request has its planned start set aside, which is how an extension beyond the share yields to a
 * guest below its own: its units are promised already, from its boundary on. Where nobody can use them, it goes on.
 */
export const weightedShare =
  (config: WeightedShareConfig): BrokerPolicy =>
  (requests, supply, now, holdings) =>
    new Batch(config, requests, supply, now, holdings).decide()

type Step = 'minimum' | 'share' | 'rest'

/** Requests of one guest for one type, each in order of arrival. */
interface Queue {
  readonly account: Account
  readonly extensions: Extension[]
  readonly items: Item[]
}

class Batch {
  readonly #requests: readonly TicketRequest[]
  readonly #book: Book
  readonly #shares: Shares
  readonly #queues = new Map<Account, Queue>()
  #caps: Supply

  constructor(
    config: WeightedShareConfig,
    requests: readonly TicketRequest[],
    supply: Supply,
    now: Instant,
    holdings: readonly Holding[],
  ) {
    this.#requests = requests
    this.#book = new Book(supply, now)
    this.#shares = new Shares(config, requests, supply, now, holdings)
    this.#caps = this.#shares.caps(holdings)
  }

  decide(): readonly Allocation[] {
    const extensions = inOrder(this.#requests.filter(isExtension))
    const { items, unready } = itemsOf(this.#requests.filter((one) => !isExtension(one)))
    for (const item of items) this.#queueOf(item.members[0]!).items.push(item)
    // What they hold ends at their boundary: from here on each stands in line for it.
    for (const one of extensions)
      if (!tooLate(one, this.#book)) this.#accountOf(one).used -= one.extends.units
    for (const one of extensions) this.#extendWithinShare(one)
    this.#serveAll('minimum')
    this.#serveAll('share')
    this.#extendTheRest(extensions)
    this.#serveAll('rest')
    for (const { members } of items)
      if (members.length === 1) this.#grow(members[0]!, Number.POSITIVE_INFINITY)
    waitForTheRest(unready, this.#book)
    return this.#book.close(this.#requests)
  }

  // ── extensions ───────────────────────────────────────────────────────────────────────────────────

  #extendWithinShare(one: Extension): void {
    const { share, used } = this.#accountOf(one)
    const within = Math.min(keeps(one), share - used)
    if (within >= least(one)) this.#extend(one, within)
    else if (tooLate(one, this.#book)) extend(one, keeps(one), this.#book)
    else this.#queueOf(one).extensions.push(one)
  }

  #extendTheRest(extensions: readonly Extension[]): void {
    const queues = [...this.#queues.values()]
    for (;;) {
      const next = furthestBelow(queues.flatMap(({ account, extensions: [one] }) => turnOf(account, one)))
      if (next === undefined) break
      const one = this.#queues.get(next.account)!.extensions.shift()!
      this.#extend(one, keeps(one), beyond(next.account))
    }
    for (const one of extensions) this.#grow(one, keeps(one))
    for (const one of extensions) this.#grow(one, one.units)
  }

  #extend(one: Extension, most: number, because = ''): void {
    const { guest, type, setting } = this.#accountOf(one)
    const allowed = setting.max === undefined ? most : this.#caps.free(guest, type, termFrom(one, one.start))
    if (allowed < least(one))
      return this.#book.refuseExtension(
        one,
        `${guest} may hold at most ${some(setting.max!, 'unit')} of ${type}`,
      )
    extend(one, Math.min(most, allowed), this.#book, because)
    this.#charge([one], this.#accountOf(one))
  }

  /** More of what was granted in this batch, up to `most`. */
  #grow(one: TicketRequest, most: number): void {
    const given = this.#book.granted(one.leaseId)
    const units = Math.min(most, one.units)
    if (given === undefined || given.units >= units) return
    const account = this.#accountOf(one)
    this.#charge([one], account, -1)
    const { max } = account.setting
    const allowed = max === undefined ? units : this.#caps.free(account.guest, one.type, given.term)
    grow(
      { ...one, units: Math.min(units, Math.max(given.units, allowed)) },
      this.#book,
      this.#because(account),
    )
    this.#charge([one], account)
  }

  // ── new requests ─────────────────────────────────────────────────────────────────────────────────

  #serveAll(step: Step): void {
    const queues = [...this.#queues.values()]
    for (;;) {
      const turns = queues.flatMap(({ account, extensions: [one], items: [item] }) => [
        ...(step === 'share' ? turnOf(account, one) : []),
        ...turnOf(account, item),
      ])
      const next = furthestBelow(turns.filter((turn) => isWithin(turn, step)))
      if (next === undefined) return
      const { account, of } = next
      const queue = this.#queues.get(account)!
      if ('members' in of) {
        queue.items.shift()
        this.#serve(of, account, step)
      } else {
        queue.extensions.shift()
        const within = Math.max(least(of), account.share - account.used)
        this.#extend(of, Math.min(keeps(of), within), beyond(account))
      }
    }
  }

  #serve(item: Item, account: Account, step: Step): void {
    const { guest, type, setting, share, used } = account
    const { max } = setting
    const view = (left: Supply): Supply => (max === undefined ? left : capped(left, this.#caps, guest))
    if (max !== undefined && unitsOf(item, type) > max) {
      const reason = `${guest} may hold at most ${some(max, 'unit')} of ${type}, and ${unitsOf(item, type)} are asked for`
      return this.#book.refuse(item, reason, view)
    }
    const room = step === 'rest' ? Number.POSITIVE_INFINITY : (step === 'share' ? share : setting.min) - used
    const members = item.members.map((one) => ({
      ...one,
      units: Math.min(one.units, Math.max(least(one), room)),
    }))
    serve({ ...item, members }, this.#book, view, this.#because(account))
    this.#charge(members, account)
  }

  // ── accounts ─────────────────────────────────────────────────────────────────────────────────────

  #accountOf(request: TicketRequest): Account {
    return this.#shares.of(request, request.type)
  }

  #queueOf(request: TicketRequest): Queue {
    const account = this.#accountOf(request)
    const queue = this.#queues.get(account) ?? { account, extensions: [], items: [] }
    this.#queues.set(account, queue)
    return queue
  }

  /** What was granted or planned counts as held by the guest that was served: all of a group by that of its first. */
  #charge(members: readonly TicketRequest[], { guest }: Account, sign = 1): void {
    for (const { leaseId } of members) {
      const place = this.#book.placeOf(leaseId)
      if (place === undefined) continue
      const { request, units, start } = place
      this.#shares.named(guest, request.type).used += sign * units
      this.#caps = this.#caps.take(guest, request.type, sign * units, termFrom(request, start))
    }
  }

  #because({ guest, share }: Account): string {
    return ` (${guest} has a share of ${share})`
  }
}

const beyond = ({ guest, share }: Account): string =>
  `; not all of it lies within the share of ${guest}, which is ${share}`

/** One that could be served next. */
interface Turn {
  readonly account: Account
  readonly of: Extension | Item
  readonly units: number
}

const turnOf = (account: Account, of: Extension | Item | undefined): readonly Turn[] =>
  of === undefined ? [] : [{ account, of, units: 'members' in of ? unitsOf(of, account.type) : least(of) }]

const unitsOf = ({ members }: Item, type: string): number =>
  members.reduce((sum, one) => sum + (one.type === type ? least(one) : 0), 0)

function isWithin({ account: { used, share, setting }, units }: Turn, step: Step): boolean {
  if (step === 'minimum') return used < setting.min
  return step === 'rest' || used + units / 2 <= share
}

/** An extension before a new request of the same rank, then in order of arrival. */
function furthestBelow(turns: readonly Turn[]): Turn | undefined {
  const rank = ({ account: { used, setting }, units }: Turn): number => (used + units / 2) / setting.weight
  const isNew = ({ of }: Turn): number => Number('members' in of)
  let best: Turn | undefined
  for (const turn of turns) {
    const before =
      best === undefined
        ? -1
        : rank(turn) - rank(best) || isNew(turn) - isNew(best) || turn.of.arrivedAt - best.of.arrivedAt
    if (before < 0) best = turn
  }
  return best
}
