import type { HostRow, LeaseRow as SiteLease, UnitRow } from '../../actors/authority/rows.ts'
import type { TicketRow } from '../../actors/broker/rows.ts'
import type { Ticket } from '../../actors/leases/ticket.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import type { LeaseRow } from '../../actors/service-manager/rows.ts'
import { BrokerBook } from './broker-book.ts'
import { ledgerAgrees, leftOf } from './endings.ts'
import { Excuses, isRecovering } from './excuses.ts'
import { SKEW_MS_MAX } from './roles.ts'
import type { ActorScene, Scene, SiteScene } from './scene.ts'
import { SiteBook } from './site-book.ts'
import { Takings } from './takings.ts'

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
  readonly #excuses = new Excuses()
  #lookAt = 0

  constructor(scene: Scene) {
    this.#scene = scene
    this.#sites = new Map(scene.sites.map((site) => [site.name, new SiteBook(site)]))
    this.#brokers = scene.brokers.map(
      (broker) => new BrokerBook(broker, this.#sites, this.#excuses, (site) => this.#hasHeard(broker, site)),
    )
    const found = (faults: readonly string[]): void => void this.violations.push(...faults)
    const { sites, brokers, managers } = scene
    const takings = new Map(sites.map((site) => [site.name, new Takings(site)]))
    for (const { name, machines } of sites) machines.takenFrom = (unitId) => takings.get(name)!.from(unitId)
    for (const { disk } of managers)
      disk.onSaid = (letter) => this.#brokers.find(({ name }) => name === letter.to)?.givenBack.said(letter)
    for (const { name, role, disk } of [...sites, ...brokers, ...managers]) {
      const book = this.#sites.get(name) ?? this.#brokers.find((one) => one.name === name)
      disk.onCommit = (changes, entries) => {
        found(this.#excuses.committed(name, role, disk, entries))
        found(unbelieved(name, entries))
        if (book === undefined) return
        found(book.changed(changes, entries))
        found(takings.get(name)?.committed(changes, scene.world.now) ?? [])
        found(this.#overdrawn(name, entries))
        for (const leaseId of book.touched) found(this.#looked(leaseId))
      }
      disk.onSetBack = (before, copy) => {
        this.#excuses.setBack(name, role, disk, before)
        book?.setBack()
        sites.find((site) => site.name === name)?.operator.forgotten(copy.at)
        takings.get(name)?.forgotten(copy.at)
      }
      disk.onArrived = (subjects) => {
        for (const subject of subjects) found(this.#agree(subject))
      }
    }
  }

  /** All brokers here are honest; one that was restored may promise twice what no site and holder told it of. */
  #overdrawn(site: string, entries: readonly LedgerEntry[]): string[] {
    return entries
      .filter(({ kind, data }) => {
        const broker = (data as { ticket?: Ticket } | undefined)?.ticket?.broker
        return kind.endsWith(' overdrawn') && !this.#excuses.isUntold(broker ?? '')
      })
      .map(({ subject, reason }) => `${site} finds ${subject} overdrawn: ${reason}`)
  }

  /** A lease that a site or a broker has changed. */
  #looked(leaseId: string): string[] {
    const broker = this.#brokers.find(({ disk }) => disk.table('ticket').has(leaseId))
    return [...this.#sites.values()].flatMap((site) => {
      const lease = site.disk.table<SiteLease>('lease').get(leaseId)
      if (lease === undefined) return []
      return [...this.#promisedWhileHeld(lease, site, broker), ...withinTicket(lease, site, broker)]
    })
  }

  /** The broker never takes for free what the site still holds within its term. */
  #promisedWhileHeld(lease: SiteLease, site: SiteBook, broker: BrokerBook | undefined): string[] {
    if (lease.state === 'closed' || lease.term.end <= this.#scene.world.now) return []
    const ticket = broker?.disk.table<TicketRow>('ticket').get(lease.id)
    if (ticket !== undefined && ticket.state !== 'closed') return []
    if (this.#isExcused(lease, site)) return []
    return [`the site holds ${lease.id} (${lease.state}), the broker has given it away`]
  }

  #isExcused({ id, holder, ticket: { broker } }: SiteLease, site: SiteBook): boolean {
    const excuses = this.#excuses
    const { disk } = this.#brokers.find(({ name }) => name === broker)!
    if (excuses.isUnsure(site.name, site.disk) || excuses.isUnsure(broker, disk)) return true
    if (excuses.isBack(site.name, id)) return true
    // What he forgot that he has there he gives back, and in protocol 1 his site cannot be told so, nor he ask what he has.
    const speakers = [
      this.#scene.sites.find(({ name }) => name === site.name),
      this.#scene.managers.find(({ name }) => name === holder),
    ]
    if (speakers.some((one) => one?.wasOld) && excuses.wasSilent(holder, site.name)) return true
    // Both have forgotten that he gave it back, and its broker did not say so.
    if (excuses.wasSilent(site.name, broker) && excuses.wasSetBack(holder)) return true
    return excuses.isForgotten(broker, id) && excuses.isUntold(broker, holder)
  }

  /** Neither has lost what they said to each other. */
  #hasHeard({ name, disk }: ActorScene, site: string): boolean {
    const excuses = this.#excuses
    const theirs = this.#sites.get(site)!.disk
    return !excuses.isUnsure(name, disk) && !excuses.isUnsure(site, theirs) && !excuses.wasSilent(name, site)
  }

  /** After every event: what breaks as time passes. */
  asTimePasses(): void {
    const { now } = this.#scene.world
    const late = now >= this.#lookAt
    if (late) this.#lookAt = now + LOOK_EVERY_MS
    for (const site of this.#scene.sites) {
      if (late) this.violations.push(...givenBack(site, this.#sites.get(site.name)!, this.#scene))
      if (late && !this.#excuses.isUnsure(site.name, site.disk))
        this.violations.push(...emptied(site, this.#scene))
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
    const unsure = [...sites, ...brokers, ...managers].some(
      ({ name, disk }) => isRecovering(disk) || this.#excuses.isUnsure(name, disk),
    )
    if (unsure) return []
    const site = sites.find(({ disk }) => disk.table('lease').has(leaseId))
    const manager = managers.find(({ disk }) => disk.table('lease').has(leaseId))
    const theirs = site?.disk.table<SiteLease>('lease').get(leaseId)
    const mine = manager?.disk.table<LeaseRow>('lease').get(leaseId)
    if (theirs === undefined || mine === undefined) return []
    const isUntold = this.#excuses.wasSilent(manager!.name, site!.name)
    if (isUntold && this.#excuses.isForgotten(manager!.name, leaseId)) return []
    if (mine.leaseState !== 'active' || mine.ticketState !== 'held' || mine.next !== undefined) return []
    const idle = this.#promisedInVain(mine)
    if (idle.length > 0 || mine.extendRefused !== undefined) return idle
    const ends = `${mine.term?.end} and ${theirs.term.end}`
    if (theirs.state === 'closing' || theirs.state === 'closed')
      return [`${leaseId} is active for its holder, ${theirs.state} at its site, and nobody says so`]
    return mine.term?.end === theirs.term.end
      ? []
      : [`holder and site mean other ends of ${leaseId}: ${ends}`]
  }

  /** Of an extension that came to nothing for its holder the broker keeps nothing. In protocol 1 nobody can tell it. */
  #promisedInVain({ id, ticket, term }: LeaseRow): string[] {
    const broker = this.#scene.brokers.find(({ name }) => name === ticket!.broker)!
    const row = broker.disk.table<TicketRow>('ticket').get(id)
    const last = row?.tickets.at(-1)
    // By its holder's clock its term may have begun, and then it goes back with the lease.
    const now = this.#scene.world.now + SKEW_MS_MAX
    if (row?.state !== 'granted' || last === undefined || last.term.start <= now) return []
    const holder = this.#scene.managers.find(({ name }) => name === row.holder)!
    if ([broker, holder].some(({ name, wasOld }) => wasOld || this.#excuses.wasSetBack(name))) return []
    return last.term.end <= term!.end
      ? []
      : [`${broker.name} keeps ${last.id} promised, and for its holder ${id} ends at ${term!.end}`]
  }

  /** Its manager has forgotten the lease in a restore, and no site can tell him of it. */
  isNobodys(manager: string, leaseId: string): boolean {
    const excuses = this.#excuses
    const { disk } = this.#scene.managers.find(({ name }) => name === manager)!
    if (!excuses.isForgotten(manager, leaseId) || disk.table('lease').has(leaseId)) return false
    return this.#scene.sites.every(
      ({ name, disk: theirs }) =>
        !theirs.table('lease').has(leaseId) ||
        excuses.wasSilent(manager, name) ||
        excuses.isForgotten(name, leaseId),
    )
  }

  /** Whether nothing is left that would have to end yet. */
  hasEnded(): boolean {
    return leftOf(this.#scene, this.#excuses).length === 0
  }

  /** When faults have stopped and time has passed. */
  afterQuiet(): void {
    const { sites, brokers, managers } = this.#scene
    this.violations.push(...leftOf(this.#scene, this.#excuses))
    for (const actor of [...sites, ...brokers, ...managers]) this.violations.push(...ledgerAgrees(actor))
    for (const book of this.#sites.values()) this.violations.push(...book.replayAgrees())
  }
}

/** All sites here are honest. */
const unbelieved = (name: string, entries: readonly LedgerEntry[]): string[] =>
  entries
    .filter(({ kind }) => kind === 'unit refused')
    .map(({ subject, reason }) => `${name} takes no unit of an honest site for ${subject}: ${reason}`)

/** A lease never has more units in service than its ticket says, as the broker issued it. */
function withinTicket(lease: SiteLease, site: SiteBook, broker: BrokerBook | undefined): string[] {
  const live = site.inService(lease.id)
  const issued = broker?.ticketsOf(lease.id).find(({ id }) => id === lease.ticket.id)?.units
  const most = Math.min(lease.ticket.units, issued ?? lease.ticket.units)
  return live > most ? [`${lease.id} has ${live} units, its ticket is for ${most}`] : []
}

/** From when a recall, the grace and the time to tear down are over, the owner has its units. */
const RECALL_SLACK_MS = 150_000
/** A recall that is only advice waits for the ends of the terms besides. */
const ADVICE_SLACK_MS = RECALL_SLACK_MS + 300_000

/** What is late stays so for longer. */
const LOOK_EVERY_MS = 500

/** From when on a unit whose host is wanted empty is on its way out, also where its site was down at that time. */
const EMPTY_SLACK_MS = 60_000

/** A host is empty in time of what the terms let be taken, and in the end of the rest. */
function emptied({ disk, name, wasOld }: SiteScene, { world, managers }: Scene): string[] {
  const leases = disk.table<SiteLease>('lease')
  // Holders of protocol 1 are not told, and nothing is taken of them; a site that speaks it tells nobody.
  const old = new Set(managers.filter((manager) => manager.wasOld).map((manager) => manager.name))
  return disk
    .table<HostRow>('host')
    .values()
    .flatMap(({ id: host, by, orderedAt, lapsed }) => {
      if (world.now < by + EMPTY_SLACK_MS || lapsed === true) return []
      const late = disk
        .table<UnitRow>('unit')
        .values()
        .filter((unit) => {
          if (unit.host !== host || unit.state === 'ended' || unit.forceFrom !== undefined) return false
          const { holder = '', ticket } = leases.get(unit.leaseId) ?? {}
          const terms = ticket?.conditions
          const isBinding =
            !wasOld && !old.has(holder) && terms?.recallable === true && by - orderedAt >= terms.noticeMs
          return isBinding || world.now >= by + ADVICE_SLACK_MS
        })
      return late.length === 0
        ? []
        : [`${late.map(({ id }) => id).join(' ')} of ${name} should have left ${host}`]
    })
}

function givenBack(
  { name, machines, operator, units }: SiteScene,
  book: SiteBook,
  { world }: Scene,
): string[] {
  let recalled = 0
  for (const { by, binding, units: count } of operator.recalls)
    if (world.now >= by + (binding ? RECALL_SLACK_MS : ADVICE_SLACK_MS)) recalled += count
  recalled -= book.lentAgain()
  if (recalled <= 0) return []
  const running = machines.running().length
  return running > units - recalled
    ? [`${running} machines run at ${name}, ${recalled} of ${units} were recalled`]
    : []
}
