import { describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import type { Dialect } from '../../adapters/pbs/dialect.ts'
import type { JobRecord, NodeRecord } from '../../adapters/pbs/records.ts'
import { removal } from '../../adapters/pbs/removal.ts'

const never = new AbortController().signal
const mark = { leaseId: 'l1', unitId: 'u1' }
type Shown = Pick<NodeRecord, 'isOffline' | 'fitness' | 'jobs'>
const free: Shown = { isOffline: true, fitness: 'works', jobs: [] }

const record = (shown: Partial<Shown>): NodeRecord =>
  ({ name: 'n1', note: '', isKept: false, ...free, ...shown }) as NodeRecord

/** A server that shows the node so, at one question after another, and what was done to it. */
function server(looks: readonly Partial<Shown>[], jobs: readonly Partial<JobRecord>[] = []) {
  const done: string[] = []
  let asked = 0
  const look = (): NodeRecord => record(looks[Math.min(asked++, looks.length - 1)] ?? {})
  const dialect = {
    ...{ drainTag: 'sublet', settleMs: 0 },
    jobs: async () => ({ records: jobs, warnings: [] }),
    nodes: async () => ({ records: [], warnings: [] }),
    node: async () => look(),
    offline: async (name: string) => void done.push(`offline ${name}`),
    delete: async (name: string) => done.push(`delete ${name}`) > 0,
    rerun: async (id: string) => void done.push(`rerun ${id}`),
    purge: async (id: string) => void done.push(`purge ${id}`),
  } as unknown as Dialect
  const hands = {
    clock: systemClock,
    drain: async (name: string) => void done.push(`drain ${name}`),
    present: async () => look(),
  }
  return { done, ...removal(dialect, hands) }
}

describe('an idle node of Torque or OpenPBS', () => {
  test('that somebody put into service again after our drain is not deleted: a job may be on its way', async () => {
    const { removeIdle, done } = server([{ isOffline: false }])
    await expect(removeIdle(record({ isOffline: false }), mark, never)).rejects.toMatchObject({
      code: 'node-busy',
      message: expect.stringContaining('it takes jobs again'),
    })
    expect(done).toEqual(['drain n1'])
  })

  test.each([
    ['offline', { isOffline: true }],
    ['silent', { isOffline: false, fitness: 'silent' }],
  ] as const)('is deleted where it is %s after the drain', async (_, after) => {
    const { removeIdle, done } = server([after])
    await removeIdle(record({ isOffline: false }), mark, never)
    expect(done).toEqual(['drain n1', 'delete n1'])
  })

  test('is not deleted where a job has come meanwhile', async () => {
    const { removeIdle, done } = server([{ jobs: ['17.head'] }])
    await expect(removeIdle(record({}), mark, never)).rejects.toMatchObject({ code: 'node-busy' })
    expect(done).toEqual(['drain n1'])
  })
})

describe('the jobs of a lost node', () => {
  const job = (id: string, over: Partial<JobRecord> = {}) =>
    ({ id, verdict: { state: 'running' }, hosts: ['n1'], rerunable: true, ...over }) as JobRecord

  test('are those of the node’s own list too, whose records may be unreadable, and of the jobs’ list, each once', async () => {
    const { removeLost, done } = server(
      [{}],
      [job('1.head'), job('2.head'), job('9.head', { hosts: ['n2'] })],
    )
    await removeLost(record({ isOffline: false, jobs: ['2.head', '3.head'] }), mark, never)
    expect(done).toEqual(['offline n1', 'rerun 1.head', 'rerun 2.head', 'rerun 3.head', 'delete n1'])
  })

  test('that may not run again are purged, those of the node’s own list too', async () => {
    const { removeLost, done } = server([{}], [job('3.head', { rerunable: false, hosts: [] })])
    await removeLost(record({ isOffline: false, jobs: ['3.head'] }), mark, never)
    expect(done).toEqual(['offline n1', 'purge 3.head', 'delete n1'])
  })
})
