import { describe, expect, test } from 'vitest'
import { CLAIM_EARLY_MS } from '../../actors/authority/claims.ts'
import { Levels } from '../../actors/authority/levels.ts'
import type { DrawnRow } from '../../actors/authority/rows.ts'
import type { Body } from '../../actors/leases/messages.ts'
import { issueTicket, type Ticket } from '../../actors/leases/ticket.ts'
import { downgrade } from '../../actors/leases/versions.ts'
import type { PeerRow } from '../../actors/runtime/peers.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { cheapIdentity, cheapKey } from '../simulation/identities.ts'
import { conditions, MINUTE, NOW, Stage, siteConfig, subClaim } from './authority-stage.ts'

const signsWith = (key: string): PeerRow => ({ id: 'broker', key })

describe('levels', () => {
  test('say the most at any instant, whatever was added and taken back', () => {
    const random = seededRandom(7)
    const levels = new Levels()
    const terms: { start: number; end: number; units: number }[] = []
    for (let i = 0; i < 500; i++) {
      if (terms.length > 0 && random.next() < 0.4) {
        const [gone] = terms.splice(random.int(terms.length), 1)
        levels.add(gone!, -gone!.units)
      } else {
        const start = random.int(50)
        const term = { start, end: start + 1 + random.int(20), units: 1 + random.int(5) }
        terms.push(term)
        levels.add(term, term.units)
      }
      const start = random.int(50)
      const asked = { start, end: start + 1 + random.int(30) }
      let most = 0
      for (let at = asked.start; at < asked.end; at++) {
        const then = terms.filter((term) => term.start <= at && at < term.end)
        most = Math.max(
          most,
          then.reduce((sum, { units }) => sum + units, 0),
        )
      }
      expect(levels.most(asked)).toBe(most)
    }
    for (const term of terms) levels.add(term, -term.units)
    expect(levels.steps).toBe(1)
  })
})

