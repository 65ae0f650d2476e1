import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { nowThere } from '../../adapters/slurm/frame.ts'
import { parseJobsJson, parseNodesJson } from '../../adapters/slurm/parse-json.ts'
import { type Frame, jobsOf, judgeJobs, nodesOf } from '../../adapters/slurm/picture.ts'
import type { JobRecord, NodeRecord } from '../../adapters/slurm/records.ts'
import { atOnce } from './at-once.ts'
import { configOf, decideOn, unitsAsked, viewOf } from './groc-world.ts'

const recorded = (name: string): string =>
  readFileSync(new URL(`../fixtures/slurm/${name}`, import.meta.url), 'utf8')

const frame: Frame = {
  partition: 'dyn',
  drainTag: 'sublet',
  cpusOfMachine: 2,
  nodesMaxOfPartition: Number.POSITIVE_INFINITY,
  defaultWalltimeMs: undefined,
  partitionUp: true,
  plans: new Map(),
  reserved: new Map(),
  partitionReserved: false,
  ourIdle: new Set(),
  now: 1_795_299_860_000,
}
const turn = { clock: systemClock, signal: new AbortController().signal }
const records = (await parseJobsJson(recorded('squeue.json'), turn)).records
const nodeRecords = (await parseNodesJson(recorded('sinfo.json'), turn)).records

function look(jobs: readonly JobRecord[], nodes: readonly NodeRecord[], more: Partial<Frame> = {}) {
  const full = { ...frame, ...more }
  const judged = atOnce(judgeJobs(jobs, full))
  const seen = atOnce(nodesOf(nodes, judged.jobs, full))
  return {
    jobs: new Map(atOnce(jobsOf(judged.jobs, full)).map((job) => [job.id, job])),
    nodes: new Map(seen.nodes.map((node) => [node.name, node])),
    warnings: [...judged.warnings, ...seen.warnings],
  }
}
const whole = look(records, nodeRecords)
const changedJob = (id: string, change: Partial<JobRecord>): readonly JobRecord[] =>
  records.map((record) => (record.id === id ? { ...record, ...change } : record))
const changedNode = (name: string, change: Partial<NodeRecord>): readonly NodeRecord[] =>
  nodeRecords.map((record) => (record.name === name ? { ...record, ...change } : record))

test('check 5: each job of the recording has the state that a machine would make of it', () => {
  expect(
    Object.fromEntries([...whole.jobs].map(([id, job]) => [id, `${job.state} ${job.vendorReason}`.trim()])),
  ).toEqual({
    '1': 'completing',
    '2_1': 'running',
    '2_2': 'running',
    '2_3': 'running',
    '2_[4-9%3]': 'held JobArrayTaskLimit',
    '3': 'running',
    '7': 'pending Resources',
    '8': 'pending Priority',
    '9': 'pending ReqNodeNotAvail, UnavailableNodes:n[4-6]',
    '10': 'held JobHeldUser',
    '11': 'held BeginTime',
    '12': 'running',
    '13': 'held Dependency',
    '14_[1,3,5,10,15,20]': 'pending Priority',
    '15': 'running',
    '16': 'completing NonZeroExitCode',
    '17': 'pending Resources',
    '18': 'ended CANCELLED',
  })
  expect(whole.warnings).toEqual([])
})

test('what holds a job is told, and of a start time when it comes', () => {
  expect(whole.jobs.get('10')).toMatchObject({ heldBy: 'user' })
  expect(whole.jobs.get('11')).toMatchObject({ heldBy: 'start-time', notBefore: 1_795_303_456_000 })
  expect(whole.jobs.get('13')).toMatchObject({ heldBy: 'dependency' })
  expect(whole.jobs.get('2_[4-9%3]')).toMatchObject({ heldBy: 'limit' })
  for (const id of ['1', '3', '7', '18']) expect(whole.jobs.get(id)).not.toHaveProperty('heldBy')
  const itsLimit = changedJob('2_[4-9%3]', { reason: 'Resources' })
  expect(look(itsLimit, nodeRecords).jobs.get('2_[4-9%3]')).toMatchObject({ heldBy: 'limit' })
  const inReservation = changedJob('7', { reservation: 'maint' })
  expect(look(inReservation, nodeRecords).jobs.get('7')).toMatchObject({ heldBy: 'reservation' })
})

