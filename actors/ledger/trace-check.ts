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
}

/**
 * From an authority's ledger alone: each ticket that it accepted was signed by its broker, drawn from a claim that
 * this site had signed, and asked for by its holder.
 *
 *   offered (claim) ◀──parent── redeemed, extended (ticket) ──proof.request──▶ the holder's signature
 *
 * A ticket of protocol 1 carries no proof: it is counted as accepted and not as traced. One whose proof does not
 * hold is a fault.
 */
export class TraceCheck implements Check {
  readonly #trust: Trust
  readonly #claims = new Map<string, Claim>()
  #isSite = false
  #accepted = 0
  #traced = 0

  /** Keys are proven by the claims, so any key may be one of its name. */
  constructor(trust: Trust) {
    this.#trust = { ...trust, hasKey: () => true, verifyBy: trust.verifyBy }
  }

  line(entry: LedgerEntry): readonly string[] {
    // After a restore also what it had signed in the time that was forgotten.
    if (entry.kind === 'offered' || entry.kind === 'claim adopted') return this.#offered(entry)
    this.#isSite ||= entry.kind === 'redeemed'
    // A holder, too, writes down that its lease is extended; it accepted nothing.
    if (!this.#isSite || (entry.kind !== 'redeemed' && entry.kind !== 'extended')) return []
    const read = accepted.safeParse(entry.data)
    this.#accepted++
    if (!read.success || read.data.ticket.proof === undefined) return []
    const doubt = this.#doubt(read.data.ticket, entry)
    if (doubt !== undefined) return [`line ${entry.seq}: ticket ${read.data.ticket.id} ${doubt}`]
    this.#traced++
    return []
  }

  get seen(): Traces {
    return { accepted: this.#accepted, traced: this.#traced }
  }

  #offered(entry: LedgerEntry): readonly string[] {
    const read = offered.safeParse(entry.data)
    if (!read.success) return []
    const { claim } = read.data
    if (claim.issuer !== entry.actor || claim.parent !== null)
      return [`line ${entry.seq}: claim ${claim.id} is not one of ${entry.actor} itself`]
    if (!this.#trust.verifyBy(claim.issuerKey, claimText(claim), claim.signature))
      return [`line ${entry.seq}: claim ${claim.id} is not signed by ${claim.issuer}`]
    this.#claims.set(hashOfClaim(claim), claim)
    return []
  }

  #doubt(ticket: Ticket, entry: LedgerEntry): string | undefined {
    const { proof } = ticket
    const expected = { holder: ticket.holder, site: entry.actor, broker: ticket.broker, now: entry.at }
    const doubt = doubtTicket(ticket, expected, this.#trust)
    if (doubt !== undefined) return `does not hold: ${doubt}`
    const chain = ticket.chain ?? []
    const root = this.#claims.get(chain[0] === undefined ? proof!.parent : hashOfClaim(chain[0]))
    if (root === undefined) return 'is drawn from no claim that the site has written down'
    const wider = widerThan({ ...ticket, vector: proof!.vector }, root)
    if (wider !== undefined) return wider
    return doubtRequest(ticket, this.#trust.verifyBy)
  }
}
