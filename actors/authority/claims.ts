import { doubtChain } from '../leases/chain.ts'
import { type Claim, hashOfClaim, issueClaim } from '../leases/claim.ts'
import { RETIRE_MS } from '../leases/correspondence.ts'
import { BACK_MAX, type Body } from '../leases/messages.ts'
import { doubtRequest } from '../leases/request.ts'
import type { Term } from '../leases/term.ts'
import type { Ticket } from '../leases/ticket.ts'
import { someUnits } from '../leases/words.ts'
import { canonical } from '../runtime/canonical.ts'
import type { Instant, Millis } from '../runtime/clock.ts'
import { largest } from '../runtime/extremes.ts'
import type { Identity, Trust } from '../runtime/identity.ts'
import { indexOf, type View } from '../runtime/views.ts'
import { type AuthorityConfig, brokerOf } from './config.ts'
import { Levels } from './levels.ts'
import type { AuthorityDraft, ClaimRow, DrawnRow, OfferRow } from './rows.ts'

/** What a claim says besides who issued it, and when. */
export type Delegated = Pick<Claim, 'holder' | 'type' | 'units' | 'vector' | 'conditions'>

/** Tickets that the ledger names beside one that is too much. */
const OTHERS_MAX = 1_000

/** A claim begins as much before it is issued: the broker's clock may be behind, and its tickets begin now. */
export const CLAIM_EARLY_MS: Millis = 60_000

const claimsByType = indexOf<ClaimRow>('claim', ({ claim }) => claim.type)
/** Tickets that were accepted, by the lease that stands on them. */
const drawnByLease = indexOf<DrawnRow>('drawn', ({ leaseId }) => leaseId)
/** ... and of which units were given back for a recall. */
const backByType = indexOf<DrawnRow>('drawn', ({ back = 0, type }) => (back > 0 ? type : undefined))

/** What is drawn over time: `claim ID` for each root claim, `type TYPE` for all claims of a type together. */
const drawnLevels: View<DrawnRow, Map<string, Levels>> = {
  table: 'drawn',
  begin: () => new Map(),
  add: (view, row) => count(view, row, row.units),
  remove: (view, row) => count(view, row, -row.units),
}

function count(view: Map<string, Levels>, row: DrawnRow, units: number): void {
  for (const key of accountsOf(row)) {
    const levels = view.get(key) ?? new Levels()
    view.set(key, levels)
    levels.add(row.term, units)
    if (levels.steps === 1) view.delete(key)
  }
}

const accountsOf = ({ claimId, type }: Pick<DrawnRow, 'claimId' | 'type'>): readonly string[] =>
  claimId === '' ? [`type ${type}`] : [`type ${type}`, `claim ${claimId}`]

/**
 * The root claims that a site hands its brokers, and the account of each: no more units than it says are ever
 * drawn from it. Whoever draws too much finds the later ticket refused, and both of them in the ledger. A ticket of
 * protocol 1 names no claim: it counts, beside all others, in the account of its type.
 *
 *   issued ──▶ current: told with the offer ──half its term, or another offer──▶ old: tickets drawn from it still
 *   count ──its end──▶ forgotten
 */
export class RootClaims {
  readonly #config: AuthorityConfig
  readonly #identity: Identity
  readonly #trust: Trust

  constructor(config: AuthorityConfig, identity: Identity, trust: Trust) {
    this.#config = config
    this.#identity = identity
    this.#trust = trust
  }

  /** Whether a broker can be handed a claim: its key is in it. */
  isKnown(broker: string, draft: AuthorityDraft): boolean {
    return this.#keyOf(broker, draft) !== undefined
  }

