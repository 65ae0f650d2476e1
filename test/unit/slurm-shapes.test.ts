import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { clausesOf } from '../../adapters/slurm/constraint.ts'
import { gresOf, gresPerNode, NO_GRES } from '../../adapters/slurm/gres.ts'
import { parseJobsJson, parseNodesJson } from '../../adapters/slurm/parse-json.ts'
import { parseJobsText, parseNodesText } from '../../adapters/slurm/parse-text.ts'
import { isOurIdle, jobsOf, judgeJobs, nodesOf } from '../../adapters/slurm/picture.ts'
import type { JobRecord, NodeRecord } from '../../adapters/slurm/records.ts'
import { parseReservations, reservedNodes } from '../../adapters/slurm/reservations.ts'
import { atOnce } from './at-once.ts'

const recorded = (name: string): string =>
  readFileSync(new URL(`../fixtures/slurm/shapes-${name}`, import.meta.url), 'utf8')

/** When the second moment of the recordings was. */
const NOW = 1_796_052_468_000
const reservations = parseReservations(recorded('show-reservation.txt'))

function look(jobs: readonly JobRecord[], nodes: readonly NodeRecord[], partitionReserved = true) {
  const frame = {
    partition: 'dyn',
    drainTag: 'sublet',
    cpusOfMachine: undefined,
    nodesMaxOfPartition: Number.POSITIVE_INFINITY,
    defaultWalltimeMs: undefined,
    partitionUp: true,
    plans: new Map(),
    reserved: reservedNodes(reservations, NOW),
    partitionReserved,
    ourIdle: new Set(nodes.filter(isOurIdle).map(({ name }) => name)),
    now: NOW,
  }
  const judged = atOnce(judgeJobs(jobs, frame))
  const seen = atOnce(nodesOf(nodes, judged.jobs, frame))
  return {
    jobs: new Map(atOnce(jobsOf(judged.jobs, frame)).map((job) => [job.id, job])),
    nodes: new Map(seen.nodes.map((node) => [node.name, node])),
    warnings: [...judged.warnings, ...seen.warnings],
  }
}

const turn = { clock: systemClock, signal: new AbortController().signal }
const jobRecords = (await parseJobsJson(recorded('squeue.json'), turn)).records
const nodeRecords = (await parseNodesJson(recorded('sinfo.json'), turn)).records
const { jobs, nodes, warnings } = look(jobRecords, nodeRecords)
const text = look(
  (await parseJobsText(recorded('squeue.txt'), turn)).records,
  (await parseNodesText(recorded('show-node.txt'), turn)).records,
)

describe('what a job of the recording asks of each of its nodes', () => {
  const asks = Object.fromEntries(
    [...jobs].map(([id, { consumablesPerNode, features, exclusive }]) => [
      id,
      { ...consumablesPerNode, ...(features && { features }), ...(exclusive && { exclusive }) },
    ]),
  )

  test('generic resources by their names and types, however they were asked for', () => {
    expect(asks[1]).toEqual({ 'gpu:a100': 1 })
    expect(asks[2]).toEqual({ gpu: 1, fpga: 2 })
    // --gpus=2 -N2 · --gpus-per-task=1 -n2 · --gpus-per-node=a100:2 · --gpus-per-socket=1
    expect(asks[4]).toEqual({ gpu: 1 })
    expect(asks[5]).toEqual({ gpu: 2 })
    expect(asks[6]).toEqual({ 'gpu:a100': 2 })
    expect(asks[7]).toEqual({ gpu: 1 })
    // --mem-per-gpu=100 --gpus=2
    expect(jobs.get('18')).toMatchObject({ memoryMiBPerNode: 200, consumablesPerNode: { gpu: 2 } })
    // A licence is no machine's.
    expect(asks[22]).toEqual({})
  })

  test('features, of which some have alternatives', () => {
    expect(asks[8]).toEqual({ features: ['ssd'] })
    expect(asks[9]).toEqual({ features: ['dynf|ssd'] })
    expect(asks[11]).toEqual({ features: ['dynf|ssd'] })
    expect(asks[12]).toEqual({ features: ['ssd', 'dynf|ssd'] })
  })

  test('nodes for itself or its user, by its own words or by its partition', () => {
    for (const id of [3, 13, 20]) expect(asks[id]).toEqual({ exclusive: true })
    expect(asks[21]).toEqual({})
  })

  test('hosts, which no machine to come would be', () => {
    expect(asks[15]).toEqual({ features: ['n1'] })
    expect(asks[16]).toEqual({ features: ['n1|n2'] })
    expect(jobs.get('15')?.state).toBe('pending')
    expect(asks[17]).toEqual({ features: ['static1'] })
  })

  test('a host of ours that stands empty is as good as any', () => {
    const idle = nodeRecords.map((node) =>
      node.name === 'n1' ? { ...node, states: ['idle', 'drain'], cpusInUse: 0, reason: 'sublet: x' } : node,
    )
    expect(look(jobRecords, idle).jobs.get('15')).not.toHaveProperty('features')
    const theirs = idle.map((node) => (node.name === 'n1' ? { ...node, features: [], comment: '' } : node))
    expect(look(jobRecords, theirs).jobs.get('15')).toMatchObject({ features: ['n1'] })
  })

  test('so many nodes of each kind, which makes it held, with a warning', () => {
    expect(jobs.get('10')).toMatchObject({ state: 'held', heldBy: 'unknown' })
    expect(warnings).toEqual([
      'Job 10 asks for nodes by “[ssd*1&dynf*1]”, so many of each kind or more than can be read; it counts as held',
    ])
  })

  test('a node of a reservation, so that none of ours would do', () => {
    for (const id of ['24', '26', '27', '4'])
      expect(jobs.get(id)).toMatchObject({ state: 'held', heldBy: 'reservation' })
    expect(look(jobRecords, nodeRecords, false).jobs.get('4')?.state).toBe('pending')
    expect(jobs.get('28')).toMatchObject({ heldBy: 'start-time', notBefore: 1_796_056_064_000 })
  })

  test('and whom it is charged to', () => {
    expect(jobs.get('14')?.account).toBe('physics')
    expect(jobs.get('15')).not.toHaveProperty('account')
  })
})