describe('what a site delegates', () => {
  test('is given to the key that its broker signs with, also where it changes that after the offer', () => {
    const stage = new Stage()
    const [old, next] = [cheapKey('broker'), cheapKey('broker', 'next')]
    stage.trust.set('broker', [{ key: old }, { key: next }])
    const told = stage.sent.length
    stage.rows.set('$peer', 'broker', signsWith(old))
    stage.pass(61 * MINUTE)
    expect([stage.claim().holderKey, stage.sent.length]).toEqual([old, told])
    stage.rows.set('$peer', 'broker', signsWith(next))
    stage.pass(61 * MINUTE)
    expect(stage.claim().holderKey).toBe(next)
    expect(stage.sent.slice(told)).toEqual([
      expect.objectContaining({
        kind: 'delegation',
        body: expect.objectContaining({ reason: 'broker has another key now' }),
      }),
    ])
    stage.pass(3 * 60 * MINUTE)
    expect(stage.sent).toHaveLength(told + 1)
  })

  test('is given to a key that is good here, whatever its broker signed with last', () => {
    const stage = new Stage()
    stage.rows.set('$peer', 'broker', signsWith(cheapKey('broker', 'ended')))
    stage.pass(61 * MINUTE)
    expect(stage.claim().holderKey).toBe(cheapKey('broker'))
  })

  test('comes with a claim that the site has signed', () => {
    const stage = new Stage()
    expect(stage.claim()).toMatchObject({
      ...{
        parent: null,
        issuer: 'duke',
        issuerKey: cheapKey('duke'),
        holder: 'broker',
        units: 6,
        conditions,
      },
      ...{ holderKey: cheapKey('broker'), term: { start: NOW - CLAIM_EARLY_MS, end: NOW + 600 * MINUTE } },
    })
    expect(stage.notes.find(({ kind }) => kind === 'offered')?.data).toMatchObject({ claim: stage.claim() })
  })

  test('is told anew at half time, with another claim, and the old one is good until its end', () => {
    const stage = new Stage()
    const first = stage.claim()
    const late = stage.ticket({ leaseId: 'lease-2', id: 'ticket-late' }, [first])
    stage.now += 300 * MINUTE
    stage.settle()
    expect(stage.claim().id).not.toBe(first.id)
    expect(stage.claim().term.end).toBe(NOW + 900 * MINUTE)
    expect(stage.lease({ leaseId: 'lease-1' }).state).toBe('active')
    // Drawn from the old one, and for later than now.
    const ticket = stage.ticket({ leaseId: 'lease-3' }, [first])
    stage.tell('redeem', 'lease-3', { ticket, properties: {} })
    expect(stage.row('lease-3').state).toBe('pending')
    expect(late.chain![0]!.id).toBe(first.id)
    stage.now = first.term.end + 2 * 3_600_000
    stage.settle()
    expect(stage.rows.get('claim', first.id)).toBeUndefined()
  })

  test('keeps its claim over a restart, and has another one when it changes', () => {
    const stage = new Stage()
    const first = stage.claim()
    stage.give({ kind: 'started', epoch: 2 })
    expect(stage.claim()).toEqual(first)
    stage.command('recall', { type: 'vm.small', units: 2, by: NOW, reason: 'needed' })
    stage.settle()
    expect(stage.claim()).toMatchObject({ units: 4 })
    expect(stage.claim().id).not.toBe(first.id)
  })

  test('is told again with what came back after it was lent again: until then it is not promised', () => {
    const stage = new Stage()
    const { ticket } = stage.lease({ leaseId: 'lease-1', units: 6 })
    stage.command('recall', { type: 'vm.small', units: 2, by: NOW + 2_000, reason: 'needed' })
    stage.pass(2_000)
    stage.command('lend again', { type: 'vm.small', units: 2, reason: 'no longer' })
    expect(lastOffer(stage)).toMatchObject({ units: 6 })
    expect(lastOffer(stage)).not.toHaveProperty('back')
    const answered = (leaseId: string) => {
      stage.lease({ leaseId, units: 1 })
      return stage.row(leaseId)?.state ?? stage.lastUpdate(leaseId).state
    }
    expect(answered('lease-2')).toBe('closed')
    const [first, second] = stage.live('lease-1').map(({ id }) => id)
    for (const [id, units, leaseId] of [
      [first!, 1, 'lease-3'],
      [second!, 2, 'lease-4'],
    ] as const) {
      stage.tell('vacate', 'lease-1', { units: [id], reason: 'recalled', recalled: [id] })
      expect(lastOffer(stage)).toMatchObject({ units: 6, back: [{ ticketId: ticket.id, units }] })
      stage.pass(2_000)
      expect(answered(leaseId)).toBe('active')
    }
    expect(answered('lease-5')).toBe('closed')
  })

  test('is told again with an extension that comes after units which are lent again, and with each of those once', () => {
    const stage = new Stage()
    const { ticket } = stage.lease({ leaseId: 'lease-1', units: 6 })
    const term = { start: ticket.term.end, end: ticket.term.end + 10 * MINUTE }
    const next = stage.ticket({ leaseId: 'lease-1', units: 6, term, predecessor: ticket.id })
    stage.command('recall', { type: 'vm.small', units: 2, by: NOW + 2_000, reason: 'needed' })
    stage.pass(2_000)
    stage.command('lend again', { type: 'vm.small', units: 2, reason: 'no longer' })
    // A machine that hangs in its teardown is named again whenever another one leaves.
    stage.world = () => undefined
    const given = stage.live('lease-1').map(({ id }) => id)
    const vacate = (units: string[]) =>
      stage.tell('vacate', 'lease-1', { units, reason: 'recalled', recalled: units })
    const offers = () => stage.sent.filter(({ kind }) => kind === 'delegation').length
    vacate(given.slice(0, 1))
    const told = offers()
    for (let i = 0; i < 10; i++) vacate(given.slice(0, 1))
    expect(offers()).toBe(told)
    stage.tell('extend-lease', 'lease-1', { ticket: next, victims: [] })
    expect(lastOffer(stage).back).toEqual([
      { ticketId: ticket.id, units: 1 },
      { ticketId: next.id, units: 1 },
    ])
  })

  test('names what came back before it was lent again, and nothing of it when the lease is over', () => {
    const stage = new Stage()
    const { ticket } = stage.lease({ leaseId: 'lease-1', units: 2 })
    stage.command('recall', { type: 'vm.small', units: 2, by: NOW + 2_000, reason: 'needed' })
    const given = stage.live('lease-1').map(({ id }) => id)
    const told = stage.sent.length
    stage.tell('vacate', 'lease-1', { units: given, reason: 'recalled', recalled: given })
    expect(stage.sent.slice(told).map(({ kind }) => kind)).not.toContain('delegation')
    stage.pass(2_000)
    stage.command('lend again', { type: 'vm.small', units: 2, reason: 'no longer' })
    const back = [{ ticketId: ticket.id, units: 2 }]
    expect(lastOffer(stage)).toMatchObject({ units: 6, back })
    // A broker of the program before reads no more than it knows.
    expect(downgrade('delegation', lastOffer(stage), 1)).not.toHaveProperty('back')
    stage.tell('close', 'lease-1', { reason: 'done' })
    stage.settle()
    stage.give({ kind: 'started', epoch: 2 })
    expect(lastOffer(stage)).not.toHaveProperty('back')
  })

  test('counts as given back for a recall only what its holder names', () => {
    const stage = new Stage()
    stage.lease({ leaseId: 'lease-1', units: 4 })
    stage.command('recall', { type: 'vm.small', units: 4, by: NOW + 2_000, reason: 'needed' })
    stage.pass(2_000)
    stage.command('lend again', { type: 'vm.small', units: 4, reason: 'no longer' })
    const drawn = () =>
      ([...stage.rows.all('drawn')] as DrawnRow[]).map(({ leaseId, units }) => `${leaseId} ${units}`).sort()
    const vacate = (leaseId: string, units: string[], more: object = {}): void => {
      const body = { units, reason: 'of no use', ...more }
      const sealed = { protocol: 2, id: 'message', number: 1, bodyHash: '', signature: '', seq: 9 }
      const times = { sentAt: stage.now, until: stage.now + MINUTE }
      const envelope = {
        ...sealed,
        from: 'manager',
        to: 'duke',
        kind: 'vacate',
        subject: leaseId,
        body,
        ...times,
      }
      stage.give({ kind: 'message', envelope })
    }
    stage.pass(1_000)
    stage.lease({ leaseId: 'lease-2', units: 1 })
    const before = drawn()
    // A machine failed, and its holder waits for another one.
    vacate('lease-1', [stage.live('lease-1')[0]!.id])
    expect(drawn()).toEqual(before)
    const [later] = stage.live('lease-2').map(({ id }) => id)
    vacate('lease-2', [later!], { recalled: [later!] })
    expect(drawn()).toEqual(before.map((one) => (one === 'lease-2 1' ? 'lease-2 0' : one)))
    const [first] = stage.live('lease-1').map(({ id }) => id)
    vacate('lease-1', [first!], { recalled: [first!] })
    expect(drawn()).toEqual(['lease-1 3', 'lease-2 0'])
  })

  test('goes on without one that comes back, be it in an extension that is agreed, too', () => {
    const stage = new Stage()
    const { ticket } = stage.lease({ leaseId: 'lease-1', units: 6 })
    const term = { start: ticket.term.end, end: ticket.term.end + 10 * MINUTE }
    const next = stage.ticket({ leaseId: 'lease-1', units: 6, term, predecessor: ticket.id })
    stage.tell('extend-lease', 'lease-1', { ticket: next, victims: [] })
    stage.settle()
    stage.command('recall', { type: 'vm.small', units: 2, by: NOW + 2_000, reason: 'needed' })
    stage.pass(2_000)
    stage.command('lend again', { type: 'vm.small', units: 2, reason: 'no longer' })
    const [first] = stage.live('lease-1')
    stage.tell('vacate', 'lease-1', { units: [first!.id], reason: 'recalled', recalled: [first!.id] })
    stage.pass(2_000)
    expect(lastOffer(stage).back?.map(({ units }) => units)).toEqual([1, 1])
    // The other one may be promised back, and is not given away.
    for (const leaseId of ['lease-2', 'lease-3'])
      stage.tell('redeem', leaseId, { ticket: stage.ticket({ leaseId, units: 1 }), properties: {} })
    stage.settle()
    expect([stage.row('lease-2')?.state, stage.row('lease-3')?.state]).toEqual(['active', undefined])
  })

  test('has no claim when nothing is lent', () => {
    const stage = new Stage({ types: { 'vm.small': { ...siteConfig.types['vm.small']!, units: 0 } } })
    expect(stage.claim()).toBeUndefined()
  })

  test('goes to the broker of the type, and a former one is told that it has none', () => {
    const small = siteConfig.types['vm.small']!
    const stage = new Stage({
      types: { 'vm.small': small, 'vm.large': { ...small, broker: 'other-broker' } },
    })
    const told = () => stage.sent.filter(({ kind }) => kind === 'delegation')
    expect(told().map(({ to, subject }) => [to, subject])).toEqual([
      ['broker', 'offer-vm.small'],
      ['other-broker', 'offer-vm.large'],
    ])
    const moved = new Stage()
    Object.assign(moved.config, { types: { 'vm.small': { ...small, broker: 'other-broker' } } })
    moved.sent.length = 0
    moved.give({ kind: 'started', epoch: 2 })
    expect(
      moved.sent.map(({ to, body }) => [to, (body as { units: number }).units, 'claim' in (body as object)]),
    ).toEqual([
      ['broker', 0, false],
      ['other-broker', 6, true],
    ])
  })
})

