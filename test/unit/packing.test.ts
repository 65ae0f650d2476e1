import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Shape } from '../../controllers/guests/groc/demand.ts'
import { BIN_KINDS, type Bin } from '../../controllers/guests/groc/lots.ts'
import { amountOf, type Part } from '../../controllers/guests/groc/needs.ts'
import type { Offer, Packing } from '../../controllers/guests/groc/packing.ts'
import { pack } from '../../controllers/guests/groc/packing.ts'

const unit = { cpus: 4, memoryMiB: 4096, consumables: {}, features: [] }

const offerOf = (over: Partial<Offer> = {}): Offer => ({
  type: 'small',
  unit,
  room: Number.POSITIVE_INFINITY,
  trial: false,
  isPaused: () => false,
  ...over,
})
const offers = [offerOf()]

const shapeOf = (count: number, over: Partial<Shape> = {}): Shape => ({
  queue: 'batch',
  weight: 1,
  nodes: 1,
  cpus: 1,
  memoryMiB: 0,
  ...{ consumables: {}, features: [], exclusive: false },
  leaseMs: 600_000,
  jobs: [],
  count,
  oldest: 0,
  workMs: 0,
  ...over,
})

const binOf = (id: string, over: Partial<Bin> = {}): Bin => ({
  id,
  kind: 'serving',
  whole: true,
  ...unit,
  ...over,
})

const room = (units: number, reach = 100, collects = true) => ({ room: units, reach, collects })

const where = (packing: Packing, shape: Shape): readonly string[] =>
  (packing.places.get(shape) ?? []).map(({ bin, tasks }) => `${tasks} on ${bin.id}`)

