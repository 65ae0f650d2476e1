import { randomBytes } from 'node:crypto'
import type { LeaseRow, UnitRow } from '../actors/authority/rows.ts'
import type { TicketRow } from '../actors/broker/rows.ts'
import type { Ticket } from '../actors/leases/ticket.ts'
import type { Instant } from '../actors/runtime/clock.ts'
import type { LinkRow } from '../actors/runtime/links.ts'
import { encodeRow, type Row, type StoredRow } from '../actors/runtime/rows.ts'

/** Who is recovered: a broker with its tickets, or a site with its leases and a machine for each. */
export type Role = 'broker' | 'site'

export const HOUR_MS = 3_600_000
export const TYPE = 'small'

const text = (bytes: number): string => randomBytes(bytes).toString('base64url')
const id = (kind: string): string => `${kind}-${randomBytes(6).toString('hex')}`

/** As signed: nobody verifies it again when rows are read. */
function ticketOf(leaseId: string, now: Instant): Ticket {
  return {
    id: id('ticket'),
    leaseId,
    holder: 'manager',
    broker: 'broker',
    site: 'site',
    type: TYPE,
    units: 1,
    term: { start: now - HOUR_MS, end: now + HOUR_MS },
    predecessor: null,
    conditions: { recallable: true, noticeMs: 600_000, graceMs: HOUR_MS },
    issuedAt: now - HOUR_MS,
    signature: text(64),
  }
}

const linkOf = (subject: string, now: Instant): LinkRow => ({
  id: `manager ${subject}`,
  out: 2,
  in: 1,
  inHash: `redeem ${text(32)}`,
  goodUntil: now + HOUR_MS,
})

/** What the minds and the runtime keep of one live lease. */
export function* rowsOfLease(role: Role, index: number, now: Instant): Generator<StoredRow> {
  const leaseId = id('lease')
  const ticket = ticketOf(leaseId, now)
  const row = <R extends Row>(table: string, kept: R): StoredRow => encodeRow(table, kept.id, kept)
  yield row('$link', linkOf(leaseId, now))
  if (role === 'broker') {
    yield row<TicketRow>('ticket', {
      id: leaseId,
      holder: 'manager',
      state: 'granted',
      type: TYPE,
      arrivedAt: now - HOUR_MS,
      asked: undefined,
      waitReason: '',
      tickets: [ticket],
      reduced: undefined,
      due: now + HOUR_MS,
    })
    return
  }
  const unitId = id('unit')
  yield row<LeaseRow>('lease', {
    id: leaseId,
    holder: 'manager',
    state: 'active',
    ticket,
    next: undefined,
    victims: [],
    term: ticket.term,
    unitsMin: 1,
    image: 'debian',
    properties: { image: 'debian', elastic: 'true', 'units.min': '1', account: 'physics', queue: 'main' },
    units: [unitId],
    failures: 0,
    closeReason: '',
    vacated: false,
    due: now + HOUR_MS,
  })
  yield row<UnitRow>('unit', {
    id: unitId,
    leaseId,
    holder: 'manager',
    state: 'active',
    type: TYPE,
    name: `vm${index + 1}`,
    slot: index + 1,
    host: `host-${index % 1_000}`,
    vector: { cpu: 1, memoryMiB: 1024 },
    image: 'debian',
    assignedAt: now - HOUR_MS,
    since: now - HOUR_MS,
    wasActive: true,
    facts: { address: '10.0.0.1', port: '22', hostKey: text(32) },
    reason: 'the probe passed',
    doing: undefined,
    pushedEnd: ticket.term.end,
    unheardEnd: 0,
    forceFrom: undefined,
    teardownFailures: 0,
    probedAt: now,
    due: now + HOUR_MS,
  })
}
