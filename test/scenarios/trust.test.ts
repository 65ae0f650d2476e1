import { describe, expect } from 'vitest'
import type { Body } from '../../actors/leases/messages.ts'
import { issueTicket, type Ticket } from '../../actors/leases/ticket.ts'
import type { Envelope } from '../../actors/runtime/envelope.ts'
import { cheapIdentity, cheapKey } from '../simulation/identities.ts'
import { extend, modify, release, request, scene } from './scene.ts'
import type { Stage } from './stage.ts'

const first = (stage: Stage, manager?: string) => stage.leases(manager)[0]!
const states = (stage: Stage) => first(stage).held.map(({ state }) => state)
const notes = (stage: Stage, name: string, kind: string) =>
  stage.ledger(name).filter((entry) => entry.kind === kind)
const said = (stage: Stage, kind: string, to?: string): Envelope =>
  stage.wire.history.findLast((one) => one.kind === kind && (to === undefined || one.to === to))!
const ticketIn = (envelope: Envelope): Ticket => (envelope.body as Body<'ticket-update'>).ticket!

/** What the broker signs when it lies: a ticket that it gave, with something else in it. */
function lie(stage: Stage, ticket: Ticket, change: Partial<Ticket>): Ticket {
  const { signature: _, chain, broker: __, ...record } = { ...ticket, ...change }
  return { ...issueTicket(record, stage.identity('broker')), ...(chain === undefined ? {} : { chain }) }
}

const granted = (ticket: Ticket): Body<'ticket-update'> => ({
  ...{ outcome: 'granted', ticket, reason: 'take it', earliest: null, unitsNow: 0 },
})

async function active(stage: Stage, units = 2): Promise<void> {
  await stage.wishes([request({ units })])
  await stage.runs(5)
  expect(first(stage).state).toBe('active')
}

describe('keys', () => {
  scene(
    'A message with an unknown key is refused, and its key is kept for a person to look at',
    async (stage) => {
      await active(stage)
      stage.says('Somebody says in the name of the manager that he is done with it.')
      const forger = cheapIdentity('manager', cheapKey('manager', 'of a forger'))
      const { id: subject } = first(stage)
      const close = {
        from: 'manager',
        to: 'site',
        kind: 'close',
        subject,
        body: { reason: 'all done' },
        number: 9,
      }
      expect(await stage.slips(close, forger)).toMatchObject({
        outcome: 'refused',
        code: 'message-unknown-key',
      })
      expect(await stage.slips({ ...close, from: 'nobody' }, cheapIdentity('nobody'))).toMatchObject({
        outcome: 'refused',
        code: 'message-unknown-peer',
      })
      await stage.runs(2)
      expect(states(stage)).toEqual(['joined', 'joined'])
      expect(stage.trusts.site!.strangers()).toMatchObject([
        { name: 'manager', key: forger.key, times: 1 },
        { name: 'nobody', key: cheapKey('nobody'), times: 1 },
      ])
    },
  )

  scene('A key is changed for another one, with both good for a while', async (stage) => {
    await active(stage)
    stage.says('Broker and site learn the next key of the manager; the old one is good until 00:40.')
    const next = cheapKey('manager', 'next')
    for (const name of ['broker', 'site', 'manager'])
      stage.trusts[name]!.set('manager', [
        { key: cheapKey('manager'), notAfter: stage.at(40) },
        { key: next },
      ])
    await stage.wishes([extend(first(stage).id)])
    await stage.runs(5)
    const old = said(stage, 'extend-lease')
    stage.changesKey('manager', 'next')
    stage.says('The manager signs with it from now on; the ticket names the old one.')
    await stage.wishes([modify(first(stage).id, { note: 'second' })])
    await stage.runs(35)
    expect(first(stage).modification).toMatchObject({ state: 'done' })
    stage.says('What is signed with the old key now is not taken any more.')
    const late = {
      from: 'manager',
      to: 'site',
      kind: 'close',
      subject: old.subject,
      body: { reason: 'late' },
    }
    expect(await stage.slips(late, cheapIdentity('manager'))).toMatchObject({ code: 'message-key-expired' })
    await stage.wishes([release(first(stage).id)])
    await stage.runs(5)
    expect(said(stage, 'close').key).toBe(next)
    expect(stage.leases()).toEqual([])
  })

  scene('The key of a broker that expires ends no lease before its time', async (stage) => {
    const expires = [{ key: cheapKey('broker'), notAfter: stage.at(20) }]
    for (const name of ['site', 'manager']) stage.trusts[name]!.set('broker', expires)
    await active(stage)
    await stage.runs(25)
    stage.says('The key is over. What the broker says is not believed; the lease is the site’s word.')
    await stage.wishes([extend(first(stage).id)])
    await stage.runs(15)
    expect(states(stage)).toEqual(['joined', 'joined'])
    await stage.runs(25)
    expect(stage.machines.site!.running.size).toBe(0)
    stage.says('A person writes down the next key.')
    stage.changesKey('broker', 'next')
    for (const name of ['site', 'manager', 'broker'])
      stage.trusts[name]!.set('broker', [...expires, { key: cheapKey('broker', 'next') }])
    await stage.runs(1_300)
    expect(stage.leases()).toEqual([])
  })
})

