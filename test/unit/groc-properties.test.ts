import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { BatchNode } from '../../adapters/batch-system.ts'
import type { GuestIntent } from '../../controllers/controller.ts'
import { MEMBER_STATES } from '../../controllers/controller.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import {
  configOf,
  decideOn,
  jobOf,
  leaseOf,
  MINUTE,
  nodeOf,
  refusalOf,
  requestsIn,
  runningOn,
  SECOND,
  T0,
  unitOf,
  unitsAsked,
  viewOf,
  world,
} from './groc-world.ts'

const nodeArbitrary = fc.record({
  there: fc.boolean(),
  drained: fc.constantFrom<BatchNode['drained']>('no', 'no', 'ours', 'theirs'),
  responding: fc.integer({ min: 0, max: 4 }).map((roll) => roll > 0),
  collected: fc.integer({ min: 0, max: 5 }).map((roll) => roll === 0),
  busy: fc.boolean(),
  epilog: fc.integer({ min: 0, max: 5 }).map((roll) => roll === 0),
  reserved: fc.integer({ min: 0, max: 5 }).map((roll) => roll === 0),
  gpus: fc.option(fc.integer({ min: 0, max: 2 }), { nil: undefined }),
  ssd: fc.option(fc.boolean(), { nil: undefined }),
})
const unitArbitrary = fc.record({
  state: fc.constantFrom(...MEMBER_STATES),
  settled: fc.integer({ min: 0, max: 4 }).map((roll) => roll > 0),
  suspect: fc.integer({ min: 0, max: 6 }).map((roll) => roll === 0),
  idleMinutes: fc.option(fc.integer({ min: 0, max: 10 }), { nil: undefined }),
  node: nodeArbitrary,
})
const leaseArbitrary = fc.record({
  units: fc.array(unitArbitrary, { minLength: 1, maxLength: 4 }),
  endsIn: fc.integer({ min: 1, max: 60 }),
  extending: fc.boolean(),
  refused: fc.integer({ min: 0, max: 4 }).map((roll) => roll === 0),
  recall: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
  closing: fc.integer({ min: 0, max: 8 }).map((roll) => roll === 0),
  type: fc.constantFrom('small', 'small', 'gpu', 'gone'),
})
const sceneArbitrary = fc
  .record({
    leases: fc.array(leaseArbitrary, { maxLength: 5 }),
    jobs: fc.array(
      fc.record({
        nodes: fc.integer({ min: 1, max: 5 }),
        cpusPerNode: fc.integer({ min: 1, max: 5 }),
        tasks: fc.integer({ min: 1, max: 4 }),
        consumablesPerNode: fc.constantFrom({}, {}, { gpu: 1 }, { 'gpu:a100': 2 }, { tpu: 1 }),
        features: fc.constantFrom([], [], ['ssd'], ['avx']),
        exclusive: fc.integer({ min: 0, max: 4 }).map((roll) => roll === 0),
        walltimeMs: fc.constantFrom(undefined, MINUTE, 30 * MINUTE, 600 * MINUTE),
      }),
      { maxLength: 6 },
    ),
    refused: fc.array(fc.constantFrom('small', 'gpu'), { maxLength: 3 }),
    min: fc.integer({ min: 0, max: 3 }),
    max: fc.integer({ min: 3, max: 14 }),
    gpuMax: fc.option(fc.integer({ min: 1, max: 5 }), { nil: undefined }),
  })
  .map(({ leases, jobs, refused, min, max, gpuMax }) => {
    const nodes: BatchNode[] = []
    const running: string[] = []
    const idleSince: Record<string, number> = {}
    const held = leases.map((lease, l) => {
      const units = lease.units.map(({ state, settled, suspect, idleMinutes, node }, u) => {
        const id = `l${l}u${u}`
        if (idleMinutes !== undefined) idleSince[id] = T0 - idleMinutes * MINUTE
        if (node.there && (state === 'joined' || state === 'draining')) {
          if (node.busy) running.push(id)
          nodes.push(
            nodeOf(id, {
              drained: node.drained,
              accepting: node.drained === 'no',
              responding: node.responding,
              collectingFor: node.collected ? 'somebody' : undefined,
              empty: !node.busy && !node.epilog,
              jobs: node.busy ? [`r-${id}`] : [],
              cpusInUse: node.busy ? 4 : 0,
              ...(node.reserved ? { reservedFor: 'a course' } : {}),
              ...(node.gpus === undefined ? {} : { consumables: { 'gpu:a100': node.gpus } }),
              ...(node.ssd === undefined ? {} : { features: node.ssd ? ['ssd'] : [] }),
            }),
          )
        }
        return unitOf(id, {
          state,
          since: settled ? T0 - MINUTE : T0 - 500,
          suspect: suspect ? 'doubt' : undefined,
          joinedAt: state === 'awaited' ? undefined : T0 - 30 * MINUTE,
        })
      })
      return leaseOf(`l${l}`, units, {
        state: lease.closing ? 'closing' : 'active',
        type: lease.type,
        term: { start: T0 - (60 - lease.endsIn) * MINUTE, end: T0 + lease.endsIn * MINUTE },
        extendBy: T0 + (lease.endsIn - 2) * MINUTE,
        extending: lease.extending,
        extendRefused: lease.refused ? { at: T0 - 5 * MINUTE, reason: 'others first' } : undefined,
        recall: lease.recall === undefined ? undefined : { units: lease.recall, by: T0 + 10 * MINUTE },
      })
    })
    const view = viewOf(
      held,
      {
        nodes,
        jobs: [
          ...running.map((id) => runningOn(`r-${id}`, id)),
          ...jobs.map((need, i) => jobOf(`w${i}`, need)),
        ],
      },
      { refusals: refused.map((type, i) => refusalOf(`refused-${i}`, T0 - SECOND, { type })) },
    )
    const gpu = { cpus: 4, memoryMiB: 8192, consumables: { 'gpu:a100': 2 }, features: ['ssd'] }
    const types = [
      { type: 'small', unit: { cpus: 4, memoryMiB: 4096 } },
      { type: 'gpu', unit: gpu, max: gpuMax },
    ]
    const config = configOf({ type: undefined, unit: undefined, types, min, max })
    return { view, config, decision: decideOn(view, config, { ...groc.firstMemory, idleSince }) }
  })

