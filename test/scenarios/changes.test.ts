import { describe, expect } from 'vitest'
import { extend, modify, request, scene } from './scene.ts'
import type { Stage } from './stage.ts'

const leaseOf = (stage: Stage, units: number, manager?: string) =>
  stage.leases(manager).find((lease) => lease.units === units)!
const first = (stage: Stage) => stage.leases()[0]!
const states = (stage: Stage) => first(stage).held.map(({ state }) => state)
const running = (stage: Stage) => [...stage.machines.site!.running.values()]
const notes = (stage: Stage, name: string, kind: string) =>
  stage.ledger(name).filter((entry) => entry.kind === kind)

describe('at the boundary', () => {
  scene('A lease grows at its boundary, and not before', async (stage) => {
    await stage.wishes([request()])
    await stage.runs(20)
    stage.says('Three units would be good from the old end on.')
    await stage.wishes([extend(first(stage).id, { units: 3 })])
    await stage.runs(30)
    expect(running(stage)).toHaveLength(2)
    await stage.runs(20)
    expect(states(stage)).toEqual(['joined', 'joined', 'joined'])
  })

  scene('One lease shrinks, one grows and a new one starts at the same boundary', async (stage) => {
    await stage.wishes([request({ units: 3 }), request({ units: 1 })])
    await stage.runs(20)
    const shrinking = leaseOf(stage, 3)
    const growing = leaseOf(stage, 1)
    const victims = shrinking.held.slice(1).map(({ id }) => id)
    await stage.wishes([extend(shrinking.id, { victims }), extend(growing.id, { units: 2 })])
    await stage.wishes([request({ units: 1, startBy: stage.at(120), reason: 'a new one' })])
    await stage.runs(30)
    const most = running(stage).length
    stage.says('The boundary.')
    await stage.runs(25)
    expect(most).toBe(4)
    expect(
      stage
        .leases()
        .map(({ held }) => held.filter(({ state }) => state === 'joined').length)
        .sort(),
    ).toEqual([1, 1, 2])
    const assigned = notes(stage, 'site', 'unit assigned').slice(4)
    const ended = notes(stage, 'site', 'unit ended').slice(0, 2)
    expect(assigned.map(({ data }) => (data as { leaseId: string }).leaseId)[0]).toBe(growing.id)
    expect(Math.max(...ended.map(({ seq }) => seq))).toBeLessThan(Math.min(...assigned.map(({ seq }) => seq)))
  })
})

describe('an extension that the site refuses', () => {
  scene(
    'An extension that the site refuses is given back, and its units are another guest’s',
    async (stage) => {
      await stage.wishes([request({ units: 3 })])
      await stage.runs(10)
      stage.says(
        'The site lends nothing for so long. Its program is old and did not say so: the broker grants it.',
      )
      await stage.wishes([extend(first(stage).id, { durationMs: 120_000 })])
      await stage.runs(5)
      expect(first(stage)).toMatchObject({ state: 'active', extending: false })
      expect(first(stage).extendRefused?.reason).toContain('term-too-long')
      stage.says('What was promised from the old end on is free again.')
      await stage.wishes([request({ units: 4, startAt: stage.at(65) })], 'manager-2')
      await stage.runs(5)
      expect(stage.leases('manager-2')).toMatchObject([{ state: 'ticketed' }])
      stage.says('The lease itself goes on to its old end.')
      expect(states(stage)).toEqual(['joined', 'joined', 'joined'])
      await stage.runs(55)
      expect(stage.leases()).toEqual([])
      expect(stage.leases('manager-2')).toMatchObject([{ state: 'active', units: 4 }])
      expect(notes(stage, 'broker', 'extension unused')).toHaveLength(1)
    },
    { managers: ['manager', 'manager-2'], authority: { termMsMax: 90_000 }, protocols: { site: [1] } },
  )
})

describe('an extension for longer than the site lends', () => {
  scene(
    'An extension for longer than the site lends is refused by the broker already',
    async (stage) => {
      await stage.wishes([request()])
      await stage.runs(10)
      await stage.wishes([extend(first(stage).id, { durationMs: 120_000 })])
      await stage.runs(5)
      expect(first(stage)).toMatchObject({ state: 'active', extending: false })
      expect(first(stage).extendRefused?.reason).toContain('term-too-long')
      expect(notes(stage, 'broker', 'ticket granted')).toHaveLength(1)
      stage.says('For as long as it lends, it is extended.')
      await stage.wishes([extend(first(stage).id, { durationMs: 80_000 })])
      await stage.runs(5)
      expect(notes(stage, 'site', 'extended')).toHaveLength(1)
    },
    { authority: { termMsMax: 90_000 } },
  )
})

