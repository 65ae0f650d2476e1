import { describe, expect, test } from 'vitest'
import type { GuestIntent } from '../../controllers/controller.ts'
import { Holder } from './holder.ts'

const MINUTE = 60_000

const request = {
  ...{ kind: 'request', type: 't', units: 2, unitsMin: 2, durationMs: 10 * MINUTE },
  ...{ startBy: undefined, reason: 'for a class' },
} as const satisfies GuestIntent

const wish = (holder: Holder, intent: GuestIntent, guest = 'g') =>
  holder.desk.give({ kind: 'command', name: 'wish', args: { guest, intent, by: 'uid 7' } })
const notes = (draft: ReturnType<typeof wish>) => draft.notes.map(({ kind, reason }) => [kind, reason])

describe('what somebody asks for by hand', () => {
  test('is asked of the broker, and written down with who it was', () => {
    const draft = wish(new Holder(), request)
    expect(notes(draft)).toEqual([
      ['wished', 'uid 7: for a class'],
      ['requested', 'for a class'],
    ])
    expect(draft.outgoing).toMatchObject([{ to: 'broker', kind: 'ticket' }])
  })

  test('is not even asked where it has no place, and says so', () => {
    const holder = new Holder()
    wish(holder, { ...request, label: 'web' })
    const refused = wish(holder, { ...request, label: 'web' })
    expect(refused.outgoing).toEqual([])
    expect(notes(refused).at(-1)).toEqual(['wish refused', expect.stringMatching(/ is called web already$/)])
    const later = wish(holder, { ...request, after: { redeem: 'db' } })
    expect(notes(later).at(-1)).toEqual(['wish refused', 'no lease called db is held or asked for'])
  })

  const extend = (leaseId: string): GuestIntent => ({
    ...{ kind: 'extend', leaseId, durationMs: MINUTE, victims: [], reason: 'more' },
  })

  test.each<[string, (holder: Holder) => string, string]>([
    ['has no ticket', (holder) => holder.ask(), 'it has no ticket yet that could be extended'],
    [
      'has no unit yet',
      (holder) => {
        const id = holder.ask()
        holder.grant(id)
        return id
      },
      'its site has not said yet which units it has',
    ],
    [
      'has no unit any more',
      (holder) => {
        const id = holder.active()
        const all = holder.lease(id).units
        holder.wish(all.map((unitId) => ({ kind: 'leave', unitId, reason: 'empty' }) as const))
        for (const unitId of all) holder.done(unitId, 'leave')
        return id
      },
      'nothing of it would be kept: all its units have left',
    ],
    [
      'is being extended',
      (holder) => {
        const id = holder.active()
        wish(holder, extend(id))
        return id
      },
      'it cannot be extended while its ticket is extending and its lease extending',
    ],
    [
      'is to be extended by a ticket that its site has not confirmed',
      (holder) => {
        const id = holder.active()
        wish(holder, extend(id))
        holder.grant(id)
        return id
      },
      'an extension is agreed already, and has not been confirmed yet (extension-pending)',
    ],
    [
      'has an extension that has not begun',
      (holder) => {
        const id = holder.active()
        wish(holder, extend(id))
        holder.grant(id)
        const { next } = holder.lease(id)
        holder.update(id, { term: next!.term, ticketId: next!.id }, holder.reports(id))
        return id
      },
      'its last extension has not begun yet (extension-pending)',
    ],
    [
      'ends',
      (holder) => {
        const id = holder.active()
        holder.desk.now = holder.lease(id).term!.end - 1
        return id
      },
      'it is too late: its units leave already',
    ],
  ])('is no extension of a lease that %s', (_, made, sentence) => {
    const holder = new Holder()
    const id = made(holder)
    const draft = wish(holder, extend(id))
    expect(notes(draft)).toEqual([
      ['wished', 'uid 7: more'],
      ['wish refused', sentence],
    ])
    expect(draft.outgoing).toEqual([])
  })

  test('gives back a lease once', () => {
    const holder = new Holder()
    const id = holder.ask()
    const release: GuestIntent = { kind: 'release', leaseId: id, reason: 'done' }
    wish(holder, release)
    expect(holder.lease(id)).toMatchObject({ ticketState: 'returning', leaseState: 'closed' })
    holder.answer(id, 'closed')
    expect(notes(wish(holder, release)).at(-1)).toEqual(['wish refused', 'it is over already'])
    expect(() => wish(holder, { ...release, leaseId: 'lease-9' })).toThrow('no lease lease-9 is held')
    expect(() => wish(holder, release, 'nobody')).toThrow('no guest is named nobody')
  })
})
