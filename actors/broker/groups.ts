import { RETIRE_MS } from '../leases/correspondence.ts'
import type { RequestGroup } from '../leases/properties.ts'
import type { Instant, Millis } from '../runtime/clock.ts'
import { iso } from './answers.ts'
import { bookOf } from './book.ts'
import type { BrokerParts } from './config.ts'
import { type Alternative, grants } from './grants.ts'
import type { BrokerDraft, GroupRow, TicketRow } from './rows.ts'

/**
 * Requests of one holder that start together, or not at all:
 *
 *   gathering ──all members are there──▶ the policy decides ──granted──▶ granted ──an hour──▶ forgotten
 *       │                                    │ waits                        ▲ late members are refused
 *       └──a member goes, or is refused──────┴──the earliest latest start──▶ failed, all members refused
 */
export function groups(parts: BrokerParts) {
  const { refuse } = grants(parts)
  return { join, ready, granted, fail, memberEnded, onDue }

  /** Why the request cannot be a member; undefined if it is one now. */
  function join(holder: string, leaseId: string, group: RequestGroup, startBy: Instant, draft: BrokerDraft) {
    const id = groupKey(holder, group)
    const known = draft.get('group', id)
    const it = `group ${group.id}`
    if (known !== undefined && known.state !== 'gathering') return `comes too late: ${it} has ${known.state}`
    if (known !== undefined && known.size !== group.size)
      return `says that ${it} has ${group.size} members, another one that it has ${known.size}`
    if (known !== undefined && known.members.length >= known.size)
      return `is one too many: ${it} has its ${known.size} members`
    const failBy = Math.min(
      known?.failBy ?? Number.POSITIVE_INFINITY,
      Math.max(startBy, draft.now + GATHER_MS),
    )
    const members = [...(known?.members ?? []), leaseId]
    draft.put('group', { id, size: group.size, state: 'gathering', members, failBy, due: failBy })
    if (members.length === group.size)
      draft.note('group complete', group.id, `all ${group.size} members of ${holder} are there`)
    return undefined
  }

  /** Open rows that may be decided on: of a group either all members or none. */
  function ready(open: readonly TicketRow[], draft: BrokerDraft): TicketRow[] {
    const ids = new Set(open.map(({ id }) => id))
    return open.filter((row) => {
      const group = groupOf(row, draft)
      if (group === undefined) return true
      return group.members.length === group.size && group.members.every((id) => ids.has(id))
    })
  }

  /** All members have their tickets. */
  function granted(group: GroupRow, draft: BrokerDraft): void {
    draft.put('group', { ...group, state: 'started', due: draft.now + RETIRE_MS })
    draft.note('group granted', nameOf(group), `all ${group.size} members start together`)
  }

  /** Nobody gets anything. */
  function fail(group: GroupRow, reason: string, draft: BrokerDraft, would: Alternative = {}): void {
    draft.put('group', { ...group, state: 'failed', due: draft.now + RETIRE_MS })
    draft.note('group failed', nameOf(group), reason)
    const members = group.members
      .map((id) => draft.get('ticket', id))
      .filter((row) => row !== undefined && row.state === 'asked')
    if (members.length === 0) return
    // What is refused was promised to nobody: the same is free for each of them.
    const supply = would.supply ?? bookOf(draft).supply
    for (const row of members)
      refuse(row!, `its group ${nameOf(group)} gets nothing: ${reason}`, draft, { ...would, supply })
  }

  /** A member that was refused, or gave up before the grant, takes the others with it. */
  function memberEnded(row: TicketRow, reason: string, draft: BrokerDraft): void {
    const group = groupOf(row, draft)
    if (group?.state === 'gathering') fail(group, `${row.id}: ${reason}`, draft)
  }

  function onDue(group: GroupRow, draft: BrokerDraft): void {
    if (group.state !== 'gathering') return draft.remove('group', group.id)
    // In the time that an older store has forgotten: all members were heard of as holders of their tickets.
    const rows = group.members.map((id) => draft.get('ticket', id))
    if (rows.length === group.size && rows.every((row) => row?.state === 'granted'))
      return granted(group, draft)
    const missing = group.size - group.members.length
    const reason =
      missing > 0
        ? `${missing} of its ${group.size} members had not come by ${iso(group.failBy)}`
        : `it could not start by ${iso(group.failBy)}, the earliest of the latest starts`
    fail(group, reason, draft)
  }
}

/** Members that need not start later than now are waited for this long. */
const GATHER_MS: Millis = 10_000

export const groupKey = (holder: string, group: RequestGroup): string => `${holder} ${group.id}`

export const groupOf = (row: TicketRow, draft: BrokerDraft): GroupRow | undefined =>
  row.group === undefined ? undefined : draft.get('group', groupKey(row.holder, row.group))

const nameOf = ({ id }: GroupRow): string => id.slice(id.indexOf(' ') + 1)