const lastOffer = (stage: Stage): Body<'delegation'> =>
  stage.sent.filter(({ kind }) => kind === 'delegation').at(-1)!.body as Body<'delegation'>

describe('a ticket that is drawn from a claim', () => {
  const refusal = (stage: Stage, ticket: Ticket, key?: string): string => {
    stage.tell('redeem', ticket.leaseId, { ticket, properties: {} }, 'manager', key)
    expect(stage.row(ticket.leaseId)).toBeUndefined()
    return stage.lastUpdate(ticket.leaseId).reason
  }

  test('becomes a lease, kept without its chain, and the ledger has it with the signed request', () => {
    const stage = new Stage()
    const lease = stage.lease()
    expect(lease).toMatchObject({ state: 'active', ticket: { proof: { request: { id: 'message-1' } } } })
    expect(lease.ticket).not.toHaveProperty('chain')
    const line = stage.notes.find(({ kind }) => kind === 'redeemed')
    expect(line?.data).toMatchObject({ ticket: lease.ticket })
    expect(stage.live()).toHaveLength(2)
  })

  test('may come through another broker', () => {
    const stage = new Stage()
    const chain = [stage.claim(), subClaim(stage.claim(), { units: 3 })]
    const ticket = stage.ticket({}, chain, 'other-broker')
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    expect(stage.row().state).toBe('active')
    const wide = stage.ticket({ leaseId: 'lease-2', units: 4 }, chain, 'other-broker')
    expect(refusal(stage, wide)).toMatch(/more than the 3 delegated/)
  })

  test('is not honoured when the site has not issued its root', () => {
    const stage = new Stage()
    const forged = { ...stage.claim(), units: 100 }
    expect(refusal(stage, stage.ticket({ units: 2 }, [forged]))).toMatch(/not signed by duke/)
    const ticket = stage.ticket({ leaseId: 'lease-2' })
    stage.rows.set('claim', stage.claim().id, undefined)
    expect(refusal(stage, ticket)).toMatch(/which this site has not issued or keeps no more/)
  })

  test('is honoured for the key it was issued to, or another one of the same name', () => {
    const stage = new Stage()
    const stolen = stage.ticket({ proof: { holderKey: cheapKey('thief') } as never })
    expect(refusal(stage, stolen, cheapKey('manager'))).toMatch(/a key that manager has not shown/)
    const old = stage.ticket({
      leaseId: 'lease-2',
      proof: { holderKey: cheapKey('manager', 'old') } as never,
    })
    stage.trust.set('manager', [{ key: cheapKey('manager', 'old') }, { key: cheapKey('manager') }])
    stage.tell('redeem', 'lease-2', { ticket: old, properties: {} }, 'manager', cheapKey('manager'))
    expect(stage.row('lease-2').state).toBe('pending')
  })

  test('is not for larger units than those of the type', () => {
    const stage = new Stage()
    Object.assign(stage.config, {
      types: { 'vm.small': { ...siteConfig.types['vm.small']!, vector: { cpu: 1, memoryMiB: 512 } } },
    })
    expect(refusal(stage, stage.ticket())).toMatch(/larger units than those of type vm.small/)
  })

  test('is refused when its claim is overdrawn, and both tickets are in the ledger', () => {
    const stage = new Stage()
    stage.lease({ id: 'ticket-a', units: 4 })
    const ticket = stage.ticket({ id: 'ticket-b', leaseId: 'lease-2', units: 3 })
    expect(refusal(stage, ticket)).toMatch(/3 units are more than the 2 left of claim delegation-/)
    const line = stage.notes.find(({ kind }) => kind === 'claim overdrawn')
    expect(line?.data).toMatchObject({
      ticket: { id: 'ticket-b' },
      others: ['ticket-a'],
      claim: stage.claim(),
    })
    // At another time there is room.
    const term = { start: NOW + 10 * MINUTE, end: NOW + 20 * MINUTE }
    expect(stage.lease({ leaseId: 'lease-3', units: 6, term }).state).toBe('pending')
  })

  test('of protocol 1 counts beside those with claims: together never more than there are', () => {
    const stage = new Stage()
    const old = (leaseId: string, units: number): Ticket => {
      const {
        proof: _,
        chain: __,
        signature: ___,
        broker: ____,
        ...record
      } = stage.ticket({ leaseId, units })
      return issueTicket({ ...record, id: `ticket-of-${leaseId}` }, cheapIdentity('broker'))
    }
    stage.lease({ id: 'ticket-a', units: 3 })
    stage.tell('redeem', 'lease-2', { ticket: old('lease-2', 2), properties: {} })
    expect(stage.row('lease-2').state).toBe('pending')
    expect(refusal(stage, old('lease-3', 2))).toMatch(/2 units are more than the 1 left of vm.small/)
    const line = stage.notes.find(({ kind }) => kind === 'type overdrawn')
    expect(line?.data).toMatchObject({
      ticket: { leaseId: 'lease-3' },
      others: ['ticket-a', 'ticket-of-lease-2'],
    })
    // And leaves less to those with claims.
    expect(refusal(stage, stage.ticket({ leaseId: 'lease-4', units: 2 }))).toMatch(
      /more than the 1 left of claim/,
    )
    stage.tell('close', 'lease-2', { reason: 'done' })
    stage.settle()
    expect(stage.lease({ leaseId: 'lease-5', units: 3 }).state).toBe('active')
  })

  test('takes the place of one whose lease is over before its end', () => {
    const stage = new Stage()
    stage.lease({ units: 6 })
    stage.tell('close', 'lease-1', { reason: 'done' })
    stage.settle()
    expect(stage.lease({ leaseId: 'lease-2', units: 6 }).state).toBe('active')
  })

  test('is not good beside those of the claim before: a new claim replaces the old one', () => {
    const stage = new Stage()
    const first = stage.claim()
    stage.lease({ units: 4 })
    stage.now += 300 * MINUTE
    const term = { start: stage.now, end: stage.now + MINUTE }
    stage.settle()
    stage.lease({ leaseId: 'lease-2', units: 4, term })
    const ticket = stage.ticket({ leaseId: 'lease-3', units: 4, term }, [first])
    expect(refusal(stage, ticket)).toMatch(/more than the 2 left/)
  })

  test('of protocol 1 is good only under conditions that the site lends under, or did', () => {
    const stage = new Stage()
    const old = (leaseId: string, change: Partial<Ticket['conditions']>): Ticket => {
      const {
        proof: _,
        chain: __,
        signature: ___,
        broker: ____,
        ...record
      } = stage.ticket({ leaseId, units: 1 })
      const conditions = { ...record.conditions, ...change }
      return issueTicket({ ...record, conditions }, cheapIdentity('broker'))
    }
    for (const change of [
      { graceMs: 1e11 },
      { recallable: !stage.config.conditions.recallable },
      { noticeMs: 1 },
    ])
      expect(refusal(stage, old('lease-1', change))).toMatch(/conditions that this site does not lend under/)
    const issued = stage.config.conditions
    Object.assign(stage.config, { conditions: { ...issued, graceMs: 5 } })
    for (const [leaseId, change] of [
      ['lease-2', {}],
      ['lease-3', { graceMs: 5 }],
    ] as const) {
      stage.tell('redeem', leaseId, { ticket: old(leaseId, change), properties: {} })
      expect(stage.row(leaseId)).toBeDefined()
    }
  })

  test('is not honoured when its holder did not ask for it: it could not be traced', () => {
    const stage = new Stage()
    const forged = (request: object): Ticket => stage.ticket({ proof: { request } as never })
    expect(refusal(stage, forged({}))).toMatch(/answers a request that is not whole/)
    const { request } = stage.ticket().proof!
    for (const [change, sentence] of [
      [{ from: 'other' }, /a request of other/],
      [{ subject: 'lease-9' }, /for lease-9/],
      [{ kind: 'close' }, /answers a close/],
      [{ key: cheapKey('other') }, /another key/],
      [{ id: 'message-2' }, /manager has not signed/],
    ] as const)
      expect(refusal(stage, forged({ ...request, ...change }))).toMatch(sentence)
  })
})
