import { describe, expect, test } from 'vitest'
import { MINUTE } from './desk.ts'
import { Holder } from './holder.ts'
import { restored } from './holder-store.ts'

const HOUR = 60 * MINUTE

/** It was restored, and its site stayed silent. */
function unanswered(holder: Holder, since: () => void = () => undefined): void {
  restored(holder, since)
  holder.desk.now += 10 * MINUTE
  holder.desk.due('recovery', 'recovery')
  holder.desk.now += HOUR
}

describe('a unit that its site does not name to a restored holder', () => {
  /** What a site says to whoever asks for a lease that it does not know, and of which machines are there. */
  test('is let end its work where the site has forgotten the lease and lets work end', () => {
    const holder = new Holder()
    const id = holder.active({ durationMs: 10 * HOUR })
    unanswered(holder)
    expect(holder.lease(id).unsure).toBe(true)
    const term = { start: holder.desk.now - 1, end: holder.desk.now + HOUR }
    const said = { state: 'closing', term, ticketId: 'none', image: '', reason: 'no such lease is known' }
    const { intended, notes } = holder.update(id, said, [])
    expect([...intended.values()].map((effect) => [effect?.verb, effect?.args])).toEqual([
      ['leave', expect.objectContaining({ requeue: false })],
      ['leave', expect.objectContaining({ requeue: false })],
    ])
    expect(notes.map(({ kind }) => kind)).not.toContain('unit lost')
    for (const unit of holder.lease(id).units) expect(holder.unit(unit).state).toBe('leaving')
  })

  test('is gone where the site knows the lease, and not it', () => {
    const holder = new Holder()
    const id = holder.active({ durationMs: 10 * HOUR })
    const [first, second] = holder.lease(id).units as [string, string]
    unanswered(holder)
    const { intended } = holder.update(id, {}, [holder.report(first, 'active')])
    expect([...intended.entries()].map(([key, effect]) => [key, effect?.verb])).toEqual([[second, 'lost']])
  })

  test('is where it was once the site has named all that there is', () => {
    const holder = new Holder()
    const id = holder.ask({ durationMs: 10 * HOUR })
    unanswered(holder)
    expect(holder.lease(id).unheard).toBe(true)
    holder.grant(id)
    holder.update(id)
    const [first, second] = holder.lease(id).units as [string, string]
    expect(holder.unit(first).mayBeIn).toBe(true)
    expect(holder.lease(id).unheard).toBeUndefined()
    for (const unit of [first, second]) holder.done(unit, 'join')
    holder.desk.now += HOUR
    // Nor is more taken than the ticket is for.
    const { notes } = holder.update(id, {}, [holder.report(first, 'active'), holder.report('u9', 'active')])
    expect(notes.map(({ kind, data }) => [kind, data])).toEqual([
      ['unit refused', { unitId: 'u9', code: 'beyond-ticket' }],
    ])
    expect(holder.unit(second).state).toBe('joined')
  })
})
