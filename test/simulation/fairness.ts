import { broker } from '../../actors/broker/broker.ts'
import type { BrokerTables } from '../../actors/broker/rows.ts'
import { tell } from '../../actors/leases/correspondence.ts'
import { readBody } from '../../actors/leases/messages.ts'
import { overlap, type Term } from '../../actors/leases/term.ts'
import { Actor } from '../../actors/runtime/actor.ts'
import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { Draft } from '../../actors/runtime/draft.ts'
import type { Input, Mind } from '../../actors/runtime/mind.ts'
import { type Random, seededRandom } from '../../actors/runtime/random.ts'
import type { Row, Tables } from '../../actors/runtime/rows.ts'
import type { Allocation, BrokerPolicy, TicketRequest } from '../../controllers/controller.ts'
import { Disk } from './disk.ts'
import { CALM } from './faults.ts'
import { cheapIdentity, cheapTrust } from './identities.ts'
import { Weather } from './weather.ts'
import { World } from './world.ts'

/**
 * The fairness week: guests that always want more than there is, one site, and the production broker between them.
 *
 *   guest ana ─┐ ticket, extend-ticket, relinquish ┌────────┐ delegation ┌──────┐
 *   guest ben ─┼──────────────────────────────────▶│ broker │◀───────────│ site │  60 units
 *   guest cem ─┘◀──────────────────────────────────└────────┘            └──────┘
 *
 * All guests behave alike: each keeps `OPEN` requests of 1 to 4 units waiting, a third of them elastic, asks to extend
 * every other lease at its half, and gives every sixth back early. The first comes two hours before the others, and
 * so holds everything when they come.
 */
export interface GuestOutcome {
  readonly name: string
  readonly unitHours: number
  readonly waitsMs: readonly Millis[]
  /** The least it held at any look after its first two hours. */
  readonly leastUnits: number
}

export interface FairnessOutcome {
  readonly guests: readonly GuestOutcome[]
  readonly leases: number
  readonly rounds: number
  /** Units that nobody held, added up over time, from when all guests were there. */
  readonly idleUnitMs: number
  /** Each guest's part of what was held, hour by hour from when all were there. */
  readonly hourlyShares: readonly (readonly number[])[]
  /** Sentences: an actor failed, or a unit idled while a waiting request could have started. */
  readonly violations: readonly string[]
}

export const UNITS = 60
export const GUESTS = ['ana', 'ben', 'cem'] as const
const OPEN = 12
const HEAD_START_MS: Millis = 2 * 3_600_000
const LOOK_MS: Millis = 60_000
const HOUR_MS: Millis = 3_600_000

export interface FairnessOptions {
  readonly hours: number
  readonly seed?: number
  /** Nobody at its cap could start. */
  readonly maxOf?: (guest: string) => number | undefined
}

export async function fairness(
  policy: BrokerPolicy,
  { hours, seed = 1, maxOf = () => undefined }: FairnessOptions,
): Promise<FairnessOutcome> {
  const world = new World()
  const random = seededRandom(seed)
  const names = ['broker', 'site', ...GUESTS]
  const watch = new Watched(policy, maxOf)
  // In calm weather nothing is forged or lost, so nobody has to look at the disks.
  const weather = new Weather({
    ...{ world, names, random: random.child('weather'), faults: () => CALM },
    isSaid: () => true,
    isHeard: () => true,
    saw: (violation) => watch.violations.push(violation),
  })

  async function actor<T extends Tables>(name: string, mind: Mind<T>): Promise<Actor<T>> {
    const silent = (): void => undefined
    const failed = (error: unknown): void => {
      watch.violations.push(`${name} failed: ${String(error)}`)
    }
    const one = new Actor<T>({
      ...{ mind, transport: weather, random: random.child(name), skewMsMax: 2_000 },
      store: new Disk().store(
        world,
        () => true,
        () => 'done',
        silent,
        () => 1,
      ),
      clock: world.clock(),
      identity: cheapIdentity(name),
      trust: cheapTrust(names),
      perform: () => Promise.reject(new Error('nothing to perform')),
      log: { debug: silent, info: silent, warn: silent, error: (fields) => failed(JSON.stringify(fields)) },
      onFailed: failed,
    })
    await one.start()
    weather.attach(name, one)
    return one
  }

  const times = { batchMs: 50, quarantineMs: 60_000, answerMs: HOUR_MS }
  const starting = [
    actor<BrokerTables>(
      'broker',
      broker({ policy: watch.policy, ...times }, cheapIdentity('broker'), cheapTrust(names)),
    ),
    actor('site', lender()),
    ...GUESTS.map((name, i) =>
      actor(name, hungry(random.child(`wishes of ${name}`), i === 0 ? 0 : HEAD_START_MS)),
    ),
  ]
  const look = new Looks()
  let brokerActor: Actor<BrokerTables> | undefined
  void starting[0]!.then((one) => {
    brokerActor = one as Actor<BrokerTables>
  })
  const everyMinute = (): void => {
    if (brokerActor !== undefined) look.take(brokerActor.rows('ticket'), world.now, world.elapsed, watch)
    world.after(LOOK_MS, everyMinute)
  }
  world.after(LOOK_MS, everyMinute)
  await world.run(hours * HOUR_MS, () => undefined)
  await Promise.all(starting)
  return look.outcome(watch)
}

