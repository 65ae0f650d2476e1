import type { OfferRow, LeaseRow as SiteLease, UnitRow as SiteUnit } from '../../actors/authority/rows.ts'
import type { TicketRow } from '../../actors/broker/rows.ts'
import type { Ticket } from '../../actors/leases/ticket.ts'
import { chainCheck, NO_LINE } from '../../actors/ledger/chain-check.ts'
import { CheckpointCheck } from '../../actors/ledger/checkpoint-check.ts'
import { holdsCheck } from '../../actors/ledger/holds.ts'
import { LedgerCheck } from '../../actors/ledger/verify.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import type { LeaseRow, UnitRow } from '../../actors/service-manager/rows.ts'
import type { Change } from './disk.ts'
import type { ActorScene, ManagerScene, Scene, SiteScene } from './scene.ts'

/**
 * What must hold, on what is on disk and on what is plugged in. A commit can break only what it touches, so
 * each is looked at as it becomes durable, and only that part is looked at:
 *
 *   commit of a site ──▶ its slots, its units, the leases it changed ──┐
 *   commit of a broker ──▶ the pools and leases it changed ────────────┼──▶ sentences; none is good
 *   time ──▶ what was recalled ────────────────────────────────────────┘
 */
export class Invariants {
  readonly violations: string[] = []
  readonly #scene: Scene
  readonly #sites: ReadonlyMap<string, SiteBook>
  readonly #brokers: readonly BrokerBook[]
  #lookAt = 0

