import { describe, expect, test } from 'vitest'
import { held, OldStage } from './authority-old-stage.ts'
import { MINUTE, subClaim } from './authority-stage.ts'

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