/** Says once what it lends. */
const lender = (): Mind<Tables> => ({
  handle(input: Input, draft: Draft<Tables>): void {
    if (input.kind !== 'started') return
    const conditions = { recallable: true, noticeMs: 0, graceMs: 0 }
    const body = { type: 'vm', units: UNITS, vector: {}, conditions, settledRecalls: [], reason: 'begun' }
    tell(draft, 'broker', 'delegation', 'offer-vm', body, draft.now + HOUR_MS)
  },
})

interface WishRow extends Row {
  readonly ticketId: string | undefined
  readonly units: number
  readonly ends: Instant
  readonly extends: boolean
  readonly returns: boolean
}
type GuestTables = { wish: WishRow; turn: Row }

/** A guest that never has enough. */
function hungry(random: Random, beginMs: Millis): Mind<GuestTables> {
  const durationMs = (): Millis => (30 + random.int(31)) * 60_000

  function askForMore(draft: Draft<GuestTables>): void {
    const open = draft.all('wish').filter(({ ticketId }) => ticketId === undefined).length
    for (let i = open; i < OPEN; i++) {
      const id = draft.newId('lease')
      const units = 1 + random.int(4)
      const elastic = random.int(3) === 0
      const row = { id, ticketId: undefined, units, ends: 0, due: undefined }
      draft.put('wish', { ...row, extends: random.int(2) === 0, returns: random.int(6) === 0 })
      const properties = {
        deferrable: 'true',
        deadline: String(draft.now + 24 * HOUR_MS),
        ...(elastic ? { elastic: 'true' } : {}),
      }
      const body = { type: 'vm', units, durationMs: durationMs(), start: draft.now, properties }
      tell(draft, 'broker', 'ticket', id, body, draft.now + 25 * HOUR_MS)
    }
  }

  function answered(leaseId: string, value: unknown, draft: Draft<GuestTables>): void {
    const read = readBody('ticket-update', value)
    const wish = draft.get('wish', leaseId)
    if (!read.ok || wish === undefined) return
    const { outcome, ticket } = read.body
    if (outcome === 'granted' && ticket !== null) {
      const { term, units } = ticket
      const due = wish.extends ? (Math.max(draft.now, term.start) + term.end) / 2 : term.end
      // Every other time, so that a lease ends some day.
      draft.put('wish', { ...wish, ticketId: ticket.id, units, ends: term.end, due: Math.round(due) })
    } else if (outcome === 'extension-refused') draft.put('wish', { ...wish, extends: false, due: wish.ends })
    else forget(leaseId, draft)
    askForMore(draft)
  }

  function forget(leaseId: string, draft: Draft<GuestTables>): void {
    draft.remove('wish', leaseId)
    draft.retire(leaseId, draft.now + HOUR_MS)
  }

  function reconsider(wish: WishRow, draft: Draft<GuestTables>): void {
    if (draft.now >= wish.ends) return forget(wish.id, draft)
    if (wish.returns) {
      tell(draft, 'broker', 'relinquish', wish.id, { reason: 'done early' }, draft.now + HOUR_MS)
      return forget(wish.id, draft)
    }
    const body = { predecessor: wish.ticketId!, units: wish.units, durationMs: durationMs() }
    tell(draft, 'broker', 'extend-ticket', wish.id, body, wish.ends)
    draft.put('wish', { ...wish, extends: random.int(2) === 0, due: wish.ends })
  }

  return {
    handle(input: Input, draft: Draft<GuestTables>): void {
      if (input.kind === 'started') draft.put('turn', { id: 'turn', due: draft.now + beginMs })
      if (input.kind === 'message') answered(input.envelope.subject, input.envelope.body, draft)
      if (input.kind !== 'due') return
      if (input.table === 'wish') return reconsider(input.row as WishRow, draft)
      draft.put('turn', { id: 'turn', due: undefined })
      askForMore(draft)
    },
  }
}

/** The policy, and what can be said of each of its rounds. */
class Watched {
  readonly violations: string[] = []
  readonly waitsMs = new Map<string, Millis[]>(GUESTS.map((name) => [name, []]))
  leases = 0
  rounds = 0
  /** Units that nobody held when the last round was over. */
  idleUnits = UNITS
  readonly policy: BrokerPolicy
  readonly #maxOf: (guest: string) => number | undefined

  constructor(policy: BrokerPolicy, maxOf: (guest: string) => number | undefined) {
    this.#maxOf = maxOf
    this.policy = (requests, supply, now, holdings) => {
      const answers = policy(requests, supply, now, holdings)
      this.#look(answers, requests, supply, now, holdings)
      return answers
    }
  }

