import { z } from 'zod'
import type { LeaseRow, OfferRow, RecallRow as SiteRecallRow, UnitRow } from '../../actors/authority/rows.ts'
import { keptUntil } from '../../actors/broker/recalls.ts'
import type { RecallRow, TicketRow } from '../../actors/broker/rows.ts'
import { vectorSchema } from '../../actors/leases/resources.ts'
import { termSchema } from '../../actors/leases/term.ts'
import { type Ticket, ticketSchema, withoutChain } from '../../actors/leases/ticket.ts'
import type { Instant } from '../../actors/runtime/clock.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import { largest } from '../../actors/runtime/extremes.ts'
import type { Row } from '../../actors/runtime/rows.ts'

/**
 * A row from the ledger of its own actor. Where the ledger says too little the row says more than is held, never
 * less: what looks held for too long is found free later; what looks free is given away twice.
 *
 *   rebuilt      from what the ledger says of it
 *   dropped      nothing is lost that the actor does not make or learn anew
 *   impossible   the ledger does not tell: only a backup has it
 *
 * `forgets`: something is gone that peers know, such as the numbers of a conversation. The actor then begins as one
 * that was restored, and asks them.
 */
export type Rebuilt =
  | { readonly how: 'rebuilt'; readonly what: string; readonly row: Row; readonly forgets?: true }
  | { readonly how: 'dropped'; readonly what: string; readonly forgets?: true }
  | { readonly how: 'impossible'; readonly what: string }

const QUARANTINE_MS = 600_000

const granted = z.object({ ticket: ticketSchema })
const unused = z.object({ ticketId: z.string() })
const redeemed = z.object({ ticket: ticketSchema, unitsMin: z.number(), image: z.string() })
const assigned = z.object({
  ...{ leaseId: z.string(), holder: z.string(), type: z.string(), image: z.string() },
  ...{ name: z.string(), host: z.string(), slot: z.number(), vector: vectorSchema },
})
const facts = z.object({ facts: z.record(z.string(), z.string()) })
const offered = z.object({ units: z.number(), withheld: z.number() })
const recalled = z.object({
  type: z.string(),
  units: z.number(),
  by: z.number(),
  site: z.string().optional(),
})

const brakeShape = z.object({ since: z.number(), by: z.string(), reason: z.string() })

/** Whose database it is, by what its ledger speaks of. */
export type Role = 'broker' | 'site' | 'manager'

export function rebuild(
  role: Role,
  table: string,
  id: string,
  lines: readonly LedgerEntry[],
  now: Instant,
): Rebuilt {
  const its = lines.filter(({ subject }) => subject === id)
  switch (`${role} ${table}`) {
    case 'broker ticket':
      return ticketOf(id, its, now)
    case 'broker delegation':
      return dropped('nothing of it is granted until its site tells again what it lends')
    case 'broker recall':
      return recallOf(id, its)
    case 'broker round':
    case 'site site':
      return dropped('it is made anew at the start')
    case 'site unit':
      return unitOf(id, its, now)
    case 'site lease':
      return leaseOf(id, its, lines, now)
    case 'site offer':
      return offerOf(id, its)
    case 'site recall':
      return siteRecallOf(id, its, now)
    case 'site image':
      return dropped('only how setups with this image went is forgotten')
    case 'manager guest':
      return dropped('its controller begins without memory')
    case 'manager brake':
      return brakeOf(id, its)
  }
  switch (table) {
    case '$peer':
      return dropped('the offset of its clock is measured anew')
    case '$link':
      return { ...dropped('the numbers of this conversation begin anew'), forgets: true }
    case '$out':
      return { ...dropped('a message that was to be sent is gone; its receiver is asked'), forgets: true }
    case '$effect':
      return dropped('what was under way there is begun again')
    case '$meta':
      return metaOf(lines)
    default:
      return { how: 'impossible', what: 'the ledger does not tell what stood there: go back to a backup' }
  }
}

function brakeOf(id: string, its: readonly LedgerEntry[]): Rebuilt {
  const last = its.findLast(({ kind }) => kind === 'frozen' || kind === 'thawed')
  const read = brakeShape.safeParse(last?.data)
  return last?.kind === 'frozen' && read.success
    ? rebuilt('it is frozen', { id, ...read.data })
    : dropped('it is not frozen')
}

