import { z } from 'zod'
import { signable } from '../runtime/canonical.ts'
import type { Trust } from '../runtime/identity.ts'
import type { Ticket } from './ticket.ts'

const request = z.object({
  ...{ from: z.string(), kind: z.string(), subject: z.string(), key: z.string(), signature: z.string() },
})

/**
 * Why a ticket does not answer a request of its holder; undefined if it does, or shows none. The site asks when it
 * accepts one, so that each of its grants can be traced, and `verify` asks again:
 *
 *   ticket ──proof.request──▶ head of the message: from the holder, for this lease, signed with the key that the
 *                             ticket was issued to
 */
export function doubtRequest(
  { leaseId, holder, proof }: Ticket,
  verifyBy: Trust['verifyBy'],
): string | undefined {
  if (proof === undefined) return undefined
  const read = request.safeParse(proof.request)
  if (!read.success) return 'answers a request that is not whole'
  const { from, kind, subject, key, signature } = read.data
  if (from !== holder || subject !== leaseId) return `answers a request of ${from} for ${subject}`
  if (kind !== 'ticket' && kind !== 'extend-ticket') return `answers a ${kind}, which asks for nothing`
  if (key !== proof.holderKey)
    return `answers a request that was signed with another key than it was issued to`
  const { signature: _, ...head } = proof.request
  return verifyBy(key, signable('message', head), signature)
    ? undefined
    : `answers a request that ${holder} has not signed`
}