  /** Nothing that waits fits beside what is held, granted and planned. */
  #look(
    answers: readonly Allocation[],
    ...[requests, supply, now, holdings]: Parameters<BrokerPolicy>
  ): void {
    this.rounds += 1
    const byId = new Map(requests.map((one) => [one.leaseId, one]))
    let left = supply
    let granted = supply
    const taken: { readonly holder: string; readonly units: number; readonly term: Term }[] = [...holdings]
    const waiting: TicketRequest[] = []
    for (const one of answers) {
      const request = byId.get(one.leaseId)!
      const { type, holder, arrivedAt, unitsMin, durationMs } = request
      const isNew = request.extends === undefined
      if (one.kind === 'grant') {
        left = left.take(one.site, type, one.units, one.term)
        granted = granted.take(one.site, type, one.units, one.term)
        taken.push({ ...one, holder })
        if (isNew) this.leases += 1
        if (isNew) this.waitsMs.get(holder)?.push(one.term.start - arrivedAt)
      } else if (isNew) waiting.push(request)
      if (one.kind !== 'wait' || one.planned === undefined) continue
      const term = { start: one.planned.start, end: one.planned.start + durationMs }
      left = left.take(one.planned.site, type, unitsMin, term)
      taken.push({ holder, units: unitsMin, term })
    }
    const instant = { start: now, end: now + 1 }
    this.idleUnits = granted.sites.reduce((sum, site) => sum + granted.free(site, 'vm', instant), 0)
    for (const { leaseId, holder, unitsMin, durationMs } of waiting) {
      const term = { start: now, end: now + durationMs }
      const own = taken.filter((one) => one.holder === holder && overlap(one.term, term))
      const held = own.reduce((sum, { units }) => sum + units, 0)
      const fits = left.sites.some((site) => left.free(site, 'vm', term) >= unitsMin)
      if (fits && held + unitsMin <= (this.#maxOf(holder) ?? Number.POSITIVE_INFINITY))
        this.violations.push(`${leaseId} of ${holder} could start at ${new Date(now).toISOString()}`)
    }
  }
}

/** Once a minute: who holds how much. */
class Looks {
  readonly #held = GUESTS.map(() => 0)
  readonly #least = GUESTS.map(() => UNITS)
  readonly #hours: number[][] = []
  #idle = 0
  /** The rounds until the last look, if units had come free that no round had seen. */
  #unseenSince: number | undefined

  take(rows: readonly BrokerTables['ticket'][], now: Instant, elapsedMs: Millis, watch: Watched): void {
    // From when all are there.
    if (elapsedMs <= HEAD_START_MS) return
    const units = GUESTS.map(() => 0)
    for (const { holder, tickets } of rows)
      for (const { term, units: held } of tickets)
        if (term.start <= now && now < term.end) units[GUESTS.indexOf(holder as 'ana')]! += held
    const hour = Math.floor((elapsedMs - HEAD_START_MS) / HOUR_MS)
    const ofHour = this.#hours[hour] ?? GUESTS.map(() => 0)
    this.#hours[hour] = ofHour
    for (const [i, held] of units.entries()) {
      this.#held[i]! += held
      ofHour[i]! += held
      // Within a term of the others' everybody has its minimum.
      if (elapsedMs > 2 * HEAD_START_MS) this.#least[i] = Math.min(this.#least[i]!, held)
    }
    const idle = UNITS - units.reduce((a, b) => a + b, 0)
    this.#idle += idle
    this.#lookForSleep(idle, rows, now, watch)
  }

  /** What comes free is decided on at once, not whenever somebody asks next. */
  #lookForSleep(idle: number, rows: readonly BrokerTables['ticket'][], now: Instant, watch: Watched): void {
    const isUnseen = idle > watch.idleUnits && rows.some(({ asked }) => asked !== undefined)
    if (isUnseen && this.#unseenSince === watch.rounds)
      watch.violations.push(
        `${idle - watch.idleUnits} units came free, and no round was held for a minute, at ${new Date(now).toISOString()}`,
      )
    this.#unseenSince = isUnseen ? watch.rounds : undefined
  }

  outcome({ violations, waitsMs, leases, rounds }: Watched): FairnessOutcome {
    return {
      guests: GUESTS.map((name, i) => ({
        name,
        unitHours: (this.#held[i]! * LOOK_MS) / HOUR_MS,
        waitsMs: (waitsMs.get(name) ?? []).toSorted((a, b) => a - b),
        leastUnits: this.#least[i]!,
      })),
      ...{ leases, rounds, violations },
      idleUnitMs: this.#idle * LOOK_MS,
      hourlyShares: this.#hours.map((units) => {
        const sum = units.reduce((a, b) => a + b, 0)
        return units.map((one) => (sum === 0 ? 0 : one / sum))
      }),
    }
  }
}