const dropped = (what: string) => ({ how: 'dropped', what: `dropped: ${what}` }) as const
const rebuilt = (what: string, row: Row): Rebuilt => ({ how: 'rebuilt', what: `rebuilt: ${what}`, row })

function ticketOf(id: string, its: readonly LedgerEntry[], now: Instant): Rebuilt {
  const asked = its.findLast(({ kind }) => kind === 'asked')
  // Not by a line `refused`: whoever else asks under this id is refused, and its holder keeps what it has.
  const since = its.slice(its.findLastIndex(({ kind }) => kind === 'ticket closed') + 1)
  const lines = since.filter(({ kind }) => kind === 'ticket granted' || kind === 'ticket adopted')
  const tickets = ticketsIn(since)
  const last = tickets.at(-1)
  if (last === undefined && lines.length > 0)
    return {
      how: 'impossible',
      what: 'its ticket was granted before the ledger kept tickets: go back to a backup',
    }
  if (last === undefined)
    return dropped('it was not granted, or is closed; a request that waits is given up at its deadline')
  const row: TicketRow = {
    id,
    holder: last.holder,
    state: 'granted',
    type: last.type,
    arrivedAt: asked?.at ?? last.issuedAt,
    asked: undefined,
    waitReason: '',
    tickets: tickets.filter(({ term }) => term.end > now || term === last.term),
    reduced: undefined,
    due: last.term.end + QUARANTINE_MS,
  }
  return rebuilt(`${last.units} of ${last.type}, granted until ${iso(last.term.end)}`, row)
}

/** In order of time, less those that their holder gave back unused. */
function ticketsIn(since: readonly LedgerEntry[]): Ticket[] {
  const tickets = new Map<string, Ticket>()
  for (const { kind, data } of since) {
    if (kind === 'extension unused') tickets.delete(unused.safeParse(data).data?.ticketId ?? '')
    if (kind !== 'ticket granted' && kind !== 'ticket adopted') continue
    const read = granted.safeParse(data)
    if (read.success) tickets.set(read.data.ticket.id, withoutChain(read.data.ticket))
  }
  return [...tickets.values()].toSorted((a, b) => a.term.start - b.term.start)
}

function recallOf(id: string, its: readonly LedgerEntry[]): Rebuilt {
  const read = lastData(its, 'recalled', recalled)
  if (read?.site === undefined)
    return dropped('the ledger does not say what was recalled; its site shrinks its offer')
  const { site, type, units, by } = read
  const row: RecallRow = { id, site, type, units, by, due: keptUntil(by) }
  return rebuilt(`${units} of ${type} at ${site}, wanted back`, row)
}

/** Held, whatever it was: a sweep or a probe finds what is not so. */
function unitOf(id: string, its: readonly LedgerEntry[], now: Instant): Rebuilt {
  if (its.some(({ kind }) => kind === 'unit ended')) return dropped('it has ended, and nothing of it is held')
  const line = its.findLast(({ kind }) => kind === 'unit assigned')
  const read = assigned.safeParse(line?.data)
  if (line === undefined || !read.success)
    return { how: 'impossible', what: 'the ledger does not say what it was given: go back to a backup' }
  const { leaseId, holder, type, image, name, host, slot, vector } = read.data
  const leaves = its.some(({ kind }) => kind === 'unit teardown' || kind === 'unit stuck')
  const row: UnitRow = {
    id,
    ...{ leaseId, holder, type, image, name, host, slot, vector },
    state: leaves ? 'teardown' : 'suspect',
    assignedAt: line.at,
    since: now,
    wasActive: true,
    facts: lastData(its, 'unit probing', facts)?.facts ?? {},
    reason: 'rebuilt from the ledger',
    doing: undefined,
    ...{ pushedEnd: 0, unheardEnd: 0, forceFrom: undefined, teardownFailures: 0, probedAt: 0 },
    due: now,
  }
  return rebuilt(`${name} on ${host}, held for ${leaseId}`, row)
}

