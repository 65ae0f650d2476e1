import type { Conditions } from '../leases/conditions.ts'
import { tell } from '../leases/correspondence.ts'
import { type Body, RECALLS_MAX } from '../leases/messages.ts'
import type { Ticket } from '../leases/ticket.ts'
import { orderedBy, someUnits, whose } from '../leases/words.ts'
import { type Instant, LATEST, type Millis } from '../runtime/clock.ts'
import { metaOf } from '../runtime/composition.ts'
import { type OutRow, outRowOf } from '../runtime/courier.ts'
import type { Letter } from '../runtime/envelope.ts'
import { SubletError } from '../runtime/errors.ts'
import { own } from '../runtime/plain.ts'
import { period } from '../runtime/sentence.ts'
import { indexOf } from '../runtime/views.ts'
import type { RootClaims } from './claims.ts'
import { type AuthorityConfig, brokerOf } from './config.ts'
import { isRecalledOf } from './fill.ts'
import type { Offers } from './offers.ts'
import type { AuthorityDraft, OfferRow, RecallRow, UnitRow } from './rows.ts'
import { conditionsOf, isLive, lentOf, offeredOf } from './standing.ts'
import type { Units } from './units.ts'

/** What the operator asks back; see `sublet recall`. */
export interface RecallOrder {
  readonly type: string
  readonly units: number
  readonly by: Instant
  readonly reason: string
  /** Who, as all orders say it; told to nobody else. */
  readonly orderedBy?: string | undefined
}

/** What was recalled and may be lent again; see `sublet lend`. */
export interface LendOrder {
  readonly type: string
  readonly units: number
  readonly reason: string
  readonly orderedBy?: string | undefined
}

/** A recall that is not wanted any more; see `sublet call-off`. */
export interface CallOffOrder {
  readonly recallId: string
  readonly reason: string
  readonly orderedBy?: string | undefined
}

const toldAs = (broker: string, recallId: string): string => `${broker} ${recallId}`
const toldIn = ({ kind, to, body }: Pick<Letter, 'kind' | 'to' | 'body'>): string | undefined =>
  kind === 'recall-units' ? toldAs(to, (body as Body<'recall-units'>).recallId) : undefined
/** What is said of recalls and not acknowledged yet. */
const waitingAs = indexOf<OutRow>('$out', (row) => toldIn(outRowOf(row).letter))

/**
 * The first may have been heard in a time that its broker has forgotten; the second goes out only when that is acknowledged.
 * What was numbered before this site was put back itself may come too late.
 */
function waitsTwice(told: string, draft: AuthorityDraft): boolean {
  const { generation } = metaOf(draft.committed)
  const waiting = draft
    .having(waitingAs, told)
    .filter((row) => !draft.outDone.has(row.id) && outRowOf(row).generation === generation)
  return waiting.length > 1
}

/** An order takes its time to get here, and the clock it was read from may differ from this one. */
export const LATE_MS_MAX: Millis = 60_000

/** What is answered to a recall. */
export interface Recalled {
  readonly recallId: string
  /** Why it binds nobody under the terms of the site; null if it does. */
  readonly advice: string | null
}

/** A type of which nothing is to be given away any more; see `sublet withdraw`. */
export interface WithdrawOrder {
  readonly type: string
  /** Absent: the one that was given before, if there is one. */
  readonly reason?: string | undefined
  readonly orderedBy?: string | undefined
}

/** ... and of which everything is wanted back; see `sublet reclaim`. */
export interface ReclaimOrder extends WithdrawOrder {
  readonly by: Instant
}

/**
 * The owner takes back what it lent, in part or the whole type, and lends it again:
 *
 *   withdraw: nothing more is given away ─────────────┐
 *   recall: so many are wanted back by a time ──▶ taken ──▶ lend again
 *             └─ call off: nothing is taken
 *   reclaim: both, all of them
 */
