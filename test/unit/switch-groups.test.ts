import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { AuthorityConfig } from '../../actors/authority/config.ts'
import { placeTogether, roomInOne, type SwitchedRoom } from '../../actors/authority/switch-groups.ts'
import { readRequest, switchGroupOf } from '../../actors/leases/properties.ts'
import { bestFit } from '../../controllers/authorities/best-fit.ts'
import { MINUTE, NOW, Stage, wellBehaved } from './authority-stage.ts'

const size = { cpu: 1 }
const roomOf = (name: string, switchGroup: string, cpu: number): SwitchedRoom => ({
  ...{ name, switchGroup, capacity: { cpu: 8 } },
  free: { cpu },
})

describe('units of one lease', () => {
  const rooms = [roomOf('a', 's1', 4), roomOf('b', 's1', 2), roomOf('c', 's2', 4), roomOf('d', 's3', 8)]
  const place = (count: number, how: 'one' | 'preferred', held: Readonly<Record<string, number>> = {}) =>
    Object.fromEntries(
      placeTogether(bestFit, count, size, rooms, { how, wanted: count, held: new Map(Object.entries(held)) })
        .units,
    )

  test('go to the switch with the least room that holds all', () => {
    expect(place(4, 'one')).toEqual({ s2: 4 })
    expect(place(5, 'one')).toEqual({ s1: 5 })
    expect(place(8, 'preferred')).toEqual({ s3: 8 })
  })
  test('go as far as possible where none does, and no further where that is demanded', () => {
    expect(place(10, 'one')).toEqual({ s3: 8 })
    expect(place(10, 'preferred')).toEqual({ s3: 8, s2: 2 })
    expect(place(13, 'preferred')).toEqual({ s3: 8, s1: 5 })
  })
  test('join those that are there already', () => {
    expect(place(2, 'one', { s2: 1, s1: 3 })).toEqual({ s1: 2 })
    expect(place(7, 'one', { s1: 1 })).toEqual({ s1: 6 })
    expect(place(7, 'preferred', { s1: 1 })).toEqual({ s1: 6, s2: 1 })
    expect(place(1, 'one', { gone: 4 })).toEqual({})
  })

  test('are never on two switches if that is demanded, nor on more than need be, nor more on a host than fit', () => {
    const amounts = fc.array(fc.tuple(fc.nat(6), fc.nat(3)), { maxLength: 10 })
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 20 }), fc.boolean(), amounts, (count, isOne, drawn) => {
        const all = drawn.map(([cpu, group], i) => roomOf(`h${i}`, `s${group}`, cpu))
        const how = isOne ? 'one' : 'preferred'
        const { hosts, units } = placeTogether(bestFit, count, size, all, {
          ...{ how, wanted: count, held: new Map<string, number>() },
        })
        for (const { name, free } of all)
          expect(hosts.filter((host) => host === name).length).toBeLessThanOrEqual(free.cpu ?? 0)
        expect([...units.values()].reduce((sum, one) => sum + one, 0)).toBe(hosts.length)
        const switches = new Set(hosts.map((host) => all.find(({ name }) => name === host)!.switchGroup))
        expect([...switches].sort()).toEqual([...units.keys()].sort())
        const most = roomInOne(size, all)
        if (most >= count) expect([hosts.length, switches.size]).toEqual([count, 1])
        if (isOne) expect(hosts.length).toBe(Math.min(count, most))
        else
          expect(hosts.length).toBe(
            Math.min(
              count,
              all.reduce((sum, { free }) => sum + (free.cpu ?? 0), 0),
            ),
          )
      }),
    )
  })
})

/** Two switches with two hosts of two units each, and a host that names none. */
const config: Partial<AuthorityConfig> = {
  hosts: [
    ...['a', 'b'].map((name) => ({ name, switch: 's1', capacity: { cpu: 2, memoryMiB: 2048 } })),
    ...['c', 'd'].map((name) => ({ name, switch: 's2', capacity: { cpu: 2, memoryMiB: 2048 } })),
    { name: 'e', capacity: { cpu: 2, memoryMiB: 2048 } },
  ],
  types: { 'vm.small': { vector: { cpu: 1, memoryMiB: 1024 }, image: 'plain', units: 10 } },
}
const one = { switchGroup: 'one' }
const preferred = { switchGroup: 'preferred' }

const switchOf = (host: string): string => ({ a: 's1', b: 's1', c: 's2', d: 's2' })[host] ?? 'none'
const switchesOf = (stage: Stage, leaseId = 'lease-1'): readonly string[] =>
  stage
    .live(leaseId)
    .map(({ host }) => switchOf(host))
    .sort()
const told = (stage: Stage, kind: string): readonly string[] =>
  stage.notes.filter((note) => note.kind === kind).map(({ reason }) => reason)

