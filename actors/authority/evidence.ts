import { doubtChain } from '../leases/chain.ts'
import { doubtTicket, type Ticket, ticketText, withoutChain } from '../leases/ticket.ts'
import type { Instant } from '../runtime/clock.ts'
import type { Trust } from '../runtime/identity.ts'
import { verifyProof } from '../runtime/proof.ts'
import { period } from '../runtime/sentence.ts'
import type { RootClaims } from './claims.ts'
import { type AuthorityConfig, brokerOf } from './config.ts'
import { whyReturned } from './returned.ts'
import type { AuthorityDraft } from './rows.ts'
import type { Chains, Holding } from './words.ts'

/** Tickets of one holder that are written down one by one where they are not adopted. */
const LINES_MAX = 10

/** What is not adopted, by who says that it is his: he may say so of as many as he likes. */
export class Doubted {
  readonly #of = new Map<string, Set<string>>()

  note(holder: string, leaseId: string, reason: string, draft: AuthorityDraft): void {
    const said = this.#of.get(holder) ?? new Set()
    this.#of.set(holder, said)
    const line = `${leaseId} ${reason}`
    if (said.size < LINES_MAX && !said.has(line)) draft.note('not adopted', leaseId, reason)
    said.add(line)
  }

  /** How many there are besides those that have a line. */
  conclude(draft: AuthorityDraft): void {
    for (const [holder, { size }] of this.#of)
      if (size > LINES_MAX)
        draft.note('not adopted', holder, `${size - LINES_MAX} tickets more of ${holder} are not proven`)
  }
}

/** What tickets are judged by, and what becomes of the judgement. */
export interface Shows {
  readonly chains: Chains
  readonly doubted: Doubted
}

/** Which of the tickets that are shown after a restore are proven: by their signatures, and the claims that hold. */
export function evidence(config: AuthorityConfig, trust: Trust, claims: RootClaims) {
  return { provenOf, isSigned, unknownKeyOf, isRelinquished }

  /** The tickets somebody shows of a lease, as far as they are proven; with their claims where these are known. */
  function provenOf(
    holding: Holding | undefined,
    holder: string,
    { chains, doubted }: Shows,
    draft: AuthorityDraft,
  ): Ticket[] {
    if (holding === undefined) return []
    return [holding.ticket, holding.next].flatMap((shown) => {
      if (shown === null) return []
      const parent = shown.proof?.parent ?? ''
      const chain = chains.get(parent) ?? claims.chainOf(shown, draft)
      const { ticket, doubt } = judged({ ...shown, chain: chain && [...chain] }, holder, draft)
      const isOther = ticket.leaseId !== holding.leaseId
      const why = isOther ? 'it is for another lease' : (doubt ?? whyReturned(ticket, draft))
      if (why === undefined) return [ticket]
      doubted.note(holder, holding.leaseId, `ticket ${ticket.id}: ${why}`, draft)
      return []
    })
  }

  /** Whoever it is for; it may be over. */
  function isSigned(ticket: Ticket, now: Instant): boolean {
    const { holder, broker, issuedAt } = ticket
    return doubtTicket(ticket, { holder, broker, now: Math.min(now, issuedAt) }, trust) === undefined
  }

  /**
   * The key that is not known here yet with which its broker may have signed it; undefined if there is none. A ticket without
   * a proof names none: it is the empty one.
   */
  function unknownKeyOf(ticket: Ticket, draft: AuthorityDraft): string | undefined {
    const { broker, issuedAt, proof, signature } = ticket
    if (!trust.knows(broker) && !claims.lendTo(broker, draft)) return undefined
    if (proof === undefined) return ''
    const { brokerKey } = proof
    if (trust.hasKey(broker, brokerKey, Math.min(draft.now, issuedAt))) return undefined
    return trust.verifyBy(brokerKey, ticketText(ticket), signature) ? brokerKey : undefined
  }

  /** Whether it is the head of the message by which the holder gave the lease back. */
  function isRelinquished(
    proof: Holding['proof'],
    { holder, broker, leaseId }: Pick<Ticket, 'holder' | 'broker' | 'leaseId'>,
  ): boolean {
    if (proof?.kind !== 'relinquish' || proof.subject !== leaseId) return false
    return proof.from === holder && proof.to === broker && verifyProof(proof, trust)
  }

  /** No claim says what it may be for: no more than this site gives by itself, or its lease has here. */
  function doubtPlain(ticket: Ticket, draft: AuthorityDraft): string | undefined {
    const { term, type, units } = ticket
    if (term.end - term.start > config.termMsMax)
      return `a term is at most ${period(config.termMsMax)} long here`
    const known = draft.get('lease', ticket.leaseId)?.ticket
    const isKept = known?.holder === ticket.holder && known.type === type
    const there = Math.max(config.types[type]?.units ?? 0, isKept ? known.units : 0)
    if (units > there) return `this site has only ${there} of ${type}`
    return claims.foreignConditions(ticket, draft)
  }

  /**
   * It may be over: its lease is in its grace then. With claims that do not hold it is one without any, whoever shows
   * them.
   */
  function judged(
    shown: Ticket,
    holder: string,
    draft: AuthorityDraft,
  ): { readonly ticket: Ticket; readonly doubt: string | undefined } {
    // Its key was good when it was issued; that has to do, or what runs would be nobody's.
    const now = Math.min(draft.now, shown.issuedAt)
    const expected = { holder, site: draft.self, now }
    const doubtIn = (broker: string): string | undefined => doubtTicket(shown, { ...expected, broker }, trust)
    const [root] = shown.chain ?? []
    const unclaimed =
      root === undefined
        ? 'its claims are not known'
        : root.issuer === draft.self
          ? doubtChain(shown, now, trust)
          : 'its first claim is not ours'
    if (unclaimed === undefined) return { ticket: shown, doubt: doubtIn(shown.broker) }
    const ticket = withoutChain(shown)
    const doubt = doubtIn(brokerOf(config, shown.type)) ?? doubtPlain(ticket, draft)
    return { ticket, doubt: doubt && root !== undefined ? `${doubt}; ${unclaimed}` : doubt }
  }
}