describe('packing', () => {
  test('takes what serves, then what is spare, then what comes, then fresh units', () => {
    const shape = shapeOf(14)
    const bins = [
      binOf('coming', { kind: 'coming' }),
      binOf('spare', { kind: 'spare' }),
      binOf('serving'),
      binOf('collecting', { kind: 'collecting' }),
    ]
    const packing = pack([shape], bins, offers, room(10))
    expect(where(packing, shape)).toEqual(['4 on serving', '4 on spare', '4 on coming', '2 on fresh'])
    expect(packing).toMatchObject({ smallUnits: 1, wanted: 4 })
  })

  test('fills the fullest machine first, so that empty ones stay empty', () => {
    const shape = shapeOf(1)
    const packing = pack(
      [shape],
      [binOf('empty'), binOf('nearly', { cpus: 1 }), binOf('half', { cpus: 2 })],
      offers,
      room(10),
    )
    expect(where(packing, shape)).toEqual(['1 on nearly'])
  })

  test('among equals takes the one named first', () => {
    const shape = shapeOf(1)
    expect(where(pack([shape], [binOf('a'), binOf('b')], offers, room(10)), shape)).toEqual(['1 on a'])
  })

  test('gives collecting nodes to wide jobs', () => {
    const wide = shapeOf(1, { nodes: 2, cpus: 4 })
    const bins = [binOf('a', { kind: 'collecting' }), binOf('b', { kind: 'collecting' })]
    const packing = pack([wide], bins, offers, room(0))
    expect(where(packing, wide)).toEqual(['1 on a', '1 on b'])
    expect(packing.wideOrders).toEqual([])
  })

  test('leaves everything as it was when a wide job cannot be had', () => {
    const wide = shapeOf(1, { nodes: 5, cpus: 4 })
    const small = shapeOf(8)
    const packing = pack([wide, small], [binOf('a'), binOf('b')], offers, room(2))
    expect(where(packing, wide)).toEqual([])
    expect(where(packing, small)).toEqual(['4 on a', '4 on b'])
    expect([...packing.tooWide.values()]).toEqual([1])
    expect(packing.wanted).toBe(7)
  })

  test('keeps free machines for a wide job that waits for busy ones, but not for one that waits in vain', () => {
    const wide = shapeOf(1, { nodes: 3, cpus: 4 })
    const bins = [binOf('a'), binOf('b'), binOf('busy', { cpus: 0 })]
    expect([...pack([wide], bins, offers, room(0, 3)).used].sort()).toEqual(['a', 'b'])
    expect([...pack([wide], bins, offers, room(0, 2)).used]).toEqual([])
  })

  test('orders for each of several wide jobs, as far as there is room', () => {
    const wide = shapeOf(3, { nodes: 2, cpus: 4 })
    const packing = pack([wide], [binOf('a')], offers, room(4))
    expect(packing.wideOrders.map(({ units }) => units)).toEqual([1, 2])
    expect([...packing.tooWide.values()]).toEqual([1])
  })

  test('prefers machines without what the job does not need, so that GPUs stay free for those who do', () => {
    const plain = shapeOf(4)
    const needy = shapeOf(2, { consumables: { gpu: 1 } })
    const bins = [binOf('rich', { cpus: 2, consumables: { gpu: 2 } }), binOf('poor')]
    expect(where(pack([needy, plain], bins, offers, room(10)), plain)).toEqual(['4 on poor'])
    expect(where(pack([plain], bins, offers, room(10)), plain)).toEqual(['2 on rich', '2 on poor'])
  })

  test('orders the first type that fits, as far as there is room of it, and then the next', () => {
    const large = offerOf({ type: 'large', unit: { ...unit, cpus: 8 } })
    const shape = shapeOf(20)
    const packing = pack([shape], [], [offerOf({ room: 2 }), large], room(10))
    expect(packing.smallOrders.map(({ type, units }) => [type, units])).toEqual([
      ['small', 2],
      ['large', 2],
    ])
  })

  describe('a job of unlike parts', () => {
    const partOf = (nodes: number, over: Partial<Part> = {}): Part => ({
      ...{ nodes, cpus: 1, memoryMiB: 0, consumables: {}, features: [], exclusive: false },
      ...over,
    })
    const big = offerOf({ type: 'big', unit: { ...unit, cpus: 16, features: ['bigmem'] } })
    const little = offerOf({ type: 'little', unit: { ...unit, features: ['small'] } })
    const master = partOf(1, { cpus: 16, features: ['bigmem'] })
    const workers = partOf(4, { features: ['small'] })
    const unlike = (parts: readonly Part[], count = 1) =>
      shapeOf(count, { nodes: parts.reduce((sum, { nodes }) => sum + nodes, 0), cpus: 16, parts })

    test('has each part on machines that fit it, each node on its own', () => {
      const shape = unlike([master, workers])
      const bins = [
        binOf('big', { cpus: 16, features: ['bigmem', 'small'] }),
        ...[1, 2, 3, 4].map((i) => binOf(`small-${i}`, { features: ['small'] })),
      ]
      expect(where(pack([shape], bins, [big, little], room(0)), shape).toSorted()).toEqual([
        '1 on big',
        ...[1, 2, 3, 4].map((i) => `1 on small-${i}`),
      ])
      // The big one would do for a worker too, and is taken once.
      expect(pack([shape], bins.slice(0, 4), [big, little], room(0)).tooWide.get(shape)).toBe(1)
    })

    test('orders what is missing by type, all parts or none', () => {
      const shape = unlike([master, workers])
      const packing = pack([shape], [binOf('there', { features: ['small'] })], [big, little], room(10))
      expect(packing.wideOrders).toMatchObject([
        { type: 'big', units: 1, among: { size: 2, place: 0 } },
        { type: 'little', units: 3, among: { size: 2, place: 1 } },
      ])
      expect([packing.wanted, packing.places.get(shape)?.length]).toEqual([5, 5])
      const none = pack([shape], [binOf('there', { features: ['small'] })], [big, little], room(3))
      expect([none.wideOrders, none.tooWide.get(shape), [...none.used]]).toEqual([[], 1, ['there']])
      const scarce = offerOf({ ...little, room: 2 })
      expect(pack([shape], [], [big, scarce], room(10)).wideOrders).toEqual([])
    })

    test('of one type is one order; the limit of a type counts both parts', () => {
      const parts = [partOf(1, { cpus: 4 }), partOf(2, { cpus: 3 })]
      const packing = pack([unlike(parts, 2)], [], [offerOf({ room: 5 })], room(10))
      expect(packing.wideOrders).toHaveLength(1)
      expect(packing.wideOrders[0]).toMatchObject({ type: 'small', units: 3 })
      expect(packing.wideOrders[0]).not.toHaveProperty('among')
    })

    test('what a part leaves of a machine is for others', () => {
      const shape = unlike([partOf(1, { cpus: 4 }), partOf(1)])
      const small = shapeOf(3)
      const packing = pack([shape, small], [binOf('a'), binOf('b')], offers, room(10))
      expect(where(packing, shape)).toHaveLength(2)
      expect(where(packing, small)).toEqual([expect.stringMatching(/^3 on [ab]$/)])
      expect(packing.smallUnits).toBe(0)
    })

    test('keeps free machines for all its parts where max forbids the rest', () => {
      const shape = unlike([partOf(2), partOf(2, { cpus: 4 })])
      const packing = pack([shape], [binOf('a'), binOf('b'), binOf('c')], offers, room(0))
      expect([...packing.used].toSorted()).toEqual(['a', 'b', 'c'])
    })
  })

  test('tells which types are passed over because they may not be asked now', () => {
    const large = offerOf({ type: 'large', unit: { ...unit, cpus: 8 } })
    const paused = pack([shapeOf(1)], [], [offerOf({ isPaused: () => true }), large], room(10))
    expect([paused.smallOrders[0]?.type, [...paused.passedOver]]).toEqual(['large', ['small']])
    const alone = pack([shapeOf(1)], [], [offerOf({ isPaused: () => true })], room(10))
    expect([alone.smallOrders[0]?.type, [...alone.passedOver]]).toEqual(['small', []])
  })

  test('no machine is ever given more than it has, no wide job one machine twice, and no small job is forgotten', () => {
    const shapes = fc.array(
      fc.record({
        nodes: fc.integer({ min: 1, max: 4 }),
        cpus: fc.integer({ min: 1, max: 4 }),
        memoryMiB: fc.integer({ min: 0, max: 4096 }),
        count: fc.integer({ min: 1, max: 12 }),
        consumables: fc.constantFrom({}, {}, { gpu: 1 }, { gpu: 2 }),
        features: fc.constantFrom([], [], ['ssd']),
        exclusive: fc.integer({ min: 0, max: 4 }).map((roll) => roll === 0),
      }),
      { maxLength: 8 },
    )
    const bins = fc.array(
      fc.record({
        kind: fc.constantFrom(...BIN_KINDS.filter((kind) => kind !== 'fresh')),
        cpus: fc.integer({ min: 0, max: 6 }),
        memoryMiB: fc.integer({ min: 0, max: 6000 }),
        consumables: fc.constantFrom({}, { gpu: 2 }, { 'gpu:a100': 3 }),
        features: fc.constantFrom([], ['ssd'], ['ssd', 'avx']),
        whole: fc.boolean(),
      }),
      { maxLength: 10 },
    )
    fc.assert(
      fc.property(shapes, bins, fc.integer({ min: 0, max: 8 }), (needs, rooms, units) => {
        const all = needs
          .map(({ count, ...need }) => shapeOf(count, need))
          .sort((a, b) => Number(b.nodes > 1) - Number(a.nodes > 1))
        const machines = rooms.map((free, i) => binOf(`b${i}`, free))
        const rich = offerOf({ unit: { ...unit, consumables: { 'gpu:a100': 2 }, features: ['ssd'] } })
        const packing = pack(all, machines, [rich], room(units))
        const gpus = new Map<Bin, number>()
        const users = new Map<Bin, Shape[]>()
        const cpus = new Map<Bin, number>()
        const memory = new Map<Bin, number>()
        for (const [shape, places] of packing.places) {
          const tasks = places.reduce((sum, place) => sum + place.tasks, 0)
          expect(tasks).toBe((shape.count - (packing.tooWide.get(shape) ?? 0)) * shape.nodes)
          if (shape.nodes > 1)
            for (let i = 0; i < places.length; i += shape.nodes)
              expect(new Set(places.slice(i, i + shape.nodes).map(({ bin }) => bin)).size).toBe(shape.nodes)
          for (const { bin, tasks } of places) {
            cpus.set(bin, (cpus.get(bin) ?? 0) + tasks * shape.cpus)
            memory.set(bin, (memory.get(bin) ?? 0) + tasks * shape.memoryMiB)
            gpus.set(bin, (gpus.get(bin) ?? 0) + tasks * (shape.consumables.gpu ?? 0))
            users.set(bin, [...(users.get(bin) ?? []), shape])
            for (const feature of shape.features) expect(bin.features).toContain(feature)
            if (shape.exclusive) expect(bin.whole).toBe(true)
          }
        }
        // All that is to be ordered for small jobs is one bin.
        const machinesOf = ({ type }: Bin): number => Math.max(1, type === undefined ? 1 : packing.smallUnits)
        for (const [bin, used] of cpus) expect(used).toBeLessThanOrEqual(bin.cpus * machinesOf(bin))
        for (const [bin, used] of memory) expect(used).toBeLessThanOrEqual(bin.memoryMiB * machinesOf(bin))
        for (const [bin, used] of gpus)
          expect(used).toBeLessThanOrEqual(amountOf(bin.consumables, 'gpu') * machinesOf(bin))
        for (const [bin, shapes] of users)
          if (bin.type === undefined && shapes.some(({ exclusive }) => exclusive))
            expect(shapes).toHaveLength(1)
        expect(packing.wideOrders.reduce((sum, { units }) => sum + units, 0)).toBeLessThanOrEqual(units)
      }),
      { numRuns: 300 },
    )
  })
})
