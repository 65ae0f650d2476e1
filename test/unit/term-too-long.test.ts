import { expect, test } from 'vitest'
import type { Body } from '../../actors/leases/messages.ts'
import { Stage } from './authority-stage.ts'
import { BrokerDesk, HOUR } from './broker-desk.ts'

const answers = (desk: BrokerDesk): unknown[] =>
  desk
    .decide()
    .map(({ kind, body }) => [
      kind,
      (body as Body<'ticket-update'>).outcome,
      (body as Body<'ticket-update'>).reason,
    ])

test('what every site lends for less long is refused by the broker, with how long they lend it', () => {
  const desk = new BrokerDesk()
  desk.offer(4, { termMsMax: 2 * HOUR })
  desk.offer(4, { termMsMax: 3 * HOUR }, 'other')
  desk.ask('lease-1', { durationMs: 4 * HOUR })
  expect(answers(desk)).toEqual([
    ['ticket-update', 'refused', '4 h are asked for, and t is lent for at most 3 h (term-too-long)'],
  ])
})

test('is granted by the site that lends it for long enough, however much less is free there', () => {
  const desk = new BrokerDesk()
  desk.offer(4, { termMsMax: HOUR })
  desk.offer(9, { termMsMax: 3 * HOUR }, 'other')
  desk.ask('lease-1', { durationMs: 2 * HOUR })
  desk.decide()
  expect(desk.row('lease-1').tickets).toMatchObject([{ site: 'other', units: 4 }])
})

test('a site that lends it for so long but has none now is told from one that lends it for less long', () => {
  const desk = new BrokerDesk()
  desk.offer(4, { termMsMax: HOUR })
  desk.offer(0, { termMsMax: 24 * HOUR }, 'other')
  desk.ask('lease-1', { durationMs: 2 * HOUR })
  expect(answers(desk).flat()[2]).toMatch(
    /^no site that has t for so long lends any of it now \(no-capacity\)/,
  )
})

test('what is asked about without a length is asked for no longer than it is lent', () => {
  const desk = new BrokerDesk()
  desk.offer(4, { termMsMax: HOUR / 2 })
  const [said] = desk.tell('manager', 'query', 'query-1', { about: 'availability', type: 't' })
  expect(said?.body).toMatchObject({ unitsNow: 4, earliest: desk.now })
})

test('a site that does not say, as of an earlier program, is taken to lend for any time', () => {
  const desk = new BrokerDesk()
  desk.offer(4)
  desk.ask('lease-1', { durationMs: 20 * HOUR })
  desk.decide()
  expect(desk.row('lease-1').tickets).toHaveLength(1)
})

test('an extension is held to what its own site lends for', () => {
  const desk = new BrokerDesk()
  desk.offer(4, { termMsMax: HOUR })
  desk.ask('lease-1')
  desk.decide()
  desk.offer(9, { termMsMax: 3 * HOUR }, 'other')
  desk.extend('lease-1', { durationMs: 2 * HOUR })
  expect(answers(desk)).toEqual([
    [
      'ticket-update',
      'extension-refused',
      expect.stringMatching(/site lends t for at most 1 h at a time \(term-too-long\)/),
    ],
  ])
  desk.extend('lease-1')
  desk.decide()
  expect(desk.row('lease-1').tickets).toHaveLength(2)
})

test('a type of which nothing is lent now is told from one that nobody has', () => {
  const desk = new BrokerDesk()
  desk.offer(0)
  desk.offer(4, { type: 'y', claim: undefined }, 'other')
  desk.ask('lease-1')
  desk.ask('lease-2', { type: 'x' })
  expect(answers(desk).flat()).toEqual([
    ...[
      'ticket-update',
      'refused',
      expect.stringMatching(/^no site that has t lends any of it now \(no-capacity\)/),
    ],
    ...[
      'ticket-update',
      'refused',
      expect.stringMatching(/^no site offers units of type x \(unknown-type\)/),
    ],
  ])
})

test('a site says with what it lends for how long at most, also to who asks', () => {
  const stage = new Stage({ termMsMax: 2 * HOUR })
  expect(stage.sent.find(({ kind }) => kind === 'delegation')?.body).toMatchObject({ termMsMax: 2 * HOUR })
  stage.tell('query', 'query-1', { about: 'types' })
  expect(stage.sent.at(-1)?.body).toMatchObject({ types: [{ termMsMax: 2 * HOUR }] })
})

test('a site that is asked when units are free for longer than it lends them says that no start would work, and why', () => {
  const stage = new Stage({ termMsMax: 2 * HOUR })
  const earliestOf = (durationMs: number): unknown => {
    stage.tell('query', `query-${durationMs}`, { about: 'availability', type: 'vm.small', durationMs })
    return stage.sent.at(-1)?.body
  }
  expect(earliestOf(2 * HOUR)).toMatchObject({ earliest: stage.now, unitsNow: 6 })
  expect(earliestOf(2 * HOUR + 1)).toMatchObject({
    ...{ earliest: null, unitsNow: 0 },
    types: [{ type: 'vm.small', termMsMax: 2 * HOUR }],
  })
})