export function recalls(config: AuthorityConfig, site: Offers, claims: RootClaims, units: Units) {
  return { recall, recallDue, tellBroker, recalledUnit, cameBack, callOff, lendAgain, withdraw, reclaim }

  function recall(order: RecallOrder, draft: AuthorityDraft): Recalled {
    const offer = draft.get('offer', order.type)
    if (offer === undefined) throw new SubletError('unknown-type', `this site has no type ${order.type}`)
    if (!Number.isInteger(order.units) || order.units < 1 || order.units > offer.units - offer.withheld)
      throw new SubletError(
        'no-capacity',
        `${someUnits(lentOf(order.type, draft))} of ${order.type} can be recalled, not ${order.units}`,
        { cure: 'Recall at most so many; `sublet status` tells what is lent.' },
      )
    if (!Number.isInteger(order.by) || order.by < 0)
      throw new SubletError('usage', `units cannot be recalled by ${order.by}: that is no time`)
    if (order.by > LATEST)
      throw new SubletError('usage', `units cannot be recalled by a time after ${iso(LATEST)}`, {
        cure: 'Give an earlier time, or take the type out with `sublet withdraw`.',
      })
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
    const words = `${count} of ${type} by ${iso(by)}: ${reason}${orderedBy(order.orderedBy)}`
    draft.note('recalled', recallId, words, { type, units: count, by, ...whose(order.orderedBy) })
    tell(
      draft,
      brokerOf(config, type),
      'recall-units',
      `offer-${type}`,
      { recallId, type, units: count, by, reason },
      by + config.conditions.graceMs,
    )
    return { recallId, advice: adviceOf(order.by, draft.now) }
  }

  /** Why leases under the terms of this site are not bound by it; null if they are. */
  function adviceOf(by: Instant, now: Instant): string | null {
    const { recallable, noticeMs } = config.conditions
    if (isBinding({ by, orderedAt: now }, config.conditions)) return null
    const terms = recallable
      ? `they let units be recalled with a notice of ${period(noticeMs)}`
      : 'they do not let units be recalled'
    return `by the terms of this site this is advice, for ${terms}: units may stay until their leases end`
  }

  /** It may have forgotten what is wanted back. However often it asks, each is twice in the outbox at most. */
  function tellBroker(broker: string, draft: AuthorityDraft): void {
    const justTold = new Set(draft.outgoing.flatMap((letter) => toldIn(letter) ?? []))
    for (const { id: recallId, type, units, by, taken, orderedAt } of draft.all('recall')) {
      if (taken || by <= draft.now || brokerOf(config, type) !== broker) continue
      const told = toldAs(broker, recallId)
      if (justTold.has(told) || waitsTwice(told, draft)) continue
      const body = { recallId, type, units, by, reason: 'told again, one of us was restored' }
      // Its notice has run since then, here as there.
      const again = orderedAt === undefined ? body : { ...body, orderedAt }
      tell(draft, broker, 'recall-units', `offer-${type}`, again, by + config.conditions.graceMs)
    }
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
    const takenAt = order.taken ? order.takenAt : Math.max(order.by, draft.now)
    const excess = excessOf(order, draft)
    let next: Instant | undefined
    let back = 0
    for (const unit of excess) {
      const conditions = conditionsOf(unit, draft)
      if (conditions === undefined || !isBinding(order, conditions)) continue
      const last = (takenAt ?? order.by) + conditions.graceMs
      if (draft.now >= last) {
        if (unit.recalledAt === undefined) back++
        units.end(recalledUnit(unit, draft), draft.now, 'it was recalled and not given back', draft)
      } else next = Math.min(next ?? last, last)
    }
    cameBack(order.type, back, draft)
    if (next === undefined) draft.remove('recall', recallId)
    else draft.put('recall', { ...order, taken: true, takenAt, due: next })
  }

  /** What is given back for a recall, or taken, belongs no more to the tickets that there were then. */
  function recalledUnit(unit: UnitRow, draft: AuthorityDraft, recalledSeq?: number): UnitRow {
    const lease = draft.get('lease', unit.leaseId)
    if (unit.recalledAt !== undefined || lease === undefined) return unit
    const { ticket, next, victims } = lease
    // A victim is not of the extension: that has been counted without it.
    const tickets = next === undefined || victims.includes(unit.id) ? [ticket] : [ticket, next]
    // They were issued before, also where the clock of their broker is ahead.
    const recalledAt = Math.max(draft.now, ...tickets.map(({ issuedAt }) => issuedAt))
    const recalled: UnitRow = { ...unit, recalledAt, recalledSeq }
    claims.giveBack(
      tickets.filter((one) => isRecalledOf(one, recalled)),
      draft,
    )
    return recalled
  }

  /**
   * Units that come back after more was lent, for whatever reason, may be lent already: they are promised to nobody until
   * their broker hears that they are back. Where it never was more, it knows that they are kept.
   */
  function cameBack(type: string, count: number, draft: AuthorityDraft): void {
    const offer = draft.get('offer', type)
    if (offer?.lentAgainAt === undefined || count === 0) return
    site.tellOffer(offer, `${someUnits(count)} came back that had been recalled`, draft)
  }

  function take(order: RecallRow, draft: AuthorityDraft): void {
    const offer = draft.get('offer', order.type)!
    draft.put('recall', { ...order, taken: true })
    const shrunk = {
      ...offer,
      withheld: offer.withheld + order.units,
      recalledAt: Math.max(draft.now, offer.recalledAt ?? 0),
      settledRecalls: [...offer.settledRecalls, order.id].slice(-RECALLS_MAX),
    }
    site.tellOffer(shrunk, `recalled: ${someUnits(order.units)}`, draft)
  }

  /**
   * As if it had been taken and all of it lent again at once. What holders have promised to give back for it they give back:
   * their broker lends it again from then on.
   */
  function callOff(
    { recallId, reason, orderedBy: who }: CallOffOrder,
    draft: AuthorityDraft,
  ): { lent: number; withheld: number } {
    const order = draft.get('recall', recallId)
    if (order === undefined)
      throw new SubletError('unknown-id', `no recall ${recallId} is before this site`, {
        cure: 'Look for its id with `sublet status`; what was taken is lent again with `sublet lend --units`.',
      })
    if (order.taken)
      throw new SubletError('usage', `the recall ${recallId} has taken effect`, {
        cure: 'Lend its units again with `sublet lend --units`.',
      })
    const { type, units: count } = order
    const offer = offerOf(type, draft)
    draft.remove('recall', recallId)
    const settledRecalls = [...offer.settledRecalls, recallId].slice(-RECALLS_MAX)
    // Also tickets that begin until then may be without what their holder promised.
    const recalledAt = Math.max(draft.now, order.by, offer.recalledAt ?? 0)
    const same: OfferRow = { ...offer, recalledAt, lentAgainAt: draft.now, settledRecalls }
    site.tellOffer(same, `${someUnits(count)} lent again after a recall that is called off: ${reason}`, draft)
    const stays = `${someUnits(count)} of ${type} may stay: ${reason}${orderedBy(who)}`
    draft.note('recall called off', recallId, stays, whose(who))
    return { lent: offeredOf(same), withheld: same.withheld }
  }

  /** What is stuck or on a host that is worked on stays withheld. Recalls that are not yet due are called off instead. */
  function lendAgain(order: LendOrder, draft: AuthorityDraft): { lent: number; withheld: number } {
    const offer = draft.get('offer', order.type)
    if (offer === undefined) throw new SubletError('unknown-type', `this site has no type ${order.type}`)
    if (offer.withdrawn !== undefined && order.units === 0) return offerAgain(offer, order, draft)
    if (order.units === 0)
      throw new SubletError('usage', `${order.type} is not withdrawn`, {
        cure: 'Say with --units how many units are to be lent again that were recalled.',
      })
    const stuck = draft
      .all('unit')
      .filter(({ type, state }) => type === order.type && state === 'stuck').length
    // What a host that is worked on has no room for comes back with the host.
    const onHosts = draft.all('host').reduce((sum, { withheld }) => sum + (own(withheld, order.type) ?? 0), 0)
    const most = Math.max(0, offer.withheld - stuck - onHosts)
    if (!Number.isInteger(order.units) || order.units < 1 || order.units > most)
      throw new SubletError(
        'no-capacity',
        `${most} of ${order.type} are withheld since a recall; ${order.units} cannot be lent again`,
        {
          cure: 'Look at `sublet status`; a recall that has not taken effect is undone with `sublet call-off`.',
        },
      )
    const withheld = offer.withheld - order.units
    const grown = { ...offer, withdrawn: undefined, withheld }
    const reason = `${someUnits(order.units)} lent again after a recall: ${order.reason}`
    site.tellOffer(grown, reason, draft, order.orderedBy)
    return { lent: offeredOf(grown), withheld: grown.withheld }
  }

  /**
   * Units beyond what is lent, as many as the recall is for at most: those that are going already, which are held
   * while work runs there, then the latest. What is stuck is not lent any more; what goes whatever runs there, for
   * another recall or with its host, is no excess.
   */
  function excessOf(
    { type, units: most }: Pick<RecallRow, 'type' | 'units'>,
    draft: AuthorityDraft,
  ): UnitRow[] {
    const held = draft
      .all('unit')
      .filter((unit) => unit.type === type && unit.state !== 'stuck' && unit.state !== 'ended')
      .sort(byTurn)
    const leaving = leavingWithHosts(type, held, draft)
    const staying = held.filter((unit) => !leaving.has(unit) && (isLive(unit) || mayWork(unit, draft.now)))
    const excess = staying.length - lentOf(type, draft)
    return staying.slice(0, Math.max(0, Math.min(excess, most)))
  }

  function offerOf(type: string, draft: AuthorityDraft): OfferRow {
    const offer = draft.get('offer', type)
    if (offer === undefined) throw new SubletError('unknown-type', `this site has no type ${type}`)
    return offer
  }

  /** Leases and tickets that there are stay what they are; they are not extended. */
  function withdraw(order: WithdrawOrder, draft: AuthorityDraft): { promised: number } {
    const { type, reason } = order
    const offer = offerOf(type, draft)
    const withdrawn = (reason ?? offer.withdrawn ?? 'withdrawn by the operator').slice(0, 500)
    const already = reason === undefined && offer.withdrawn !== undefined ? ' already' : ''
    site.tellOffer({ ...offer, withdrawn }, `withdrawn${already}: ${withdrawn}`, draft, order.orderedBy)
    return { promised: lentOf(type, draft) }
  }

  function reclaim(
    order: ReclaimOrder,
    draft: AuthorityDraft,
  ): { recallId: string | null; advice: string | null; units: number } {
    const { type, by } = order
    const { withdrawn } = offerOf(type, draft)
    const reason = order.reason ?? withdrawn ?? 'reclaimed by the operator'
    const units = lentOf(type, draft)
    const { recallId, advice } =
      units > 0 ? recall({ ...order, units, by, reason }, draft) : { recallId: null, advice: null }
    if (withdrawn === undefined) withdraw({ ...order, reason }, draft)
    return { recallId, advice, units }
  }

  function offerAgain(
    offer: OfferRow,
    { reason, orderedBy: who }: LendOrder,
    draft: AuthorityDraft,
  ): { lent: number; withheld: number } {
    const again = { ...offer, withdrawn: undefined }
    site.tellOffer(again, `offered again: ${reason}`, draft, who)
    return { lent: offeredOf(again), withheld: again.withheld }
  }
}

