import { expect, test } from 'vitest'
import type { Actor } from '../../actors/runtime/actor.ts'
import type { ServiceManagerTables } from '../../actors/service-manager/rows.ts'
import { request } from '../scenarios/scene.ts'
import { Stage } from '../scenarios/stage.ts'

/** Nodes in a middleware that carry the mark of a lease which nobody here knows. */
async function seen(looks: readonly (readonly { readonly name: string; readonly leaseId: string }[])[]) {
  const stage = new Stage()
  await stage.begins()
  await stage.wishes([request({ units: 1 })])
  await stage.runs(10)
  const [lease] = stage.leases()
  for (const nodes of looks) {
    const marked = nodes.map(({ name, leaseId }) => ({
      ...{ name, responding: true },
      mark: { leaseId: leaseId === 'ours' ? lease!.id : leaseId, unitId: `unit-${name}` },
    }))
    const traces = { startedAt: stage.world.now, nodes: marked, launchFailed: [] }
    await stage.command('manager', 'look', { guest: 'grid', observation: {}, failure: undefined, traces })
    await stage.runs(20)
  }
  const told = stage.ledger('manager').filter(({ kind }) => kind === 'nodes unknown')
  const [row] = (stage.actor('manager') as Actor<ServiceManagerTables>).rows('guest')
  return { told: told.map(({ subject, reason }) => `${subject}: ${reason}`), unknown: row?.unknown }
}

const OLD = { name: 'vm7', leaseId: 'lease-of-old' }

test('are told once, with the cure, when they have been there for a minute', async () => {
  const { told, unknown } = await seen([[OLD], [OLD], [OLD], [OLD], [OLD], [OLD]])
  expect(told).toEqual([
    'grid: a node carries the mark of a lease that nobody here knows: vm7 (lease-of-old); left alone, for another Sublet may use it. If none does, delete its record once it is empty (scontrol delete, qmgr delete node, qconf -de)',
  ])
  expect(unknown).toMatchObject([{ name: 'vm7', told: true }])
})

test('are not told when they go within a minute, nor a node of a lease of ours', async () => {
  const ours = { name: 'vm1', leaseId: 'ours' }
  const { told, unknown } = await seen([[OLD, ours], [OLD, ours], [ours], [OLD, ours], [OLD, ours], [ours]])
  expect(told).toEqual([])
  expect(unknown).toBeUndefined()
})

test('one that has gone is forgotten, and told anew when it is there again', async () => {
  const minute = [[OLD], [OLD], [OLD], [OLD]]
  expect((await seen([...minute, [], ...minute])).told).toHaveLength(2)
})
