import { tell } from '../leases/correspondence.ts'
import type { Instant } from '../runtime/clock.ts'
import { SubletError } from '../runtime/errors.ts'
import type { AuthorityConfig } from './config.ts'
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

type End = (unit: UnitRow, forceFrom: Instant, reason: string, draft: AuthorityDraft) => void

/**
 * What the site lends. The offer is told to the broker whole, whenever it changes:
 *
 *   lent = configured − stuck − recalled
 */
export function offers(config: AuthorityConfig, end: () => End) {
  return { begin, withhold, recall, recallDue }

  /** Offers what is configured, less what is withheld since an earlier life. */
  function begin(draft: AuthorityDraft): void {
    for (const [type, offer] of Object.entries(config.types)) {
      const before = draft.get('offer', type)
      const row: OfferRow = {
        id: type,
        units: offer.units,
        withheld: before?.withheld ?? 0,
        settledRecalls: before?.settledRecalls ?? [],
      }
      draft.put('offer', row)
      tellOffer(row, 'the site has started', draft)
    }
  }

  function tellOffer(row: OfferRow, reason: string, draft: AuthorityDraft): void {
    const { vector } = config.types[row.id]!
    const count = Math.max(0, row.units - row.withheld)
    const body = {
      type: row.id,
      units: count,
      vector: { ...vector },
      conditions: config.conditions,
      settledRecalls: [...row.settledRecalls],
      reason,
    }
    tell(draft, config.broker, 'delegation', `offer-${row.id}`, body, draft.now + config.answerMs)
    draft.note('offered', row.id, `${count} units: ${reason}`)
  }

  function withhold(type: string, by: number, reason: string, draft: AuthorityDraft): void {
    const row = draft.get('offer', type)
    if (row === undefined) return
    const changed = { ...row, withheld: Math.max(0, row.withheld + by) }
    draft.put('offer', changed)
    tellOffer(changed, reason, draft)
  }

  function recall(order: RecallOrder, draft: AuthorityDraft): { recallId: string } {
    const offer = draft.get('offer', order.type)
    if (offer === undefined) throw new SubletError('unknown-type', `this site has no type ${order.type}`)
    if (!Number.isInteger(order.units) || order.units < 1 || order.units > offer.units - offer.withheld)
      throw new SubletError(
        'no-capacity',
        `${offer.units - offer.withheld} units of ${order.type} are lent; ${order.units} cannot be recalled`,
      )
    const recallId = draft.newId('delegation')
    draft.put('recall', {
      id: recallId,
      type: order.type,
      units: order.units,
      by: order.by,
      taken: false,
      due: order.by,
    })
    const { type, units: count, by, reason } = order
    draft.note('recalled', recallId, `${count} of ${type} by ${iso(by)}: ${reason}`)
    tell(
      draft,
      config.broker,
      'recall-units',
      `offer-${type}`,
      { recallId, type, units: count, by, reason },
      by,
    )
    return { recallId }
  }

  /**
   * At the deadline the offer shrinks. Holders are letting go what they promised, and work there may end
   * within the grace; what is too much after that is taken, whatever runs there.
   */
  function recallDue(recallId: string, draft: AuthorityDraft): void {
    const order = draft.get('recall', recallId)
    if (order === undefined) return
    if (!order.taken) take(order, draft)
    const excess = excessOf(order.type, draft)
    if (excess.length === 0 || !config.conditions.recallable) return draft.remove('recall', recallId)
    const last = order.by + config.conditions.graceMs
    if (draft.now < last) return draft.put('recall', { ...order, taken: true, due: last })
    for (const unit of excess) end()(unit, draft.now, 'it was recalled and not given back', draft)
    draft.remove('recall', recallId)
  }

  function take(order: RecallRow, draft: AuthorityDraft): void {
    const offer = draft.get('offer', order.type)!
    const shrunk = {
      ...offer,
      withheld: offer.withheld + order.units,
      settledRecalls: [...offer.settledRecalls, order.id].slice(-1_000),
    }
    draft.put('offer', shrunk)
    tellOffer(shrunk, `${order.units} units were recalled`, draft)
  }

  /** Units beyond what is lent, the latest first. */
  function excessOf(type: string, draft: AuthorityDraft): UnitRow[] {
    const held = draft.all('unit').filter((unit) => unit.type === type && isLive(unit))
    const excess = held.length - lentOf(type, draft)
    return held.sort((a, b) => b.assignedAt - a.assignedAt || b.slot - a.slot).slice(0, Math.max(0, excess))
  }
}

/** What the site lends of a type at present. */
export function lentOf(type: string, draft: AuthorityDraft): number {
  const offer = draft.get('offer', type)
  return offer === undefined ? 0 : Math.max(0, offer.units - offer.withheld)
}

const iso = (at: Instant): string => new Date(at).toISOString()
