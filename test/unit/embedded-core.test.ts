import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../actors/runtime/clock.ts'
import { type BatchCore, batchCore } from '../../adapters/embedded/batch-core.ts'
import type { JobOrder, JobRecord, NodeRecord, PartReport } from '../../adapters/embedded/batch-records.ts'
import type { BatchChanges, BatchStore } from '../../adapters/embedded/batch-store.ts'
import type { Fields } from '../../adapters/embedded/fields.ts'

/** A clock that stands still. */
const clock: Clock = { now: () => 1000, monotonic: () => 1000, after: () => () => undefined }

/** Keeps what was committed as a disk would: as text. */
function memoryStore(): { readonly rows: Map<string, string>; open(): BatchStore; failing: boolean } {
  const rows = new Map<string, string>()
  const memory = {
    rows,
    failing: false,
    open: (): BatchStore => {
      const read = (kind: string): string[] =>
        [...rows].flatMap(([key, row]) => (key.startsWith(kind) ? [row] : []))
      return {
        jobs: read('job ').map((row) => JSON.parse(row) as JobRecord),
        nodes: read('node ').map((row) => JSON.parse(row) as NodeRecord),
        nextJob: Number(rows.get('next') ?? 1),
        commit({ jobs, nodes, nextJob }: BatchChanges) {
          if (memory.failing) throw new Error('the disk is full')
          for (const [id, row] of jobs) rows.set(`job ${id}`, JSON.stringify(row))
          for (const [name, row] of nodes)
            row === null ? rows.delete(`node ${name}`) : rows.set(`node ${name}`, JSON.stringify(row))
          rows.set('next', String(nextJob))
        },
        close: () => undefined,
      }
    },
  }
  return memory
}

const order: JobOrder = {
  command: 'true',
  user: 'ann',
  queue: 'batch',
  nodes: 1,
  cpusPerNode: 1,
  memoryMiBPerNode: 0,
  walltimeMs: null,
  requeueable: true,
  after: null,
  environment: {},
  output: null,
}
const now = { held: false, tasks: 1 }

