import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import {
  countJobs,
  countLeases,
  isSound,
  type JobHistory,
  type MachineStory,
  parseTrail,
  percentile,
  reactionsOf,
  readTrails,
  reportOf,
  showReport,
  type Trail,
  waitsOf,
} from '../../deploy/reports/report.ts'
import { ledgerOf } from './control-site.ts'

const T0 = 1_700_000_000_000
const attempt = (from: number, to: number | undefined, nodes = ['vm1'], requeued = false) => ({
  startedAt: T0 + from,
  endedAt: to === undefined ? undefined : T0 + to,
  nodes,
  requeued,
})
const job = (
  id: string,
  state: JobHistory['state'],
  attempts: JobHistory['attempts'] = [attempt(10, 20)],
  submitted = 0,
): JobHistory => ({
  id,
  submittedAt: T0 + submitted,
  state,
  attempts,
})
const trailsOf = (...texts: readonly string[]): Map<string, Trail> =>
  new Map(texts.map((text): [string, Trail] => [text.split(' ')[0] ?? '', parseTrail(text)]))

describe('jobs are counted', () => {
  test('as completed only when both the middleware and the job itself say so', () => {
    const trails = trailsOf('1 1\n1 1 done\n', '2 1\n')
    expect(countJobs(['1', '2'], [job('1', 'finished'), job('2', 'finished')], trails)).toEqual({
      submitted: 2,
      completed: 1,
      failed: 0,
      requeued: 0,
      killedByUs: 0,
      runTwice: 0,
      lost: 1,
    })
  })

  test('as lost when the middleware does not know them, or killed them and did not put them back', () => {
    const counts = countJobs(
      ['1', '2', '3'],
      [job('2', 'killed'), job('3', 'waiting', [])],
      trailsOf('2 1\n'),
    )
    expect(counts).toMatchObject({ lost: 2, killedByUs: 1, completed: 0 })
  })

  test('as failed, not lost, when they failed by themselves or their user cancelled them', () => {
    const counts = countJobs(['1', '2'], [job('1', 'failed'), job('2', 'cancelled', [])], trailsOf('1 1\n'))
    expect(counts).toMatchObject({ failed: 2, lost: 0, killedByUs: 0 })
  })

  test('as requeued and killed by us when they began, were cut short, and began again', () => {
    const history = job('1', 'finished', [attempt(10, 20, ['vm1'], true), attempt(30, 40)])
    expect(countJobs(['1'], [history], trailsOf('1 1\n1 2\n1 2 done\n'))).toMatchObject({
      completed: 1,
      requeued: 1,
      killedByUs: 1,
      runTwice: 0,
      lost: 0,
    })
  })

  test('as requeued only when the command had not yet begun', () => {
    const history = job('1', 'finished', [attempt(10, 20, ['vm1'], true), attempt(30, 40)])
    expect(countJobs(['1'], [history], trailsOf('1 2\n1 2 done\n'))).toMatchObject({
      requeued: 1,
      killedByUs: 0,
      runTwice: 0,
    })
  })

  test.each([
    ['again after it was done', '1 1\n1 1 done\n1 2\n'],
    ['twice in one attempt', '1 1\n1 1\n1 1 done\n'],
  ])('as run twice when one began %s', (_, text) => {
    expect(countJobs(['1'], [job('1', 'finished')], trailsOf(text))).toMatchObject({
      runTwice: 1,
      completed: 1,
    })
  })

  test('from files in which each job wrote its own lines', () => {
    const dir = mkdtempSync(join(tmpdir(), 'sublet-trails-'))
    try {
      writeFileSync(join(dir, '7'), '7 1\n')
      writeFileSync(join(dir, '8_0'), '8_0 1\n8_0 1 done\n')
      expect([...readTrails(dir)]).toEqual([
        ['7', [{ jobId: '7', attempt: 1, mark: 'begun' }]],
        [
          '8_0',
          [
            { jobId: '8_0', attempt: 1, mark: 'begun' },
            { jobId: '8_0', attempt: 1, mark: 'done' },
          ],
        ],
      ])
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })
})

describe('times', () => {
  const machine = (over: Partial<MachineStory> = {}): MachineStory => ({
    ...{
      unitId: 'unit-1',
      name: 'vm1',
      leaseId: 'lease-1',
      requestedAt: T0 + 5,
      assignedAt: T0 + 6,
      endedAt: undefined,
    },
    ...over,
  })

  test('waits are from submission to the first start, over all jobs that started', () => {
    const jobs = [
      job('1', 'finished', [attempt(10, 20, ['vm1'], true), attempt(30, 40)]),
      job('2', 'waiting', []),
    ]
    expect(waitsOf(jobs)).toEqual([10])
  })

  test('a reaction is that of the first job on a machine that was leased after the job came', () => {
    const jobs = [job('1', 'finished', [attempt(900, 950)]), job('2', 'finished', [attempt(960, 990)])]
    expect(reactionsOf(jobs, [machine()])).toEqual([900])
  })

  test('a job that found a machine there is no reaction', () => {
    expect(reactionsOf([job('1', 'finished', [attempt(900, 950)], 800)], [machine()])).toEqual([])
  })

  test('a name that was borne by another machine before does not count for this one', () => {
    const jobs = [job('1', 'finished', [attempt(100, 150)]), job('2', 'finished', [attempt(700, 750)], 400)]
    const machines = [
      machine({ endedAt: T0 + 300 }),
      machine({ unitId: 'unit-2', requestedAt: T0 + 410, assignedAt: T0 + 420 }),
    ]
    expect(reactionsOf(jobs, machines)).toEqual([100, 300])
  })

  test('a job on two machines counts once, one that was put back does not', () => {
    const two = [machine(), machine({ unitId: 'unit-2', name: 'vm2' })]
    expect(reactionsOf([job('1', 'finished', [attempt(500, 600, ['vm1', 'vm2'])])], two)).toEqual([500])
    const again = job('1', 'finished', [attempt(50, 60, ['vm9'], true), attempt(500, 600)])
    expect(reactionsOf([again], [machine()])).toEqual([])
  })

  test('percentiles are values that occurred', () => {
    expect([0.5, 0.9, 1].map((share) => percentile([5, 1, 3, 2, 4], share))).toEqual([3, 5, 5])
    expect(percentile([], 0.5)).toBe(0)
  })
})

test('leases are counted by their lives in the ledger', () => {
  const note = (kind: string, subject: string) => ({ kind, subject, reason: '' })
  const entries = ledgerOf('manager', [
    ...[note('ticketed', 'a'), note('active', 'a'), note('lease closed', 'a')],
    ...[note('refused', 'b'), note('ticketed', 'c'), note('lease closed', 'c')],
    ...[note('ticketed', 'd'), note('leaving', 'd'), note('lease closed', 'd'), note('ticketed', 'e')],
  ])
  expect(countLeases(entries)).toEqual({ granted: 4, closed: 3, failed: 2 })
})

test('a report is sound only without a loss and with ledgers that hold', () => {
  const evidence = {
    submitted: ['1'],
    histories: [job('1', 'finished')],
    trails: trailsOf('1 1\n1 1 done\n'),
    machines: [],
    nodes: { min: 1, peak: 6, final: 1 },
    managerEntries: [],
    verdicts: [{ actor: 'site', entries: 3, faults: [] }],
    chart: '/x/chart.svg',
  }
  const report = reportOf(evidence)
  expect(Object.keys(report)).toEqual(['jobs', 'nodes', 'leases', 'waitMs', 'reactionMs', 'ledger', 'chart'])
  expect(isSound(report)).toBe(true)
  expect(showReport(report)).toContain('1 of 1 completed')
  expect(isSound(reportOf({ ...evidence, trails: new Map() }))).toBe(false)
  expect(isSound(reportOf({ ...evidence, verdicts: [] }))).toBe(false)
  const fault = { actor: 'site', seq: 2, sentence: 'line 2 was altered' }
  expect(isSound(reportOf({ ...evidence, verdicts: [{ actor: 'site', entries: 3, faults: [fault] }] }))).toBe(
    false,
  )
})
