import { expect, test } from 'vitest'
import type { Body, MessageKind } from '../../../actors/leases/messages.ts'
import type { Ticket } from '../../../actors/leases/ticket.ts'
import type { Puppet } from './puppet.ts'
import { standing } from './standing.ts'
import { World } from './world.ts'

/** What is said of recalls, by another site and by guests who lie, between an honest site and an honest broker. */
const world = new World({
  live: ['broker', 'site'],
  played: { evil: 'site', mallory: 'manager', anna: 'manager' },
  units: 4,
})
let evil: Puppet
let mallory: Puppet
let anna: Puppet
standing(world, () => {
  evil = world.puppets.evil!
  mallory = world.puppets.mallory!
  anna = world.puppets.anna!
})

const MINUTE = 60_000
const now = (): number => Math.floor(performance.timeOrigin + performance.now())
const conditions = { recallable: true, noticeMs: 1_000, graceMs: 1_000 }
const offer = {
  type: 'vm.evil',
  units: 4,
  vector: { cpu: 1 },
  conditions,
  settledRecalls: [],
  reason: 'lent',
}
const recallsAtBroker = (): object[] =>
  Object.entries(world.rows('broker')).flatMap(([key, row]) =>
    key.startsWith('recall ') ? [row as object] : [],
  )
const lent = async (): Promise<number | undefined> => {
  const id = `query-${now()}`
  await anna.says('broker', 'query', id, { about: 'types' })
  const { body } = await anna.hears('query-answer', id)
  return body.types.find(({ site, type }) => site === 'site' && type === 'vm.small')?.units
}

async function leaseOf(puppet: Puppet, leaseId: string, units = 1): Promise<Ticket> {
  const ask = { type: 'vm.small', units, durationMs: 5 * MINUTE, start: now(), properties: {} }
  await puppet.says('broker', 'ticket', leaseId, ask)
  const { body } = await puppet.hears('ticket-update', leaseId, ({ outcome }) => outcome === 'granted')
  await puppet.says('site', 'redeem', leaseId, { ticket: body.ticket!, properties: {} })
  await puppet.hears('lease-update', leaseId, ({ state }) => state === 'active')
  return body.ticket!
}

/** Says something that is no news, and comes back when it was read. */
async function inVain<K extends MessageKind>(
  puppet: Puppet,
  to: string,
  kind: K,
  subject: string,
  body: unknown,
): Promise<void> {
  const ack = await puppet.utters(to, kind, subject, body)
  expect(ack.outcome, `${kind} ${JSON.stringify(body).slice(0, 100)}: ${ack.reason}`).not.toBe('busy')
}

test('an offer of a form that is none is refused, whatever it says of terms, recalls and what came back', async () => {
  const wrong: object[] = [
    ...[0, -1, 1.5, '1h', null, 1e15, true, [1]].map((termMsMax) => ({ termMsMax })),
    ...[[1], [''], 'all', null, Array.from({ length: 1_001 }, (_, i) => `r-${i}`)].map((settledRecalls) => ({
      settledRecalls,
    })),
    ...[
      null,
      {},
      [null],
      [{ ticketId: 'x', units: 0 }],
      [{ ticketId: 'x', units: -1 }],
      [{ ticketId: 'x' }],
    ].map((back) => ({ back })),
    { openRecalls: null },
  ]
  for (const part of wrong) await inVain(evil, 'broker', 'delegation', 'offer-vm.evil', { ...offer, ...part })
  expect(Object.keys(world.rows('broker')).filter((key) => key.includes('evil'))).toEqual([])
})

test('one site settles, forgets and gives back nothing of another', async () => {
  const ticket = await leaseOf(anna, 'lease-anna', 2)
  const client = world.processes.site!.client
  const order = { type: 'vm.small', units: 3, by: now() + 2 * MINUTE, reason: 'a course' }
  const { recallId } = (await client.post('/recall', order)) as { recallId: string }
  await anna.hears('recall', 'lease-anna')
  const before = recallsAtBroker()
  expect(before).toHaveLength(1)
  for (const type of ['vm.evil', 'vm.small'])
    await evil.says('broker', 'delegation', `offer-${type}`, {
      ...{ ...offer, type, termMsMax: 1 },
      ...{ settledRecalls: [recallId], openRecalls: [], back: [{ ticketId: ticket.id, units: 2 }] },
    })
  await evil.says('broker', 'recall-units', 'offer-vm.small', { ...order, recallId, units: 1, by: now() })
  await inVain(evil, 'site', 'tickets-returned', 'returned', {
    tickets: [{ ticketId: ticket.id, leaseId: 'lease-anna', until: ticket.term.end }],
  })
  expect(recallsAtBroker()).toEqual(before)

  // Nor does a guest promise what is another’s, or was not asked back.
  const plan: Body<'recall-plan'> = { recallId, units: 2, by: now(), reason: 'theirs' }
  await mallory.says('broker', 'recall-plan', 'lease-anna', plan)
  await anna.says('broker', 'recall-plan', 'lease-anna', { ...plan, units: 1_000_000 })
  await anna.says('broker', 'recall-plan', 'lease-anna', { ...plan, recallId: 'recall-none' })
  await mallory.says('broker', 'return-extension', 'lease-anna', { ticketId: ticket.id })
  await mallory.says('broker', 'relinquish', 'lease-anna', { reason: 'theirs' })
  expect(recallsAtBroker()).toEqual(before)

  // Called off, it is over everywhere, and what is promised for it late takes nothing from others.
  await client.post('/call-off', { recallId, reason: 'no course' })
  await world.until('the broker has heard', recallsAtBroker, (all) => all.length === 0)
  await expect(client.post('/call-off', { recallId, reason: 'again' })).rejects.toMatchObject({
    code: 'unknown-id',
  })
  await anna.says('broker', 'recall-plan', 'lease-anna', { ...plan, units: 1, by: 0 })
  await anna.says('broker', 'recall-plan', 'lease-anna', { ...plan, units: 1, by: 0 })
  await leaseOf(mallory, 'lease-mallory', 2)
  expect(await lent()).toBe(4)
  expect([...(await world.faults('broker')), ...(await world.faults('site'))]).toEqual([])
})