type Scene = typeof sceneArbitrary extends fc.Arbitrary<infer S> ? S : never

const always = (law: (scene: Scene) => void): void =>
  fc.assert(fc.property(sceneArbitrary, law), { numRuns: 1000 })

const unitsOf = ({ view }: Scene) =>
  view.leases.flatMap((lease) => lease.held.map((unit) => ({ unit, lease })))
const nodeFor = ({ view }: Scene, id: string) =>
  view.observation?.nodes.find(({ mark }) => mark?.unitId === id)
const targets = (intents: readonly GuestIntent[], kind: 'drain' | 'resume' | 'leave'): readonly string[] =>
  intents.flatMap((intent) => (intent.kind === kind ? [intent.unitId] : []))

describe('whatever it sees', () => {
  test('a unit with work is never taken out, and none before our drain was seen or its node is gone', () =>
    always((scene) => {
      for (const id of targets(scene.decision.intents, 'leave')) {
        const node = nodeFor(scene, id)
        if (node === undefined) continue
        expect(node).toMatchObject({ drained: 'ours', empty: true, jobs: [], collectingFor: undefined })
      }
    }))

  test('what an administrator drained is not touched', () =>
    always((scene) => {
      for (const kind of ['drain', 'resume', 'leave'] as const)
        for (const id of targets(scene.decision.intents, kind)) {
          const settled = unitsOf(scene).some(({ unit }) => unit.id === id && unit.since <= T0 - SECOND)
          if (settled) expect(nodeFor(scene, id)?.drained).not.toBe('theirs')
        }
    }))

  test('one unit gets one intent', () =>
    always(({ decision }) => {
      const all = (['drain', 'resume', 'leave'] as const).flatMap((kind) => targets(decision.intents, kind))
      expect(new Set(all).size).toBe(all.length)
    }))

  test('nothing is asked for beyond max', () =>
    always(({ view, config, decision }) => {
      const held = view.leases.reduce(
        (sum, { held }) => sum + held.filter(({ state }) => state !== 'lost').length,
        0,
      )
      const asked = unitsAsked(decision.intents)
      if (asked > 0) expect(held + asked).toBeLessThanOrEqual(config.max)
      for (const { units, unitsMin } of requestsIn(decision.intents)) {
        expect(units).toBeGreaterThan(0)
        expect(unitsMin === 1 || unitsMin === units).toBe(true)
      }
    }))

  test('of a type nothing is asked for beyond its own max, while it refuses, or that is not configured', () =>
    always(({ view, config, decision }) => {
      for (const { type, max = Number.POSITIVE_INFINITY } of config.types) {
        const asked = requestsIn(decision.intents).filter((request) => request.type === type)
        const units = asked.reduce((sum, request) => sum + request.units, 0)
        const held = view.leases
          .filter((lease) => lease.type === type)
          .reduce((sum, { held }) => sum + held.filter(({ state }) => state !== 'lost').length, 0)
        if (units > 0) expect(held + units).toBeLessThanOrEqual(max)
        if (view.refusals.some((refusal) => refusal.type === type)) expect(units).toBe(0)
      }
      const types = new Set(config.types.map(({ type }) => type))
      for (const { type, durationMs } of requestsIn(decision.intents)) {
        expect(types).toContain(type)
        expect(durationMs).toBeGreaterThanOrEqual(config.termMin)
        expect(durationMs).toBeLessThanOrEqual(config.term)
      }
    }))

  test('a reserved node does not leave, and is drained only for what makes it unfit', () =>
    always((scene) => {
      const reserved = (id: string) => {
        const { unit } = unitsOf(scene).find((one) => one.unit.id === id)!
        return unit.since <= T0 - SECOND && nodeFor(scene, id)?.reservedFor !== undefined
      }
      for (const id of targets(scene.decision.intents, 'leave')) expect(reserved(id)).toBe(false)
      for (const intent of scene.decision.intents)
        if (intent.kind === 'drain' && reserved(intent.unitId))
          expect(intent.reason).not.toContain('empty and unneeded')
    }))

  test('a unit with work is a victim of an extension only if its site recalled it', () =>
    always((scene) => {
      for (const intent of scene.decision.intents) {
        if (intent.kind !== 'extend') continue
        const lease = scene.view.leases.find(({ id }) => id === intent.leaseId)
        expect(lease?.extending).toBe(false)
        if (lease?.recall !== undefined) continue
        for (const id of intent.victims) {
          const unit = lease?.held.find((one) => one.id === id)
          if (unit?.state === 'joined' || unit?.state === 'draining')
            expect(nodeFor(scene, id)?.jobs ?? []).toEqual([])
        }
      }
    }))

  test('nothing is done to a closing lease, and every intent names a thing that is held', () =>
    always((scene) => {
      const alive = unitsOf(scene).filter(({ lease }) => lease.state !== 'closing')
      const units = new Set(alive.map(({ unit }) => unit.id))
      const leases = new Set(alive.map(({ lease }) => lease.id))
      for (const intent of scene.decision.intents) {
        expect(intent.reason).not.toBe('')
        if ('unitId' in intent) expect(units).toContain(intent.unitId)
        if (intent.kind === 'extend' || intent.kind === 'release') expect(leases).toContain(intent.leaseId)
      }
    }))

  test('it comes back soon, and its memory survives being written down', () =>
    always(({ config, decision }) => {
      expect(decision.againMs).toBeGreaterThan(0)
      expect(decision.againMs).toBeLessThanOrEqual(config.every)
      expect(JSON.parse(JSON.stringify(decision.memory))).toEqual({ ...decision.memory })
    }))
})

