import { describe, expect, test } from 'vitest'
import { Holder, kindsOf } from './holder.ts'
import {
  type HolderDraft,
  held,
  machine,
  openQuestionTo,
  questionTo,
  restored,
  tells,
} from './holder-store.ts'

describe('a ticket that comes to a restored service manager', () => {
  /** A request that was answered and given back in the time forgotten. Its ticket is still on its way. */
  function givenBack() {
    const holder = new Holder()
    const id = holder.ask()
    const ticket = holder.ticketFor(id)
    const { draft } = restored(holder, () => undefined)
    const closed = held({ ...holder.lease(id), ticket }, [], { state: 'closed', closed: true })
    const granted = (): HolderDraft => holder.answer(id, 'granted', { ticket })
    return { holder, id, ticket, draft, closed, granted }
  }

  test('redeems no ticket that it had given back, whichever comes first: the ticket, or the word of its broker', () => {
    const late = givenBack()
    tells(late.holder, 'broker', questionTo(late.draft, 'broker'), [late.closed])
    const early = givenBack()
    early.granted()
    tells(early.holder, 'broker', questionTo(early.draft, 'broker'), [early.closed])
    const update = givenBack()
    update.granted()
    update.holder.answer(update.id, 'closed')
    tells(update.holder, 'broker', questionTo(update.draft, 'broker'), [])
    for (const { holder, id, draft, granted } of [late, early, update]) {
      tells(holder, 'broker-2', questionTo(draft, 'broker-2'), [])
      // Its site is asked, too: it may have been redeemed before it was given back.
      expect(kindsOf(tells(holder, 'site', openQuestionTo(holder, 'site'), []))).toEqual([])
      expect(holder.lease(id)).toMatchObject({ ticketState: 'closed', leaseState: 'closed' })
      expect(kindsOf(granted())).toEqual([])
    }
  })

  test('gives back once more a ticket that would not do', () => {
    const holder = new Holder()
    const id = holder.ask()
    holder.grant(id, { units: 99 })
    expect(holder.lease(id)).toMatchObject({ ticketState: 'returning', leaseState: 'none' })
    const { draft } = restored(holder, () => undefined)
    const drafts = ['broker', 'broker-2'].map((peer) => tells(holder, peer, questionTo(draft, peer), []))
    expect(drafts.flatMap(kindsOf)).toEqual(['relinquish'])
  })

  test('adopts from its site what its broker takes for over', () => {
    const { holder, id, ticket, draft, closed, granted } = givenBack()
    granted()
    tells(holder, 'broker', questionTo(draft, 'broker'), [closed])
    tells(holder, 'broker-2', questionTo(draft, 'broker-2'), [])
    tells(holder, 'site', openQuestionTo(holder, 'site'), [
      held({ ...holder.lease(id), ticket }, [machine('u1')]),
    ])
    expect(holder.lease(id)).toMatchObject({ ticketState: 'closed', leaseState: 'active' })
    expect(holder.unit('u1').state).toBe('joining')
  })
})
