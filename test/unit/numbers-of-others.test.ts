import { expect, test } from 'vitest'
import type { LinkRow } from '../../actors/runtime/links.ts'
import { extend, request } from '../scenarios/scene.ts'
import { Stage } from '../scenarios/stage.ts'

const HOUR = 3_600

/** Numbers of a conversation, as they are on disk. */
const link = (stage: Stage, name: string, id: string): LinkRow | undefined => {
  const row = stage.disks[name]!.rows.get(`$link\n${id}`)
  return row?.json == null ? undefined : (JSON.parse(row.json) as LinkRow)
}

const WORDS: readonly [to: string, kind: string, body: object][] = [
  ['site', 'close', { reason: 'over' }],
  ['site', 'query', { about: 'types' }],
  ['site', 'holdings-query', { page: 0 }],
  ['broker', 'ticket', { type: 'small', units: 1, durationMs: 1, start: 0, properties: {} }],
  ['broker', 'extend-ticket', { predecessor: 'ticket-1', units: 1, durationMs: 1 }],
  ['broker', 'relinquish', { reason: 'over' }],
  ['broker', 'query', { about: 'types' }],
  ['broker', 'holdings-query', { page: 0 }],
  ['manager', 'holdings-query', { page: 0 }],
]

test.each(
  WORDS,
)('to %s, a %s of somebody else on a lease leaves the numbers of its holder, and ends with its own', async (to, kind, body) => {
  const stage = new Stage({ managers: ['manager', 'mallory'], authority: { termMsMax: 10 * HOUR * 1_000 } })
  await stage.begins()
  await stage.wishes([request({ durationMs: 8 * HOUR * 1_000 })])
  await stage.runs(5)
  const { id } = stage.leases()[0]!
  stage.dies('mallory')
  await stage.slips({ from: 'mallory', to, kind, subject: id, body })
  await stage.runs(2)
  const others = to === 'manager' ? ['broker', 'site'] : ['manager']
  for (const other of others) expect(link(stage, to, `${other} ${id}`)?.due).toBeUndefined()
  await stage.runs(2 * HOUR)
  for (const other of others) expect(link(stage, to, `${other} ${id}`)).toBeDefined()
  expect(link(stage, to, `mallory ${id}`)).toBeUndefined()
  await stage.wishes([extend(id, { durationMs: HOUR * 1_000 })])
  await stage.runs(5)
  expect(stage.leases()[0]).toMatchObject({ id, state: 'active', term: { end: expect.any(Number) } })
  expect(stage.ledger('manager').filter(({ kind: note }) => note === 'extended')).toHaveLength(1)
})

test('what another says of a ticket is written down where it is refused', async () => {
  const stage = new Stage({ managers: ['manager', 'mallory'] })
  await stage.begins()
  await stage.wishes([request()])
  await stage.runs(5)
  const { id } = stage.leases()[0]!
  await stage.slips({ from: 'mallory', to: 'broker', kind: 'relinquish', subject: id, body: { reason: 'x' } })
  await stage.runs(1)
  expect(stage.ledger('broker').filter(({ kind }) => kind === 'message refused')).toMatchObject([
    { subject: id, reason: `the ticket ${id} is not held by mallory` },
  ])
})

test('no site takes the recall of another for its own', async () => {
  const stage = new Stage({ sites: ['site', 'far'] })
  await stage.begins()
  await stage.command('site', 'recall', { type: 'small', units: 1, by: stage.at(600), reason: 'a course' })
  await stage.runs(2)
  const { subject, body } = stage.wire.history.find(({ kind }) => kind === 'recall-units')!
  const before = stage.disks.broker!.rows.get(`recall\n${(body as { recallId: string }).recallId}`)
  await stage.slips({
    from: 'far',
    to: 'broker',
    kind: 'recall-units',
    subject,
    body: { ...(body as object), units: 4 },
    number: 9,
  })
  await stage.runs(1)
  expect(before).toBeDefined()
  expect(stage.disks.broker!.rows.get(`recall\n${(body as { recallId: string }).recallId}`)).toEqual(before)
})
