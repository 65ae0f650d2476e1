import { z } from 'zod'
import type { Instant, Millis } from '../runtime/clock.ts'
import { SubletError } from '../runtime/errors.ts'
import { period } from '../runtime/sentence.ts'
import { iso, scheduleRound } from './answers.ts'
import type { ApprovalRule, BrokerParts } from './config.ts'
import { grants } from './grants.ts'
import { groups } from './groups.ts'
import type { Asked, BrokerDraft, TicketRow } from './rows.ts'

interface Wish {
  readonly type: string
  readonly units: number
  readonly durationMs: Millis
  /** Units that are held already, and are only kept. */
  readonly held: number
}

/** Why somebody has to approve; undefined if nobody has to. */
export function approvalFor(
  rule: ApprovalRule | undefined,
  { type, units, durationMs, held }: Wish,
  now: Instant,
): Asked['approval'] {
  const {
    unitsOver = Number.POSITIVE_INFINITY,
    durationOverMs = Number.POSITIVE_INFINITY,
    types = [],
  } = rule ?? {}
  const why = [
    units > unitsOver && units > held ? `${units} units are more than ${unitsOver}` : '',
    durationMs > durationOverMs ? `${period(durationMs)} are longer than ${period(durationOverMs)}` : '',
    types.includes(type) && units > held ? `it is for ${type}` : '',
  ].filter(Boolean)
  return why.length === 0 ? undefined : { since: now, reason: why.join(', ') }
}

const approveArgs = z.strictObject({
  leaseId: z.string(),
  by: z.string().max(200).default('the operator'),
  reason: z.string().max(400).optional(),
})
const disapproveArgs = approveArgs.extend({ reason: z.string().max(400).default('not approved') })

/**
 * A request that has to be approved waits, and its deadline holds meanwhile:
 *
 *   asked, awaits approval ──approve──▶ asked ──▶ the policy decides
 *             └──disapprove, or its time is over──▶ refused
 */
export function approvals(parts: BrokerParts) {
  const { refuse } = grants(parts)
  const { memberEnded } = groups(parts)
  return { approve, disapprove }

  function approve(args: unknown, draft: BrokerDraft): { leaseId: string } {
    const { leaseId, by, reason } = approveArgs.parse(args)
    const { row, asked } = awaiting(leaseId, draft)
    draft.put('ticket', { ...row, waitReason: '', asked: { ...asked, approval: undefined } })
    draft.note('approved', leaseId, `by ${by}${reason === undefined ? '' : `: ${reason}`}`)
    scheduleRound(draft, 0)
    return { leaseId }
  }

  function disapprove(args: unknown, draft: BrokerDraft): { leaseId: string } {
    const { leaseId, by, reason } = disapproveArgs.parse(args)
    const { row } = awaiting(leaseId, draft)
    draft.note('disapproved', leaseId, `by ${by}: ${reason}`)
    refuse(row, `it was not approved: ${reason}`, draft)
    memberEnded(row, 'it was not approved', draft)
    return { leaseId }
  }

  function awaiting(leaseId: string, draft: BrokerDraft): { row: TicketRow; asked: Asked } {
    const row = draft.get('ticket', leaseId)
    if (row?.asked?.approval === undefined)
      throw new SubletError('unknown-id', `no request ${leaseId} waits for an approval`, {
        cure: 'List what waits with `sublet leases` or `sublet status`.',
      })
    return { row, asked: row.asked }
  }
}

/** What is said to one whose request nobody approved in time. */
export const unapproved = ({ since, reason }: NonNullable<Asked['approval']>): string =>
  `nobody approved it in time; it waited since ${iso(since)}, for ${reason}`
