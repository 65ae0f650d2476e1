import type { OfferRow, RecallRow } from '../../actors/authority/rows.ts'
import type { TicketRow } from '../../actors/broker/rows.ts'
import type { Ticket } from '../../actors/leases/ticket.ts'
import type { Instant } from '../../actors/runtime/clock.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import type { Change } from './disk.ts'
import type { Excuses } from './excuses.ts'
import { GivenBack } from './given-back.ts'
import type { ActorScene } from './scene.ts'
import type { SiteBook } from './site-book.ts'

/** What a broker has promised: the tickets of each pool, that is of one type at one site. */
export class BrokerBook {
  readonly name: string
  readonly disk: ActorScene['disk']
  readonly givenBack: GivenBack
  /** The leases that the last commit touched. */
  touched: readonly string[] = []
  readonly #sites: ReadonlyMap<string, SiteBook>
  readonly #excuses: Excuses
  readonly #pools = new Map<string, Map<string, readonly Ticket[]>>()
  /** It has heard all that this site has said, or could. */
  readonly #knows: (site: string) => boolean

  constructor(
    { name, disk }: ActorScene,
    sites: ReadonlyMap<string, SiteBook>,
    excuses: Excuses,
    knows: (site: string) => boolean,
  ) {
    this.#excuses = excuses
    this.name = name
    this.disk = disk
    this.givenBack = new GivenBack(disk)
    this.#sites = sites
    this.#knows = knows
  }

  ticketsOf(leaseId: string): readonly Ticket[] {
    return this.disk.table<TicketRow>('ticket').get(leaseId)?.tickets ?? []
  }

  changed(changes: readonly Change[], entries: readonly LedgerEntry[]): string[] {
    // What holders show after a restore was granted before.
    const grants = new Set(
      entries.filter(({ kind }) => kind === 'ticket granted').map(({ subject }) => subject),
    )
    const pools = new Set<string>()
    const touched: string[] = []
    const granted: Ticket[] = []
    const faults: string[] = []
    for (const { table, id, before, after } of changes) {
      if (table !== 'ticket') continue
      touched.push(id)
      if (after !== undefined)
        faults.push(
          ...this.givenBack
            .changed(before as TicketRow | undefined, after as TicketRow)
            .map((fault) => `${this.name} ${fault}`),
        )
      for (const { site, type } of (before as TicketRow | undefined)?.tickets ?? [])
        this.#pools.get(`${site} ${type}`)?.delete(id)
      const known = new Set((before as TicketRow | undefined)?.tickets.map((ticket) => ticket.id))
      for (const ticket of (after as TicketRow | undefined)?.tickets ?? []) {
        if (grants.has(id) && !known.has(ticket.id)) granted.push(ticket)
        const key = `${ticket.site} ${ticket.type}`
        const pool = this.#pools.get(key) ?? new Map<string, readonly Ticket[]>()
        this.#pools.set(key, pool.set(id, [...(pool.get(id) ?? []), ticket]))
        pools.add(key)
      }
    }
    this.touched = touched
    return [
      ...faults,
      ...[...pools].flatMap((key) => this.#withinInventory(key)),
      ...granted.flatMap((ticket) => this.#withinOffer(ticket)),
    ]
  }

  /** The store was set back: what is promised is what the copy says, and what others show. */
  setBack(): void {
    this.#pools.clear()
    const rows = this.disk.table<TicketRow>('ticket').values()
    this.givenBack.setBack(rows)
    this.changed(
      rows.map((after) => ({ table: 'ticket', id: after.id, before: undefined, after })),
      [],
    )
  }

  /** Promised at any instant, against the most that the site ever meant to lend. */
  #withinInventory(key: string): string[] {
    const [site = '', type = ''] = key.split(' ')
    const { name, disk } = this
    // While it recovers it promises nothing; what came back with its copy had been given back.
    if (this.#excuses.isUnsure(name, disk)) return []
    const most = this.#sites.get(site)?.largestOffer(type) ?? 0
    const tickets = [...(this.#pools.get(key)?.values() ?? [])]
      .flat()
      .filter(({ leaseId }) => !this.#excuses.isBack(name, leaseId))
    if (tickets.reduce((sum, { units }) => sum + units, 0) <= most) return []
    const faults: string[] = []
    const rows = this.#rowsOf(key).filter(({ id }) => !this.#excuses.isBack(name, id))
    for (const { term } of tickets) {
      const sum = rows.reduce((total, row) => total + unitsAt(row, site, type, term.start), 0)
      // An offer may shrink under promises (a unit that cannot be torn down), never the other way round.
      if (sum > most)
        faults.push(
          `${sum} of ${key} are promised at ${term.start}, ${most} are lent: ${rows.map(({ id }) => id).join(' ')}`,
        )
    }
    return faults
  }

  #rowsOf(key: string): TicketRow[] {
    const table = this.disk.table<TicketRow>('ticket')
    return [...(this.#pools.get(key)?.keys() ?? [])].map((leaseId) => table.get(leaseId)!)
  }

  /**
   * What is granted now is free by what the site offers now, less what it wants back by then. While that is being said
   * the broker may not have heard it yet.
   */
  #withinOffer({ id, leaseId, site, type, term }: Ticket): string[] {
    const { disk } = this.#sites.get(site)!
    if (disk.isSaying(`offer-${type}`) || !this.#knows(site)) return []
    const offer = disk.table<OfferRow>('offer').get(type)
    const offered =
      offer === undefined || offer.withdrawn !== undefined ? 0 : Math.max(0, offer.units - offer.withheld)
    const recalls = disk
      .table<RecallRow>('recall')
      .values()
      .filter((recall) => recall.type === type && !recall.taken)
    const rows = this.#rowsOf(`${site} ${type}`)
    const starts = rows.flatMap(({ tickets, reduced }) => [
      ...tickets.map((ticket) => ticket.term.start),
      ...(reduced === undefined ? [] : [reduced.from, reduced.since?.from ?? reduced.from]),
    ])
    const instants = [term.start, ...recalls.map(({ by }) => by), ...starts]
    for (const at of instants.filter((one) => term.start <= one && one < term.end)) {
      const most = recalls.reduce((left, { by, units }) => (by <= at ? left - units : left), offered)
      const promised = rows.reduce((sum, row) => sum + unitsAt(row, site, type, at), 0)
      if (promised > Math.max(0, most))
        return [
          `${this.name} grants ${id} of ${leaseId} at ${site}: then ${promised} of ${type} are promised at ${at}, and ${most} are lent`,
        ]
    }
    return []
  }
}

/** What a lease has at an instant, less what its holder gives back. */
function unitsAt({ tickets, reduced }: TicketRow, site: string, type: string, at: Instant): number {
  const ticket = tickets.find(
    (one) => one.site === site && one.type === type && one.term.start <= at && at < one.term.end,
  )
  if (ticket === undefined) return 0
  const { from = at, off = {}, since } = reduced ?? {}
  if (from <= at) return ticket.units - (off[ticket.id] ?? 0)
  return since !== undefined && since.from <= at ? ticket.units - (since.off[ticket.id] ?? 0) : ticket.units
}
