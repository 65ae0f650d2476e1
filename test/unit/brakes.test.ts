import { describe, expect, test } from 'vitest'
import type { GuestRow } from '../../actors/service-manager/rows.ts'
import type { HeldUnit } from '../../controllers/controller.ts'
import { type DrainCause, firstMemory } from '../../controllers/guests/groc/memory.ts'
import { request } from '../scenarios/scene.ts'
import { Stage } from '../scenarios/stage.ts'
import { Holder } from '../simulation/holder.ts'
import {
  configOf,
  decideOn,
  drainedNode,
  inShort,
  jobsOf,
  leaseOf,
  MINUTE,
  nodeOf,
  T0,
  unitOf,
  viewOf,
} from './groc-world.ts'

const HOUR = 60 * MINUTE
const word = { reason: 'a power cut is announced', by: 'uid 7' }

async function standing(): Promise<Stage> {
  const stage = new Stage()
  await stage.begins()
  await stage.wishes([request({ durationMs: HOUR / 2 })])
  await stage.runs(10)
  return stage
}
const said = (stage: Stage): string[] =>
  stage.transcript
    .filter((line) => / writes “(un)?(frozen|thawed|pinned)”/.test(line))
    .map((line) => line.slice(10).trim())

describe('a service manager', () => {
  test('keeps a freeze until it is taken back, over a restart, with who and why in its ledger', async () => {
    const stage = await standing()
    expect(await stage.command('manager', 'freeze', word)).toEqual({ guests: ['grid'] })
    stage.dies('manager')
    stage.starts('manager')
    await stage.runs(5)
    expect(stage.view().hold).toMatch(/^frozen since 20[^ ]+ by uid 7 \(a power cut is announced\)$/)
    expect(stage.view().still).toBe(stage.view().hold)
    expect(await stage.command('manager', 'thaw', word)).toEqual({ guests: ['grid'] })
    expect(await stage.command('manager', 'thaw', word)).toEqual({ guests: [] })
    expect([stage.view().hold, stage.view().still]).toEqual([undefined, undefined])
    expect(said(stage)).toEqual([
      'manager writes “frozen” of grid: uid 7: a power cut is announced',
      'manager writes “thawed” of grid: uid 7: a power cut is announced',
    ])
    await expect(stage.command('manager', 'freeze', { ...word, guest: 'grdi' })).rejects.toMatchObject({
      code: 'unknown-id',
      message: 'no guest is named grdi; there is: grid',
    })
  })

  test('keeps the reason of a freeze or a pin where it is ordered again without one', async () => {
    const stage = await standing()
    await stage.command('manager', 'freeze', word)
    await stage.command('manager', 'freeze', { by: 'uid 8' })
    expect(stage.view().hold).toMatch(/by uid 7 \(a power cut is announced\)$/)
    await stage.command('manager', 'freeze', { by: 'uid 8', reason: 'it is here' })
    expect(stage.view().hold).toMatch(/by uid 8 \(it is here\)$/)
    expect(said(stage)).toEqual([
      'manager writes “frozen” of grid: uid 7: a power cut is announced',
      'manager writes “frozen” of grid: uid 8: already, by uid 7: a power cut is announced',
      'manager writes “frozen” of grid: uid 8: it is here',
    ])
    const [unit] = stage.leases()[0]!.held
    const pin = (more: object) =>
      stage.command('manager', 'pin', { node: unit!.id, until: stage.world.now + HOUR, by: 'uid 8', ...more })
    const why = () => stage.leases()[0]!.held.find(({ id }) => id === unit!.id)!.pinned?.reason
    await pin({})
    expect(why()).toBe('pinned by the operator')
    await pin({ reason: 'its disk' })
    await pin({})
    expect(why()).toBe('its disk')
  })

  test('lets a controller ask again at once for what was refused, as more is to be had', async () => {
    const stage = await standing()
    await stage.wishes([request({ units: 9 })])
    await stage.runs(10)
    const refused = () => stage.refusals().map(({ type, by }) => [type, by])
    expect(refused()).toEqual([['small', 'broker']])
    expect(await stage.command('manager', 'hurry', { ...word, type: 'large' })).toEqual({ guests: [] })
    expect(refused()).toHaveLength(1)
    expect(await stage.command('manager', 'hurry', { ...word, type: 'small' })).toEqual({ guests: ['grid'] })
    expect(refused()).toEqual([])
    await stage.wishes([request({ units: 9 })])
    await stage.runs(10)
    expect(await stage.command('manager', 'thaw', word)).toEqual({ guests: [], hurried: ['grid'] })
    expect(refused()).toEqual([])
  })

  test('forgets no failure of a site, for its machines are no better for it', () => {
    const holder = new Holder()
    holder.answer(holder.ask(), 'refused')
    const failed = holder.ask()
    holder.grant(failed)
    holder.update(failed, {}, holder.reports(failed, 'ended'))
    const by = () => (holder.desk.rows.get('guest', 'g') as GuestRow).refusals.map((refusal) => refusal.by)
    expect(new Set(by())).toEqual(new Set(['broker', 'site']))
    const failures = by().filter((one) => one === 'site')
    for (const change of [{}, { type: 't' }, {}]) {
      holder.desk.give({ kind: 'command', name: 'hurry', args: { guest: 'g', ...word, ...change } })
      expect(by()).toEqual(failures)
    }
  })

  test('keeps a unit pinned until its time comes, by its id or its node’s name', async () => {
    const stage = await standing()
    const [unit] = stage.leases()[0]!.held
    const pinned = () => stage.leases()[0]!.held.find(({ id }) => id === unit!.id)!.pinned
    const until = stage.world.now + 5 * MINUTE
    expect(await stage.command('manager', 'pin', { ...word, node: unit!.name, until })).toEqual({
      unitId: unit!.id,
    })
    expect(pinned()).toEqual({ ...word, until })
    await stage.runs(301)
    expect(pinned()).toBeUndefined()
    await stage.command('manager', 'pin', { ...word, node: unit!.id, until: until + HOUR })
    expect(pinned()).toBeDefined()
    expect(await stage.command('manager', 'unpin', { ...word, node: unit!.id })).toMatchObject({
      wasPinned: true,
    })
    expect(await stage.command('manager', 'unpin', { ...word, node: unit!.id })).toMatchObject({
      wasPinned: false,
    })
    expect(pinned()).toBeUndefined()
    for (const [node, at, code] of [
      [unit!.id, until, 'usage'],
      ['vm99', until + HOUR, 'unknown-id'],
    ] as const)
      await expect(stage.command('manager', 'pin', { ...word, node, until: at })).rejects.toMatchObject({
        code,
      })
  })
})

