import { describe, expect, test } from 'vitest'
import type { Job } from '../../adapters/batch-system.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import { firstMemory } from '../../controllers/guests/groc/memory.ts'
import {
  configOf,
  decideOn,
  jobOf,
  jobsOf,
  leaseOf,
  MINUTE,
  nodeOf,
  refusalOf,
  requestsIn,
  SECOND,
  T0,
  unitOf,
  viewOf,
  world,
} from './groc-world.ts'

const SMALL = { type: 'small', unit: { cpus: 4, memoryMiB: 4096 } }
const LARGE = { type: 'large', unit: { cpus: 16, memoryMiB: 65_536 } }
const GPU = {
  type: 'gpu',
  unit: { cpus: 16, memoryMiB: 65_536, consumables: { gpu: 2 }, features: ['cuda'] },
}

const typesOf = (types: readonly object[], over: Record<string, unknown> = {}) =>
  configOf({ type: undefined, unit: undefined, types, ...over })

const asks = (
  jobs: readonly Job[],
  types: readonly object[] = [SMALL, LARGE, GPU],
  over: Record<string, unknown> = {},
  view: Parameters<typeof viewOf>[2] = {},
  now = T0,
): readonly string[] =>
  requestsIn(decideOn(viewOf([], { jobs }, view), typesOf(types, over), firstMemory, now).intents).map(
    ({ type, units, unitsMin }) => `${type} ${unitsMin}-${units}`,
  )

