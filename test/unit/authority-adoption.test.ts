import { describe, expect, test } from 'vitest'
import type { Ticket } from '../../actors/leases/ticket.ts'
import { held, OldStage } from './authority-old-stage.ts'
import { givenBackBy, MINUTE, subClaim } from './authority-stage.ts'

describe('what a site whose store was put back believes of claims', () => {
  test('claims that do not lead to a ticket, shown by one holder, take nothing from the ticket of another', () => {
    for (const bait of ['none', 'another claim', 'another root of the same claim'] as const) {
      const stage = new OldStage(['manager', 'manager-2'])
      const back = stage.copy()
      const claim = stage.claim()
      const ticket = stage.ticket({ units: 2 })
      stage.tell('redeem', 'lease-1', { ticket, properties: {} })
      stage.settle()
      const told = held(stage, ticket)
      back()
      // Another broker gives the type away since: what this one gave is good by its claim alone.
      Object.assign(stage.config, { broker: 'other-broker' })
      stage.restored()
      stage.says('manager', [told])
      const foreign = { ...claim, units: 1 }
      const chain = bait === 'another claim' ? [foreign] : [foreign, claim]
      const lie = { ...ticket, leaseId: 'lease-9', holder: 'manager-2', chain }
      const lies = [{ ...told, leaseId: 'lease-9', units: [], ticket: lie }]
      stage.says('manager-2', bait === 'none' ? [] : lies)
      stage.pass(11 * MINUTE)
      expect(stage.rows.get('recovery', 'recovery')).toBeUndefined()
      expect(stage.notes.filter(({ kind }) => kind === 'redeemed')).toHaveLength(2)
    }
  })

  test('claims that do not hold free no ticket from the bounds of one without any', () => {
    const sound = (stage: OldStage) => [stage.claim()]
    const chains = {
      'not signed by us': (stage: OldStage) => [{ ...stage.claim(), units: 1_000_000, signature: 'x' }],
      'of others': (stage: OldStage) => [subClaim(stage.claim(), { units: 1_000_000 })],
      sound,
    }
    for (const [name, chainIn] of Object.entries(chains)) {
      const stage = new OldStage()
      const back = stage.copy()
      const chain = chainIn(stage)
      const wild = { units: 100_000, term: { start: stage.now, end: stage.now + 10 * 365 * 86_400_000 } }
      const ticket = stage.ticket(name === 'sound' ? {} : wild, chain)
      back()
      stage.restored()
      stage.says('manager', [{ ...held(stage, ticket), ticket }])
      stage.says('broker', [])
      expect(stage.rows.get('recovery', 'recovery')).toBeUndefined()
      expect(stage.row()?.ticket.id).toBe(name === 'sound' ? ticket.id : undefined)
    }
  })
})

describe('what a site whose store was put back believes of tickets that were given back', () => {
  const back = (stage: OldStage, { id: ticketId, leaseId, term }: Ticket, isSaid = true) =>
    stage.tell(
      'tickets-returned',
      'returned',
      {
        tickets: [
          {
            ...{ ticketId, leaseId, until: term.end },
            ...(isSaid && { proof: givenBackBy('manager', leaseId, stage.now) }),
          },
        ],
      },
      'broker',
    )

  test('one that it remembers as given back is not adopted', () => {
    const stage = new OldStage()
    const ticket = stage.ticket({ units: 6 })
    back(stage, ticket)
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    expect(stage.row()).toBeUndefined()
    stage.copy()()
    stage.restored()
    stage.says('manager', [{ ...held(stage, ticket), state: 'ticket held, lease redeeming' }])
    stage.says('broker', [])
    expect(stage.rows.get('recovery', 'recovery')).toBeUndefined()
    expect(stage.row()).toBeUndefined()
  })

  test('an extension that was undone in the time forgotten comes back only by the word of who may have forgotten', () => {
    for (const unsure of [false, true]) {
      const stage = new OldStage()
      const first = stage.lease().ticket
      const term = { start: first.term.end, end: first.term.end + 10 * MINUTE }
      const next = stage.ticket({ predecessor: first.id, term, units: 6 })
      stage.tell('extend-lease', 'lease-1', { ticket: next, victims: [] })
      stage.settle()
      const restore = stage.copy()
      back(stage, next)
      expect(stage.row().next).toBeUndefined()
      const told = held(stage, first)
      restore()
      stage.restored()
      stage.says('manager', [told], { unsure })
      stage.says('broker', [{ ...told, units: [] }])
      expect(stage.row()).toMatchObject({ state: 'active', ticket: { id: first.id } })
      expect(stage.row().next?.id).toBe(unsure ? next.id : undefined)
      if (unsure) continue
      expect(stage.row().term.end).toBe(first.term.end)
      // Its units were promised to somebody else.
      const other = stage.ticket({ leaseId: 'lease-2', units: 6, term })
      stage.tell('redeem', 'lease-2', { ticket: other, properties: {} })
      expect(stage.row('lease-2')).toBeDefined()
    }
  })
})