describe('a site whose hosts are on switches', () => {
  test('places a lease that demands it on one of them, and says on which', () => {
    const stage = new Stage(config)
    stage.lease({ units: 1, leaseId: 'lease-0' })
    stage.lease({ units: 4 }, one)
    expect(new Set(switchesOf(stage)).size).toBe(1)
    expect(told(stage, 'placed together')).toEqual([expect.stringMatching(/^4 on switch s[12]$/)])
    expect(stage.row().state).toBe('active')
  })

  test('refuses one that no switch has room for, with a code that its holder is told', () => {
    const stage = new Stage(config)
    stage.lease({ units: 5 }, one)
    expect(stage.units('lease-1')).toEqual([])
    expect(stage.lastUpdate()).toMatchObject({
      state: 'closed',
      reason: expect.stringMatching(/^no switch has room for 5 units, 4 at most \(no-switch-group\)/),
    })
  })

  test('takes a host that names none for a group of its own, and says that none does', () => {
    const stage = new Stage()
    stage.lease({ units: 2 }, one)
    expect(new Set(stage.live().map(({ host }) => host)).size).toBe(1)
    stage.lease({ units: 3, leaseId: 'lease-2' }, one)
    expect(stage.lastUpdate('lease-2').reason).toMatch(
      /2 at most; this site says of none of its hosts which switch it is on \(no-switch-group\)/,
    )
  })

  test('spreads one that only prefers it as little as possible, with the reason', () => {
    const stage = new Stage(config)
    stage.lease({ units: 5 }, preferred)
    expect(stage.live()).toHaveLength(5)
    expect(told(stage, 'placed together')).toEqual([
      '4 on switch s1, 1 on host e: no switch has room for all, and together is as far as possible',
    ])
  })

  test('lets one wait whose switch is full of what is on its way out', () => {
    // Its broker knows what is on its way out as little as what is on which switch.
    const types = { 'vm.small': { ...config.types!['vm.small']!, units: 12 } }
    const stage = new Stage({ ...config, types })
    const goes = ['lease-2', 'lease-3'].map((leaseId) => stage.lease({ units: 4, leaseId }, one))
    stage.world = (effect) => (effect.verb === 'teardown' ? undefined : wellBehaved(effect))
    stage.tell('close', 'lease-2', { reason: 'done' })
    stage.settle()
    stage.lease({ units: 4 }, one)
    expect(stage.row()).toMatchObject({ state: 'pending', units: [] })
    expect(stage.row().waits).toMatch(
      /no switch has room for 4 units, 2 at most, before what leaves there has gone/,
    )
    stage.world = wellBehaved
    stage.settle()
    stage.pass(2_000)
    expect(stage.row().state).toBe('active')
    expect(new Set(switchesOf(stage)).size).toBe(1)
    expect(goes).toHaveLength(2)
  })

  test('fills one again whose machines all died while a host of its switch was worked on', () => {
    const stage = new Stage(config)
    stage.lease({ units: 4 }, one)
    const [first] = stage.live()
    stage.command('maintain', { host: first!.host, by: NOW + 50 * MINUTE, reason: 'a fan' })
    stage.world = (effect) => (effect.verb === 'list' ? { kind: 'done', value: [] } : wellBehaved(effect))
    stage.now += 1
    stage.command('machine ended', {})
    stage.pass(2_000)
    stage.world = wellBehaved
    stage.command('maintained', { host: first!.host })
    stage.pass(2 * MINUTE)
    expect(stage.live('lease-1')).toHaveLength(4)
    expect(new Set(switchesOf(stage)).size).toBe(1)
  })

  test.each(['dies', 'leaves its host'])('keeps the lease there when a unit %s', (what) => {
    const stage = new Stage(config)
    // Of its four places the lease takes three; elsewhere there is more room.
    stage.lease({ units: 3 }, one)
    const [first] = stage.live()
    const home = switchOf(first!.host)
    if (what === 'dies') {
      stage.world = (effect) =>
        effect.verb === 'list'
          ? {
              kind: 'done',
              value: stage
                .units()
                .filter(({ id }) => id !== first!.id)
                .map(({ id, leaseId, name }) => ({ unitId: id, leaseId, name, running: true })),
            }
          : wellBehaved(effect)
      stage.now += 1
      stage.command('machine ended', {})
      stage.pass(2_000)
      stage.world = wellBehaved
    } else {
      stage.command('maintain', { host: first!.host, by: NOW + MINUTE, reason: 'a fan' })
      stage.tell('vacate', 'lease-1', { units: [first!.id], reason: 'its host is to be worked on' })
    }
    stage.pass(MINUTE / 2)
    expect(stage.live('lease-1').every(({ host }) => switchOf(host) === home)).toBe(true)
    expect(stage.live('lease-1').some(({ id }) => id === first!.id)).toBe(false)
    expect(stage.live('lease-1').length).toBeGreaterThanOrEqual(2)
  })

  test('reads what an earlier program let pass as nothing, and takes it of nobody new', () => {
    expect(switchGroupOf({ switchGroup: 'perhaps' })).toBeUndefined()
    expect(() => readRequest({ switchGroup: 'perhaps' }, 1)).toThrow(
      /switchGroup is “perhaps”, expected one or preferred/,
    )
  })
})
