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
