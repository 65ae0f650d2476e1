import { describe, expect, test } from 'vitest'
import { accountsOf, parseGridengineEnds } from '../../deploy/labs/share/accounting.ts'
import { figuresOf, waitingOf } from '../../deploy/labs/share/figures.ts'
import { OutsideCount, type SideName } from '../../deploy/labs/share/outside.ts'
import { doubtsOf, type ShareReport } from '../../deploy/labs/share/report.ts'

const machine = (id: string, name: string, ...daemons: SideName[]) => ({ id, name, daemons })

describe('the outside count', () => {
  test('adds up what each had from look to look', () => {
    const count = new OutsideCount()
    count.look(0, [
      machine('a', 'n1', 'slurm'),
      machine('b', 'n2', 'slurm'),
      machine('c', 'n3', 'gridengine'),
    ])
    count.look(100, [machine('a', 'n1', 'slurm'), machine('c', 'n3', 'gridengine'), machine('d', 'n2')])
    expect(count.between(0, 300)).toEqual({
      slurm: { held: 2 * 100 + 200, least: 1 },
      gridengine: { held: 300, least: 1 },
    })
    expect([count.aliveMost, count.most('slurm'), count.lives]).toEqual([3, 2, 4])
    expect([count.servedBoth, count.doubles, count.sharedNames]).toEqual([[], [], []])
  })

  test('tells a place that both had in turn from a machine that served both', () => {
    const count = new OutsideCount()
    count.look(0, [machine('a', 'n1', 'slurm')])
    count.look(100, [machine('b', 'n1', 'gridengine')])
    expect([count.sharedNames, count.servedBoth]).toEqual([['n1'], []])
    count.look(200, [machine('b', 'n1', 'slurm')])
    expect(count.servedBoth).toEqual(['b'])
  })

  test('names what two machines bore at once, but for those that have no name yet', () => {
    const count = new OutsideCount()
    count.look(0, [machine('a', 'n1'), machine('b', 'n1'), machine('c', ''), machine('d', '')])
    expect(count.doubles).toEqual(['n1'])
  })
})

describe('accounts', () => {
  test('tell lost, failed and doubled jobs from those that were run once', () => {
    const ends = [
      { jobId: '1', ok: true },
      { jobId: '2', ok: false },
      { jobId: '3', ok: true },
      { jobId: '3', ok: true },
      { jobId: '9', ok: true },
    ]
    expect(accountsOf(['1', '2', '3', '4'], ends)).toEqual({
      ...{ submitted: 4, once: 1, failed: ['2'], lost: ['4'], twice: ['3'] },
    })
  })

  test('are read from the accounting file of GridEngine 8.1.9', () => {
    const line = (failed: number, status: number) =>
      `dyn:n32:root:root:STDIN:3:sge:0:1796060673:1796060677:1796060679:${failed}:${status}:2:0.006112:0.012690:4812.000000`
    const text = `# Version: 8.1.9\n# \n${line(0, 0)}\n${line(0, 1)}\n${line(100, 0)}\ndyn:n32:cut o`
    expect(parseGridengineEnds(text)).toEqual([
      { jobId: '3', ok: true },
      { jobId: '3', ok: false },
      { jobId: '3', ok: false },
    ])
  })
})

test('the figures of a wave are from its first submission to its last end', () => {
  const jobs = [
    { id: '1', at: 1_000, runs: [{ startedAt: 1_500, endedAt: 2_500 }] },
    { id: '2', at: 1_200, runs: [{ startedAt: 2_700, endedAt: 3_700 }] },
  ]
  expect(figuresOf(jobs)).toEqual({ jobs: 2, meanWaitMs: 1_000, makespanMs: 2_700 })
  expect(waitingOf([...jobs, { id: '3', at: 1_300, runs: [] }])).toBe(1)
})

describe('a report', () => {
  const wave = (meanWaitMs: number, makespanMs: number) => ({ jobs: 16, meanWaitMs, makespanMs })
  const accounts = { submitted: 3, once: 3, failed: [], lost: [], twice: [], begunTwice: [] }
  const good: ShareReport = {
    machines: 4,
    opposite: {
      slurm: { fixed: wave(11, 25), shared: wave(9, 17) },
      gridengine: { fixed: wave(12, 26), shared: wave(9, 18) },
    },
    overloaded: {
      ...{ windowMs: 10_000, weights: { slurm: 3, gridengine: 1 }, share: { slurm: 0.7, gridengine: 0.3 } },
      ...{ least: { slurm: 3, gridengine: 1 }, jobs: { slurm: 30, gridengine: 20 } },
      waitingLeast: { slurm: 4, gridengine: 3 },
    },
    outside: {
      ...{ looks: 900, lives: 12, aliveMost: 4, most: { slurm: 4, gridengine: 4 } },
      ...{ servedBoth: [], doubles: [], sharedNames: ['n1', 'n2', 'n3', 'n4'] },
    },
    accounts: { slurm: accounts, gridengine: accounts },
    ledger: { entries: 500, faults: [] },
    machinesLeft: 0,
  }

  test('in which everything held has no doubts', () => expect(doubtsOf(good)).toEqual([]))

  test.each([
    [
      'slurm waited no less',
      { opposite: { ...good.opposite, slurm: { fixed: wave(9, 25), shared: wave(9, 17) } } },
    ],
    [
      'slurm was not done sooner',
      { opposite: { ...good.opposite, slurm: { fixed: wave(11, 17), shared: wave(9, 17) } } },
    ],
    ['from its weight', { overloaded: { ...good.overloaded, share: { slurm: 0.5, gridengine: 0.5 } } }],
    [
      'fewer machines than its minimum',
      { overloaded: { ...good.overloaded, least: { slurm: 3, gridengine: 0 } } },
    ],
    [
      'no job of gridengine waited',
      { overloaded: { ...good.overloaded, waitingLeast: { slurm: 4, gridengine: 0 } } },
    ],
    ['5 machines were alive at once, of 4', { outside: { ...good.outside, aliveMost: 5 } }],
    ['machines served both: x', { outside: { ...good.outside, servedBoth: ['x'] } }],
    ['bore one name: n1', { outside: { ...good.outside, doubles: ['n1'] } }],
    ['not every place', { outside: { ...good.outside, sharedNames: ['n1'] } }],
    [
      'slurm has 2 of 3 jobs',
      { accounts: { ...good.accounts, slurm: { ...accounts, once: 2, lost: ['7'] } } },
    ],
    ['began twice: 7', { accounts: { ...good.accounts, slurm: { ...accounts, begunTwice: ['7'] } } }],
    ['do not verify: broker: x', { ledger: { entries: 500, faults: ['broker: x'] } }],
    ['1 machines were left', { machinesLeft: 1 }],
  ] satisfies [string, Partial<ShareReport>][])('doubts that %s', (sentence, change) => {
    expect(doubtsOf({ ...good, ...change }).join('; ')).toContain(sentence)
  })
})
