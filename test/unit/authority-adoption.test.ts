import { describe, expect, test } from 'vitest'
import { HEARD_CHARS_MAX } from '../../actors/authority/amounts.ts'
import type { RecoveryRow } from '../../actors/authority/rows.ts'
import type { Claim } from '../../actors/leases/claim.ts'
import { type Ticket, withoutChain } from '../../actors/leases/ticket.ts'
import { cheapKey } from '../simulation/identities.ts'
import { type Holding, held, OldStage } from './authority-old-stage.ts'
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

describe('what a site whose store was put back keeps of the leases that a peer invents', () => {
  const invented = (stage: OldStage, count: number, change: Partial<Ticket> = {}): Holding[] => {
    const shown = stage.ticket()
    return Array.from({ length: count }, (_, i) => {
      const leaseId = `invented-${String(i).padStart(3, '0')}`
      const ticket = { ...shown, chain: undefined, id: `t-${leaseId}`, leaseId, signature: 'none', ...change }
      return {
        ...held(stage, ticket),
        ticket,
        units: [{ id: `u-${i}`, name: 'n', report: 'active', facts: {} }],
      }
    })
  }
  const notAdopted = (stage: OldStage) => stage.notes.filter(({ kind }) => kind === 'not adopted')

  test('is nothing where no broker signed for them, and one line', () => {
    for (const [liar, change] of [
      ['manager', {}],
      ['broker', { holder: 'nobody-known' }],
    ] as const) {
      const stage = new OldStage(['manager'])
      const lies = invented(stage, 100, change)
      stage.restored()
      stage.says(liar, lies)
      expect([...stage.rows.all('heard')]).toEqual([])
      stage.says(liar === 'manager' ? 'broker' : 'manager', [])
      expect(notAdopted(stage)).toMatchObject([
        {
          subject: liar,
          reason: `${liar} tells of 100 leases not known here (invented-000, invented-001, invented-002 ...), and shows no ticket that its broker signed`,
        },
      ])
      expect(stage.rows.get('recovery', 'recovery')).toBeUndefined()
    }
  })

  test('is nothing that its own tickets prove, and few lines', () => {
    const stage = new OldStage(['manager'])
    // As if it were a broker; nobody lends to it.
    const signed = invented(stage, 30).map(({ ticket, ...rest }) => {
      const own = stage.ticket({ ...ticket, proof: undefined } as never, [stage.claim()], 'manager')
      return { ...rest, ticket: withoutChain(own) }
    })
    stage.restored()
    stage.says('manager', signed)
    stage.says('broker', [])
    expect(stage.row('invented-000')).toBeUndefined()
    expect(notAdopted(stage)).toHaveLength(11)
    expect(notAdopted(stage).at(-1)?.reason).toBe('20 tickets more of manager are not proven')
  })

  test('is no more than so much of one peer, who may hold then what it did not name', () => {
    const stage = new OldStage(['manager'])
    const ticket = stage.ticket({ units: 2 })
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    stage.copy()()
    stage.restored()
    const row = stage.rows.get('recovery', 'recovery') as RecoveryRow
    const amounts = { manager: { chars: HEARD_CHARS_MAX, unproven: 0, names: [] } }
    stage.rows.set('recovery', 'recovery', { ...row, amounts } as never)
    const other = held(stage, stage.ticket({ leaseId: 'lease-9' }), { units: [] })
    const asked = stage.sent.find(({ to, kind }) => to === 'manager' && kind === 'holdings-query')!
    stage.tell('holdings', asked.subject, { page: 0, pages: 9, unsure: false, holdings: [other] })
    expect(stage.sent.filter(({ to, kind }) => to === 'manager' && kind === 'holdings-query')).toHaveLength(1)
    expect(stage.notes.findLast(({ kind }) => kind === 'holdings refused')?.reason).toMatch(
      'too-many-holdings',
    )
    stage.says('broker', [])
    expect(stage.rows.get('recovery', 'recovery')).toBeUndefined()
    expect(stage.row()).toMatchObject({ state: 'active' })
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

  test('no lease ends by the word of its broker alone, whether its holder is silent or may have forgotten it', () => {
    const proofs: Record<string, (at: number) => Holding['proof']> = {
      none: () => undefined,
      'of another lease': (at) => givenBackBy('manager', 'lease-2', at),
      'of another one': (at) => givenBackBy('manager-2', 'lease-1', at),
      'of something else': (at) => givenBackBy('manager', 'lease-1', at, 'extend-ticket'),
      sound: (at) => givenBackBy('manager', 'lease-1', at),
    }
    for (const [name, proofAt] of Object.entries(proofs))
      for (const isKept of [true, false])
        for (const unsure of [true, false]) {
          const stage = new OldStage()
          const older = stage.copy()
          const { ticket } = stage.lease({ term: { start: stage.now, end: stage.now + 30 * MINUTE } })
          const told = held(stage, ticket)
          const newer = stage.copy()
          ;(isKept ? newer : older)()
          stage.restored()
          const proof = proofAt(stage.now)
          const over = { ...told, state: 'closed', closed: true, ticket: null, units: [] }
          stage.says('broker', [{ ...over, ...(proof && { proof }) }])
          if (unsure) stage.says('manager', [told], { unsure })
          stage.pass(11 * MINUTE)
          expect(stage.rows.get('recovery', 'recovery')).toBeUndefined()
          const isEnded = name === 'sound' || (!isKept && !unsure)
          expect([name, isKept, unsure, stage.live().length]).toEqual([name, isKept, unsure, isEnded ? 0 : 2])
        }
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

describe('of whom a site whose store was put back believes that a lease is his', () => {
  const others = ['manager', 'manager-2']
  const his = (
    stage: OldStage,
    change: Partial<Ticket> = {},
    chain?: readonly Claim[],
    broker?: string,
  ): Ticket => {
    const proof = { holderKey: cheapKey('manager-2') } as Ticket['proof']
    return stage.ticket({ holder: 'manager-2', ...{ proof, ...change } }, chain, broker)
  }

  test('of two who can prove it, of the one who names its machines', () => {
    for (const order of [others, others.toReversed()])
      for (const knows of [true, false]) {
        const stage = new OldStage(others)
        const back = stage.copy()
        const ticket = stage.ticket({ units: 2 })
        stage.tell('redeem', 'lease-1', { ticket, properties: {} })
        stage.settle()
        const told = held(stage, ticket)
        // Of a broker that did not know that the id is in use.
        const thief = his(stage)
        back()
        stage.restored()
        stage.says('broker', [])
        const said: Record<string, Holding> = {
          manager: { ...told, units: knows ? told.units : [] },
          'manager-2': { ...held(stage, thief), units: [] },
        }
        for (const one of order) stage.says(one, [said[one]!])
        expect(stage.row()?.holder).toBe(knows ? 'manager' : undefined)
        expect(stage.live().map(({ holder }) => holder)).toEqual(knows ? ['manager', 'manager'] : [])
      }
  })

  test('of nobody by the word of two brokers who say that it is of different holders', () => {
    for (const isOne of [true, false]) {
      const stage = new OldStage(others)
      const claim = stage.claim()
      const back = stage.copy()
      const ticket = stage.ticket({ units: 2 })
      stage.tell('redeem', 'lease-1', { ticket, properties: {} })
      stage.settle()
      const told = held(stage, ticket)
      Object.assign(stage.config, { peers: [...others, 'other-broker'] })
      const chain = [claim, subClaim(claim)]
      const another = his(stage, {}, chain, 'other-broker')
      const other = { ...held(stage, another), ticket: another, units: [] }
      back()
      stage.restored()
      stage.says('broker', [{ ...told, units: [] }])
      stage.says('other-broker', isOne ? [] : [other])
      stage.pass(11 * MINUTE)
      expect(stage.row()?.holder).toBe(isOne ? 'manager' : undefined)
    }
  })

  test('of nobody because another one says of a ticket that it is over', () => {
    const stage = new OldStage(others)
    const back = stage.copy()
    const ticket = stage.ticket({ units: 2 })
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    const told = held(stage, ticket)
    const thief = { ...held(stage, his(stage, { leaseId: 'lease-0' })), leaseId: 'lease-0', closed: true }
    back()
    stage.restored()
    stage.says('broker', [])
    stage.says('manager-2', [{ ...thief, next: { ...ticket, leaseId: 'lease-0', holder: 'manager-2' } }])
    stage.says('manager', [told])
    expect(stage.row()?.holder).toBe('manager')
  })

  test('of a machine by its mark, whoever else names it', () => {
    for (const report of ['active', 'ended'] as const) {
      const stage = new OldStage(others)
      const back = stage.copy()
      const ticket = stage.ticket({ units: 2 })
      stage.tell('redeem', 'lease-1', { ticket, properties: {} })
      const another = his(stage, { leaseId: 'lease-2' })
      stage.tell('redeem', 'lease-2', { ticket: another, properties: {} }, 'manager-2')
      stage.settle()
      const told = held(stage, ticket)
      const lied = held(stage, another)
      back()
      stage.restored()
      const stolen = told.units.map((unit) => ({ ...unit, report }))
      stage.says('manager-2', [{ ...lied, units: [...lied.units, ...stolen] }])
      stage.says('manager', [told])
      stage.says('broker', [])
      expect(
        stage
          .live('lease-1')
          .map(({ id }) => id)
          .sort(),
      ).toEqual(told.units.map(({ id }) => id).sort())
      expect(stage.live('lease-2')).toHaveLength(2)
    }
  })

  test('replaces a machine that has died, whoever else says that it was given up', () => {
    const stage = new OldStage(others)
    stage.lease({ units: 2 })
    const another = his(stage, { leaseId: 'lease-2' })
    stage.tell('redeem', 'lease-2', { ticket: another, properties: {} }, 'manager-2')
    stage.settle()
    const told = held(stage, stage.row().ticket)
    const lied = held(stage, another)
    stage.copy()()
    const [dead] = told.units
    stage.machines.delete(dead!.id)
    stage.restored()
    stage.says('manager', [told])
    stage.says('manager-2', [{ ...lied, units: [...lied.units, { ...dead!, report: 'ended' }] }])
    stage.says('broker', [])
    stage.pass(2 * MINUTE)
    expect(stage.live('lease-1')).toHaveLength(2)
  })
})

test('a broker that names ever more holders who are no peers lets nothing grow', () => {
  const stage = new OldStage()
  stage.restored()
  const ticket = stage.ticket()
  stage.says(
    'broker',
    Array.from({ length: 100 }, (_, i) => {
      const leaseId = `lease-${i}`
      return { ...held(stage, ticket), leaseId, ticket: { ...ticket, leaseId, holder: `nobody-${i}` } }
    }),
  )
  const { asked } = stage.rows.get('recovery', 'recovery') as RecoveryRow
  expect(Object.keys(asked).sort()).toEqual(['broker', 'manager'])
})
