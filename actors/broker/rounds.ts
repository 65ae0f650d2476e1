import type { Allocation } from '../../controllers/controller.ts'
import type { Supply } from '../leases/calendar.ts'
import { termSchema } from '../leases/term.ts'
import { someUnits } from '../leases/words.ts'
import { scheduleRound } from './answers.ts'
import { bookOf } from './book.ts'
import type { BrokerParts } from './config.ts'
import { delegations } from './delegations.ts'
import { type Grant, grants } from './grants.ts'
import { byTurn, requestOf } from './promises.ts'
import { ENDED, UNDECIDED_MS } from './requests.ts'
import type { BrokerDraft, TicketRow } from './rows.ts'

/** The policy decides over everything that is open; what it decides is held against what may be. */
export function rounds(parts: BrokerParts) {
  const { config } = parts
  const { grant, refuse } = grants(parts)
  const { draw } = delegations(parts)
  return { decide }

  function decide(draft: BrokerDraft): void {
    draft.put('round', { id: 'round', due: undefined })
    const book = bookOf(draft)
    const open = book.open.filter((row) => !endedBefore(row, draft))
    if (open.length === 0) return
    const requests = open.map((row) => requestOf(row)).sort(byTurn)
    const holdings = config.holdings === false ? [] : book.holdings(draft.now)
    let left = book.supply
    for (const allocation of config.policy(requests, book.supply, draft.now, holdings))
      left = applyOne(allocation, left, draft)
    for (const { id } of open) keepDue(id, draft)
    wakeAtNextRise(open, draft)
  }

  /** An extension is asked for before the end, or not at all. */
  function endedBefore(row: TicketRow, draft: BrokerDraft): boolean {
    const end = row.tickets.at(-1)?.term.end
    if (end === undefined || end > draft.now) return false
    refuse(row, ENDED, draft)
    return true
  }

  function applyOne(allocation: Allocation, left: Supply, draft: BrokerDraft): Supply {
    const row = draft.get('ticket', allocation.leaseId)
    const fault = faultOf(row, allocation, left, draft)
    if (row === undefined || fault !== undefined) {
      draft.note('decision dropped', allocation.leaseId, `by the policy: ${fault}`)
      return left
    }
    switch (allocation.kind) {
      case 'grant': {
        grant(row, allocation, draft)
        return left.take(allocation.site, row.type, allocation.units, allocation.term)
      }
      case 'refuse':
        refuse(row, allocation.reason, draft, allocation)
        return left
      case 'wait':
        if (row.waitReason !== allocation.reason) draft.note('waits', row.id, allocation.reason)
        draft.put('ticket', { ...row, waitReason: allocation.reason, due: row.asked!.startBy })
        return left
    }
  }

  /** Whatever a policy says: never more than is asked for, never more than is free, and each request once. */
  function faultOf(
    row: TicketRow | undefined,
    allocation: Allocation,
    left: Supply,
    draft: BrokerDraft,
  ): string | undefined {
    if (row?.asked === undefined) return 'nothing is asked for under this id (any more)'
    return allocation.kind === 'grant' ? faultOfGrant(row, allocation, left, draft) : undefined
  }

  function faultOfGrant(
    { type, asked, tickets }: TicketRow,
    { site, units, term }: Grant,
    left: Supply,
    draft: BrokerDraft,
  ): string | undefined {
    const { units: most, unitsMin, start, startBy } = asked!
    if (!Number.isInteger(units) || units < Math.max(1, unitsMin) || units > most)
      return `${someUnits(units)}: not what was asked for, which is ${unitsMin < most ? `${unitsMin} to ` : ''}${most}`
    if (!termSchema.safeParse(term).success || term.start < start)
      return 'its term is none, or starts before the start asked for'
    if (term.start > Math.max(startBy, draft.now)) return 'it starts after the latest start asked for'
    const held = tickets.at(-1)
    if (held !== undefined && (held.site !== site || held.term.end !== term.start))
      return `an extension stays at ${held.site} and starts at the old end`
    const free = left.free(site, type, term)
    if (free < units) return `${units} of ${type} at ${site}, of which ${free} are free`
    const delegation = draft.get('delegation', `${site}/${type}`)
    if (delegation?.claim !== undefined && draw(delegation, units, term) === undefined)
      return `no claim on ${type} of ${site} covers all of its term`
    return undefined
  }

  /** A request that the policy left without an answer is refused when its time is over. */
  function keepDue(leaseId: string, draft: BrokerDraft): void {
    const row = draft.get('ticket', leaseId)
    if (row?.asked === undefined || (row.due ?? 0) > draft.now) return
    draft.put('ticket', { ...row, due: Math.max(row.asked.startBy, draft.now) + UNDECIDED_MS })
  }

  /** When more comes free, those who wait for it are decided on again. Ends that lie close together make one round. */
  function wakeAtNextRise(open: readonly TicketRow[], draft: BrokerDraft): void {
    const waits = open.filter(({ id }) => draft.get('ticket', id)?.asked !== undefined)
    if (waits.length === 0) return
    const now = bookOf(draft)
    let next: number | undefined
    for (const type of new Set(waits.map((row) => row.type))) {
      const rise = now.nextRise(type, draft.now)
      if (rise !== undefined && (next === undefined || rise < next)) next = rise
    }
    if (next !== undefined) scheduleRound(draft, Math.max(config.batchMs, next - draft.now))
  }
}
