import { type Claim, claimText, hashOfClaim } from '../leases/claim.ts'
import type { Body } from '../leases/messages.ts'
import { levelAt } from '../leases/profile.ts'
import { type Term, within } from '../leases/term.ts'
import type { Ticket } from '../leases/ticket.ts'
import { canonical } from '../runtime/canonical.ts'
import type { Instant } from '../runtime/clock.ts'
import { coded, type ErrorCode } from '../runtime/errors.ts'
import { indexOf } from '../runtime/views.ts'
import { iso, scheduleRound } from './answers.ts'
import type { BrokerParts } from './config.ts'
import type { BrokerDraft, Delegated, DelegationRow } from './rows.ts'
import { keptOf, uncounted } from './uncounted.ts'

/** Types that one site has ever offered, also those that it has withdrawn. */
export const TYPES_OF_SITE_MAX = 1_000

const typesOf = indexOf<DelegationRow>('delegation', ({ site }) => site)

/**
 * What sites lend, told whole at each change. From protocol 2 on an offer comes with the claim that tickets are
 * drawn from. A claim is told anew long before it ends, and with each change of the offer:
 *
 *   claim A  ├───────────────────────────┤       kept while somebody may ask for the chain of a ticket drawn from it
 *   claim B               ├───────────────────────────┤       A is drawn from until B begins
 */
export function delegations({ config, identity, trust }: BrokerParts) {
  return { offered, draw, chainOf }

  function offered(site: string, body: Body<'delegation'>, draft: BrokerDraft): void {
    const { type, units, vector, conditions, claim } = body
    const id = `${site}/${type}`
    const doubt = doubtClaim(site, body, draft.now)
    if (doubt !== undefined) {
      draft.turnDown()
      draft.note(
        'offer refused',
        id,
        `${site} offers ${units} of ${type} with a claim that will not do: ${doubt}`,
      )
      return
    }
    const known = draft.get('delegation', id)
    if (known === undefined && draft.having(typesOf, site).length >= TYPES_OF_SITE_MAX) {
      const code: ErrorCode = 'too-many-types'
      draft.turnDown()
      const reason = `${site} has offered ${TYPES_OF_SITE_MAX} types: no other one is taken`
      return draft.note('offer refused', id, coded(code, reason), { code })
    }
    const told = claim === undefined ? undefined : delegatedBy(claim)
    // Told again, it is the one that tickets were drawn from already.
    const isKnown = told !== undefined && known?.claim?.hash === told.hash
    const delegated = isKnown ? known.claim : told
    const before = isKnown ? known.before : supersede(known, told, draft)
    const lent = units > 0 ? undefined : known?.units || known?.lent
    const { termMsMax } = body
    const row = { id, site, type, units, lent, vector, conditions, termMsMax, claim: delegated, before }
    const back = Object.fromEntries((body.back ?? []).map((one) => [one.ticketId, one.units]))
    const current: DelegationRow = { ...row, ...keptOf(known, { ...body, site, back }, draft), back }
    draft.put('delegation', current)
    settleRecalls(site, body, draft)
    const held = levelAt(uncounted(current, draft), draft.now)
    const without = `; ${held} of them only when it has them back, for they are still in tickets that it counts`
    draft.note(
      'offer changed',
      id,
      `${site} lends ${units} of ${type} (before: ${known?.units ?? 0}): ${body.reason}${held > 0 ? without : ''}`,
      { site, type, units, vector, conditions, claim: claim ?? null },
    )
    scheduleRound(draft, 0)
  }

  /** What the offer has taken into account; and what the site knows nothing of since it was restored. */
  function settleRecalls(
    site: string,
    { type, settledRecalls, openRecalls }: Body<'delegation'>,
    draft: BrokerDraft,
  ): void {
    for (const recallId of settledRecalls)
      if (draft.get('recall', recallId)?.site === site) draft.remove('recall', recallId)
    if (openRecalls === undefined) return
    for (const { id, ...recall } of draft.all('recall')) {
      if (recall.site !== site || recall.type !== type || openRecalls.includes(id)) continue
      draft.remove('recall', id)
      draft.note('recall forgotten', id, `${site} was restored and knows nothing of it: it counts no more`)
    }
  }

  /** Why the site could not sign this, or not for us; undefined if it may be drawn from. */
  function doubtClaim(
    site: string,
    { claim, type, units, vector, conditions }: Body<'delegation'>,
    now: Instant,
  ): string | undefined {
    if (claim === undefined) return undefined
    if (claim.parent !== null) return 'it is drawn from another one, and a site gives away its own'
    if (claim.issuer !== site || claim.site !== site)
      return `it is of ${claim.issuer} on units of ${claim.site}, not of ${site} on its own`
    if (claim.holder !== identity.name) return `it was given to ${claim.holder}`
    if (claim.holderKey !== identity.key && !trust.hasKey(identity.name, claim.holderKey, now))
      return 'it was given to a key that is not one of ours'
    const offer = { type: claim.type, units: claim.units, vector: claim.vector, conditions: claim.conditions }
    if (canonical(offer) !== canonical({ type, units, vector, conditions }))
      return 'it says something else than the offer it comes with'
    if (claim.term.end <= now) return `its term ended at ${iso(claim.term.end)}`
    if (!trust.hasKey(site, claim.issuerKey, now)) return `its key is not one of ${site}`
    if (!trust.verifyBy(claim.issuerKey, claimText(claim), claim.signature))
      return `${site} has not signed it`
    return undefined
  }

  function delegatedBy(claim: Claim): Delegated {
    return { hash: hashOfClaim(claim), claim, drawn: false }
  }

  /** What is still drawn from until the new claim begins. The rest is kept as far as there are tickets of it. */
  function supersede(
    known: DelegationRow | undefined,
    next: Delegated | undefined,
    draft: BrokerDraft,
  ): Delegated | undefined {
    if (known?.claim === undefined) return undefined
    const hasBegun = ({ claim }: Delegated): boolean => claim.term.start <= draft.now
    const last = hasBegun(known.claim) ? known.claim : (known.before ?? known.claim)
    const before = next !== undefined && !hasBegun(next) && hasBegun(last) ? last : undefined
    for (const old of [known.claim, known.before])
      if (old?.drawn && old.hash !== before?.hash) keep(old, draft)
    return before
  }

  function keep({ hash, claim }: Delegated, draft: BrokerDraft): void {
    draft.put('claim', { id: hash, claim, due: claim.term.end + config.quarantineMs })
  }

  /** The claim that a ticket over the term may be drawn from; undefined if none covers it. */
  function draw(row: DelegationRow, units: number, term: Term): Delegated | undefined {
    return [row.claim, row.before].find(
      (one) => one !== undefined && units <= one.claim.units && within(term, one.claim.term),
    )
  }

  /** The claims from which a ticket was drawn, root first; undefined if they are not known any more. */
  function chainOf({ site, type, proof }: Ticket, draft: BrokerDraft): Claim[] | undefined {
    if (proof === undefined) return undefined
    const row = draft.get('delegation', `${site}/${type}`)
    const current = [row?.claim, row?.before].find((one) => one?.hash === proof.parent)?.claim
    const claim = current ?? draft.get('claim', proof.parent)?.claim
    return claim === undefined ? undefined : [claim]
  }
}