describe('several types', () => {
  test('each job goes by the first type, in order of preference, that fits it', () => {
    const jobs = [
      jobOf('s'),
      jobOf('l', { cpusPerNode: 8 }),
      jobOf('g', { cpusPerNode: 1, consumablesPerNode: { gpu: 2 } }),
    ]
    // The small job and the one of 8 cpus fit beside each other, and the GPU's own unit has room for both.
    expect(asks(jobs)).toEqual(['gpu 1-1'])
    expect(asks([jobOf('s')])).toEqual(['small 1-1'])
    expect(asks([jobOf('l', { cpusPerNode: 8 })])).toEqual(['large 1-1'])
    expect(asks([jobOf('l', { features: ['cuda'] })])).toEqual(['gpu 1-1'])
    expect(asks([jobOf('s')], [LARGE, SMALL])).toEqual(['large 1-1'])
  })

  describe('a job of unlike parts', () => {
    const BIG = { type: 'big', unit: { cpus: 16, memoryMiB: 65_536, features: ['bigmem'] } }
    const LITTLE = { type: 'little', unit: { cpus: 4, memoryMiB: 4096, features: ['small'] } }
    /** `nodes=1:bigmem+4:small`, as the adapters tell it. */
    const unlike = jobOf('u', {
      ...{ nodes: 5, cpusPerNode: 1, features: ['bigmem', 'small'] },
      parts: [
        { nodes: 1, cpusPerNode: 1, memoryMiBPerNode: 0, features: ['bigmem'] },
        { nodes: 4, cpusPerNode: 1, memoryMiBPerNode: 0, features: ['small'] },
      ],
    })
    const requests = (over: Record<string, unknown> = {}) =>
      requestsIn(decideOn(viewOf([], { jobs: [unlike] }), typesOf([LITTLE, BIG], over)).intents)

    test('is asked for by the types of its parts, in one request group', () => {
      const asked = requests()
      expect(asked.map(({ type, units, unitsMin }) => `${type} ${unitsMin}-${units}`)).toEqual([
        'little 4-4',
        'big 1-1',
      ])
      expect(new Set(asked.map(({ group }) => JSON.stringify(group))).size).toBe(1)
      expect(asked[0]?.group).toMatchObject({ size: 2 })
    })

    test('is not asked for in part: not beyond max, not beyond the budget', () => {
      expect(requests({ max: 4 })).toEqual([])
      expect(requests({ budget: { nodeHours: 1, per: '1d' }, grow: { wait: '0s', run: '1h' } })).toEqual([])
    })

    test('that no type has one part of is a misfit, and says which', () => {
      const decision = decideOn(viewOf([], { jobs: [unlike] }), typesOf([LITTLE]))
      expect(requestsIn(decision.intents)).toEqual([])
      expect(decision.reason).toContain('no type has what they ask for: job u (bigmem)')
      const wide = { ...unlike, parts: unlike.parts!.map((part) => ({ ...part, cpusPerNode: 8 })) }
      expect(decideOn(viewOf([], { jobs: [wide] }), typesOf([LITTLE, BIG])).reason).toContain(
        'job u (8 cpus, 0 MiB, feature small per node)',
      )
    })

    test('is told what it asks for, and what it is given', () => {
      const told = groc.explainJob(
        'u',
        viewOf([], { jobs: [unlike] }),
        firstMemory,
        typesOf([LITTLE, BIG]),
        T0,
      )
      expect(told?.join(' ')).toContain(
        'asks for 5 nodes: 1 node with 1 cpu (it names no memory), feature bigmem, and 4 nodes, each with 1 cpu (it names no memory), feature small.',
      )
      expect(told?.join(' ')).toContain('It is given all of these at one common start, or none.')
    })

    test('has a group of its own, for each such job', () => {
      const alone = { ...unlike, exclusive: true }
      const twins = [jobOf('a', { ...alone, id: 'a' }), jobOf('b', { ...alone, id: 'b' })]
      const asked = requestsIn(decideOn(viewOf([], { jobs: twins }), typesOf([LITTLE, BIG])).intents)
      expect(asked.map(({ type, units }) => `${type} ${units}`)).toEqual([
        ...['little 4', 'big 1'],
        ...['little 4', 'big 1'],
      ])
      expect(new Set(asked.map(({ group }) => group?.id)).size).toBe(2)
    })

    test('asks for nothing twice: what is coming for its parts is its own', () => {
      const coming = [
        leaseOf('l', [], { type: 'little', units: 4, state: 'requested', term: undefined }),
        leaseOf('b', [], { type: 'big', units: 1, state: 'requested', term: undefined }),
      ]
      const { intents } = decideOn(viewOf(coming, { jobs: [unlike] }), typesOf([LITTLE, BIG]))
      expect(requestsIn(intents)).toEqual([])
    })
  })

  test('a wide job has all its missing nodes of one type', () => {
    expect(asks([jobOf('w', { nodes: 3, cpusPerNode: 8 })])).toEqual(['large 3-3'])
  })

  test('machines that are there or coming serve, of whatever type, before any is ordered', () => {
    const leases = [
      leaseOf('l1', [unitOf('u1', { state: 'awaited' })], { type: 'large' }),
      leaseOf('l2', [], { state: 'requested', units: 1, term: undefined, type: 'small' }),
    ]
    const view = viewOf(leases, { jobs: jobsOf(5) })
    expect(requestsIn(decideOn(view, typesOf([SMALL, LARGE])).intents)).toEqual([])
    const more = viewOf(leases, { jobs: jobsOf(6) })
    expect(requestsIn(decideOn(more, typesOf([SMALL, LARGE])).intents)).toHaveLength(1)
  })

  test('max of a type is kept, what is held of it included; the rest goes by the next', () => {
    const types = [{ ...SMALL, max: 2 }, LARGE]
    expect(asks(jobsOf(10), types)).toEqual(['small 1-2', 'large 1-2'])
    const held = viewOf([leaseOf('l1', [unitOf('u1')])], { nodes: [nodeOf('u1')], jobs: jobsOf(10) })
    expect(
      requestsIn(decideOn(held, typesOf(types)).intents).map(({ type, units }) => `${type} ${units}`),
    ).toEqual(['small 1', 'large 2'])
    expect(asks(jobsOf(10), [{ ...SMALL, max: 2 }])).toEqual(['small 1-2'])
  })

  test('a wide job takes the next type where the first has not enough units', () => {
    expect(asks([jobOf('w', { nodes: 3 })], [{ ...SMALL, max: 2 }, LARGE])).toEqual(['large 3-3'])
  })

  test('max, min and startsPerMinute hold over all types', () => {
    const jobs = [...jobsOf(4), ...jobsOf(4, { cpusPerNode: 16 })]
    const units = (over: Record<string, unknown>) =>
      asks(jobs, [SMALL, LARGE], over).reduce((sum, text) => sum + Number(text.split('-')[1]), 0)
    expect(units({})).toBe(8)
    expect(units({ max: 3 })).toBe(3)
    expect(units({ startsPerMinute: 2 })).toBe(2)
    expect(asks([], [SMALL, LARGE], { min: 2 })).toEqual(['small 1-2'])
    const large = viewOf([leaseOf('l1', [unitOf('u1'), unitOf('u2')], { type: 'large' })], {
      nodes: [nodeOf('u1'), nodeOf('u2')],
    })
    expect(requestsIn(decideOn(large, typesOf([SMALL, LARGE], { min: 2 })).intents)).toEqual([])
  })
})

