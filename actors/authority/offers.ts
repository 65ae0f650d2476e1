import type { Conditions } from '../leases/conditions.ts'
import { tell } from '../leases/correspondence.ts'
import type { Body } from '../leases/messages.ts'
import { LATEST } from '../leases/term.ts'
import { someUnits } from '../leases/words.ts'
import { canonical } from '../runtime/canonical.ts'
import type { Instant, Millis } from '../runtime/clock.ts'
import { SubletError } from '../runtime/errors.ts'
import { halfTimeOf, type RootClaims } from './claims.ts'
import { type AuthorityConfig, brokerOf } from './config.ts'
import { isLive } from './leases.ts'
import type { OfferRow, RecallRow, UnitRow } from './rows.ts'
import type { AuthorityDraft } from './units.ts'

/** What the operator asks back; see `sublet recall`. */
export interface RecallOrder {
  readonly type: string
  readonly units: number
  readonly by: Instant
  readonly reason: string
}

/** What was recalled and may be lent again; see `sublet lend`. */
export interface LendOrder {
  readonly type: string
  readonly units: number
  readonly reason: string
}

/** An order takes its time to get here, and the clock it was read from may differ from this one. */
const LATE_MS_MAX: Millis = 60_000

type End = (unit: UnitRow, forceFrom: Instant, reason: string, draft: AuthorityDraft) => void

/**
 * What the site lends. The offer is told to the broker whole, whenever it changes:
 *
 *   lent = configured − stuck − recalled, until it is lent again
 */
