import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type Room, schedule, type Waiting } from '../../adapters/embedded/batch-schedule.ts'

const job = (id: string, nodes = 1, cpusPerNode = 1, memoryMiBPerNode = 0): Waiting => ({
  id,
  nodes,
  cpusPerNode,
  memoryMiBPerNode,
})
const room = (name: string, cpusFree: number, cpus = 4, memoryMiB = 100): Room => ({
  name,
  cpus,
  cpusFree,
  memoryMiB,
  memoryMiBFree: memoryMiB,
})

test('jobs start in the order they came, on the fullest node that fits', () => {
  const { starts, collecting } = schedule([job('a'), job('b', 1, 4)], [room('n1', 4), room('n2', 1)])
  expect(starts).toEqual([
    { jobId: 'a', nodes: ['n2'] },
    { jobId: 'b', nodes: ['n1'] },
  ])
  expect([...collecting]).toEqual([])
})

test('a wide job at the head keeps the nodes it needs, free ones first, and smaller jobs share the rest', () => {
  const { starts, collecting } = schedule(
    [job('wide', 2, 4), job('small')],
    [room('n1', 4), room('n2', 2), room('n3', 1)],
  )
  expect([...collecting]).toEqual([
    ['n1', 'wide'],
    ['n2', 'wide'],
  ])
  expect(starts).toEqual([{ jobId: 'small', nodes: ['n3'] }])
})

test('a wide job collects what there is as soon as what it lacks is announced', () => {
  const rooms = [room('n1', 4), room('n2', 4)]
  const coming = { cpus: 4, memoryMiB: 100 }
  const { starts, collecting } = schedule([job('wide', 3), job('small')], rooms, [coming])
  expect([...collecting.keys()]).toEqual(['n1', 'n2'])
  expect(starts).toEqual([])
})

test('a job that wants more nodes than there are and will be holds up nobody', () => {
  const rooms = [room('n1', 4), room('n2', 0)]
  const small = { cpus: 1, memoryMiB: 100 }
  const { starts, collecting } = schedule([job('wide', 3, 2), job('one'), job('two', 2)], rooms, [
    small,
    small,
  ])
  // What the next one lacks is there, if busy.
  expect([...collecting.keys()]).toEqual(['n1', 'n2'])
  expect([...collecting.values()]).toEqual(['two', 'two'])
  expect(starts).toEqual([{ jobId: 'one', nodes: ['n1'] }])
})

test('a job that no node is large enough for holds up nobody', () => {
  const { starts, collecting } = schedule(
    [job('cpus', 1, 8), job('memory', 1, 1, 500), job('small')],
    [room('n1', 4)],
  )
  expect(starts).toEqual([{ jobId: 'small', nodes: ['n1'] }])
  expect([...collecting]).toEqual([])
})

test('no node is ever given more than it has, and the first that fits anywhere is never overtaken on its nodes', () => {
  const jobs = fc.array(
    fc.record({ nodes: fc.integer({ min: 1, max: 3 }), cpus: fc.integer({ min: 1, max: 4 }) }),
    { maxLength: 12 },
  )
  const rooms = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 5 })
  fc.assert(
    fc.property(jobs, rooms, (wanted, free) => {
      const waiting = wanted.map(({ nodes, cpus }, at) => job(`j${at}`, nodes, cpus))
      const { starts, collecting } = schedule(
        waiting,
        free.map((cpus, at) => room(`n${at}`, cpus)),
      )
      const used = new Map<string, number>()
      for (const { jobId, nodes } of starts) {
        const started = waiting.find(({ id }) => id === jobId)
        expect(new Set(nodes).size).toBe(started?.nodes)
        for (const name of nodes) used.set(name, (used.get(name) ?? 0) + (started?.cpusPerNode ?? 0))
      }
      for (const [name, cpus] of used) expect(cpus).toBeLessThanOrEqual(free[Number(name.slice(1))] ?? 0)
      for (const [name, keeper] of collecting) {
        const later = starts.filter(
          ({ jobId, nodes }) => nodes.includes(name) && Number(jobId.slice(1)) > Number(keeper.slice(1)),
        )
        expect(later).toEqual([])
      }
    }),
  )
})
