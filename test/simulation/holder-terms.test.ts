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

describe('an extension that is asked for while units only let their work end', () => {
  const wanted = { kind: 'extend', durationMs: 20 * MINUTE, victims: [], reason: 'wanted' } as const
  const asked = (draft: ReturnType<Holder['wish']>) =>
    draft.outgoing.find(({ kind }) => kind === 'extend-ticket')?.body

  function three(): { holder: Holder; id: string } {
    const holder = new Holder()
    const id = holder.ask({ units: 3, unitsMin: 3, durationMs: 20 * MINUTE })
    holder.grant(id, { conditions: { ...conditions, graceMs: 60 * MINUTE } })
    holder.update(id)
    for (const unitId of holder.lease(id).units) holder.done(unitId, 'join')
    return { holder, id }
  }

  /** So many of three units are recalled, and work there goes on. */
  function recalled(units: number): { holder: Holder; id: string; leaving: string[] } {
    const { holder, id } = three()
    const by = holder.desk.now + 5 * MINUTE
    holder.desk.tell('broker', 'recall', id, { recallId: 'r', units, by, binding: true, reason: 'ours' })
    holder.desk.now = holder.lease(id).due!
    holder.desk.due('lease', id)
    const leaving = holder.lease(id).units.filter((unitId) => holder.unit(unitId).mustLeave)
    for (const unitId of leaving) holder.done(unitId, 'leave', { kind: 'busy', jobs: ['7'] })
    expect(leaving).toHaveLength(units)
    return { holder, id, leaving }
  }

  test('is for those that stay, and its site is told which do not', () => {
    const { holder, id, leaving } = recalled(1)
    const draft = holder.wish([{ ...wanted, leaseId: id }])
    expect(asked(draft)).toMatchObject({ units: 2 })
    const told = holder.grant(id).outgoing.find(({ kind }) => kind === 'extend-lease')
    expect(told?.body).toMatchObject({ victims: leaving })
  })

  test('is not for those that are promised back and still work, and the same ones leave for the recall', () => {
    const { holder, id } = three()
    const by = holder.desk.now + 5 * MINUTE
    holder.desk.tell('broker', 'recall', id, { recallId: 'r', units: 1, by, binding: true, reason: 'ours' })
    const last = holder.lease(id).units.at(-1)!
    expect(asked(holder.wish([{ ...wanted, leaseId: id, victims: [last] }]))).toMatchObject({ units: 2 })
    const told = holder.grant(id).outgoing.find(({ kind }) => kind === 'extend-lease')
    expect(told?.body).toMatchObject({ victims: [last] })
    holder.desk.now = holder.lease(id).due!
    holder.desk.due('lease', id)
    expect(holder.lease(id).units.filter((unitId) => holder.unit(unitId).mustLeave)).toEqual([last])
  })

  test('is not for those that are promised back, whether the guest names them or not', () => {
    const { holder, id } = three()
    const by = holder.desk.now + 5 * MINUTE
    holder.desk.tell('broker', 'recall', id, { recallId: 'r', units: 1, by, binding: true, reason: 'ours' })
    expect(asked(holder.wish([{ ...wanted, leaseId: id }]))).toMatchObject({ units: 2 })
  })

  test('names them also when it grows', () => {
    const { holder, id, leaving } = recalled(1)
    expect(asked(holder.wish([{ ...wanted, leaseId: id, units: 4 }]))).toMatchObject({ units: 4 })
    const told = holder.grant(id).outgoing.find(({ kind }) => kind === 'extend-lease')
    expect(told?.body).toMatchObject({ victims: leaving })
  })

  test('is not asked for where all of them leave, and the lease goes on to its end', () => {
    const { holder, id } = recalled(3)
    expect(asked(holder.wish([{ ...wanted, leaseId: id }]))).toBeUndefined()
    expect(holder.lease(id)).toMatchObject({
      leaseState: 'active',
      extendRefused: { reason: 'all its units leave already' },
    })
  })

  test('does not count one that had to go at the last boundary', () => {
    const { holder, id } = three()
    const [victim = ''] = holder.lease(id).units
    holder.wish([{ ...wanted, leaseId: id, victims: [victim] }])
    holder.grant(id)
    const { next, term, units } = holder.lease(id)
    const extended = { ticketId: next!.id, term: { start: term!.start, end: next!.term.end } }
    holder.update(
      id,
      extended,
      units.map((unitId) => holder.report(unitId, 'active')),
    )
    holder.desk.now = holder.lease(id).due!
    holder.desk.due('lease', id)
    holder.done(victim, 'leave', { kind: 'busy', jobs: ['7'] })
    holder.desk.now = next!.term.start + MINUTE
    expect(asked(holder.wish([{ ...wanted, leaseId: id }]))).toMatchObject({ units: 2 })
  })
})

describe('the final word', () => {
  /** Extended once under another grace than before, and given back; the instant from which only silence is waited for. */
  function extendedUnder(graceMs: number, how: string): { holder: Holder; id: string; end: number } {
    const holder = new Holder()
    const id = holder.active()
    holder.wish([{ kind: 'extend', leaseId: id, durationMs: 10 * MINUTE, victims: [], reason: 'wanted' }])
    holder.grant(id, { conditions: { ...conditions, graceMs } })
    const { next, term } = holder.lease(id)
    const { end } = next!.term
    if (how === 'confirmed') holder.update(id, { ticketId: next!.id, term: { start: term!.start, end } })
    // Acknowledgements are lost, too: the site may have taken it.
    const envelope = { kind: 'extend-lease', subject: id, to: 'site', body: {} } as never
    if (how === 'unanswered')
      holder.desk.give({ kind: 'undelivered', envelope, code: 'peer-silent', reason: 'no answer' })
    holder.wish([{ kind: 'release', leaseId: id, reason: 'enough' }])
    for (const unitId of holder.lease(id).units) holder.done(unitId, 'leave')
    expect(holder.lease(id).leaseState).toBe('closing')
    return { holder, id, end }
  }

  test.each([
    'confirmed',
    'still asked',
    'unanswered',
  ])('is waited for to the end of the grace of the last ticket: %s', (how) => {
    const { holder, id, end } = extendedUnder(5 * MINUTE, how)
    const last = end + 5 * MINUTE + MINUTE
    holder.desk.now = last - 1
    holder.desk.due('lease', id)
    expect(holder.lease(id).leaseState).toBe('closing')
    holder.desk.now = last
    holder.desk.due('lease', id)
    expect(holder.lease(id).leaseState).toBe('closed')
  })
})
