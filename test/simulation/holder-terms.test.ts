import { describe, expect, test } from 'vitest'
import { MINUTE } from './desk.ts'
import { conditions, Holder } from './holder.ts'

/** Three units, of which one or more have left by the wish of the controller. */
function lessOf(holder: Holder, leave: number): { id: string; left: string[]; kept: string[] } {
  const id = holder.active({ units: 3, unitsMin: 3 })
  const left = holder.lease(id).units.slice(0, leave)
  holder.wish(left.map((unitId) => ({ kind: 'leave', unitId, reason: 'empty' })))
  for (const unitId of left) holder.done(unitId, 'leave')
  return { id, left, kept: holder.lease(id).units.slice(leave) }
}

/** Asks for another term for so many units, by default for those that stay, and everybody grants it. */
function extend(holder: Holder, id: string, units?: number): void {
  const wish = {
    kind: 'extend' as const,
    leaseId: id,
    durationMs: 10 * MINUTE,
    victims: [],
    reason: 'wanted',
  }
  holder.wish([units === undefined ? wish : { ...wish, units }])
  holder.grant(id)
  const { next, term, units: known } = holder.lease(id)
  const reports = known.map((unitId) =>
    holder.report(unitId, holder.unit(unitId).state === 'left' ? 'ended' : 'active'),
  )
  holder.update(id, { ticketId: next!.id, term: { start: term!.start, end: next!.term.end } }, reports)
}

const heldIn = (holder: Holder, id: string): string[] => holder.shown(id)!.held.map((unit) => unit.id)

describe('a lease that is extended without units that have left', () => {
  test('shows them until the extension begins, for their ticket stands until then', () => {
    const holder = new Holder()
    const { id, left, kept } = lessOf(holder, 2)
    const { end } = holder.lease(id).term!
    extend(holder, id)
    holder.desk.now = end - 1
    expect(heldIn(holder, id)).toEqual([...left, ...kept])
    holder.desk.now = end
    expect(heldIn(holder, id)).toEqual(kept)
    expect(holder.shown(id)!.units).toBe(1)
  })

  test('shows those that leave after it was asked for: their ticket goes on', () => {
    const holder = new Holder()
    const { id, kept } = lessOf(holder, 1)
    const { end } = holder.lease(id).term!
    extend(holder, id)
    holder.wish([{ kind: 'leave', unitId: kept[0]!, reason: 'empty' }])
    holder.done(kept[0]!, 'leave')
    holder.desk.now = end
    expect(heldIn(holder, id)).toEqual(kept)
  })

  test('does not show them either when it grows at the same boundary', () => {
    const holder = new Holder()
    const { id, kept } = lessOf(holder, 1)
    const { end } = holder.lease(id).term!
    extend(holder, id, 4)
    holder.desk.now = end
    expect(heldIn(holder, id)).toEqual(kept)
    expect(holder.shown(id)!.units).toBe(4)
  })
})

describe('the final word', () => {
  /** Extended once under another grace than before, and given back; the instant from which only silence is waited for. */
  function extendedUnder(graceMs: number, confirmed: boolean): { holder: Holder; id: string; end: number } {
    const holder = new Holder()
    const id = holder.active()
    holder.wish([{ kind: 'extend', leaseId: id, durationMs: 10 * MINUTE, victims: [], reason: 'wanted' }])
    holder.grant(id, { conditions: { ...conditions, graceMs } })
    const { next, term } = holder.lease(id)
    const { end } = next!.term
    if (confirmed) holder.update(id, { ticketId: next!.id, term: { start: term!.start, end } })
    holder.wish([{ kind: 'release', leaseId: id, reason: 'enough' }])
    for (const unitId of holder.lease(id).units) holder.done(unitId, 'leave')
    expect(holder.lease(id).leaseState).toBe('closing')
    return { holder, id, end }
  }

  test.each([
    true,
    false,
  ])('is waited for to the end of the grace of the last ticket, agreed: %s', (confirmed) => {
    const { holder, id, end } = extendedUnder(5 * MINUTE, confirmed)
    const last = end + 5 * MINUTE + MINUTE
    holder.desk.now = last - 1
    holder.desk.due('lease', id)
    expect(holder.lease(id).leaseState).toBe('closing')
    holder.desk.now = last
    holder.desk.due('lease', id)
    expect(holder.lease(id).leaseState).toBe('closed')
  })
})