describe('whatever happens in a small cluster', () => {
  test('max holds, no job is cut, all work gets done, and in the end min is left', () => {
    const wave = fc.record({
      jobs: fc.integer({ min: 1, max: 6 }),
      nodes: fc.integer({ min: 1, max: 3 }),
      cpus: fc.integer({ min: 1, max: 4 }),
      lasts: fc.integer({ min: 10, max: 900 }),
      pause: fc.integer({ min: 0, max: 400 }),
      limit: fc.constantFrom(undefined, 1, 3, 10),
    })
    fc.assert(
      fc.property(
        fc.array(wave, { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 0, max: 2 }),
        fc.integer({ min: 3, max: 8 }),
        fc.integer({ min: 1, max: 120 }),
        fc.record({
          reserve: fc.integer({ min: 0, max: 1 }),
          userMax: fc.constantFrom(undefined, 3),
          ramp: fc.constantFrom({}, { share: 0.34, every: '30s' }),
          windows: fc.constantFrom([], [{ from: '*/10 * * * *', for: '4m', grow: { wait: '1m' } }]),
          grow: fc.constantFrom({ wait: '0s' }, { wait: '0s', target: '10m' }),
        }),
        (waves, min, max, bootSeconds, options) => {
          const types = [
            { type: 'small', unit: { cpus: 2, memoryMiB: 4096 }, max: 3 },
            { type: 'large', unit: { cpus: 4, memoryMiB: 4096 } },
          ]
          const over = { type: undefined, unit: undefined, types }
          const config = configOf({
            ...over,
            ...options,
            min,
            max,
            term: '10m',
            termMin: '4m',
            shrink: { idle: '90s' },
          })
          const pool = world(config, { bootMs: bootSeconds * SECOND })
          const check = (): void => expect(pool.held()).toBeLessThanOrEqual(max)
          let submitted = 0
          for (const { jobs, nodes, cpus, lasts, pause, limit } of waves) {
            for (let i = 0; i < jobs; i += 1) {
              submitted += 1
              const walltimeMs = limit === undefined ? undefined : limit * lasts * SECOND
              pool.submit(jobOf(`${submitted}`, { nodes, cpusPerNode: cpus, walltimeMs }), lasts * SECOND)
            }
            pool.pass(pause * SECOND, check)
          }
          for (let waited = 0; waited < 600 && pool.ended() < submitted; waited += 1) pool.pass(MINUTE, check)
          pool.pass(30 * MINUTE, check)
          expect(pool.ended()).toBe(submitted)
          expect(pool.killed).toEqual([])
          expect(pool.joined()).toBe(Math.max(min, options.reserve))
        },
      ),
      { numRuns: 20 },
    )
  }, 300_000)
})