function leaseOf(
  id: string,
  its: readonly LedgerEntry[],
  lines: readonly LedgerEntry[],
  now: Instant,
): Rebuilt {
  if (its.some(({ kind }) => kind === 'lease closed')) return dropped('it is closed')
  const first = lastData(its, 'redeemed', redeemed)
  if (first === undefined)
    return { how: 'impossible', what: 'the ledger does not have its ticket: go back to a backup' }
  const tickets = [first.ticket]
  for (const { kind, data } of its) {
    const read = granted.safeParse(data)
    if (kind === 'extended' && read.success) tickets.push(read.data.ticket)
    if (kind === 'extension undone' && tickets.length > 1) tickets.pop()
  }
  const current = tickets.find(({ term }) => term.end > now) ?? tickets.at(-1)!
  const next = tickets[tickets.indexOf(current) + 1]
  const units = lines
    .filter(({ kind, data }) => kind === 'unit assigned' && assigned.safeParse(data).data?.leaseId === id)
    .map(({ subject }) => subject)
  const closing = its.findLast(({ kind }) => kind === 'lease closing')
  // One that was shut before its term ends then.
  const shutTo = lastData(its, 'lease closing', ends)?.term
  const isActive = its.some(({ kind }) => kind === 'lease active')
  const row: LeaseRow = {
    id,
    holder: first.ticket.holder,
    state: closing !== undefined ? 'closing' : isActive ? 'active' : 'pending',
    ticket: withoutChain(current),
    next: next === undefined ? undefined : withoutChain(next),
    victims: next === undefined ? [] : (lastData(its, 'extended', victims)?.victims ?? []),
    term: shutTo ?? { start: first.ticket.term.start, end: tickets.at(-1)!.term.end },
    unitsMin: first.unitsMin,
    image: first.image,
    properties: {},
    units,
    failures: 0,
    closeReason: closing?.reason ?? '',
    vacated: false,
    due: now,
  }
  return rebuilt(`until ${iso(row.term.end)} with ${units.length} units, without its properties`, row)
}

const ends = z.object({ term: termSchema })
const victims = z.object({ victims: z.array(z.string()) })

function offerOf(id: string, its: readonly LedgerEntry[]): Rebuilt {
  const read = lastData(its, 'offered', offered)
  if (read === undefined)
    return { how: 'impossible', what: 'the ledger does not say what is withheld: go back to a backup' }
  const row: OfferRow = { id, ...read, settledRecalls: [] }
  return rebuilt(`${read.withheld} of ${read.units} withheld`, row)
}

/** Taken once more, it makes the offer too small, until it is lent again. */
function siteRecallOf(id: string, its: readonly LedgerEntry[], now: Instant): Rebuilt {
  const line = its.findLast(({ kind }) => kind === 'recalled')
  const read = recalled.safeParse(line?.data)
  if (line === undefined || !read.success)
    return { how: 'impossible', what: 'the ledger does not say what was recalled: go back to a backup' }
  const { type, units, by } = read.data
  const taken = by <= now
  const row: SiteRecallRow = { id, type, units, by, orderedAt: line.at, taken, due: taken ? now : by }
  return rebuilt(`${units} of ${type}, by ${iso(by)}`, row)
}

/** What only grows is put far beyond what it can have been. */
function metaOf(lines: readonly LedgerEntry[]): Rebuilt {
  const epoch = lines.filter(({ kind }) => kind === 'started').length + 1_000
  const far = 2 ** 40
  const generation = largest(
    lines.map(({ data }) => (data as { generation?: number } | null)?.generation ?? 0),
    0,
  )
  const row = { id: 'meta', epoch, attempt: far, outSeq: far, ...(generation > 0 ? { generation } : {}) }
  return { how: 'rebuilt', what: 'rebuilt: its counters go on far above where they were', row, forgets: true }
}

function lastData<T>(its: readonly LedgerEntry[], kind: string, schema: z.ZodType<T>): T | undefined {
  return schema.safeParse(its.findLast((entry) => entry.kind === kind)?.data).data
}

const iso = (at: Instant): string => new Date(at).toISOString()