  /** Why another claim is to follow this one; undefined while it will do. */
  outlived(claim: Claim, draft: AuthorityDraft): string | undefined {
    if (draft.now >= halfTimeOf(claim)) return 'half the term of its claim is over'
    if (claim.holderKey !== this.#keyOf(claim.holder, draft)) return `${claim.holder} has another key now`
    if (claim.issuerKey !== this.#identity.key) return 'another key of ours signs now'
    return undefined
  }

  /** The claim that goes with an offer: the one it has, while it says the same and half its term is not over. */
  current(offer: OfferRow, delegated: Delegated, draft: AuthorityDraft): Claim | undefined {
    const { holder, units } = delegated
    const holderKey = this.#keyOf(holder, draft)
    // A broker whose key is not known here takes the offer by the older protocol, or not at all.
    if (units === 0 || holderKey === undefined) return undefined
    const known = offer.claimId === undefined ? undefined : draft.get('claim', offer.claimId)?.claim
    if (
      known !== undefined &&
      draft.now < halfTimeOf(known) &&
      this.#says(known, { ...delegated, holderKey })
    )
      return known
    const id = draft.newId('delegation')
    const term = { start: draft.now - CLAIM_EARLY_MS, end: draft.now + this.#config.delegationMs }
    const claim = issueClaim(
      { ...delegated, holderKey, id, parent: null, site: draft.self, term, issuedAt: draft.now },
      this.#identity,
    )
    draft.put('claim', { id, claim, due: term.end + RETIRE_MS })
    return claim
  }

  /** No ticket is good any more that was drawn from it. */
  due(id: string, draft: AuthorityDraft): void {
    draft.remove('claim', id)
  }

  /**
   * Why a ticket gives no right to what it names, as far as it rests on claims; undefined if it does. `back` of its units
   * its broker counts no more, for they were given back.
   */
  doubt(ticket: Ticket, key: string | undefined, draft: AuthorityDraft, back = 0): string | undefined {
    const { proof } = ticket
    if (proof === undefined)
      return this.foreignConditions(ticket, draft) ?? this.#overdrawnType(ticket, back, draft)
    const doubt = doubtChain(ticket, draft.now, this.#trust)
    if (doubt !== undefined) return doubt
    const root = ticket.chain![0]!
    const issued = draft.get('claim', root.id)?.claim ?? this.#forgotten(root, draft)
    if (issued === undefined || hashOfClaim(issued) !== hashOfClaim(root))
      return `it is drawn from claim ${root.id}, which this site has not issued or keeps no more`
    if (!this.#possesses(ticket.holder, proof.holderKey, key, draft.now))
      return `it was issued to a key that ${ticket.holder} has not shown`
    return this.#overdrawn(ticket, root, back, draft) ?? this.#doubtRequest(ticket)
  }

  /** What nobody asked for could not be traced in our ledger. */
  #doubtRequest(ticket: Ticket): string | undefined {
    const doubt = doubtRequest(ticket, this.#trust.verifyBy)
    return doubt === undefined ? undefined : `it ${doubt}`
  }

  /** A claim of our own that an older store does not have: its signature was looked at. */
  #forgotten(root: Claim, draft: AuthorityDraft): Claim | undefined {
    const { restoredAt } = draft.get('site', 'site') ?? {}
    if (restoredAt === undefined || root.issuedAt > restoredAt) return undefined
    draft.put('claim', { id: root.id, claim: root, due: root.term.end + RETIRE_MS })
    draft.note('claim adopted', root.id, 'we signed it, and had forgotten it', { claim: root })
    return root
  }

  /** Whether it is a broker of this site, or was one: tickets of before are good until they end. */
  lendTo(name: string, draft: AuthorityDraft): boolean {
    const isNow = Object.keys(this.#config.types).some((type) => brokerOf(this.#config, type) === name)
    return isNow || draft.all('claim').some(({ claim }) => claim.holder === name)
  }

  /** The claims from which a ticket that comes without them is drawn, if they are known here. */
  chainOf(ticket: Ticket, draft: AuthorityDraft): readonly Claim[] | undefined {
    const parent = ticket.proof?.parent
    if (parent === undefined) return undefined
    const found = draft.having(claimsByType, ticket.type).find(({ claim }) => hashOfClaim(claim) === parent)
    return found === undefined ? undefined : [found.claim]
  }

  /** Keeps the root of a ticket whose chain holds, should it have been forgotten. */
  adopt(ticket: Ticket, draft: AuthorityDraft): void {
    const root = ticket.chain?.[0]
    if (root === undefined || root.issuer !== draft.self || draft.get('claim', root.id) !== undefined) return
    const now = Math.min(draft.now, ticket.term.end - 1)
    if (doubtChain(ticket, now, this.#trust) === undefined) this.#forgotten(root, draft)
  }

  /** Writes an accepted ticket into the account of its root claim, without what of it was given back. */
  draw(ticket: Ticket, draft: AuthorityDraft, back = 0): void {
    const root = ticket.chain?.[0]
    if (ticket.proof !== undefined && root === undefined) return
    const { id, leaseId, type, term } = ticket
    const units = Math.max(0, ticket.units - back)
    const row = { id, claimId: root?.id ?? '', leaseId, type, units, back: ticket.units - units, term }
    draft.put('drawn', { ...row, due: term.end })
  }

  /** After a restore: so many of its units are there, or may still come. It never counts for more than it did. */
  redraw(ticket: Ticket, units: number, draft: AuthorityDraft): void {
    const before = draft.get('drawn', ticket.id)
    this.draw(ticket, draft)
    const row = draft.get('drawn', ticket.id)
    const left = Math.min(units, before?.units ?? units)
    if (row !== undefined && row.units > left)
      draft.put('drawn', { ...row, units: left, back: ticket.units - left })
  }

  /** Its broker counts one fewer of each, and promises it anew when it hears so (`backOf`). */
  giveBack(tickets: readonly Ticket[], draft: AuthorityDraft): void {
    for (const { id } of tickets) {
      const row = draft.get('drawn', id)
      if (row !== undefined && row.units > 0)
        draft.put('drawn', { ...row, units: row.units - 1, back: (row.back ?? 0) + 1 })
    }
  }

  /** What tickets of the type count for less than they say, as it is told with the offer. Of too many some are not named. */
  backOf(type: string, draft: AuthorityDraft): NonNullable<Body<'delegation'>['back']> {
    return draft
      .having(backByType, type)
      .map(({ id: ticketId, back: units = 0 }) => ({ ticketId, units }))
      .sort((a, b) => (a.ticketId < b.ticketId ? -1 : 1))
      .slice(0, BACK_MAX)
  }

  /** The lease is over: the broker gives the rest of its tickets to others. */
  release(leaseId: string, draft: AuthorityDraft): void {
    for (const { id } of draft.having(drawnByLease, leaseId)) draft.remove('drawn', id)
  }

  /** The later ticket of those that are too many is refused; the ledger keeps it with the names of the others. */
  #overdrawn(ticket: Ticket, root: Claim, back: number, draft: AuthorityDraft): string | undefined {
    const { id, type } = ticket
    const units = ticket.units - back
    const [ofType, ofClaim] = accountsOf({ claimId: root.id, type })
    const left = root.units - drawnAt(ofClaim!, ticket.term, draft)
    // Each new claim replaces the one before: together they are good for no more than the largest.
    const most = largest(this.#unitsOfClaims(type, ticket.term, draft), root.units)
    const room = Math.min(left, most - drawnAt(ofType!, ticket.term, draft))
    if (units <= room) return undefined
    const reason = `${someUnits(units)} are more than the ${Math.max(0, room)} left of claim ${root.id}, held by ${root.holder}`
    draft.note('claim overdrawn', root.id, `ticket ${id}: ${reason}`, {
      claim: root,
      ticket,
      others: othersOf(ticket, draft),
    })
    return reason
  }

  /** No claim says what a ticket of protocol 1 may be under: what the site lends under, or did when claims were issued. */
  foreignConditions({ type, conditions }: Ticket, draft: AuthorityDraft): string | undefined {
    const known = [
      this.#config.conditions,
      ...draft.having(claimsByType, type).map(({ claim }) => claim.conditions),
    ]
    const isOurs = known.some((ours) => canonical(ours) === canonical(conditions))
    return isOurs ? undefined : 'it is under conditions that this site does not lend under'
  }

  /** Of protocol 1: beside all others of its type, never more than there are, or were when claims were issued. */
  #overdrawnType(ticket: Ticket, back: number, draft: AuthorityDraft): string | undefined {
    const { id, type, term } = ticket
    const units = ticket.units - back
    const there = this.#config.types[type]?.units ?? 0
    const most = largest(this.#unitsOfClaims(type, term, draft), there)
    const room = most - drawnAt(accountsOf({ claimId: '', type })[0]!, term, draft)
    if (units <= room) return undefined
    const reason = `${someUnits(units)} are more than the ${Math.max(0, room)} left of ${type}`
    draft.note('type overdrawn', type, `ticket ${id}: ${reason}`, { ticket, others: othersOf(ticket, draft) })
    return reason
  }

  #unitsOfClaims(type: string, term: Term, draft: AuthorityDraft): number[] {
    return draft
      .having(claimsByType, type)
      .filter(({ claim }) => claim.term.start <= term.start)
      .map(({ claim }) => claim.units)
  }

  /** The key that the message is signed with is the ticket's, or another one of the same name. */
  #possesses(holder: string, holderKey: string, key: string | undefined, now: Instant): boolean {
    return key === holderKey || this.#trust.hasKey(holder, holderKey, now)
  }

  /** The one that it signs with, as far as that is known and good here: not every holder may know a later one yet. */
  #keyOf(name: string, draft: AuthorityDraft): string | undefined {
    const used = draft.peer(name)?.key
    if (used !== undefined && this.#trust.hasKey(name, used, draft.now)) return used
    return this.#trust.keysOf(name).find(({ key }) => this.#trust.hasKey(name, key, draft.now))?.key
  }

  #says(claim: Claim, delegated: Delegated & Pick<Claim, 'holderKey'>): boolean {
    const { holder, holderKey, type, units, vector, conditions } = claim
    const same = { holder, holderKey, type, units, vector, conditions }
    const { holder: a, holderKey: b, type: c, units: d, vector: e, conditions: f } = delegated
    const wanted = { holder: a, holderKey: b, type: c, units: d, vector: e, conditions: f }
    return claim.issuerKey === this.#identity.key && canonical(same) === canonical(wanted)
  }
}

export const halfTimeOf = ({ issuedAt, term }: Claim): Instant => issuedAt + (term.end - issuedAt) / 2

/** Ids of the accepted tickets of the same type at the same time. */
const othersOf = ({ type, term }: Ticket, draft: AuthorityDraft): string[] =>
  draft
    .all('drawn')
    .filter((row) => row.type === type && row.term.start < term.end && term.start < row.term.end)
    .map((row) => row.id)
    .slice(0, OTHERS_MAX)

/** The most that is drawn on an account at any instant of the term, with what this batch has added or let go. */
function drawnAt(account: string, term: Term, draft: AuthorityDraft): number {
  const kept = draft.view(drawnLevels).get(account)
  const changes = draft
    .changes('drawn')
    .flatMap(({ before, after }) => [
      ...(before !== undefined && accountsOf(before).includes(account)
        ? [{ ...before, units: -before.units }]
        : []),
      ...(after !== undefined && accountsOf(after).includes(account) ? [after] : []),
    ])
  if (changes.length === 0) return kept?.most(term) ?? 0
  const edges = changes
    .flatMap(({ term: { start, end } }) => [start, end])
    .filter((at) => term.start < at && at < term.end)
  const cuts = [...new Set([term.start, ...edges, term.end])].sort((a, b) => a - b)
  return Math.max(
    ...cuts.slice(1).map((end, i) => {
      const start = cuts[i]!
      const changed = changes.filter((row) => row.term.start <= start && start < row.term.end)
      return (kept?.most({ start, end }) ?? 0) + changed.reduce((sum, { units }) => sum + units, 0)
    }),
  )
}
