import { tell } from '../leases/correspondence.ts'
import type { Instant } from '../runtime/clock.ts'
import { SubletError } from '../runtime/errors.ts'
import type { AuthorityConfig } from './config.ts'
import { isLive } from './leases.ts'
import type { OfferRow, UnitRow } from './rows.ts'
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
    draft.put('recall', { id: recallId, type: order.type, units: order.units, by: order.by, due: order.by })
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

  /** At the deadline the offer shrinks; what was not given back and may be recalled is taken, work first let end. */
  function recallDue(recallId: string, draft: AuthorityDraft): void {
    const order = draft.get('recall', recallId)
    if (order === undefined) return
    draft.remove('recall', recallId)
    const offer = draft.get('offer', order.type)!
    const shrunk = {
      ...offer,
      withheld: offer.withheld + order.units,
      settledRecalls: [...offer.settledRecalls, recallId].slice(-1_000),
    }
    draft.put('offer', shrunk)
    tellOffer(shrunk, `${order.units} units were recalled`, draft)
    if (!config.conditions.recallable) return
    const live = draft.all('unit').filter((unit) => unit.type === order.type && isLive(unit))
    const excess = live.length - (shrunk.units - shrunk.withheld)
    for (const unit of live
      .sort((a, b) => b.assignedAt - a.assignedAt || b.slot - a.slot)
      .slice(0, Math.max(0, excess)))
      end()(unit, draft.now + config.conditions.graceMs, 'it was recalled and not given back', draft)
  }
}

const iso = (at: Instant): string => new Date(at).toISOString()
