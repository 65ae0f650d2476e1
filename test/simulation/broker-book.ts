import type { TicketRow } from '../../actors/broker/rows.ts'
import type { Ticket } from '../../actors/leases/ticket.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import type { Change } from './disk.ts'
import type { ActorScene } from './scene.ts'
import type { SiteBook } from './site-book.ts'

/** What a broker has promised: the tickets of each pool, that is of one type at one site. */
export class BrokerBook {
  readonly name: string
  readonly disk: ActorScene['disk']
  /** The leases that the last commit touched. */
  touched: readonly string[] = []
  readonly #sites: ReadonlyMap<string, SiteBook>
  readonly #pools = new Map<string, Map<string, readonly Ticket[]>>()

  constructor({ name, disk }: ActorScene, sites: ReadonlyMap<string, SiteBook>) {
    this.name = name
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

  /** The store was set back: what is promised is what the copy says, and what others show. */
  setBack(): void {
    this.#pools.clear()
    const rows = this.disk.table<TicketRow>('ticket').values()
    this.changed(
      rows.map((after) => ({ table: 'ticket', id: after.id, before: undefined, after })),
      [],
    )
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