export function offers(config: AuthorityConfig, claims: RootClaims, end: () => End) {
  return { begin, offerDue, tellAgain, withhold, recall, recallDue, lendAgain }

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

  /** Half the term of its claim is over: it is told anew, with another one. */
  function offerDue(type: string, draft: AuthorityDraft): void {
    const row = draft.get('offer', type)
    if (row !== undefined) tellOffer(row, 'half the term of its claim is over', draft)
  }

  /** Keeps the row, with the claim that belongs to it. */
  function tellOffer(given: OfferRow, reason: string, draft: AuthorityDraft): void {
    const { type, units, vector, conditions } = statementOf(given, draft)
    const broker = brokerOf(config, type)
    const claim = claims.current(given, { holder: broker, type, units, vector, conditions }, draft)
    const row = { ...given, claimId: claim?.id, due: claim === undefined ? undefined : halfTimeOf(claim) }
    draft.put('offer', row)
    const body = { ...statementOf(row, draft), reason: reason.slice(0, 500) }
    tell(draft, broker, 'delegation', `offer-${row.id}`, body, draft.now + config.answerMs)
    const { withheld } = row
    const lent = { units: row.units, withheld, ...(claim === undefined ? {} : { claim }) }
    draft.note('offered', row.id, `${someUnits(units)}: ${reason}`, lent)
  }

  function statementOf(row: OfferRow, draft: AuthorityDraft): Omit<Body<'delegation'>, 'reason'> {
    const claim = row.claimId === undefined ? undefined : draft.get('claim', row.claimId)?.claim
    return {
      type: row.id,
      units: Math.max(0, row.units - row.withheld),
      // Of a type that was taken out of the configuration nothing is known any more, and nothing lent.
      vector: { ...config.types[row.id]?.vector },
      conditions: config.conditions,
      settledRecalls: [...row.settledRecalls],
      ...(claim === undefined ? {} : { claim }),
    }
  }

  /** The broker was silent for as long as an answer is worth repeating: what it has not heard still holds. */
  function tellAgain(undelivered: unknown, draft: AuthorityDraft): void {
    const { reason: _, ...told } = undelivered as Body<'delegation'>
    const row = draft.get('offer', told.type)
    if (row !== undefined && canonical(told) === canonical(statementOf(row, draft)))
      tellOffer(row, 'told again, the broker was silent', draft)
  }

  function withhold(type: string, by: number, reason: string, draft: AuthorityDraft): void {
    const row = draft.get('offer', type)
    if (row === undefined) return
    const changed = { ...row, withheld: Math.max(0, row.withheld + by) }
    tellOffer(changed, reason, draft)
  }

  function recall(order: RecallOrder, draft: AuthorityDraft): { recallId: string } {
    const offer = draft.get('offer', order.type)
    if (offer === undefined) throw new SubletError('unknown-type', `this site has no type ${order.type}`)
    if (!Number.isInteger(order.units) || order.units < 1 || order.units > offer.units - offer.withheld)
      throw new SubletError(
        'no-capacity',
        `${someUnits(lentOf(order.type, draft))} of ${order.type} can be recalled, not ${order.units}`,
      )
    if (!Number.isInteger(order.by) || order.by < 0 || order.by > LATEST)
      throw new SubletError('usage', `units cannot be recalled by ${order.by}: that is no time`)
    if (order.by < draft.now - LATE_MS_MAX)
      throw new SubletError('usage', `units cannot be recalled by ${iso(order.by)}: that is past`)
    const recallId = draft.newId('delegation')
    draft.put('recall', {
      id: recallId,
      type: order.type,
      units: order.units,
      by: order.by,
      orderedAt: draft.now,
      taken: false,
      due: order.by,
    })
    const { type, units: count, by } = order
    const reason = order.reason.slice(0, 500)
    draft.note('recalled', recallId, `${count} of ${type} by ${iso(by)}: ${reason}`, {
      type,
      units: count,
      by,
    })
    tell(
      draft,
      brokerOf(config, type),
      'recall-units',
      `offer-${type}`,
      { recallId, type, units: count, by, reason },
      by + config.conditions.graceMs,
    )
    return { recallId }
  }

  /**
   * At the deadline the offer shrinks. Holders are letting go what they promised, and work there may end
   * within the grace; what is too much after that is taken, whatever runs there. Where the ticket does not
   * make the recall binding it was advice: such units go at the end of their term.
   *
   *   ordered ──by──▶ taken: less is lent ──grace of the ticket──▶ what is too much ends ──▶ forgotten
   */
  function recallDue(recallId: string, draft: AuthorityDraft): void {
    const order = draft.get('recall', recallId)
    if (order === undefined) return
    if (!order.taken) take(order, draft)
    const excess = excessOf(order.type, draft)
    let next: Instant | undefined
    for (const unit of excess) {
      const conditions = draft.get('lease', unit.leaseId)?.ticket.conditions
      if (conditions === undefined || !isBinding(order, conditions)) continue
      const last = order.by + conditions.graceMs
      if (draft.now >= last) end()(unit, draft.now, 'it was recalled and not given back', draft)
      else next = Math.min(next ?? last, last)
    }
    if (next === undefined) draft.remove('recall', recallId)
    else draft.put('recall', { ...order, taken: true, due: next })
  }

  function take(order: RecallRow, draft: AuthorityDraft): void {
    const offer = draft.get('offer', order.type)!
    const shrunk = {
      ...offer,
      withheld: offer.withheld + order.units,
      settledRecalls: [...offer.settledRecalls, order.id].slice(-1_000),
    }
    tellOffer(shrunk, `recalled: ${someUnits(order.units)}`, draft)
  }

  /** What is stuck stays withheld: it cannot be made again. Recalls that are not yet due are not called off. */
  function lendAgain(order: LendOrder, draft: AuthorityDraft): { lent: number; withheld: number } {
    const offer = draft.get('offer', order.type)
    if (offer === undefined) throw new SubletError('unknown-type', `this site has no type ${order.type}`)
    const stuck = draft
      .all('unit')
      .filter(({ type, state }) => type === order.type && state === 'stuck').length
    const most = Math.max(0, offer.withheld - stuck)
    if (!Number.isInteger(order.units) || order.units < 1 || order.units > most)
      throw new SubletError(
        'no-capacity',
        `${most} of ${order.type} are withheld since a recall; ${order.units} cannot be lent again`,
        { cure: 'Look at `sublet status`; a recall takes effect at its time, and can be undone after that.' },
      )
    const grown = { ...offer, withheld: offer.withheld - order.units }
    tellOffer(grown, `${someUnits(order.units)} lent again after a recall: ${order.reason}`, draft)
    return { lent: statementOf(grown, draft).units, withheld: grown.withheld }
  }

  /** Units beyond what is lent, the latest first. */
  function excessOf(type: string, draft: AuthorityDraft): UnitRow[] {
    const held = draft.all('unit').filter((unit) => unit.type === type && isLive(unit))
    const excess = held.length - lentOf(type, draft)
    return held.sort((a, b) => b.assignedAt - a.assignedAt || b.slot - a.slot).slice(0, Math.max(0, excess))
  }
}

/** A recall binds the holder if its ticket says so and the notice was as long as the ticket says. */
const isBinding = (order: RecallRow, { recallable, noticeMs }: Conditions): boolean =>
  recallable && order.by - (order.orderedAt ?? order.by) >= noticeMs

/** What the site lends of a type at present. */
export function lentOf(type: string, draft: AuthorityDraft): number {
  const offer = draft.get('offer', type)
  return offer === undefined ? 0 : Math.max(0, offer.units - offer.withheld)
}

const iso = (at: Instant): string => new Date(at).toISOString()