  constructor(scene: Scene) {
    this.#scene = scene
    this.#sites = new Map(scene.sites.map((site) => [site.name, new SiteBook(site)]))
    this.#brokers = scene.brokers.map((broker) => new BrokerBook(broker, this.#sites))
    const found = (faults: readonly string[]): void => void this.violations.push(...faults)
    const bookOf = (leaseId: string): BrokerBook | undefined =>
      this.#brokers.find(({ disk }) => disk.table('ticket').has(leaseId))
    for (const book of this.#sites.values())
      book.disk.onCommit = (changes, entries) => {
        found(book.changed(changes, entries))
        for (const lease of book.touched) {
          const broker = bookOf(lease.id)
          found(promisedWhileHeld(lease, broker, scene))
          found(book.withinTicket(lease, broker))
        }
      }
    for (const { disk } of [...scene.sites, ...scene.brokers, ...scene.managers])
      disk.onArrived = (subjects) => {
        for (const subject of subjects) found(this.#agree(subject))
      }
    for (const book of this.#brokers)
      book.disk.onCommit = (changes, entries) => {
        found(book.changed(changes, entries))
        for (const ticket of book.touched)
          for (const site of this.#sites.values()) {
            const lease = site.disk.table<SiteLease>('lease').get(ticket)
            if (lease !== undefined) found(promisedWhileHeld(lease, book, scene))
          }
      }
  }

  /** After every event: what breaks as time passes. */
  asTimePasses(): void {
    const { now } = this.#scene.world
    const late = now >= this.#lookAt
    if (late) this.#lookAt = now + LOOK_EVERY_MS
    for (const site of this.#scene.sites) {
      if (late) this.violations.push(...givenBack(site, this.#scene))
      if (site.machines.violations.length > 0) this.violations.push(...site.machines.violations)
    }
    for (const { middleware } of this.#scene.managers)
      if (middleware !== undefined && middleware.violations.length > 0)
        this.violations.push(...middleware.violations)
  }

  /** Somebody saw what must never be. */
  saw(violation: string): void {
    this.violations.push(violation)
  }

  /**
   * While nothing is under way about a lease, its holder and its site mean the same by it. Of an extension that
   * came to nothing for the holder the site may know more: the holder leaves before.
   */
  #agree(leaseId: string): string[] {
    const { sites, brokers, managers } = this.#scene
    if ([...sites, ...brokers, ...managers].some(({ disk }) => disk.isSaying(leaseId))) return []
    const site = sites.find(({ disk }) => disk.table('lease').has(leaseId))
    const manager = managers.find(({ disk }) => disk.table('lease').has(leaseId))
    const theirs = site?.disk.table<SiteLease>('lease').get(leaseId)
    const mine = manager?.disk.table<LeaseRow>('lease').get(leaseId)
    if (theirs === undefined || mine === undefined) return []
    if (mine.leaseState !== 'active' || mine.ticketState !== 'held' || mine.next !== undefined) return []
    if (mine.extendRefused !== undefined) return []
    const ends = `${mine.term?.end} and ${theirs.term.end}`
    if (theirs.state === 'closing' || theirs.state === 'closed')
      return [`${leaseId} is active for its holder, ${theirs.state} at its site, and nobody says so`]
    return mine.term?.end === theirs.term.end
      ? []
      : [`holder and site mean other ends of ${leaseId}: ${ends}`]
  }

  /** Whether nothing is left that would have to end yet. */
  hasEnded(): boolean {
    return this.#left().length === 0
  }

  #left(): string[] {
    const { sites, brokers, managers, world } = this.#scene
    return [
      ...managers.flatMap((manager) => [...jobsDone(manager), ...managerEnded(manager)]),
      ...brokers.flatMap(brokerEnded),
      ...sites.flatMap(siteEnded),
      ...[...sites, ...brokers, ...managers].flatMap((actor) => everythingSaid(actor, world.now)),
    ]
  }

  /** When faults have stopped and time has passed. */
  afterQuiet(): void {
    const { sites, brokers, managers } = this.#scene
    this.violations.push(...this.#left())
    for (const actor of [...sites, ...brokers, ...managers]) this.violations.push(...ledgerAgrees(actor))
    for (const book of this.#sites.values()) this.violations.push(...book.replayAgrees())
  }
}

/** What a site holds: who has which unit, who has which slot. */
class SiteBook {
  readonly name: string
  readonly disk: SiteScene['disk']
  /** The leases that the last commit touched. */
  touched: readonly SiteLease[] = []
  readonly #largestOffer = new Map<string, number>()
  readonly #leaseOf = new Map<string, string>()
  readonly #unitIn = new Map<number, string>()
  readonly #inService = new Map<string, Set<string>>()
  /** As the ledger tells it, replayed line by line. */
  readonly #assigned = new Set<string>()

  constructor({ name, disk }: SiteScene) {
    this.name = name
    this.disk = disk
  }

  changed(changes: readonly Change[], entries: readonly LedgerEntry[]): string[] {
    const faults: string[] = []
    const leases = new Set<string>()
    for (const { table, id, before } of changes)
      if (before !== undefined && table === 'lease') {
        for (const unitId of (before as SiteLease).units)
          if (this.#leaseOf.get(unitId) === id) this.#leaseOf.delete(unitId)
      } else if (before !== undefined && table === 'unit') this.#unplace(before as SiteUnit)
    for (const { table, id, after } of changes) {
      if (table === 'lease') leases.add(id)
      if (after === undefined) continue
      if (table === 'lease') faults.push(...this.#hold(after as SiteLease))
      if (table === 'unit') faults.push(...this.#place(after as SiteUnit))
      if (table === 'unit') leases.add((after as SiteUnit).leaseId)
      if (table === 'offer')
        this.#largestOffer.set(id, Math.max(this.largestOffer(id), (after as OfferRow).units))
    }
    for (const { kind, subject, reason } of entries)
      if (kind === 'unit assigned') this.#assigned.add(subject)
      else if (kind === 'unit ended') this.#assigned.delete(subject)
      // All brokers here are honest.
      else if (kind.endsWith(' overdrawn')) faults.push(`${this.name} finds ${subject} overdrawn: ${reason}`)
    const table = this.disk.table<SiteLease>('lease')
    this.touched = [...leases].flatMap((id) => table.get(id) ?? [])
    return faults
  }

  largestOffer(type: string): number {
    return this.#largestOffer.get(type) ?? 0
  }

  /** A lease never has more units in service than its ticket says, as the broker issued it. */
  withinTicket(lease: SiteLease, broker: BrokerBook | undefined): string[] {
    const live = this.#inService.get(lease.id)?.size ?? 0
    const issued = broker?.ticketsOf(lease.id).find(({ id }) => id === lease.ticket.id)?.units
    const most = Math.min(lease.ticket.units, issued ?? lease.ticket.units)
    return live > most ? [`${lease.id} has ${live} units, its ticket is for ${most}`] : []
  }

  /** What the ledger alone says is held is what the rows say. */
  replayAgrees(): string[] {
    const held = this.disk
      .table<SiteUnit>('unit')
      .values()
      .filter(({ state, type }) => state !== 'ended' && type !== '')
    const missing = held.filter(({ id }) => !this.#assigned.has(id)).map(({ id }) => id)
    const rows = new Set(held.map(({ id }) => id))
    const more = [...this.#assigned].filter((id) => !rows.has(id))
    if (missing.length + more.length === 0) return []
    return [
      `${this.name}: its ledger does not tell of ${missing.join(' ') || 'none'}, and still holds ${more.join(' ') || 'none'}`,
    ]
  }

  #hold(lease: SiteLease): string[] {
    const faults: string[] = []
    for (const unitId of lease.units) {
      const other = this.#leaseOf.get(unitId)
      if (other !== undefined && other !== lease.id)
        faults.push(`${unitId} is in ${other} and in ${lease.id}`)
      this.#leaseOf.set(unitId, lease.id)
    }
    return faults
  }

  #unplace({ id, slot, leaseId }: SiteUnit): void {
    if (this.#unitIn.get(slot) === id) this.#unitIn.delete(slot)
    this.#inService.get(leaseId)?.delete(id)
  }

  #place({ id, slot, state, leaseId }: SiteUnit): string[] {
    if (IN_SERVICE.has(state)) {
      const units = this.#inService.get(leaseId) ?? new Set()
      this.#inService.set(leaseId, units.add(id))
    }
    if (state === 'ended' || slot === 0) return []
    const other = this.#unitIn.get(slot)
    this.#unitIn.set(slot, id)
    return other === undefined || other === id
      ? []
      : [`slot ${slot} of ${this.name} is held by ${other} and by ${id}`]
  }
}

const IN_SERVICE: ReadonlySet<SiteUnit['state']> = new Set(['setup', 'probing', 'active', 'suspect'])

/** What a broker has promised: the tickets of each pool, that is of one type at one site. */
class BrokerBook {
  readonly disk: ActorScene['disk']
  /** The leases that the last commit touched. */
  touched: readonly string[] = []
  readonly #sites: ReadonlyMap<string, SiteBook>
  readonly #pools = new Map<string, Map<string, readonly Ticket[]>>()

  constructor({ disk }: ActorScene, sites: ReadonlyMap<string, SiteBook>) {
    this.disk = disk
    this.#sites = sites
  }

  ticketsOf(leaseId: string): readonly Ticket[] {
    return this.disk.table<TicketRow>('ticket').get(leaseId)?.tickets ?? []
  }

  changed(changes: readonly Change[], _entries: readonly LedgerEntry[]): string[] {
    const pools = new Set<string>()
    const touched: string[] = []
    for (const { table, id, before, after } of changes) {
      if (table !== 'ticket') continue
      touched.push(id)
      for (const { site, type } of (before as TicketRow | undefined)?.tickets ?? [])
        this.#pools.get(`${site} ${type}`)?.delete(id)
      for (const ticket of (after as TicketRow | undefined)?.tickets ?? []) {
        const key = `${ticket.site} ${ticket.type}`
        const pool = this.#pools.get(key) ?? new Map<string, readonly Ticket[]>()
        this.#pools.set(key, pool.set(id, [...(pool.get(id) ?? []), ticket]))
        pools.add(key)
      }
    }
    this.touched = touched
    return [...pools].flatMap((key) => this.#withinInventory(key))
  }

  /** Promised at any instant, against the most that the site ever meant to lend. */
  #withinInventory(key: string): string[] {
    const [site = '', type = ''] = key.split(' ')
    const most = this.#sites.get(site)?.largestOffer(type) ?? 0
    const tickets = [...(this.#pools.get(key)?.values() ?? [])].flat()
    if (tickets.reduce((sum, { units }) => sum + units, 0) <= most) return []
    const faults: string[] = []
    for (const { term } of tickets) {
      const then = tickets.filter((other) => other.term.start <= term.start && term.start < other.term.end)
      const sum = then.reduce((total, other) => total + other.units, 0)
      // An offer may shrink under promises (a unit that cannot be torn down), never the other way round.
      if (sum > most)
        faults.push(
          `${sum} of ${key} are promised at ${term.start}, ${most} are lent: ${then.map(({ leaseId }) => leaseId).join(' ')}`,
        )
    }
    return faults
  }
}

/** The broker never takes for free what the site still holds within its term. */
function promisedWhileHeld(lease: SiteLease, broker: BrokerBook | undefined, { world }: Scene): string[] {
  if (lease.state === 'closed' || lease.term.end <= world.now) return []
  const ticket = broker?.disk.table<TicketRow>('ticket').get(lease.id)
  if (ticket !== undefined && ticket.state !== 'closed') return []
  return [`the site holds ${lease.id} (${lease.state}), the broker has given it away`]
}

/** From when a recall, the grace and the time to tear down are over, the owner has its units. */
const RECALL_SLACK_MS = 150_000
/** A recall that is only advice waits for the ends of the terms besides. */
const ADVICE_SLACK_MS = RECALL_SLACK_MS + 300_000

/** What is late stays so for longer. */
const LOOK_EVERY_MS = 500

function givenBack({ name, machines, operator, units }: SiteScene, { world }: Scene): string[] {
  let recalled = 0
  for (const { by, binding, units: count } of operator.recalls)
    if (world.now >= by + (binding ? RECALL_SLACK_MS : ADVICE_SLACK_MS)) recalled += count
  if (recalled === 0) return []
  const running = machines.running().length
  return running > units - recalled
    ? [`${running} machines run at ${name}, ${recalled} of ${units} were recalled`]
    : []
}

function jobsDone({ middleware }: ManagerScene): string[] {
  const faults: string[] = []
  for (const task of middleware?.tasks ?? []) {
    if (task.completions === 0 && !task.failed)
      faults.push(
        `job ${task.id} (${task.nodes} nodes, ${task.runMs} ms) is lost: ${task.state}, attempt ${task.attempt}`,
      )
    if (task.completions > 1) faults.push(`job ${task.id} ran ${task.completions} times to its end`)
  }
  for (const node of middleware?.nodes.keys() ?? [])
    faults.push(`the node ${node} is still in the middleware`)
  return faults
}

function managerEnded({ name, disk }: ManagerScene): string[] {
  const leases = disk
    .table<LeaseRow>('lease')
    .values()
    .filter((lease) => lease.leaseState !== 'closed' || lease.ticketState !== 'closed')
    .map((lease) => `${name} holds ${lease.id}: ticket ${lease.ticketState}, lease ${lease.leaseState}`)
  const units = disk
    .table<UnitRow>('unit')
    .values()
    .filter((unit) => unit.state !== 'left' && !(unit.state === 'lost' && unit.settled))
    .map((unit) => `${name} still has the unit ${unit.id}: ${unit.state}`)
  const questions = [...disk.table('query').keys()].map((id) => `${name} still waits for the answer to ${id}`)
  return [...leases, ...units, ...questions]
}

const brokerEnded = ({ name, disk }: ActorScene): string[] =>
  disk
    .table<TicketRow>('ticket')
    .values()
    .filter((ticket) => ticket.state !== 'closed')
    .map((ticket) => `${name} holds ${ticket.id}: ${ticket.state}`)

function siteEnded({ name, disk, machines }: SiteScene): string[] {
  const leases = disk
    .table<SiteLease>('lease')
    .values()
    .filter((lease) => lease.state !== 'closed')
    .map((lease) => `${name} holds ${lease.id}: ${lease.state}`)
  const running = machines
    .running()
    .map(({ spec }) => `the machine ${spec.name} of ${spec.leaseId} runs, and nobody remembers it`)
  return [...leases, ...running]
}

const SAID_WITHIN_MS = 60_000
const sentAtOf = (json: string | undefined): number => Number(/"sentAt":(\d+)/.exec(json ?? '')?.[1] ?? 0)

/** Everybody is there and the network is well: what was said has arrived. */
const everythingSaid = ({ name, disk }: ActorScene, now: number): string[] =>
  [...disk.rows.values()]
    .filter(({ table, json }) => table === '$out' && sentAtOf(json) < now - SAID_WITHIN_MS)
    .map(({ id, json }) => `${name} still has to say ${id}: ${json?.slice(0, 200)}`)

/** Also that it signed in time; who signed is for the tests of signatures. */
function ledgerAgrees({ name, disk: { ledger } }: ActorScene): string[] {
  const check = new LedgerCheck([chainCheck(), holdsCheck(), new CheckpointCheck(() => true)])
  check.read(ledger)
  return check.end(ledger.at(-1) ?? NO_LINE).map((fault) => `${name}: ${fault.sentence}`)
}