test('nodes tell what they have, what is taken, and what they are reserved for', () => {
  expect(nodes.get('n1')).toMatchObject({
    consumables: { 'gpu:a100': 2, fpga: 4 },
    consumablesInUse: { 'gpu:a100': 2, fpga: 2 },
    features: ['dynf', 'ssd'],
    memoryMiBInUse: 0,
  })
  expect(nodes.get('n1')).not.toHaveProperty('reservedFor')
  // In half an hour; another one in five hours is too far off to count.
  expect(nodes.get('n2')).toMatchObject({
    consumablesInUse: { 'gpu:a100': 2, fpga: 4 },
    reservedFor: 'reservation maint1',
  })
  expect(nodes.get('static1')).toMatchObject({
    accepting: false,
    reservedFor: 'reservation now1',
    consumables: {},
    consumablesInUse: {},
  })
  const sudden = nodeRecords.map((node) => ({ ...node, states: ['idle', 'maintenance'] }))
  expect(look([], sudden).nodes.get('n1')?.reservedFor).toBe('a reservation')
})

test('the text tells the same shapes, but no accounts and nothing per generic resource', () => {
  expect([...text.jobs.keys()].sort()).toEqual([...jobs.keys()].sort())
  for (const [id, { state, heldBy, nodes, consumablesPerNode, features, exclusive }] of jobs)
    expect([id, text.jobs.get(id)]).toMatchObject([
      id,
      {
        state,
        nodes,
        ...(heldBy && { heldBy }),
        ...(consumablesPerNode && { consumablesPerNode }),
        ...(features && { features }),
        ...(exclusive && { exclusive }),
      },
    ])
  expect(text.warnings).toEqual(warnings)
  const states = (vendorState: string): string => vendorState.split('+').sort().join('+')
  for (const [name, { vendorState, ...node }] of nodes) {
    const { vendorState: asText = '', ...others } = text.nodes.get(name) ?? {}
    expect(others).toEqual(node)
    expect(states(asText)).toBe(states(vendorState))
  }
})

describe('a constraint', () => {
  test.each([
    ['', []],
    ['ssd', ['ssd']],
    ['ssd&avx', ['ssd', 'avx']],
    ['ssd,avx', ['ssd', 'avx']],
    ['ssd|nvme', ['nvme|ssd']],
    ['(ssd&avx)|big', ['big|ssd', 'avx|big']],
    // From the left, as equals.
    ['big|ssd&avx', ['big|ssd', 'avx']],
    ['[r1|r2]&ssd', ['r1|r2', 'ssd']],
    ['ssd&ssd', ['ssd']],
  ])('%s', (constraint, clauses) => {
    expect(clausesOf(constraint)).toEqual(clauses)
  })

  test.each([
    '[r1*2&r2*4]',
    'ssd*2',
    '(ssd',
    'ssd)',
    '|ssd',
    'ssd&',
    '()',
  ])('%s is not read', (constraint) => {
    expect(clausesOf(constraint)).toBeUndefined()
  })

  test('with more clauses than anybody writes is not read', () => {
    const wide = Array.from({ length: 12 }, (_, i) => `(a${i}&b${i})`).join('|')
    expect(clausesOf(wide)).toBeUndefined()
  })
})

describe('generic resources', () => {
  test.each([
    ['', {}],
    ['gres:gpu', { gpu: 1 }],
    ['gres:gpu:a100', { 'gpu:a100': 1 }],
    ['gres:gpu:a100:2,gres:fpga:1', { 'gpu:a100': 2, fpga: 1 }],
    ['gpu:a100:2(S:0-1),gpu:v100:1(S:0,1),fpga:4', { 'gpu:a100': 2, 'gpu:v100': 1, fpga: 4 }],
    ['gpu:a100:0(IDX:N/A)', { 'gpu:a100': 0 }],
    ['scratch:2K', { scratch: 2048 }],
    ['lustre:no_consume:4G', {}],
  ])('%s', (printed, vector) => {
    expect(gresOf(printed)).toEqual(vector)
  })

  test('that no one could mean cost a warning', () => {
    expect(() => gresOf('gres:<b>:2')).toThrow(/generic resources/)
  })

  test('are spread evenly over the nodes', () => {
    const spread = (request: Partial<typeof NO_GRES>, nodes: number, tasks: number) =>
      gresPerNode({ ...NO_GRES, ...request }, { nodes, tasks, sockets: 2 })
    expect(spread({ perJob: { gpu: 5 } }, 2, 2)).toEqual({ gpu: 3 })
    expect(spread({ perTask: { gpu: 1 } }, 2, 5)).toEqual({ gpu: 3 })
    expect(spread({ perSocket: { gpu: 1 } }, 1, 1)).toEqual({ gpu: 2 })
    expect(spread({ perNode: { gpu: 1 }, perJob: { gpu: 4 } }, 2, 2)).toEqual({ gpu: 2 })
  })
})
