import { canonical } from '../runtime/canonical.ts'
import type { Instant } from '../runtime/clock.ts'
import type { Trust } from '../runtime/identity.ts'
import { CHAIN_MAX, type Claim, claimText, hashOfClaim } from './claim.ts'
import type { Conditions } from './conditions.ts'
import { fitsIn, type Vector } from './resources.ts'
import { type Term, within } from './term.ts'
import type { Ticket } from './ticket.ts'

/**
 * Why a ticket gives no right to what it names; undefined if it does. Whoever relies on a ticket asks: the holder
 * when it is granted, the site when it is redeemed.
 *
 *   chain[0] ─────▶ chain[1] ─────▶ ... ─────▶ ticket
 *   signed by the   signed by the holder       signed by the holder
 *   site's own key  of the one before          of the last claim
 *
 * Down the chain nothing becomes wider: the same site, type and conditions; units, vector and term at most those of
 * the parent. Signatures on each link are looked at last, for they cost most.
 */
export function doubtChain(ticket: Ticket, now: Instant, trust: Trust): string | undefined {
  const { chain = [], proof } = ticket
  if (proof === undefined) return 'it is drawn from no claim'
  return doubtLinks(ticket, chain, proof.parent) ?? doubtKeys(ticket, chain, now, trust)
}

/** What each link hands on. */
interface Link {
  readonly site: string
  readonly type: string
  readonly units: number
  readonly vector: Vector
  readonly term: Term
  readonly conditions: Conditions
}

function doubtLinks(ticket: Ticket, chain: readonly Claim[], parent: string): string | undefined {
  const [root] = chain
  const last = chain.at(-1)
  if (root === undefined || last === undefined) return 'it comes without the claims it is drawn from'
  if (chain.length > CHAIN_MAX) return `it is drawn from more than ${CHAIN_MAX} claims`
  if (root.parent !== null) return 'its first claim is drawn from another one, which is missing'
  if (root.issuer !== root.site) return `its first claim is of ${root.issuer}, not of the site`
  for (const [i, claim] of chain.slice(1).entries()) {
    const before = chain[i]!
    if (claim.parent !== hashOfClaim(before)) return `claim ${claim.id} does not follow ${before.id}`
    if (claim.issuer !== before.holder) return `claim ${claim.id} is not of ${before.holder}`
    const wider = widerThan(claim, before)
    if (wider !== undefined) return `claim ${claim.id} ${wider}`
  }
  if (parent !== hashOfClaim(last)) return `it does not follow claim ${last.id}`
  if (ticket.broker !== last.holder)
    return `claim ${last.id} is held by ${last.holder}, not by ${ticket.broker}`
  return widerThan({ ...ticket, vector: ticket.proof!.vector }, last)
}

/** In what a link goes beyond the one it is drawn from. */
export function widerThan(link: Link, parent: Link): string | undefined {
  if (link.site !== parent.site) return `is for ${link.site}, not for ${parent.site}`
  if (link.type !== parent.type) return `is for ${link.type}, not for ${parent.type}`
  if (link.units > parent.units) return `is for ${link.units} units, more than the ${parent.units} delegated`
  if (!fitsIn(link.vector, parent.vector)) return 'is for larger units than those delegated'
  if (!within(link.term, parent.term)) return 'goes beyond the term of what was delegated'
  if (canonical(link.conditions) !== canonical(parent.conditions)) return 'changes the conditions'
  return undefined
}

/** Claims whose signature was found good: one is the root of hundreds of tickets. */
const SIGNED_MAX = 1_000
const signed = new WeakMap<Trust, Set<string>>()

/** The hash is over everything in it, key and signature too; whether the key is still good is asked each time. */
function isSigned(claim: Claim, trust: Trust): boolean {
  const known = signed.get(trust) ?? new Set()
  signed.set(trust, known)
  const hash = hashOfClaim(claim)
  if (known.has(hash)) return true
  if (!trust.verifyBy(claim.issuerKey, claimText(claim), claim.signature)) return false
  if (known.size >= SIGNED_MAX) known.clear()
  known.add(hash)
  return true
}

function doubtKeys(ticket: Ticket, chain: readonly Claim[], now: Instant, trust: Trust): string | undefined {
  const [root] = chain
  if (!trust.hasKey(root!.issuer, root!.issuerKey, now))
    return `the key of claim ${root!.id} is not one of ${root!.issuer}`
  // Whose key the next link has to be signed with: that of the parent's holder, or another one of the same name.
  const isOf = (holder: string, expected: string, key: string): boolean =>
    key === expected || (trust.hasKey(holder, expected, now) && trust.hasKey(holder, key, now))
  for (const [i, claim] of chain.entries()) {
    const before = chain[i - 1]
    if (before !== undefined && !isOf(before.holder, before.holderKey, claim.issuerKey))
      return `claim ${claim.id} is signed with a key that ${before.id} was not given to`
    if (!isSigned(claim, trust)) return `claim ${claim.id} is not signed by ${claim.issuer}`
  }
  const last = chain.at(-1)!
  if (!isOf(last.holder, last.holderKey, ticket.proof!.brokerKey))
    return `it is signed with a key that ${last.id} was not given to`
  return undefined
}