describe('GROC', () => {
  const config = configOf({ min: 0, shrink: { idle: '5m' } })
  const memory = (id: string, drains: Record<string, DrainCause> = {}) => ({
    ...firstMemory,
    idleSince: { [id]: T0 - HOUR },
    drains,
  })
  const pinned = { until: T0 + HOUR, reason: 'to look at its disk', by: 'uid 7' }
  const decided = (
    over: Partial<HeldUnit>,
    node: ReturnType<typeof nodeOf>,
    frozen?: string,
    drains: Record<string, DrainCause> = {},
    end = T0 + 30 * MINUTE,
  ) => {
    const lease = leaseOf('l1', [unitOf('u1', over)], {
      term: { start: T0 - HOUR, end },
      extendBy: end - MINUTE,
    })
    const view = viewOf([lease], { nodes: [node] }, { hold: frozen, still: frozen })
    return inShort(decideOn(view, config, memory('u1', drains)).intents)
  }

  test('takes an idle unit out, but none that is pinned, and none while it is frozen', () => {
    expect(decided({}, nodeOf('u1'))).toEqual(['drain u1'])
    expect(decided({ pinned }, nodeOf('u1'))).toEqual([])
    expect(decided({}, nodeOf('u1'), 'frozen')).toEqual([])
  })

  test('resumes an idle unit that is pinned after all, and lets none go meanwhile while it is frozen', () => {
    const draining = { state: 'draining', since: T0 - HOUR } as const
    expect(decided(draining, drainedNode('u1'), undefined, { u1: 'idle' })).toEqual(['leave u1'])
    expect(decided({ ...draining, pinned }, drainedNode('u1'), undefined, { u1: 'idle' })).toEqual([
      'resume u1',
    ])
    expect(decided(draining, drainedNode('u1'), 'frozen', { u1: 'idle' })).toEqual([])
    // What goes for another reason than idleness goes.
    expect(decided(draining, drainedNode('u1'), 'frozen', { u1: 'unfit' })).toEqual(['leave u1'])
  })

  test('extends the lease of a pinned unit that nobody needs', () => {
    const soon = T0 + 5 * MINUTE
    expect(decided({ pinned }, nodeOf('u1'), undefined, {}, soon)).toEqual(['extend l1'])
    expect(decided({}, nodeOf('u1', { empty: true }), undefined, {}, soon)).toEqual(['drain u1'])
  })

  test('asks for nothing while it is frozen, and says by whom', () => {
    const hold = 'frozen since 08:00 by uid 7 (maintenance)'
    const { intents, reason } = decideOn(viewOf([], { jobs: jobsOf(3) }, { hold, still: hold }), config)
    expect(intents).toEqual([])
    expect(reason).toContain(`Nothing is asked for: ${hold}.`)
  })
})