test('a waiting array counts all its tasks, and one with a limit what the limit leaves', () => {
  expect(whole.jobs.get('14_[1,3,5,10,15,20]')).toMatchObject({ tasks: 6, state: 'pending' })
  const waiting = changedJob('2_[4-9%3]', { reason: 'Resources' })
  expect(look(waiting, nodeRecords).jobs.get('2_[4-9%3]')).toMatchObject({
    state: 'held',
    vendorReason: 'JobArrayTaskLimit',
  })
  const fewer = waiting.filter(({ id }) => id !== '2_1')
  expect(look(fewer, nodeRecords).jobs.get('2_[4-9%3]')).toMatchObject({ state: 'pending', tasks: 1 })
  const none = waiting.filter(({ id }) => !/^2_\d$/.test(id))
  expect(look(none, nodeRecords).jobs.get('2_[4-9%3]')).toMatchObject({ state: 'pending', tasks: 3 })
})

test('an array of 10,000 tasks of which five may run at once is a demand of five', () => {
  const fewer = changedJob('2_[4-9%3]', {
    ...{ id: '2_[0-9999%5]', arrayTasks: 10_000, arrayLimit: 5, reason: 'Resources', cpus: 4 },
  }).filter(({ id }) => id === '2_[0-9999%5]')
  const jobs = [...look(fewer, []).jobs.values()]
  expect(jobs).toMatchObject([{ state: 'pending', tasks: 5 }])
  const config = configOf({ max: 400, step: 100 })
  const { intents } = decideOn(viewOf([], { jobs }), config, undefined, frame.now)
  expect(unitsAsked(intents)).toBe(5)
})

test('how a job ended is told', () => {
  const ended = (change: Partial<JobRecord>) => {
    const { vendorReason, succeeded } = look(changedJob('12', change), []).jobs.get('12')!
    return { vendorReason, succeeded }
  }
  // Of one that is cancelled while it waits, the reason for that stays.
  expect(ended({ state: 'CANCELLED', reason: 'Priority' })).toEqual({ vendorReason: 'CANCELLED' })
  expect(ended({ state: 'FAILED', reason: 'NonZeroExitCode' })).toEqual({ vendorReason: 'FAILED' })
  expect(ended({ state: 'COMPLETED', reason: 'None' })).toEqual({
    vendorReason: 'COMPLETED',
    succeeded: true,
  })
})

test('times are told only when they are facts, not forecasts', () => {
  expect(whole.jobs.get('7')).toMatchObject({ startedAt: undefined, endedAt: undefined })
  expect(whole.jobs.get('2_1')).toMatchObject({ startedAt: 1_795_299_853_000, endedAt: undefined })
  expect(whole.jobs.get('16')?.endedAt).toBe(1_795_299_857_000)
})

test('tasks that name no nodes are spread over machines of the size that is lent', () => {
  const eight = changedJob('8', { nodes: 1, nodesMax: 0, cpus: 8, tasks: 8 })
  expect(look(eight, nodeRecords).jobs.get('8')).toMatchObject({ nodes: 4, cpusPerNode: 2 })
  const onOne = changedJob('8', { nodes: 1, nodesMax: 1, cpus: 8, tasks: 8 })
  expect(look(onOne, nodeRecords).jobs.get('8')).toMatchObject({ nodes: 1, cpusPerNode: 8 })
  expect(look(eight, nodeRecords, { cpusOfMachine: undefined }).jobs.get('8')).toMatchObject({
    nodes: 1,
    cpusPerNode: 8,
  })
  const threads = changedJob('8', { nodes: 1, nodesMax: 0, cpus: 6, tasks: 3 })
  expect(look(threads, nodeRecords).jobs.get('8')).toMatchObject({ nodes: 3, cpusPerNode: 2 })
})

test('memory per cpu is memory per node', () => {
  expect(whole.jobs.get('7')?.memoryMiBPerNode).toBe(500)
  expect(whole.jobs.get('8')).toMatchObject({ cpusPerNode: 2, memoryMiBPerNode: 200 })
})

