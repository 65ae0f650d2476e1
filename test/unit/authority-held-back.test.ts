import { expect, test } from 'vitest'
import { HELD_BACK_CHARS_MAX } from '../../actors/authority/recovery.ts'
import type { HeldBackRow, RecoveryRow } from '../../actors/authority/rows.ts'
import type { MessageKind } from '../../actors/leases/messages.ts'
import type { ActorParts } from '../../actors/runtime/actor.ts'
import type { Tables } from '../../actors/runtime/rows.ts'
import { request } from '../scenarios/scene.ts'
import { Stage } from '../scenarios/stage.ts'
import { OldStage } from './authority-old-stage.ts'
import { MINUTE } from './authority-stage.ts'

const silent = { debug() {}, info() {}, warn() {}, error() {} }
const parts = () => ({ log: silent }) as unknown as Partial<ActorParts<Tables>>

/** An image at which the site fails: after it, what it lends cannot be read once. */
const POISON = 'poison'
let isPoisoned = false
const images = Object.assign(['plain'], {
  includes(image: string): boolean {
    isPoisoned = image === POISON
    return true
  },
})
const small = {
  ...{ vector: { cpu: 1 }, image: 'plain' },
  get units(): number {
    if (!isPoisoned) return 4
    isPoisoned = false
    throw new Error('no idea what to do with it')
  },
}

const kept = (stage: Stage): string[] =>
  [...stage.disks.site!.rows.keys()].filter((key) => /^(recovery|heldBack)/.test(key))

const lines = (stage: Stage, kind: string): string[] =>
  stage
    .ledger('site')
    .filter((entry) => entry.kind === kind)
    .map(({ reason }) => reason)

/** Two redeem while the site does not know what is held; it fails at the first of them. */
async function heldBackPoison(): Promise<Stage> {
  const stage = new Stage({ parts, authority: { images, types: { small }, peers: ['manager'] } })
  await stage.begins()
  stage.dies('site')
  stage.disks.site!.mark(stage.world.now)
  stage.messages('holdings', 'lost', { times: 4, from: 'broker' })
  stage.starts('site')
  // He has said that he holds nothing.
  await stage.runs(5)
  for (const properties of [{ image: POISON }, {}])
    await stage.wishes([request({ units: 1, durationMs: 1_800_000, properties })])
  for (let i = 0; i < 100 && kept(stage).length < 3; i++) await stage.runs(0.05)
  expect(kept(stage)).toHaveLength(3)
  return stage
}

const isServed = (stage: Stage): boolean =>
  stage.leases().some(({ held }) => held.some(({ state }) => state === 'joined'))

test('a message that was held back, and at which the site fails, is set aside alone: the recovery ends', async () => {
  const stage = await heldBackPoison()
  await stage.runs(120)
  expect(kept(stage)).toEqual([])
  expect(lines(stage, 'input set aside')).toEqual([expect.stringContaining('no idea what to do with it')])
  expect(isServed(stage)).toBe(true)
})

test('so it is where the site dies as soon as it knows what is held', async () => {
  const stage = await heldBackPoison()
  for (let i = 0; i < 20_000 && kept(stage).some((key) => key.startsWith('recovery')); i++)
    await stage.runs(0.001)
  stage.dies('site')
  stage.starts('site')
  await stage.runs(120)
  expect(kept(stage)).toEqual([])
  expect(lines(stage, 'recovered')).toHaveLength(1)
  expect(lines(stage, 'input set aside')).toHaveLength(1)
  expect(isServed(stage)).toBe(true)
})

const big = Object.fromEntries(Array.from({ length: 8 }, (_, i) => [`data${i}`, 'x'.repeat(3_900)]))
for (const properties of [big, {}])
  test(`a site and a manager that were both put back end their recoveries, with ${Object.keys(properties).length} properties`, async () => {
    const stage = new Stage({ units: 40, authority: { slots: 60 }, parts })
    await stage.begins()
    await stage.wishes(
      Array.from({ length: 40 }, () => request({ units: 1, durationMs: 3_000_000, properties })),
    )
    await stage.runs(60)
    for (const name of ['site', 'manager']) {
      stage.dies(name)
      stage.disks[name]!.mark(stage.world.now)
    }
    stage.starts('site')
    stage.starts('manager')
    await stage.runs(300)
    expect(kept(stage)).toEqual([])
    expect(lines(stage, 'recovered')).toHaveLength(1)
    expect(lines(stage, 'input set aside')).toEqual([])
    expect(stage.leases()).toHaveLength(40)
  })

