import type { Claim } from '../leases/claim.ts'
import { tell } from '../leases/correspondence.ts'
import { type Body, RECALLS_MAX } from '../leases/messages.ts'
import { orderedBy, someUnits, whose } from '../leases/words.ts'
import { canonical } from '../runtime/canonical.ts'
import type { Instant, Millis } from '../runtime/clock.ts'
import { halfTimeOf, type RootClaims } from './claims.ts'
import { type AuthorityConfig, brokerOf, longestOf } from './config.ts'
import type { AuthorityDraft, OfferRow } from './rows.ts'
import { offeredOf, pokeRoom } from './standing.ts'

/** An offer whose broker has no key that is known here is looked at again after so long. */
const KEY_LOOK_MS: Millis = 30_000
/** How long a claim may stand for keys that have been changed since: half of an overlap is much longer. */
const KEY_CHANGE_MS: Millis = 3_600_000

/**
 * What the site lends. The offer is told to the broker whole, whenever it changes:
 *
 *   lent = configured − stuck − recalled − on hosts to be worked on; nothing of a type that is withdrawn
 */
export function offers(config: AuthorityConfig, claims: RootClaims) {
  return { begin, offerDue, tellBroker, tellOffer, tellAgain, withhold }

  /** Offers what is configured, less what is withheld since an earlier life; nothing of what was taken out. */
  function begin(draft: AuthorityDraft): void {
    const known = draft.all('offer').map(({ id }) => id)
    for (const type of new Set([...Object.keys(config.types), ...known])) {
      const before = draft.get('offer', type)
      const row: OfferRow = {
        id: type,
        broker: brokerOf(config, type),
        claimId: before?.claimId,
        units: config.types[type]?.units ?? 0,
        withheld: before?.withheld ?? 0,
        settledRecalls: before?.settledRecalls ?? [],
        recalledAt: before?.recalledAt,
        lentAgainAt: before?.lentAgainAt,
        withdrawn: before?.withdrawn,
      }
      const former = before?.broker ?? config.broker
      if (before !== undefined && former !== row.broker) withdrawFrom(former, row, draft)
      tellOffer(row, 'the site has started', draft)
    }
  }

  /** The type is given away by another broker now. */
  function withdrawFrom(broker: string, row: OfferRow, draft: AuthorityDraft): void {
    const reason = `${row.broker} gives them away from now on`
    const body = { ...statementOf({ ...row, units: 0, claimId: undefined }, draft), reason }
    tell(draft, broker, 'delegation', `offer-${row.id}`, body, draft.now + config.answerMs)
    draft.note('offer withdrawn', row.id, `${broker} is lent none any more: ${reason}`)
  }

  /** Its claim will not do any more, or there could be none before: it is told anew, with another one. */
  function offerDue(type: string, draft: AuthorityDraft): void {
    const row = draft.get('offer', type)
    if (row === undefined) return
    const claim = row.claimId === undefined ? undefined : draft.get('claim', row.claimId)?.claim
    if (claim !== undefined) {
      const why = claims.outlived(claim, draft)
      if (why !== undefined) return tellOffer(row, why, draft)
      return draft.put('offer', { ...row, due: dueOf(claim, draft.now) })
    }
    const broker = brokerOf(config, type)
    if (claims.isKnown(broker, draft)) tellOffer(row, `the key of ${broker} is known now`, draft)
    else draft.put('offer', { ...row, due: draft.now + KEY_LOOK_MS })
  }

  /** A broker that may have forgotten what is lent to it is told everything, also what is not lent to it any more. */
  function tellBroker(broker: string, reason: string, draft: AuthorityDraft): void {
    const claimed = new Set(
      draft.all('claim').flatMap(({ claim: { holder, type } }) => (holder === broker ? [type] : [])),
    )
    for (const row of draft.all('offer'))
      if (row.broker === broker) tellOffer(row, reason, draft)
      else if (claimed.has(row.id)) withdrawFrom(broker, row, draft)
  }

  /** Keeps the row, with the claim that belongs to it. Who ordered it is written down, and no word to the broker. */
  function tellOffer(given: OfferRow, reason: string, draft: AuthorityDraft, who?: string): void {
    const { type, units, vector, conditions } = statementOf(given, draft)
    const broker = brokerOf(config, type)
    const claim = claims.current(given, { holder: broker, type, units, vector, conditions }, draft)
    const isUnknown = units > 0 && claim === undefined
    const due =
      claim !== undefined ? dueOf(claim, draft.now) : isUnknown ? draft.now + KEY_LOOK_MS : undefined
    const before = draft.get('offer', type)
    const isMore = before !== undefined && units > offeredOf(before)
    const lentAgainAt = isMore ? draft.now : given.lentAgainAt
    const row = { ...given, claimId: claim?.id, lentAgainAt, due }
    draft.put('offer', row)
    pokeRoom(draft)
    const body = { ...statementOf(row, draft), reason: reason.slice(0, 500) }
    tell(draft, broker, 'delegation', `offer-${row.id}`, body, draft.now + config.answerMs)
    const { withheld } = row
    const lent = { units: row.units, withheld, ...(claim && { claim }), ...whose(who) }
    const without = isUnknown ? `; without a claim, for no key of ${broker} is known here` : ''
    draft.note('offered', row.id, `${someUnits(units)}: ${reason}${orderedBy(who)}${without}`, lent)
  }

  function statementOf(row: OfferRow, draft: AuthorityDraft): Omit<Body<'delegation'>, 'reason'> {
    const claim = row.claimId === undefined ? undefined : draft.get('claim', row.claimId)?.claim
    const back = claims.backOf(row.id, draft)
    return {
      type: row.id,
      units: offeredOf(row),
      // Of a type that was taken out of the configuration nothing is known any more, and nothing lent.
      vector: { ...config.types[row.id]?.vector },
      conditions: config.conditions,
      termMsMax: longestOf(config),
      settledRecalls: [...row.settledRecalls],
      ...openRecallsOf(row.id, draft),
      ...(back.length > 0 && { back }),
      ...(claim === undefined ? {} : { claim }),
    }
  }

  /** The broker was silent for as long as an answer is worth repeating: what it has not heard still holds. */
  function tellAgain(undelivered: unknown, draft: AuthorityDraft): void {
    const told = undelivered as Body<'delegation'>
    const row = draft.get('offer', told.type)
    if (row !== undefined && offerIn(told) === offerIn(statementOf(row, draft)))
      tellOffer(row, 'told again, the broker was silent', draft)
  }

  function withhold(type: string, by: number, reason: string, draft: AuthorityDraft): void {
    const row = draft.get('offer', type)
    if (row === undefined) return
    const changed = { ...row, withheld: Math.max(0, row.withheld + by) }
    tellOffer(changed, reason, draft)
  }
}

const dueOf = (claim: Claim, now: Instant): Instant => Math.min(halfTimeOf(claim), now + KEY_CHANGE_MS)

/** Recalls have a message of their own, which changes no offer; nor does what came back for them. */
const offerIn = ({
  reason: _,
  openRecalls: __,
  back: ___,
  ...offer
}: Partial<Pick<Body<'delegation'>, 'reason'>> & Omit<Body<'delegation'>, 'reason'>): string =>
  canonical(offer)

/** The broker of a site that was restored may count recalls that the site does not know of any more. */
function openRecallsOf(type: string, draft: AuthorityDraft): Pick<Body<'delegation'>, 'openRecalls'> {
  if (draft.get('site', 'site')?.restoredAt === undefined) return {}
  const open = draft.all('recall').filter((recall) => recall.type === type && !recall.taken)
  // Named in part, the others would count as forgotten.
  return open.length > RECALLS_MAX ? {} : { openRecalls: open.map(({ id }) => id) }
}

export type Offers = ReturnType<typeof offers>
