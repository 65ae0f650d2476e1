import { expect, test } from 'vitest'
import type { Dialect } from '../../adapters/pbs/dialect.ts'
import type { NodeRecord } from '../../adapters/pbs/records.ts'
import { requeue } from '../../adapters/pbs/requeue.ts'

const never = new AbortController().signal
const NOW = 1_000_000
const mark = { leaseId: 'l1', unitId: 'u1', address: '10.0.0.1' }

const node = (name: string, over: Partial<NodeRecord> = {}): Partial<NodeRecord> => ({
  ...{ name, fitness: 'works', mark: undefined, heardAt: NOW - 1_000 },
  ...over,
})
const late = { heardAt: NOW - 181_000 }

/** Whether a job that runs on these hosts is taken by force. */
async function forced(hosts: readonly string[], nodes: readonly Partial<NodeRecord>[]) {
  const asked: boolean[] = []
  const job = { id: '1.head', verdict: { state: 'running' }, starts: 1, rerunable: true, hosts }
  const dialect = {
    ...{ product: 'Torque', drainTag: 'sublet' },
    jobs: async () => ({ records: [job], warnings: [] }),
    nodes: async () => ({ records: nodes, warnings: [] }),
    recentFacts: async () => ({ settings: { nodeCheckMs: 150_000 } }),
    serverNow: async () => NOW,
    rerun: async (_id: string, force: boolean) => void asked.push(force),
  } as unknown as Dialect
  expect(await requeue(dialect, [job.id], never)).toEqual([])
  return asked
}

test.each<[string, boolean, readonly string[], readonly Partial<NodeRecord>[]]>([
  ['its machine is silent', true, ['vm1'], [node('vm1', { mark, ...late })]],
  ['its machines are silent', true, ['vm1', 'vm2'], ['vm1', 'vm2'].map((n) => node(n, { mark, ...late }))],
  ['its machine answers', false, ['vm1'], [node('vm1', { mark })]],
  ['a node of others is late', false, ['own', 'vm1'], [node('own', late), node('vm1', { mark })]],
  ['that too, second', false, ['vm1', 'own'], [node('own', late), node('vm1', { mark, ...late })]],
  ['others’ answers', true, ['vm1', 'own'], [node('own'), node('vm1', { mark, ...late })]],
  ['one is not shown', false, ['vm1', 'own'], [node('vm1', { mark, ...late })]],
])('a job is taken by force only from machines of ours: %s', async (_, force, hosts, nodes) => {
  expect(await forced(hosts, nodes)).toEqual([force])
})