/** One that was said while the site did not know what is held, as it is when that is known. */
function heldBack(stage: OldStage, kind: MessageKind, body: unknown, place: number): HeldBackRow {
  const sealed = { protocol: 1, id: 'message', number: 1, bodyHash: '', signature: '' }
  const said = { from: 'manager', to: 'duke', kind, subject: 'lease-1', body }
  const envelope = { ...sealed, ...said, sentAt: stage.now, until: stage.now + MINUTE }
  const row: HeldBackRow = { id: `manager lease-1 ${kind}`, place, due: place, envelope }
  stage.rows.set('heldBack', row.id, row)
  return row
}

const placesOf = (stage: OldStage): [string, number][] =>
  ([...stage.rows.all('heldBack')] as HeldBackRow[]).map(({ envelope, place }) => [envelope.kind, place])

test('what is said later of the same lease waits behind what was held back, and what of another does not', () => {
  const stage = new OldStage()
  const ticket = stage.ticket({ units: 1 })
  const term = { start: ticket.term.end, end: ticket.term.end + MINUTE }
  const next = stage.ticket({ predecessor: ticket.id, term, units: 1 })
  heldBack(stage, 'redeem', { ticket, properties: {} }, 7)
  stage.tell('extend-lease', 'lease-1', { ticket: next, victims: [] }, 'manager', undefined, 2)
  const other = stage.ticket({ leaseId: 'lease-2', units: 1 })
  stage.tell('redeem', 'lease-2', { ticket: other, properties: {} })
  expect(stage.row('lease-2')).toBeDefined()
  expect(placesOf(stage)).toEqual([
    ['redeem', 7],
    ['extend-lease', 8],
  ])
  // Even where the later one is looked at first.
  const later = stage.rows.get('heldBack', 'manager lease-1 extend-lease')!
  stage.give({ kind: 'due', table: 'heldBack', row: later })
  expect(placesOf(stage)).toHaveLength(2)
  stage.settle()
  expect(placesOf(stage)).toEqual([])
  expect(stage.row()).toMatchObject({ ticket: { id: ticket.id }, next: { id: next.id } })
})

test('what is set aside lets what came later go on', () => {
  const stage = new OldStage()
  const row = heldBack(stage, 'redeem', {}, 1)
  stage.tell('vacate', 'lease-1', { units: [], reason: 'done' }, 'manager', undefined, 2)
  stage.give({ kind: 'set-aside', table: 'heldBack', row })
  expect(placesOf(stage)).toEqual([['vacate', 2]])
  stage.settle()
  expect(placesOf(stage)).toEqual([])
})

test('what was held back waits once more where the site is put back before it was read', () => {
  const stage = new OldStage()
  const ticket = stage.ticket({ units: 1 })
  heldBack(stage, 'redeem', { ticket, properties: {} }, 7)
  stage.restored()
  stage.settle()
  expect(placesOf(stage)).toEqual([['redeem', 7]])
  stage.tell('vacate', 'lease-1', { units: [], reason: 'noise' }, 'manager', undefined, 2)
  const { waiting } = stage.rows.get('recovery', 'recovery') as RecoveryRow
  expect(waiting).toMatchObject({ places: 8, of: { manager: 2 } })
  stage.says('manager', [])
  stage.says('broker', [])
  expect(stage.row().state).toBe('active')
  expect(placesOf(stage)).toEqual([])
})

test('what one peer has a site hold back is bounded in length, and no other one is put off for it', () => {
  const stage = new OldStage(['manager'])
  const ticket = stage.ticket()
  stage.restored()
  const long = Object.fromEntries(Array.from({ length: 225 }, (_, i) => [`p${i}`, 'x'.repeat(4_000)]))
  const redeem = (i: number, properties = long) => stage.tell('redeem', `lease-${i}`, { ticket, properties })
  const answers = Array.from({ length: 20 }, (_, i) => redeem(i))
  const kept = () => JSON.stringify([...stage.rows.all('heldBack')]).length
  expect(kept()).toBeLessThan(HELD_BACK_CHARS_MAX + 20_000)
  expect(kept()).toBeGreaterThan(HELD_BACK_CHARS_MAX - 1_000_000)
  expect(answers.toSorted()).toEqual([...Array(11).fill('busy'), ...Array(9).fill('received')])
  expect(stage.tell('vacate', 'lease-1', { units: [], reason: 'noise' }, 'manager-2')).toBe('received')
  // What waits may be said anew, and where it is shorter another has room.
  expect([redeem(0), redeem(0, { image: 'plain' }), redeem(19)]).toEqual(Array(3).fill('received'))
  // A program before this one counted messages alone.
  const row = stage.rows.get('recovery', 'recovery') as RecoveryRow
  const { chars: _, ...waiting } = row.waiting!
  stage.rows.set('recovery', row.id, { ...row, waiting } as RecoveryRow)
  for (const { chars: __, ...old } of [...stage.rows.all('heldBack')] as HeldBackRow[])
    stage.rows.set('heldBack', old.id, old)
  expect([redeem(18), redeem(19)]).toEqual(['busy', 'received'])
})
