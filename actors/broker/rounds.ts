import type { Allocation, TicketRequest } from '../../controllers/controller.ts'
import type { Supply } from '../leases/calendar.ts'
import { termSchema } from '../leases/term.ts'
import { someUnits } from '../leases/words.ts'
import type { Instant } from '../runtime/clock.ts'
import { scheduleRound } from './answers.ts'
import { bookOf } from './book.ts'
import type { BrokerParts } from './config.ts'
import { delegations } from './delegations.ts'
import { type Grant, grants } from './grants.ts'
import { groupOf, groups } from './groups.ts'
import { byArrival, byKind, requestOf } from './promises.ts'
import { ENDED, UNDECIDED_MS } from './requests.ts'
import { refusalForReturned } from './returns.ts'
import type { Asked, BrokerDraft, GroupRow, TicketRow } from './rows.ts'

/** The policy decides over everything that is open; what it decides is held against what may be. */
export function rounds(parts: BrokerParts) {
  const { config } = parts
  const { grant, refuse, tooLong } = grants(parts)
  const { draw } = delegations(parts)
  const { ready, granted, fail } = groups(parts)
  return { decide, pause }

  /** Nothing is granted while there is a reason not to; what is given back is taken all the same. */
  function pause(paused: string | undefined, draft: BrokerDraft): void {
    const round = draft.get('round', 'round')
    if (round?.paused === paused) return
    draft.note(
      paused === undefined ? 'grants again' : 'grants nothing',
      draft.self,
      paused ?? 'there is room',
    )
    draft.put('round', { ...round, id: 'round', due: round?.due, paused })
    scheduleRound(draft, 0)
  }

  function wait(row: TicketRow, reason: string, planned: Asked['planned'], draft: BrokerDraft): void {
    if (row.waitReason !== reason) draft.note('waits', row.id, reason)
    const before = row.asked!.planned
    // Many wait in each round, and most of them for the same as before.
    const isAsBefore = before?.site === planned?.site && before?.start === planned?.start
    const asked = isAsBefore ? row.asked : { ...row.asked!, planned }
    draft.put('ticket', { ...row, asked, waitReason: reason, due: dueOfWaiting(row, draft) })
  }

  function decide(draft: BrokerDraft): void {
    const round = draft.get('round', 'round')
    const paused = round?.paused
    draft.put('round', { ...round, id: 'round', due: undefined })
    const book = bookOf(draft)
    const going = book.open().filter((row) => !endedBefore(row, book.supply, draft))
    const open = ready(
      going.filter(({ asked }) => asked?.approval === undefined),
      draft,
    )
    if (open.length === 0) return
    if (paused !== undefined) {
      for (const row of open) if (row.waitReason !== paused) wait(row, paused, row.asked?.planned, draft)
      for (const { id } of open) keepDue(id, draft)
      return
    }
    const requests = open
      .toSorted(byArrival)
      .map((row) => withoutHaste(requestOf(row), draft.now))
      .sort(byKind)
    const holdings = config.holdings === false ? [] : book.holdings(draft.now)
    apply(config.policy(requests, book.supply, draft.now, holdings), book.supply, draft)
    for (const { id } of open) keepDue(id, draft)
    wakeAtNextRise(open, draft)
  }

  function apply(allocations: readonly Allocation[], supply: Supply, draft: BrokerDraft): void {
    let left = supply
    const done = new Set<string>()
    for (const allocation of allocations) {
      const row = draft.get('ticket', allocation.leaseId)
      const group = row === undefined ? undefined : groupOf(row, draft)
      // The first member that comes decides for all of them.
      if (group !== undefined && done.has(group.id)) continue
      if (group === undefined || row?.state !== 'asked') left = applyOne(allocation, left, draft)
      else {
        done.add(group.id)
        const ofGroup = allocations.filter(({ leaseId }) => group.members.includes(leaseId))
        left = applyGroup(group, ofGroup, left, draft)
      }
    }
  }

  /** All members start together, or the decision is dropped; one that is refused is refused with all others. */
  function applyGroup(
    group: GroupRow,
    allocations: readonly Allocation[],
    left: Supply,
    draft: BrokerDraft,
  ): Supply {
    const given = allocations.filter((one) => one.kind === 'grant')
    if (given.length === 0) {
      const refused = allocations.find((one) => one.kind === 'refuse')
      if (refused !== undefined) fail(group, refused.reason, draft, { ...refused, supply: left })
      else for (const allocation of allocations) applyOne(allocation, left, draft)
      return left
    }
    const refusal = given.map((one) => refusalOf(one, draft)).find((one) => one !== undefined)
    if (refusal !== undefined) {
      fail(group, refusal, draft, { supply: left })
      return left
    }
    const fault = faultOfGroup(group, allocations, given, left, draft)
    if (fault !== undefined) {
      draft.note('decision dropped', group.id, `by the policy, of a group: ${fault}`)
      return left
    }
    let after = left
    for (const allocation of given) after = applyOne(allocation, after, draft)
    granted(group, draft)
    return after
  }

  function faultOfGroup(
    { members }: GroupRow,
    allocations: readonly Allocation[],
    given: readonly Grant[],
    left: Supply,
    draft: BrokerDraft,
  ): string | undefined {
    const granted = new Set(given.map(({ leaseId }) => leaseId))
    if (granted.size < members.length || allocations.length !== members.length)
      return `${granted.size} of ${members.length} members are granted`
    const starts = new Set(given.map(({ term }) => term.start))
    if (starts.size > 1) return `its members start at ${starts.size} different times`
    let after = left
    for (const one of given) {
      const row = draft.get('ticket', one.leaseId)
      const fault = faultOf(row, one, after, draft)
      if (fault !== undefined) return `${one.leaseId}: ${fault}`
      after = after.take(one.site, row!.type, one.units, one.term)
    }
    return undefined
  }

  /** An extension is asked for before the end, or not at all. */
  function endedBefore(row: TicketRow, supply: Supply, draft: BrokerDraft): boolean {
    const end = row.tickets.at(-1)?.term.end
    if (end === undefined || end > draft.now) return false
    refuse(row, ENDED, draft, { supply })
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
        const refusal = refusalOf(allocation, draft)
        if (refusal !== undefined) {
          refuse(row, refusal, draft, { supply: left })
          return left
        }
        grant(row, allocation, draft)
        return left.take(allocation.site, row.type, allocation.units, allocation.term)
      }
      case 'refuse':
        refuse(row, allocation.reason, draft, { ...allocation, supply: left })
        return left
      case 'wait':
        wait(row, allocation.reason, allocation.planned, draft)
        return left
    }
  }

  /** The policy does not know which sites remember enough of its holder, nor what can be said of a grant. */
  function refusalOf(grant: Grant, draft: BrokerDraft): string | undefined {
    const row = draft.get('ticket', grant.leaseId)
    return row && (refusalForReturned(row.holder, grant.site, draft) ?? tooLong(row, grant, draft))
  }

  /** A group has an end of its own, before that of any member. */
  function dueOfWaiting({ asked, group }: TicketRow, draft: BrokerDraft): Instant {
    return group === undefined ? asked!.startBy : Math.max(asked!.startBy, draft.now) + UNDECIDED_MS
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

/** Members that may start now were asked for one after another: for their group they count as asked for now. */
function withoutHaste(request: TicketRequest, now: Instant): TicketRequest {
  if (request.group === undefined) return request
  const start = Math.max(request.start, now)
  return { ...request, start, startBy: Math.max(request.startBy, start) }
}
