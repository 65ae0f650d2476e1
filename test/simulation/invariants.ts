import type { OfferRow, LeaseRow as SiteLease, UnitRow as SiteUnit } from '../../actors/authority/rows.ts'
import type { TicketRow } from '../../actors/broker/rows.ts'
import { verifyLedger } from '../../actors/ledger/verify.ts'
import type { Row } from '../../actors/runtime/rows.ts'
import type { LeaseRow } from '../../actors/service-manager/rows.ts'
import type { Disk } from './disk.ts'
import type { Site } from './machines.ts'
import type { Middleware } from './middleware.ts'
import type { Operator } from './operator.ts'
import type { World } from './world.ts'

/** What is looked at: the disks of the three actors, and the world. */
export interface Scene {
  readonly disks: Readonly<Record<'service-manager' | 'broker' | 'authority', Disk>>
  readonly site: Site
  readonly middleware: Middleware
  readonly world: World
  readonly operator: Operator
}

/** What must hold at every instant, on what is on disk and on what is plugged in. Sentences; empty is good. */
export function atEveryStep(scene: Scene): string[] {
  return [
    ...noUnitTwice(scene),
    ...withinInventory(scene),
    ...promisedWhileHeld(scene),
    ...givenBack(scene),
    ...withinTicket(scene),
  ]
}

/** What must hold when faults have stopped and time has passed. */
export function afterQuiet(scene: Scene): string[] {
  return [...jobsDone(scene), ...everythingEnded(scene), ...ledgersAgree(scene)]
}

function noUnitTwice({ disks }: Scene): string[] {
  const faults: string[] = []
  const slots = new Map<number, string>()
  const leases = new Map<string, string>()
  for (const lease of rows<SiteLease>(disks.authority, 'lease'))
    for (const unitId of lease.units) {
      const other = leases.get(unitId)
      if (other !== undefined) faults.push(`${unitId} is in ${other} and in ${lease.id}`)
      leases.set(unitId, lease.id)
    }
  for (const unit of rows<SiteUnit>(disks.authority, 'unit')) {
    if (unit.state === 'ended' || unit.slot === 0) continue
    const other = slots.get(unit.slot)
    if (other !== undefined) faults.push(`slot ${unit.slot} is held by ${other} and by ${unit.id}`)
    slots.set(unit.slot, unit.id)
  }
  return faults
}

/** Promised by the broker at any instant, against the most that the site ever meant to lend. */
function withinInventory({ disks }: Scene): string[] {
  const faults: string[] = []
  const tickets = rows<TicketRow>(disks.broker, 'ticket').flatMap((row) => row.tickets)
  for (const { id: type } of rows<OfferRow>(disks.authority, 'offer')) {
    const most = largestOffer(disks.authority, type)
    const mine = tickets.filter((ticket) => ticket.type === type)
    for (const { term } of mine) {
      const then = mine.filter((other) => other.term.start <= term.start && term.start < other.term.end)
      const sum = then.reduce((total, other) => total + other.units, 0)
      // An offer may shrink under promises (a unit that cannot be torn down), never the other way round.
      if (sum > most)
        faults.push(
          `${sum} of ${type} are promised at ${term.start}, ${most} are lent: ${then.map((other) => other.leaseId).join(' ')}`,
        )
    }
  }
  return faults
}

/** The broker never takes for free what the site still holds within its term. */
function promisedWhileHeld({ disks, world }: Scene): string[] {
  const tickets = new Map(rows<TicketRow>(disks.broker, 'ticket').map((row) => [row.id, row]))
  const faults: string[] = []
  for (const lease of rows<SiteLease>(disks.authority, 'lease')) {
    if (lease.state === 'closed' || lease.term.end <= world.now) continue
    const ticket = tickets.get(lease.id)
    if (ticket === undefined || ticket.state === 'closed')
      faults.push(`the site holds ${lease.id} (${lease.state}), the broker has given it away`)
  }
  return faults
}

/** From when a recall, the grace and the time to tear down are over, the owner has its units. */
const RECALL_SLACK_MS = 150_000
/** A recall that is only advice waits for the ends of the terms besides. */
const ADVICE_SLACK_MS = RECALL_SLACK_MS + 300_000
const UNITS = 6

