import { describe, expect, test } from 'vitest'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { goals, type ReactionRun, table } from '../../bench/reaction-text.ts'
import { phasesOf, type Sample } from '../../bench/sample.ts'
import { powerLog, powerSavingSteps, slurmLog, subletSteps } from '../../bench/steps.ts'

const AT = Date.parse('2026-11-21T22:56:02.000Z')

const sample = (jobId: string, startsAfterMs: number): Sample => ({
  jobId,
  submittedAt: AT,
  startedAt: AT + startsAfterMs,
  host: 'n1',
})

const entry = (actor: string, kind: string, afterMs: number): LedgerEntry => ({
  seq: 1,
  actor,
  at: AT + afterMs,
  kind,
  subject: 'x',
  reason: '',
  data: null,
  prev: '',
  hash: '',
})

const run = (sublet: readonly number[], rival: readonly number[]): ReactionRun => ({
  date: '2026-11-21',
  command: 'npm run bench:reaction',
  machine: { cores: '2', memory: '1 GiB', kernel: 'Linux 6', node: '26', slurm: 'slurm-wlm 22.05.8' },
  load: { before: 0, most: 0 },
  sublet: { name: 'Sublet', samples: sublet.map((ms, at) => sample(String(at), ms)), steps: [] },
  rival: { name: 'Rival', samples: rival.map((ms, at) => sample(String(at), ms)), steps: [] },
})

describe('the random whiles', () => {
  test('each part of the span has one, in an order that the seed repeats', () => {
    const phases = phasesOf(seededRandom(1), 20, 30_000)
    expect(phases.toSorted((a, b) => a - b).map((ms) => Math.floor(ms / 1500))).toEqual([...Array(20).keys()])
    expect(phases).not.toEqual(phases.toSorted((a, b) => a - b))
    expect(phasesOf(seededRandom(1), 20, 30_000)).toEqual(phases)
  })
})

describe('the steps of a sample', () => {
  test('a step ends with what its log says, and what nobody wrote down counts to the next step', () => {
    const steps = subletSteps([sample('7', 1000)], {
      manager: [entry('service-manager', 'requested', -5000), entry('service-manager', 'requested', 60)],
      broker: [entry('broker', 'ticket granted', 110)],
      site: [entry('rack', 'unit assigned', 120), entry('rack', 'unit active', 350)],
      controller: slurmLog(
        [
          '[2026-11-21T22:56:02.010] _slurm_rpc_submit_batch_job: JobId=7 InitPrio=1 usec=1',
          'a line without an instant',
          '[2026-11-21T22:56:02.600] update_node: node n1 state set to IDLE',
          '[2026-11-21T22:56:02.950] sched/backfill: _start_job: Started JobId=7 in dyn on n1',
        ].join('\n'),
      ),
      daemon: () => slurmLog('[2026-11-21T22:56:02.500] slurmd started on Sat, 21 Nov 2026'),
    })
    expect(steps.map(({ p50 }) => p50)).toEqual([10, 50, 50, 10, 0, 230, 150, 100, 350, 50])
  })

  test('power saving is split at its own milestones, and they add up to the sample', () => {
    const steps = powerSavingSteps([sample('3', 20_000)], {
      controller: slurmLog(
        [
          '[2026-11-21T22:56:02.010] _slurm_rpc_submit_batch_job: JobId=3 InitPrio=1 usec=1',
          '[2026-11-21T22:56:02.500] sched: Allocate JobId=3 NodeList=n1 #CPUs=2 Partition=cloud',
          '[2026-11-21T22:56:02.700] Node n1 now responding',
          '[2026-11-21T22:56:21.900] job_time_limit: Configuration for JobId=3 complete',
        ].join('\n'),
      ),
      power: powerLog(`${AT - 9000} on n1\n${AT + 600} on n1\n`),
    })
    expect(steps.map(({ p50 }) => p50)).toEqual([10, 490, 100, 100, 19_200, 100])
  })
})

describe('the report', () => {
  test('the goals are judged one by one', () => {
    expect(goals(run([1000, 1200, 3500], [16_000]))).toEqual([
      'met: p50 1.20 s, goal under 1.50 s',
      'MISSED: p90 3.50 s, goal under 3.00 s',
      'met: 13.3 times as fast by the medians, goal 10',
    ])
  })

  test('a rival that was left out is in no table and no goal', () => {
    expect(table(run([1000], []))).not.toContain('Rival')
    expect(goals(run([1000], []))).toHaveLength(2)
  })
})