/** Those that are going come first, then the latest. */
const byTurn = (a: UnitRow, b: UnitRow): number =>
  Number(isLive(a)) - Number(isLive(b)) || b.assignedAt - a.assignedAt || b.slot - a.slot

/** It is ended when no work runs there any more. */
const mayWork = ({ forceFrom }: UnitRow, now: Instant): boolean => forceFrom !== undefined && forceFrom > now

/** As many on each host that is to be worked on as are not lent because of it: they go with their host. */
function leavingWithHosts(
  type: string,
  held: readonly UnitRow[],
  draft: AuthorityDraft,
): ReadonlySet<UnitRow> {
  return new Set(
    draft
      .all('host')
      .flatMap(({ id, withheld }) =>
        held.filter(({ host }) => host === id).slice(0, own(withheld, type) ?? 0),
      ),
  )
}

/**
 * Whether a holder who gives units back in the term of his ticket may do so for a recall, when they are let go on working so
 * long after its time: what was promised back in one term may leave in the next.
 */
export const isRecalledIn = ({ type, term }: Ticket, graceMs: Millis, draft: AuthorityDraft): boolean =>
  (draft.get('offer', type)?.recalledAt ?? Number.NEGATIVE_INFINITY) + graceMs > term.start ||
  draft.all('recall').some((recall) => recall.type === type)

/** A recall binds the holder if its ticket says so and the notice was as long as the ticket says. */
export const isBinding = (
  order: Pick<RecallRow, 'by' | 'orderedAt' | 'lapsed'>,
  { recallable, noticeMs }: Conditions,
): boolean => order.lapsed !== true && recallable && order.by - (order.orderedAt ?? order.by) >= noticeMs

const iso = (at: Instant): string => new Date(at).toISOString()
