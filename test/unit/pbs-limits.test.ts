import { describe, expect, test } from 'vitest'
import { jobsOf } from '../../adapters/pbs/picture.ts'
import type { JobRecord } from '../../adapters/pbs/records.ts'
import { parseSettings } from '../../adapters/pbs/settings.ts'

const T0 = Date.UTC(2026, 10, 21, 20)

const recordOf = (id: string, over: Partial<JobRecord> = {}): JobRecord => ({
  ...{ id, verdict: { state: 'pending' }, reason: '', user: 'ann', group: 'physics', project: '' },
  ...{ account: '', queue: 'workq', walltimeMs: undefined, submittedAt: T0, notBefore: undefined },
  demand: {
    ...{ nodes: 1, cpusPerNode: 1, memoryMiBPerNode: 0, consumablesPerNode: {}, features: [] },
    exclusive: false,
  },
  ...{ startedAt: undefined, endedAt: undefined, hosts: [], rerunable: true, starts: 0 },
  ...over,
})

const PRINTED = [
  'create queue workq',
  'set queue workq queue_type = Execution',
  'set queue workq started = True',
  'set server scheduling = True',
]

/** `1 pending`, `2 at most 3 may run: server user ann`, with these lines of `print server`. */
const passed = (lines: readonly string[], records: readonly JobRecord[]): readonly string[] =>
  jobsOf(records, {
    settings: parseSettings([...PRINTED, ...lines, ''].join('\n')),
    ...{ drainTag: 'sublet', now: T0 },
  }).jobs.map(({ id, state, heldBy, vendorReason }) =>
    state === 'held' ? `${id} ${heldBy}: ${vendorReason}` : `${id} ${state}`,
  )

const four = (over: Partial<JobRecord> = {}): readonly JobRecord[] =>
  ['1', '2', '3', '4'].map((id) => recordOf(id, over))

describe('limits on what may run', () => {
  test('there are none unless they are set, and 0 is none', () => {
    expect(passed(['set server max_running = 0'], four())).toEqual(
      ['1', '2', '3', '4'].map((id) => `${id} pending`),
    )
  })

  test.each([
    ['set server max_running = 3', 'server'],
    ['set server max_run = [o:PBS_ALL=3]', 'server'],
    ['set queue workq max_user_run = 3', 'queue workq user ann'],
    ['set server max_run = [u:PBS_GENERIC=3]', 'server user ann'],
    ['set queue workq max_run = [u:ann=3]', 'queue workq user ann'],
    ['set queue workq max_group_run = 3', 'queue workq group physics'],
    ['set server max_run = [g:physics=3]', 'server group physics'],
  ])('%s', (line, key) => {
    expect(passed([line], four())).toEqual([
      ...['1 pending', '2 pending', '3 pending'],
      `4 limit: at most 3 may run: ${key}`,
    ])
  })

  test('a user by name has a limit of his own in the place of that for everybody', () => {
    const lines = ['set server max_run = [u:PBS_GENERIC=1]', 'set server max_run += "[u:ann=2],[u:bob=3]"']
    const jobs = [...four(), ...four({ user: 'bob' }), ...four({ user: 'eve' })]
    expect(passed(lines, jobs).filter((job) => job.endsWith('pending'))).toHaveLength(2 + 3 + 1)
    expect(passed(['set server max_run = [u:bob=0]'], four({ user: 'bob' }))).toEqual(
      ['1', '2', '3', '4'].map((id) => `${id} limit: at most 0 may run: server user bob`),
    )
    expect(passed(['set server max_run = [p:sun=1]'], four({ project: 'sun' }))[1]).toContain(
      'server project sun',
    )
    expect(passed(['set server max_run = [g:PBS_GENERIC=1]'], four({ group: '' }))[3]).toBe('4 pending')
  })

  test('what runs counts, also in the amount of a resource; what asks for nothing of it does not', () => {
    const amounts = { ncpus: 4, mem: 2 * 1024 ** 3 }
    const running = recordOf('0', { verdict: { state: 'running' }, amounts })
    const others = [...four({ amounts }), recordOf('5', { amounts: { mem: 1 } })]
    expect(passed(['set server max_run_res.ncpus = [o:PBS_ALL=12]'], [running, ...others])).toEqual([
      ...['0 running', '1 pending', '2 pending'],
      '3 limit: at most 12 ncpus may run: server',
      '4 limit: at most 12 ncpus may run: server',
      '5 pending',
    ])
    expect(passed(['set queue workq max_run_res.mem = [u:ann=5gb]'], [running, ...others])[2]).toMatch(
      /^2 limit: at most \d+ mem may run: queue workq user ann$/,
    )
    // Too large ever to pass, which keeps nobody else back.
    const huge = recordOf('9', { amounts: { ncpus: 100 } })
    expect(
      passed(['set server max_run_res.ncpus = [o:PBS_ALL=12]'], [huge, recordOf('1', { amounts })]),
    ).toEqual(['9 limit: at most 12 ncpus may run: server', '1 pending'])
  })

  test('soft limits stop nothing', () => {
    expect(passed(['set server max_run_soft = [u:PBS_GENERIC=1]'], four())[3]).toBe('4 pending')
  })
})