describe('the embedded batch system’s mind', () => {
  let memory: ReturnType<typeof memoryStore>
  let core: BatchCore
  let fatal: unknown
  let numbers = 0

  const open = (): void => {
    core = batchCore({
      store: memory.open(),
      clock,
      settings: { epilog: null, epilogMsMax: 0 },
      onChange: () => undefined,
      onFatal: (error) => {
        fatal = error
      },
    })
  }
  beforeEach(() => {
    memory = memoryStore()
    fatal = undefined
    open()
  })
  afterEach(() => core.stop())

  /** An agent that notes what it is told, also whether that was on the disk by then. */
  const agent = (name: string, parts: readonly PartReport[] = []) => {
    numbers += 1
    const told: { event: string; body: Fields; stored: boolean }[] = []
    const self = {
      number: numbers,
      hungUp: false,
      told,
      tell(event: string, body: Fields) {
        const row = memory.rows.get(`job ${String(body.jobId)}`) ?? '{}'
        told.push({ event, body, stored: (JSON.parse(row) as JobRecord).attempt === body.attempt })
      },
      hangUp() {
        self.hungUp = true
      },
    }
    core.register(self, { name, mark: null, address: '', cpus: 4, memoryMiB: 0, parts })
    return self
  }
  const said = (
    jobId: string,
    state: PartReport['state'],
    changes: Partial<PartReport> = {},
  ): PartReport => ({
    jobId,
    attempt: 1,
    state,
    exitCode: state === 'done' ? 0 : null,
    reason: '',
    nodeFault: '',
    ...changes,
  })

  test('an order leaves only after its record is on the disk', async () => {
    const { told } = agent('n1')
    core.jobs.submit(order, now)
    await core.settled()
    expect(told).toEqual([
      { event: 'start', body: expect.objectContaining({ jobId: '1', attempt: 1 }), stored: true },
    ])
  })

  test('a commit that fails stops everything: no order leaves, and whoever asked is told', async () => {
    const { told } = agent('n1')
    await core.settled()
    memory.failing = true
    core.jobs.submit(order, now)
    await expect(core.settled()).rejects.toThrow('the disk is full')
    expect(told).toEqual([])
    expect(fatal).toBeInstanceOf(Error)
  })

  test('a start that got lost with the server is told again, for the agent does not know of it', async () => {
    agent('n1')
    core.jobs.submit({ ...order, requeueable: false }, now)
    await core.settled()
    core.stop()
    open()
    const { told } = agent('n1')
    await core.settled()
    expect(told.map(({ event }) => event)).toEqual(['start'])
    expect(core.jobs.get('1')).toMatchObject({ state: 'running', attempt: 1 })
  })

  test('a job that was running, and of which its machine knows nothing any more, has an unknown outcome', async () => {
    for (const requeueable of [true, false]) {
      agent('n1')
      const id = core.jobs.submit({ ...order, requeueable }, now)
      await core.settled()
      core.report('n1', said(id, 'running'))
      agent('n1')
      await core.settled()
      if (requeueable)
        expect(core.jobs.get(id)).toMatchObject({ restarts: 1, attempts: [{ outcome: 'requeued' }] })
      else
        expect(core.jobs.get(id)).toMatchObject({
          state: 'ended',
          verdict: { outcome: 'failed', reason: 'outcome unknown: machine n1 died' },
        })
      core.jobs.cancel(id)
    }
  })

  test('a machine that ends before a job began gives it back as if it had never been there', async () => {
    const first = agent('n1')
    const id = core.jobs.submit({ ...order, requeueable: false }, now)
    await core.settled()
    core.bye('n1', first, [])
    await core.settled()
    expect(core.jobs.get(id)).toMatchObject({ state: 'pending', restarts: 0, parts: [] })
  })

  test('a report about another attempt changes nothing, and the agent is told to forget it', async () => {
    const { told } = agent('n1')
    const id = core.jobs.submit(order, now)
    await core.settled()
    core.report('n1', said(id, 'done', { attempt: 7, exitCode: 1 }))
    core.report('n1', said('99', 'running'))
    await core.settled()
    expect(core.jobs.get(id)).toMatchObject({ state: 'running' })
    expect(told.slice(1).map(({ event, body }) => [event, body.jobId, body.attempt])).toEqual([
      ['forget', id, 7],
      ['forget', '99', 1],
    ])
  })

  test('a job is over only when all its nodes are done with it', async () => {
    agent('n1')
    const other = agent('n2')
    const id = core.jobs.submit({ ...order, nodes: 2 }, now)
    await core.settled()
    core.report('n1', said(id, 'running'))
    core.report('n2', said(id, 'running'))
    core.report('n1', said(id, 'done'))
    await core.settled()
    expect(core.jobs.get(id)).toMatchObject({ state: 'completing' })
    expect(other.told.at(-1)).toMatchObject({ event: 'end' })
    core.report('n2', said(id, 'done', { exitCode: null }))
    expect(core.jobs.get(id)).toMatchObject({ state: 'ended', verdict: { outcome: 'finished', exitCode: 0 } })
  })

  test('a wide job that loses one of its machines is killed on the others before it may start again', async () => {
    const first = agent('n1')
    agent('n2')
    const id = core.jobs.submit({ ...order, nodes: 2, cpusPerNode: 4 }, now)
    await core.settled()
    for (const name of ['n1', 'n2']) core.report(name, said(id, 'running'))
    core.adminDelete('n2', true)
    await core.settled()
    expect(first.told.at(-1)).toMatchObject({ event: 'end', body: { jobId: id } })
    expect(core.jobs.get(id)).toMatchObject({ state: 'completing' })
    core.report('n1', said(id, 'done', { exitCode: 143 }))
    await core.settled()
    expect(core.jobs.get(id)).toMatchObject({ state: 'pending', restarts: 1 })
  })

  test('a wide job keeps the nodes it needs once the last of them is expected, not before', async () => {
    agent('n1')
    const wide = core.jobs.submit({ ...order, nodes: 2, cpusPerNode: 4 }, now)
    const small = core.jobs.submit(order, now)
    await core.settled()
    expect(core.jobs.get(small)).toMatchObject({ state: 'running' })
    expect(core.nodes()[0]).toMatchObject({ collectingFor: undefined })
    const announced = { name: 'n2', mark: { leaseId: 'l', unitId: 'u' }, address: '', cpus: 4, memoryMiB: 0 }
    const there = core.expect(announced, new AbortController().signal)
    await core.settled()
    expect(core.nodes().find(({ record }) => record.name === 'n1')).toMatchObject({ collectingFor: wide })
    const second = core.jobs.submit(order, now)
    await core.settled()
    expect(core.jobs.get(second)).toMatchObject({ state: 'pending' })
    void there
  })

  test('whoever cancels a job that is being requeued wants it gone', async () => {
    agent('n1')
    const id = core.jobs.submit(order, now)
    await core.settled()
    core.report('n1', said(id, 'running'))
    expect(core.jobs.requeue([id], 'wanted back')).toEqual([])
    core.jobs.cancel(id)
    core.report('n1', said(id, 'done', { exitCode: 143 }))
    expect(core.jobs.get(id)).toMatchObject({ state: 'ended', verdict: { outcome: 'cancelled' } })
  })

  test('of two agents of one machine the newest counts', async () => {
    const old = agent('n1')
    agent('n1')
    expect(old.hungUp).toBe(true)
    core.agentGone('n1', old)
    await core.settled()
    expect(core.nodes()).toMatchObject([{ connected: true }])
  })

  test('no job is taken that no cluster could ever run', () => {
    for (const odd of [
      { nodes: Number.MAX_SAFE_INTEGER },
      { cpusPerNode: 1e7 },
      { memoryMiBPerNode: 2 ** 41 },
    ])
      expect(() => core.jobs.submit({ ...order, ...odd }, now)).toThrow('at most 1000000 nodes')
    expect([...core.jobs.all()]).toEqual([])
  })

  test('a queue that is full takes no more', () => {
    core.jobs.submit(order, { held: true, tasks: 20_000 })
    expect(() => core.jobs.submit(order, now)).toThrow('The queue holds 20000 jobs')
  })
})
