import { describe, expect, test } from 'vitest'
import { storyOf } from '../../actors/ledger/story.ts'
import type { Instant } from '../../actors/runtime/clock.ts'
import { extend, request } from '../scenarios/scene.ts'
import { type Setting, Stage } from '../scenarios/stage.ts'

const MINUTE = 60_000
const LEASES = 10
const UNITS = 3 * LEASES
const PER_MINUTE = 6
const hour = { durationMs: 60 * MINUTE }

const setting = (powerCut: { startsPerMinute: number; patienceMs: number }): Setting => ({
  units: UNITS,
  authority: {
    hosts: ['a', 'b', 'c'].map((name) => ({ name, capacity: { cpu: UNITS / 2 } })),
    slots: 2 * UNITS,
    powerCut,
  },
})
const patient = setting({ startsPerMinute: PER_MINUTE, patienceMs: 30 * MINUTE })

/** Ten leases of three machines each, for an hour. */
async function lentOut(as: Setting = patient): Promise<Stage> {
  const stage = new Stage(as)
  await stage.begins()
  await stage.wishes(Array.from({ length: LEASES }, () => request({ units: 3, ...hour })))
  await stage.runs(20)
  expect(stage.machines.site!.running.size).toBe(UNITS)
  expect(states(stage)).toEqual({ joined: UNITS })
  return stage
}

/** Everything goes at once; the actors come back at once, the driver after a minute, what boots need after so many. */
async function roomCut(stage: Stage, lacking: number): Promise<void> {
  const machines = stage.machines.site!
  for (const name of stage.names) stage.dies(name)
  machines.dieAll()
  machines.starts.length = 0
  machines.lacks = 'the driver'
  for (const name of ['site', 'broker', 'manager']) stage.starts(name)
  await stage.runs(60)
  machines.lacks = 'what boots need'
  await stage.runs(lacking * 60)
  machines.lacks = undefined
}

const states = (stage: Stage): Record<string, number> => {
  const counts: Record<string, number> = {}
  for (const { state } of stage.leases().flatMap(({ held }) => held))
    if (state !== 'lost') counts[state] = (counts[state] ?? 0) + 1
  return counts
}

/** Most starts in any minute. */
const mostInAMinute = (starts: readonly Instant[]): number =>
  Math.max(0, ...starts.map((from) => starts.filter((at) => at >= from && at < from + MINUTE).length))

const told = (stage: Stage, name: string, kind: string): readonly string[] =>
  stage
    .ledger(name)
    .filter((entry) => entry.kind === kind)
    .map(({ reason }) => reason)

const endings = (stage: Stage): readonly string[] => [
  ...told(stage, 'site', 'lease closing'),
  ...told(stage, 'site', 'lease incomplete'),
  ...told(stage, 'manager', 'leaving'),
  ...told(stage, 'manager', 'closing'),
]

