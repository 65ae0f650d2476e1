import { expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { type MemberEffectArgs, Membership } from '../../actors/service-manager/membership.ts'
import type { BatchNode, BatchPicture, BatchSystem } from '../../adapters/batch-system.ts'
import { parseHosts } from '../../adapters/gridengine/parse-hosts.ts'
import type { JoinHandler } from '../../adapters/join.ts'
import { isSameHost, presenceOf } from '../../adapters/presence.ts'
import { parseNodesJson } from '../../adapters/slurm/parse-json.ts'
import { parseNodesText } from '../../adapters/slurm/parse-text.ts'
import {
  busyNode,
  configOf,
  decideOn,
  leaseOf,
  MINUTE,
  nodeOf,
  pictureOf,
  runningOn,
  T0,
  unitOf,
  viewOf,
} from './groc-world.ts'

const never = new AbortController().signal
const mark = { leaseId: 'l1', unitId: 'u1' }
const sought = { ...mark, name: 'node-u1', wasIn: true }
const ourNode = (over: Partial<BatchNode>): BatchNode => nodeOf('u1', { mark, ...over })

/** Leaves the unit of this mark on such a picture, or on one after another, and tells what was done. */
async function leave(
  picture: BatchPicture | readonly BatchPicture[],
  over: Partial<MemberEffectArgs> = {},
  name = 'node-u1',
) {
  const done: string[] = []
  const pictures = [picture].flat()
  let looks = 0
  const did = (what: string) => async (on: string) => void done.push(`${what} ${on}`)
  const batch = {
    name: 'a batch system',
    capabilities: { events: false, nodes: 'self', requeue: true, settleMs: 0 },
    observe: async () => pictures[Math.min(looks++, pictures.length - 1)],
    drain: did('drain'),
    remove: did('remove'),
    requeue: async (jobs: readonly string[]) => {
      done.push(`requeue ${jobs.join(' ')}`)
      return []
    },
  } as unknown as BatchSystem
  const join: JoinHandler = {
    join: async () => undefined,
    leave: async (unit) => void done.push(`end the daemon of ${unit.name}`),
    close: async () => undefined,
  }
  const unit = { ...mark, name, vector: {}, facts: {} }
  const args = { guest: 'g', unit, reason: 'it goes', requeue: false, wasIn: true, ...over }
  const outcome = await new Membership(batch, join, systemClock).perform('leave', args, never)
  return { outcome, done }
}

test('names differ in no case, and one of them may lack its domain', () => {
  expect(isSameHost('G1', 'g1')).toBe(true)
  expect(isSameHost('g1.site.org', 'G1')).toBe(true)
  expect(isSameHost('g1.site.org', 'g1.other.org')).toBe(false)
  expect(isSameHost('g1', 'g10')).toBe(false)
})

test('a node is found by its mark under whatever name, and is drained and removed under that one', async () => {
  const { outcome, done } = await leave(pictureOf({ nodes: [ourNode({ name: 'NODE-U1.site' })] }))
  expect(outcome).toEqual({ kind: 'left' })
  expect(done).toEqual(['drain NODE-U1.site', 'remove NODE-U1.site', 'end the daemon of node-u1'])
})

test.each([
  ['its node has another spelling', { nodes: [busyNode('u1', '17', { mark, name: 'other-alias' })] }, ['17']],
  ['its record cannot be read', { unread: ['Node-U1'] }, ['(its record cannot be read)']],
  [
    'a record of no name cannot be read',
    { unread: ['', 'node-u2'] },
    ['(a record of no name cannot be read, and may be its own)'],
  ],
  [
    'one of its name cannot be read, and one of none',
    { unread: ['', 'node-u1'] },
    ['(its record cannot be read)'],
  ],
  ['no record shows it, but a job runs there', { jobs: [runningOn('17', 'u1')] }, ['17']],
  [
    'a job runs there under another spelling of its name',
    { jobs: [runningOn('17', 'u1', { nodeNames: ['NODE-U1.site'] })] },
    ['17'],
  ],
  [
    'somebody took its mark away, and a job runs there',
    { nodes: [busyNode('u1', '17', { mark: undefined })] },
    ['17'],
  ],
] as const)('its daemon is not ended where %s', async (_, seen, jobs) => {
  const { outcome, done } = await leave(pictureOf(seen as Partial<BatchPicture>))
  expect(outcome).toEqual({ kind: 'busy', jobs })
  expect(done.filter((line) => line.startsWith('end'))).toEqual([])
})

test('a node whose mark was taken away is not drained: it has to be empty at two looks, for a job may be on its way', async () => {
  const empty = pictureOf({ nodes: [ourNode({ mark: undefined })] })
  const left = { outcome: { kind: 'left' }, done: ['end the daemon of node-u1'] }
  expect(await leave([empty, empty])).toEqual(left)
  expect(await leave([empty, pictureOf({})])).toEqual(left)
  const come = pictureOf({ nodes: [busyNode('u1', '17', { mark: undefined })] })
  expect(await leave([empty, come])).toEqual({ outcome: { kind: 'busy', jobs: ['17'] }, done: [] })
  const unread = pictureOf({ unread: ['node-u1'] })
  expect((await leave([empty, unread])).outcome).toMatchObject({ kind: 'busy' })
  // It can be drained again.
  const marked = pictureOf({ nodes: [ourNode({})] })
  expect(await leave([empty, marked])).toEqual({ outcome: { kind: 'busy', jobs: [] }, done: [] })
})

test('jobs of a machine that has to go are put back also where its record cannot be read', async () => {
  const picture = pictureOf({ jobs: [runningOn('17', 'u1')], unread: ['node-u1'] })
  const { outcome, done } = await leave(picture, { requeue: true })
  expect(outcome).toEqual({ kind: 'busy', jobs: ['17'], back: ['17'] })
  expect(done).toEqual(['requeue 17'])
})

test('a node of another, or of nobody where the machine never was in, is another’s, and so is its work', async () => {
  const theirs = busyNode('u1', '17', { mark: { leaseId: 'l2', unitId: 'u9' } })
  const admins = busyNode('u1', '17', { mark: undefined })
  const gone = { outcome: { kind: 'left' }, done: ['end the daemon of node-u1'] }
  expect(await leave(pictureOf({ nodes: [theirs] }))).toEqual(gone)
  expect(await leave(pictureOf({ nodes: [admins] }), { wasIn: false })).toEqual(gone)
  expect(presenceOf(pictureOf({ nodes: [theirs] }), sought)).toEqual({ kind: 'absent' })
})

test('a lost machine whose node another has by now was removed before', async () => {
  const lost = (nodes: readonly BatchNode[]) => {
    const batch = {
      observe: async () => pictureOf({ nodes }),
      remove: async () => {
        throw new SubletError('node-not-ours', 'node-u1 is another’s')
      },
    } as unknown as BatchSystem
    const unit = { ...mark, name: 'node-u1', vector: {}, facts: {} }
    const args = { guest: 'g', unit, reason: 'it died', requeue: false, wasIn: true }
    return new Membership(batch, {} as unknown as JoinHandler, systemClock).perform('lost', args, never)
  }
  await expect(lost([ourNode({ mark: { leaseId: 'l2', unitId: 'u9' } })])).resolves.not.toThrow()
  // Of nobody: it may be its own, whose mark was taken off.
  await expect(lost([ourNode({ mark: undefined })])).rejects.toMatchObject({ code: 'node-not-ours' })
  await expect(lost([ourNode({})])).rejects.toMatchObject({ code: 'node-not-ours' })
})

test('no daemon is started before it is settled whose name it is', async () => {
  const started: string[] = []
  const batch = {
    vet: async () => {
      throw new SubletError('node-not-ours', 'node-u1 is the admin’s')
    },
    expect: async () => undefined,
  } as unknown as BatchSystem
  const join: JoinHandler = {
    join: async ({ name }) => void started.push(name),
    leave: async () => undefined,
    close: async () => undefined,
  }
  const unit = { ...mark, name: 'node-u1', vector: {}, facts: {} }
  const args = { guest: 'g', unit, reason: 'it is ready', requeue: false }
  const joined = new Membership(batch, join, systemClock).perform('join', args, never)
  await expect(joined).rejects.toMatchObject({ code: 'node-not-ours' })
  expect(started).toEqual([])
})

test('a machine comes in under the name that was taken for it, and the look for it is told that name', async () => {
  const done: string[] = []
  const batch = {
    take: async ({ name }: { name: string }) => {
      done.push(`take for ${name}`)
      return 'cloud3'
    },
    expect: async ({ name }: { name: string }) => void done.push(`expect ${name}`),
  } as unknown as BatchSystem
  const join = { join: async ({ name }: { name: string }) => void done.push(`start ${name}`) }
  const unit = { ...mark, name: 'node-u1', vector: {}, facts: {} }
  const args = { guest: 'g', unit, reason: 'it is ready', requeue: false }
  const membership = new Membership(batch, join as unknown as JoinHandler, systemClock)
  expect(await membership.perform('join', args, never)).toEqual({ node: 'cloud3' })
  expect(done).toEqual(['take for node-u1', 'expect cloud3', 'start cloud3'])
})

test('GROC takes a node for missing only where a machine may be taken out', () => {
  const config = configOf({})
  const leases = [leaseOf('l1', [unitOf('u1')])]
  const intents = (seen: Partial<BatchPicture>): readonly string[] => {
    const at = (now: number) => viewOf(leases, { startedAt: now, at: now, ...seen })
    const { memory } = decideOn(at(T0), config)
    const later = T0 + 3 * MINUTE
    return decideOn(at(later), config, memory, later).intents.map(({ kind }) => kind)
  }
  expect(intents({ nodes: [] })).toContain('leave')
  expect(intents({ nodes: [], unread: ['NODE-U1'] })).not.toContain('leave')
  expect(intents({ nodes: [], unread: ['node-u2'] })).toContain('leave')
  expect(intents({ nodes: [], unread: [''] })).not.toContain('leave')
  expect(intents({ nodes: [], jobs: [runningOn('17', 'u1')] })).not.toContain('leave')
})

const turn = { clock: systemClock, signal: never }

test('a record that cannot be read keeps its name', async () => {
  const meta = { meta: { plugin: { type: 'openapi/v0.0.38' } }, errors: [] }
  const json = JSON.stringify({ ...meta, nodes: [{ name: 'g1', state: 7 }] })
  expect((await parseNodesJson(json, turn)).unread).toEqual(['g1'])
  const good = 'NodeName=g2 State=IDLE CPUTot=2 CPUAlloc=0 RealMemory=10 AllocMem=0'
  const text = await parseNodesText(
    `${good}\n${good.replace('g2', 'g1').replace('CPUTot=2', 'CPUTot=x')}\n`,
    turn,
  )
  expect(text.unread).toEqual(['g1'])
  const hosts = await parseHosts(
    "<qhost>\n <host name='g1'><broken\n </host>\n <host name='g2'></host>\n</qhost>\n",
  )
  expect([hosts.unread, hosts.records.map(({ name }) => name)]).toEqual([['g1'], ['g2']])
})