describe('in place', () => {
  scene('A lease gets other properties in place, and nothing ends', async (stage) => {
    await stage.wishes([request({ properties: { note: 'first' } })])
    await stage.runs(5)
    await stage.wishes([modify(first(stage).id, { note: 'second', queue: 'short' })])
    await stage.runs(5)
    expect(first(stage).modification).toMatchObject({ state: 'done' })
    expect(running(stage).map(({ properties }) => properties.note)).toEqual(['second', 'second'])
    expect(notes(stage, 'site', 'unit assigned')).toHaveLength(2)
  })

  scene('Properties that one machine does not take end nothing', async (stage) => {
    await stage.wishes([request()])
    await stage.runs(5)
    stage.machines.site!.deaf.add('vm2')
    await stage.wishes([modify(first(stage).id, { note: 'second' })])
    await stage.runs(30)
    expect(first(stage).modification).toMatchObject({ state: 'failed', failed: [expect.any(String)] })
    expect(states(stage)).toEqual(['joined', 'joined'])
  })

  scene('A site that dies while it changes properties takes it up again', async (stage) => {
    await stage.wishes([request()])
    await stage.runs(5)
    stage.dies('site', 'after its next commit')
    await stage.wishes([modify(first(stage).id, { note: 'second' })])
    await stage.runs(1)
    expect(running(stage).map(({ properties }) => properties.note)).toEqual([undefined, undefined])
    stage.starts('site')
    await stage.runs(10)
    expect(first(stage).modification).toMatchObject({ state: 'done' })
    expect(running(stage).map(({ properties }) => properties.note)).toEqual(['second', 'second'])
    expect(states(stage)).toEqual(['joined', 'joined'])
  })
})

describe('units', () => {
  scene('A machine that dies in the term is replaced within it', async (stage) => {
    await stage.wishes([request({ durationMs: 120_000 })])
    await stage.runs(10)
    stage.machines.site!.die('vm1')
    stage.says('vm1 is gone without a word.')
    await stage.runs(30)
    expect(states(stage).filter((state) => state === 'joined')).toHaveLength(2)
    expect(states(stage).filter((state) => state === 'lost')).toHaveLength(1)
    expect(running(stage)).toHaveLength(2)
  })

  scene('A host that is to be worked on is empty in time, and its units move', async (stage) => {
    await stage.wishes([request({ durationMs: 120_000 })])
    await stage.runs(10)
    const host = running(stage)[0]!.host
    const order = { host, by: stage.at(40), reason: 'a disk is changed' }
    await stage.command('site', 'maintain', order)
    await stage.runs(20)
    expect(first(stage).held.map(({ leaveBy }) => leaveBy)).toEqual([stage.at(40), stage.at(40)])
    await stage.runs(30)
    expect(states(stage).filter((state) => state === 'joined')).toHaveLength(2)
    expect(running(stage).map((unit) => unit.host)).not.toContain(host)
    stage.says('The disk is changed.')
    await stage.command('site', 'maintained', { host })
    await stage.runs(5)
    expect(states(stage).filter((state) => state === 'joined')).toHaveLength(2)
  })

  scene(
    'A host that is to be worked on waits for the end of a lease that cannot be recalled',
    async (stage) => {
      await stage.wishes([request()])
      await stage.runs(10)
      const host = running(stage)[0]!.host
      await stage.command('site', 'maintain', { host, by: stage.at(30), reason: 'a disk is changed' })
      await stage.runs(30)
      expect(states(stage)).toEqual(['joined', 'joined'])
      expect(running(stage)).toHaveLength(2)
      await stage.runs(30)
      expect(running(stage)).toEqual([])
    },
    { authority: { conditions: { recallable: false, noticeMs: 0, graceMs: 0 } } },
  )
})

describe('the offer', () => {
  scene('A type that is withdrawn serves its leases to their end, and takes no more', async (stage) => {
    await stage.wishes([request()])
    await stage.runs(5)
    await stage.command('site', 'withdraw', { type: 'small', reason: 'the machines are sold' })
    await stage.runs(1)
    await stage.wishes([request({ units: 1 }), extend(first(stage).id)])
    await stage.runs(5)
    expect(stage.leases()).toHaveLength(1)
    expect(states(stage)).toEqual(['joined', 'joined'])
    expect(first(stage).extendRefused).toBeDefined()
    await stage.runs(60)
    expect(running(stage)).toEqual([])
  })

  scene('A type that is reclaimed is empty by the time that was said', async (stage) => {
    await stage.wishes([request({ units: 3, durationMs: 300_000 })])
    await stage.runs(5)
    await stage.command('site', 'reclaim', { type: 'small', by: stage.at(30), reason: 'the owner needs all' })
    await stage.runs(30)
    expect(running(stage)).toEqual([])
    await stage.wishes([request({ units: 1 })])
    await stage.runs(3)
    expect(notes(stage, 'broker', 'ticket granted')).toHaveLength(1)
  })

  const shrinking = { small: { vector: { cpu: 1 }, image: 'plain', units: 4 } }
  scene(
    'A site that comes back with less than it lent honours what it can, and says so',
    async (stage) => {
      shrinking.small.units = 4
      await stage.wishes([
        request({ units: 2, durationMs: 30_000, reason: 'now' }),
        request({ units: 2, startAt: stage.at(40), durationMs: 30_000, reason: 'later' }),
      ])
      await stage.wishes([
        request({ units: 2, startAt: stage.at(40), durationMs: 30_000, reason: 'later too' }),
      ])
      await stage.runs(5)
      stage.dies('site')
      shrinking.small.units = 3
      stage.says('A machine was taken out of the configuration; four are promised from 00:40 on.')
      stage.starts('site')
      await stage.runs(45)
      expect(running(stage).length).toBeLessThanOrEqual(3)
      expect(running(stage).length).toBeGreaterThanOrEqual(2)
    },
    { authority: { types: shrinking } },
  )
})