function givenBack({ site, world, operator }: Scene): string[] {
  const due = operator.recalls.filter(
    ({ by, binding }) => world.now >= by + (binding ? RECALL_SLACK_MS : ADVICE_SLACK_MS),
  )
  if (due.length === 0) return []
  const recalled = due.reduce((sum, { units }) => sum + units, 0)
  const running = site.running().length
  return running > UNITS - recalled ? [`${running} machines run, ${recalled} of ${UNITS} were recalled`] : []
}

/** A lease never has more units in service than its ticket says, as the broker issued it. */
function withinTicket({ disks }: Scene): string[] {
  const issued = new Map(
    rows<TicketRow>(disks.broker, 'ticket').flatMap((row) => row.tickets.map(({ id, units }) => [id, units])),
  )
  const units = new Map(rows<SiteUnit>(disks.authority, 'unit').map((unit) => [unit.id, unit]))
  return rows<SiteLease>(disks.authority, 'lease').flatMap((lease) => {
    const live = lease.units.filter((id) => IN_SERVICE.has(units.get(id)?.state ?? 'ended')).length
    const most = Math.min(lease.ticket.units, issued.get(lease.ticket.id) ?? lease.ticket.units)
    return live > most ? [`${lease.id} has ${live} units, its ticket is for ${most}`] : []
  })
}

const IN_SERVICE: ReadonlySet<SiteUnit['state']> = new Set(['setup', 'probing', 'active', 'suspect'])

const largest = new WeakMap<Disk, Map<string, number>>()

function largestOffer(disk: Disk, id: string): number {
  const known = largest.get(disk) ?? new Map<string, number>()
  largest.set(disk, known)
  const units = rows<OfferRow>(disk, 'offer').find((row) => row.id === id)?.units ?? 0
  const most = Math.max(known.get(id) ?? 0, units)
  known.set(id, most)
  return most
}

function jobsDone({ middleware }: Scene): string[] {
  const faults: string[] = []
  for (const task of middleware.tasks) {
    if (task.completions === 0 && !task.failed)
      faults.push(
        `job ${task.id} (${task.nodes} nodes, ${task.runMs} ms) is lost: ${task.state}, attempt ${task.attempt}`,
      )
    if (task.completions > 1) faults.push(`job ${task.id} ran ${task.completions} times to its end`)
  }
  return faults
}

function everythingEnded({ disks, site, middleware }: Scene): string[] {
  const faults: string[] = []
  for (const lease of rows<LeaseRow>(disks['service-manager'], 'lease'))
    if (lease.leaseState !== 'closed' || lease.ticketState !== 'closed')
      faults.push(
        `the service manager holds ${lease.id}: ticket ${lease.ticketState}, lease ${lease.leaseState}`,
      )
  for (const ticket of rows<TicketRow>(disks.broker, 'ticket'))
    if (ticket.state !== 'closed') faults.push(`the broker holds ${ticket.id}: ${ticket.state}`)
  for (const lease of rows<SiteLease>(disks.authority, 'lease'))
    if (lease.state !== 'closed') faults.push(`the site holds ${lease.id}: ${lease.state}`)
  for (const machine of site.running())
    faults.push(`the machine ${machine.spec.name} of ${machine.spec.leaseId} runs, and nobody remembers it`)
  for (const name of middleware.nodes.keys()) faults.push(`the node ${name} is still in the middleware`)
  return faults
}

function ledgersAgree({ disks }: Scene): string[] {
  return Object.entries(disks).flatMap(([role, { ledger }]) => {
    const last = ledger.at(-1)
    return verifyLedger(ledger, { seq: last?.seq ?? 0, hash: last?.hash ?? '' }).map(
      (fault) => `${role}: ${fault.sentence}`,
    )
  })
}

const parsed = new WeakMap<object, Row>()

/** Rows of a table as they are on disk. */
export function rows<R extends Row>(disk: Disk, table: string): R[] {
  const found: R[] = []
  for (const stored of disk.rows.values()) {
    if (stored.table !== table) continue
    const row = parsed.get(stored) ?? (JSON.parse(stored.json!) as Row)
    parsed.set(stored, row)
    found.push(row as R)
  }
  return found
}