describe('claims', () => {
  scene('A ticket for more than the broker was given is refused by holder and site', async (stage) => {
    await stage.command('site', 'recall', { type: 'small', units: 2, by: stage.at(2), reason: 'a course' })
    await stage.runs(2)
    stage.messages('ticket-update', 'held')
    await stage.wishes([request({ units: 4, unitsMin: 1 })])
    await stage.runs(1)
    const honest = said(stage, 'ticket-update')
    const lied = lie(stage, ticketIn(honest), { units: 4 })
    expect(ticketIn(honest).units).toBe(2)
    stage.says('The broker signs four units; it was given two.')
    stage.dies('broker')
    await stage.slips({ ...honest, body: granted(lied), number: 1 })
    await stage.runs(2)
    expect(said(stage, 'relinquish').body).toMatchObject({ reason: expect.stringContaining('delegated') })
    stage.says('A manager that looks away does not get it either.')
    const body = { ticket: lied, properties: {} }
    await stage.slips({ from: 'manager', to: 'site', kind: 'redeem', subject: lied.leaseId, body })
    await stage.runs(2)
    expect(notes(stage, 'site', 'redeem refused')).toMatchObject([
      { reason: expect.stringMatching(/delegated/) },
    ])
    expect(stage.machines.site!.running.size).toBe(0)
  })

  scene(
    'A ticket that was given back is good for nothing, and the units are another guest’s',
    async (stage) => {
      stage.messages('redeem', 'held')
      await stage.wishes([request({ units: 4, unitsMin: 1 })], 'anna')
      await stage.runs(1)
      const ticket = ticketIn(said(stage, 'ticket-update', 'anna'))
      stage.says('Anna says that she gives it back, and keeps it.')
      const { leaseId: subject } = ticket
      const reason = { reason: 'done' }
      await stage.slips({ from: 'anna', to: 'broker', kind: 'relinquish', subject, body: reason, number: 2 })
      await stage.runs(2)
      const body = { ticket, properties: {} }
      await stage.slips({ from: 'anna', to: 'site', kind: 'redeem', subject, body, number: 2 })
      await stage.runs(1)
      expect(notes(stage, 'site', 'redeem refused')).toMatchObject([
        { reason: expect.stringContaining('given back') },
      ])
      await stage.wishes([request({ units: 4, unitsMin: 1 })], 'bert')
      await stage.runs(5)
      expect(stage.machines.site!.running.size).toBe(4)
    },
    { managers: ['anna', 'bert'] },
  )

  scene(
    'A broker that gives one claim away twice is found out by the site, with both tickets in its ledger',
    async (stage) => {
      await stage.wishes([request({ units: 3 })], 'anna')
      await stage.runs(5)
      const annas = ticketIn(said(stage, 'ticket-update', 'anna'))
      await stage.wishes([request({ units: 3 })], 'bert')
      stage.messages('ticket-update', 'held')
      await stage.runs(1)
      const { subject } = said(stage, 'ticket', 'broker')
      stage.says('Bert gets a ticket for three of the same four units, drawn from the same claim.')
      stage.dies('broker')
      const { holderKey, ...proof } = annas.proof!
      const id = 'ticket-0123456789ab'
      const berts = lie(stage, annas, {
        ...{ id, leaseId: subject, holder: 'bert', proof: { ...proof, holderKey: cheapKey('bert') } },
      })
      await stage.slips({ from: 'broker', to: 'bert', kind: 'ticket-update', subject, body: granted(berts) })
      await stage.runs(5)
      const [evidence] = notes(stage, 'site', 'claim overdrawn')
      expect(evidence!.data).toMatchObject({ ticket: { id }, others: [annas.id] })
      expect(first(stage, 'anna').held.map(({ state }) => state)).toEqual(['joined', 'joined', 'joined'])
      expect(stage.machines.site!.running.size).toBe(3)
    },
    { managers: ['anna', 'bert'] },
  )

  scene(
    'A ticket of somebody else is not redeemed',
    async (stage) => {
      stage.messages('redeem', 'held')
      await stage.wishes([request()], 'anna')
      await stage.runs(2)
      const redeem = said(stage, 'redeem')
      stage.says('Bert has seen the ticket of Anna on its way, and is faster.')
      await stage.slips({ ...redeem, from: 'bert', number: 1 })
      await stage.runs(1)
      stage.says('Then he says that he is Anna.')
      const asAnna = { ...redeem, number: 1 }
      expect(await stage.slips(asAnna, cheapIdentity('anna', cheapKey('bert')))).toMatchObject({
        code: 'message-unknown-key',
      })
      expect(stage.machines.site!.running.size).toBe(0)
      stage.wire.release()
      await stage.runs(5)
      expect(first(stage, 'anna').state).toBe('active')
      expect(notes(stage, 'site', 'redeem refused')).toHaveLength(1)
    },
    { managers: ['anna', 'bert'] },
  )
})