test('a requeued job whose wait Slurm has not yet given a name is held', () => {
  const requeued = changedJob('7', { reason: 'None', eligibleAt: frame.now + 100_000 })
  expect(look(requeued, nodeRecords).jobs.get('7')).toMatchObject({
    state: 'held',
    vendorReason: 'BeginTime',
  })
})

test.each([
  0, -10, -600,
])('with our clock %i min beside the head’s a job that came just now is no job for later', (minutes) => {
  const [came, ours] = [frame.now, frame.now + minutes * 60_000]
  const changes: Readonly<Record<string, Partial<JobRecord>>> = {
    7: { reason: 'PartitionConfig', submittedAt: came, eligibleAt: came },
    8: { reason: 'None', submittedAt: came, eligibleAt: came + 60_000 },
  }
  const jobs = records.map((record) => ({ ...record, ...changes[record.id] }))
  const seen = look(jobs, nodeRecords, { now: nowThere(jobs, ours) }).jobs
  expect(seen.get('7')).toMatchObject({ state: 'pending' })
  expect(seen.get('8')).toMatchObject({ state: 'held', heldBy: 'start-time', notBefore: came + 60_000 })
})

test('each node of the recording is seen for what it is', () => {
  const told = [...whole.nodes.values()].map(
    ({ name, mark, accepting, empty, drained, jobs }) =>
      `${name} ${mark?.unitId ?? 'static'} ${accepting ? 'accepts' : 'refuses'} ${empty ? 'empty' : 'busy'} ${drained} ${jobs}`,
  )
  expect(told.sort()).toEqual([
    'n1 unit-1 accepts busy no 1,2_1',
    'n2 unit-2 accepts busy no 2_2,2_3',
    'n3 unit-3 accepts busy no 3,12',
    'n4 unit-4 refuses empty ours ',
    'n5 unit-5 refuses empty ours ',
    'n6 unit-6 refuses empty theirs ',
    'static1 static refuses busy no 15,16',
  ])
})

test('a node is busy while Slurm says so, also if no job is listed', () => {
  const noJobs = (nodes: readonly NodeRecord[]) => look([], nodes).nodes
  expect(noJobs(changedNode('n4', { states: ['idle', 'completing'] })).get('n4')?.empty).toBe(false)
  expect(noJobs(changedNode('n4', { cpusInUse: 1 })).get('n4')?.empty).toBe(false)
  expect(noJobs(nodeRecords).get('n2')?.empty).toBe(false)
})

test('a drain with our tag on a node that is not ours is theirs', () => {
  const theirs = changedNode('n5', { features: ['dynf'], comment: '' })
  expect(look(records, theirs).nodes.get('n5')).toMatchObject({ mark: undefined, drained: 'theirs' })
})

test('a node in a closed or foreign partition accepts nothing of what is served here', () => {
  expect(look(records, nodeRecords, { partitionUp: false }).nodes.get('n3')?.accepting).toBe(false)
  expect(look(records, nodeRecords, { partition: 'static' }).nodes.get('n3')?.accepting).toBe(false)
})

test('a node planned for a wide job is collected for it, and no more once that job is gone', () => {
  const planned = changedNode('n4', { states: ['idle', 'planned'] })
  expect(look(records, planned).nodes.get('n4')?.collectingFor).toBe('7')
  const plans = new Map([
    ['9', ['n4', 'n5']],
    ['14_[1,3,5,10,15,20]', ['n6']],
  ])
  const seen = look(records, planned, { plans }).nodes
  expect(seen.get('n4')?.collectingFor).toBe('9')
  expect(seen.get('n5')?.collectingFor).toBe('9')
  expect(seen.get('n6')?.collectingFor).toBeUndefined()
  expect(look([], planned, { plans }).nodes.get('n4')?.collectingFor).toBeUndefined()
})

test('what is not known is said', () => {
  const { warnings } = look(
    changedJob('7', { reason: 'FullMoon' }),
    changedNode('n4', { states: ['idle', 'haunted'] }),
  )
  expect(warnings).toEqual([
    'Job 7 has the reason “FullMoon” for waiting, which is not known; it counts as held',
    'Node n4 has the state haunted, which is not known; it counts as not accepting',
  ])
})
