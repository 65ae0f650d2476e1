import { z } from 'zod'
import { widerThan } from '../leases/chain.ts'
import { type Claim, claimSchema, claimText, hashOfClaim } from '../leases/claim.ts'
import { doubtRequest } from '../leases/request.ts'
import { doubtTicket, type Ticket, ticketSchema } from '../leases/ticket.ts'
import type { LedgerEntry } from '../runtime/commit.ts'
import type { Trust } from '../runtime/identity.ts'
import type { Check } from './check.ts'

const offered = z.object({ claim: claimSchema })
const accepted = z.object({ ticket: ticketSchema })

/** How many of the tickets that a site accepted can be traced to what was signed for them. */
export interface Traces {
  readonly accepted: number
  readonly traced: number
  /** Taken up in a recovery, on a claim that nobody remembered: no fault, and not to be traced. The first of them. */
  readonly adopted: readonly Adopted[]
  readonly adoptedCount: number
}

export interface Adopted {
  readonly seq: number
  readonly leaseId: string
}

const ADOPTED_NAMED_MAX = 100

/**
 * From an authority's ledger alone: each ticket that it accepted was signed by its broker, drawn from a claim that
 * this site had signed, and asked for by its holder.
 *
 *   offered (claim) ◀──parent── redeemed, extended (ticket) ──proof.request──▶ the holder's signature
 *
 * A ticket of protocol 1 carries no proof: it is counted as accepted and not as traced. One whose proof does not
 * hold is a fault.
 *
 *   recovering ──▶ redeemed, extended: what was found to be held ──▶ recovered ──▶ redeemed: what is asked for
 *
 * Site and broker that were both restored may have forgotten the claim that a ticket is drawn from, while its lease
 * lives. What the site takes up then still has the signatures of its broker and its holder; nothing is redeemed in
 * the ordinary way before the recovery has ended.
 */
export class TraceCheck implements Check {
  readonly #trust: Trust
  readonly #claims = new Map<string, Claim>()
  #isSite = false
  #accepted = 0
  #traced = 0
  #isRecovering = false
  readonly #adopted: Adopted[] = []
  #adoptedCount = 0

  /** Keys are proven by the claims, so any key may be one of its name. */
  constructor(trust: Trust) {
    this.#trust = { ...trust, hasKey: () => true, verifyBy: trust.verifyBy }
  }

  line(entry: LedgerEntry): readonly string[] {
    // After a restore also what it had signed in the time that was forgotten.
    if (entry.kind === 'offered' || entry.kind === 'claim adopted') return this.#offered(entry)
    if (entry.subject === entry.actor && (entry.kind === 'recovering' || entry.kind === 'recovered'))
      this.#isRecovering = entry.kind === 'recovering'
    this.#isSite ||= entry.kind === 'redeemed'
    // A holder, too, writes down that its lease is extended; it accepted nothing.
    if (!this.#isSite || (entry.kind !== 'redeemed' && entry.kind !== 'extended')) return []
    const read = accepted.safeParse(entry.data)
    this.#accepted++
    if (!read.success || read.data.ticket.proof === undefined) return []
    const { ticket } = read.data
    const root = this.#rootOf(ticket)
    const doubt = this.#doubt(ticket, root, entry)
    if (doubt !== undefined) return [`ticket ${ticket.id} ${doubt}`]
    if (root === undefined) this.#adopt({ seq: entry.seq, leaseId: ticket.leaseId })
    else this.#traced++
    return []
  }

  get seen(): Traces {
    return {
      ...{ accepted: this.#accepted, traced: this.#traced },
      ...{ adopted: this.#adopted, adoptedCount: this.#adoptedCount },
    }
  }

  #adopt(adopted: Adopted): void {
    this.#adoptedCount++
    if (this.#adopted.length < ADOPTED_NAMED_MAX) this.#adopted.push(adopted)
  }

  #offered(entry: LedgerEntry): readonly string[] {
    const read = offered.safeParse(entry.data)
    if (!read.success) return []
    const { claim } = read.data
    if (claim.issuer !== entry.actor || claim.parent !== null)
      return [`claim ${claim.id} is not one of ${entry.actor} itself`]
    if (!this.#trust.verifyBy(claim.issuerKey, claimText(claim), claim.signature))
      return [`claim ${claim.id} is not signed by ${claim.issuer}`]
    this.#claims.set(hashOfClaim(claim), claim)
    return []
  }

  #rootOf({ chain = [], proof }: Ticket): Claim | undefined {
    return this.#claims.get(chain[0] === undefined ? proof!.parent : hashOfClaim(chain[0]))
  }

  #doubt(ticket: Ticket, root: Claim | undefined, entry: LedgerEntry): string | undefined {
    const { proof } = ticket
    // A lease that is taken up may be in its grace.
    const now = this.#isRecovering ? Math.min(entry.at, ticket.issuedAt) : entry.at
    const expected = { holder: ticket.holder, site: entry.actor, broker: ticket.broker, now }
    const doubt = doubtTicket(ticket, expected, this.#trust)
    if (doubt !== undefined) return `does not hold: ${doubt}`
    if (root === undefined && !this.#isRecovering)
      return 'is drawn from no claim that the site has written down'
    const wider = root && widerThan({ ...ticket, vector: proof!.vector }, root)
    if (wider !== undefined) return wider
    return doubtRequest(ticket, this.#trust.verifyBy)
  }
}