describe('protocols', () => {
  const life = async (stage: Stage): Promise<void> => {
    await active(stage)
    await stage.wishes([extend(first(stage).id)])
    await stage.runs(60)
    expect(states(stage)).toEqual(['joined', 'joined'])
    await stage.wishes([release(first(stage).id)])
    await stage.runs(5)
    expect(stage.leases()).toEqual([])
    expect(stage.machines.site!.running.size).toBe(0)
  }

  for (const name of ['manager', 'broker', 'site'])
    scene(
      `A ${name} that speaks only protocol 1 works with the others`,
      async (stage) => {
        await life(stage)
        const heard = stage.wire.history.filter(({ kind, from }) => kind !== 'hello' && from === name)
        expect(heard.every(({ protocol }) => protocol === 1)).toBe(true)
        const among = stage.wire.history.filter(
          ({ kind, from, to }) => kind !== 'hello' && from !== name && to !== name,
        )
        expect(among.every(({ protocol }) => protocol === 2)).toBe(true)
      },
      { protocols: { [name]: [1] } },
    )

  scene(
    'What a site of protocol 1 has no words for is refused where it is asked',
    async (stage) => {
      await active(stage)
      await stage.wishes([modify(first(stage).id, { note: 'second' })])
      await stage.runs(3)
      expect(first(stage).modification).toMatchObject({ state: 'refused' })
      expect(states(stage)).toEqual(['joined', 'joined'])
    },
    { protocols: { site: [1] } },
  )

  scene(
    'A site that learns protocol 2 in a lease goes on with it',
    async (stage) => {
      await active(stage)
      stage.dies('site')
      stage.protocols.set('site', [1, 2])
      stage.says('The site is upgraded.')
      stage.starts('site')
      await stage.runs(5)
      await stage.wishes([extend(first(stage).id), modify(first(stage).id, { note: 'second' })])
      await stage.runs(60)
      expect(states(stage)).toEqual(['joined', 'joined'])
      expect(said(stage, 'extend-lease').protocol).toBe(2)
      expect(ticketIn(said(stage, 'ticket-update')).proof).toBeDefined()
      expect(first(stage).modification).toMatchObject({ state: 'done' })
    },
    { protocols: { site: [1] } },
  )
})