describe('after the power of the whole room was cut', () => {
  test('every lease goes on, machines start at the pace, and no failure of that time counts', async () => {
    const stage = await lentOut()
    await roomCut(stage, 20)
    const { starts, running } = stage.machines.site!
    // They have been tried, in vain, and far more often than a lease would stand otherwise.
    expect(starts.length).toBeGreaterThan(15)
    expect(running.size).toBe(0)
    expect([stage.leases().length, endings(stage)]).toEqual([LEASES, []])
    expect(stage.leases().every(({ restoring }) => restoring !== undefined)).toBe(true)

    await stage.runs(7 * 60)
    expect(running.size).toBe(UNITS)
    expect(states(stage)).toEqual({ joined: UNITS })
    expect(mostInAMinute(starts)).toBeLessThanOrEqual(PER_MINUTE + 1)
    expect([stage.leases().length, endings(stage)]).toEqual([LEASES, []])
    expect(stage.leases().every(({ restoring }) => restoring === undefined)).toBe(true)

    // None of those deaths counts as a repair: the next one is made good at once.
    const [name = ''] = [...running.values()].map((spec) => spec.name)
    stage.machines.site!.die(name)
    await stage.runs(30)
    expect(running.size).toBe(UNITS)
  })

  test('another one soon after the first, as soon as all run again, is one as well', async () => {
    const stage = await lentOut(setting({ startsPerMinute: 60, patienceMs: 30 * MINUTE }))
    for (let cuts = 1; cuts <= 3; cuts++) {
      await roomCut(stage, 2)
      await stage.runs(3 * 60)
      expect([cuts, states(stage)]).toEqual([cuts, { joined: UNITS }])
      expect(told(stage, 'site', 'power cut')).toHaveLength(cuts)
      expect(told(stage, 'site', 'power cut over')).toHaveLength(cuts)
    }
    expect([stage.leases().length, endings(stage)]).toEqual([LEASES, []])
  })

  test('that is one line with its reason, and another one when it is over', async () => {
    const stage = await lentOut()
    await roomCut(stage, 2)
    await stage.runs(10 * 60)
    const [cut, ...more] = told(stage, 'site', 'power cut')
    expect(cut).toMatch(
      /^30 of 30 machines are gone since [-\dT:.Z]+: taken for a power cut, not for 30 deaths; at most 6 are started in a minute, and what fails until [-\dT:.Z]+ counts against no lease$/,
    )
    expect(more).toEqual([])
    expect(told(stage, 'site', 'power cut over')).toEqual([
      expect.stringMatching(/^what is lent runs again, .* after the power cut of .* was noticed$/),
    ])
    expect(told(stage, 'site', 'lease waits').join('\n')).toMatch(
      /the site starts at most 6 machines in a minute after the power cut of/,
    )
    expect(told(stage, 'manager', 'site restores')).toHaveLength(LEASES)
    const lines = stage.names.flatMap((name) => stage.ledger(name))
    expect(storyOf(stage.leases()[0]!.id, lines, stage.world.now).join('\n')).toMatch(
      /manager hears of a power cut at its site: most machines of its site were dead at once/,
    )
  })

  test('a lease that ends meanwhile is extended whole, though none of its machines is there', async () => {
    const stage = await lentOut()
    await roomCut(stage, 5)
    const [lease] = stage.leases()
    await stage.wishes([extend(lease!.id, hour)])
    await stage.runs(10)
    expect(told(stage, 'manager', 'extended')).toHaveLength(1)
    await stage.runs(10 * 60)
    const after = stage.leases().find(({ id }) => id === lease!.id)!
    expect([after.units, after.held.filter(({ state }) => state === 'joined').length]).toEqual([3, 3])
  })

  test('a machine that does not join in that time is not given back', async () => {
    const stage = await lentOut()
    // The head comes last: each join takes longer than it may.
    stage.joinSeconds = 20
    await roomCut(stage, 1)
    await stage.runs(10 * 60)
    expect(stage.machines.site!.running.size).toBe(UNITS)
    expect(states(stage)).toEqual({ joining: UNITS })
    stage.joinSeconds = 0
    await stage.runs(2 * 60)
    expect(states(stage)).toEqual({ joined: UNITS })
    expect(endings(stage)).toEqual([])
  })

  test('when the time for that is over, what still fails counts as ever', async () => {
    const stage = await lentOut(setting({ startsPerMinute: 60, patienceMs: 10 * MINUTE }))
    await roomCut(stage, 9)
    stage.machines.site!.lacks = 'what boots need'
    expect(endings(stage)).toEqual([])
    await stage.runs(30 * 60)
    expect(told(stage, 'site', 'lease incomplete')).toHaveLength(LEASES)
  })
})

describe('what is no power cut', () => {
  const deadOf = async (share: number): Promise<Stage> => {
    const stage = await lentOut()
    const names = [...stage.machines.site!.running.values()].map(({ name }) => name)
    for (const name of names.slice(0, share)) stage.machines.site!.die(name)
    await stage.runs(40)
    return stage
  }

  test('a third of the machines that die are deaths', async () =>
    expect(told(await deadOf(UNITS / 3), 'site', 'power cut')).toEqual([]))
  test('half of them are none', async () =>
    expect(told(await deadOf(UNITS / 2), 'site', 'power cut')).toEqual([
      expect.stringMatching(/^15 of 30 machines/),
    ]))

  test('machines that end with their leases while the site is away', async () => {
    const stage = await lentOut()
    stage.dies('site')
    stage.machines.site!.dieAll()
    await stage.runs(60 * 60)
    stage.starts('site')
    await stage.runs(60)
    expect(told(stage, 'site', 'power cut')).toEqual([])
  })

  test('over is told as what it is where leases end too soon to be repaired', async () => {
    const stage = new Stage({
      units: 4,
      authority: { powerCut: { startsPerMinute: 600, patienceMs: 30 * MINUTE }, repairMinMs: 10 * MINUTE },
    })
    await stage.begins()
    await stage.wishes([request({ units: 4, durationMs: 5 * MINUTE })])
    await stage.runs(20)
    stage.machines.site!.dieAll()
    await stage.runs(90)
    expect(told(stage, 'site', 'power cut')).toHaveLength(1)
    expect(told(stage, 'site', 'power cut over')).toEqual([
      expect.stringMatching(/^nothing of what was lost is set up again, .* after the power cut/),
    ])
  })

  test('machines that die soon after each start: in the end none is replaced any more', async () => {
    const stage = await lentOut(setting({ startsPerMinute: 600, patienceMs: MINUTE }))
    for (let i = 0; i < 90; i++) {
      stage.machines.site!.dieAll()
      await stage.runs(35)
    }
    await stage.runs(60)
    expect(stage.machines.site!.running.size).toBe(0)
    expect(told(stage, 'site', 'power cut')).toHaveLength(3)
  })
})