describe('a type that refuses', () => {
  const refusals = [refusalOf('l1', T0)]

  test('is passed over for the next that fits while its pause lasts, and that is said', () => {
    expect(asks(jobsOf(2), [SMALL, LARGE], {}, { refusals }, T0 + 29 * SECOND)).toEqual(['large 1-1'])
    expect(asks(jobsOf(2), [SMALL, LARGE], {}, { refusals }, T0 + 30 * SECOND)).toEqual(['small 1-2'])
    const { reason } = decideOn(viewOf([], { jobs: jobsOf(2) }, { refusals }), typesOf([SMALL, LARGE]))
    expect(reason).toContain(
      'small is passed over for the next type that fits until 2026-03-02T08:00:30Z: 1 ask in a row refused by the broker',
    )
  })

  test('is waited for by jobs that no other fits', () => {
    const decision = decideOn(
      viewOf(
        [],
        { jobs: jobsOf(2, { cpusPerNode: 8 }) },
        { refusals: [refusalOf('l1', T0, { type: 'large' })] },
      ),
      typesOf([SMALL, LARGE]),
    )
    expect(decision.intents).toEqual([])
    expect(decision.reason).toContain('1 unit for small jobs: asked again at 2026-03-02T08:00:30Z')
  })

  test('of many units is passed over for wide jobs only', () => {
    const wide = { refusals: [refusalOf('l1', T0, { unitsMin: 3 })] }
    const jobs = [jobOf('w', { nodes: 3 }), jobOf('s', { cpusPerNode: 2 })]
    expect(asks([jobs[0]!], [SMALL, LARGE], {}, wide)).toEqual(['large 3-3'])
    expect(asks([jobs[1]!], [SMALL, LARGE], {}, wide)).toEqual(['small 1-1'])
  })

  test('whose machines fail is passed over likewise, and then tried with one unit beside the next type', () => {
    const failures = [0, 1, 2].map((i) =>
      refusalOf(`l${i}`, T0 - i * MINUTE, { by: 'site', reason: 'kernel panic' }),
    )
    const over = { breaker: 3 }
    expect(asks(jobsOf(6), [SMALL, LARGE], over, { refusals: failures }, T0 + MINUTE)).toEqual(['large 1-2'])
    expect(asks(jobsOf(6), [SMALL, LARGE], over, { refusals: failures }, T0 + 10 * MINUTE)).toEqual([
      'small 1-1',
      'large 1-2',
    ])
  })

  test('is named to the owner of a job that goes by the next, with the type that is to serve it', () => {
    const config = typesOf([SMALL, LARGE])
    const say = groc
      .explainJob('1', viewOf([], { jobs: jobsOf(1) }, { refusals }), groc.firstMemory, config, T0)
      ?.join(' ')
    expect(say).toContain('It needs a further unit of type large')
    expect(say).toContain('small is passed over until 2026-03-02T08:00:30Z')
  })

  test('in a closed loop: the next type serves, and the first again when it has units', () => {
    const opens = T0 + 20 * MINUTE
    const pool = world(typesOf([SMALL, LARGE], { shrink: { idle: '60s' } }), {
      supply: (now, type) => (type === 'large' || now >= opens ? 50 : 0),
    })
    pool.submit(jobOf('a'), 5 * MINUTE)
    pool.pass(10 * MINUTE)
    expect(pool.ended()).toBe(1)
    pool.pass(15 * MINUTE)
    pool.submit(jobOf('b'), 5 * MINUTE)
    pool.pass(2 * MINUTE)
    const types = requestsIn(pool.log.map(({ intent }) => intent)).map(({ type }) => type)
    expect(types).toEqual(['small', 'large', 'small'])
    expect(pool.killed).toEqual([])
  })
})
