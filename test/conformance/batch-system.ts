import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { type Millis, sleep, systemClock } from '../../actors/runtime/clock.ts'
import type {
  BatchNode,
  BatchPicture,
  BatchSystem,
  ExpectedNode,
  Job,
  NodeMark,
} from '../../adapters/batch-system.ts'
import { restAfter } from '../../deploy/labs/rest.ts'

/** A job as a user would submit it. */
export interface BenchJob {
  /** How long its command sleeps. */
  readonly runsMs: Millis
  /** Default 1. */
  readonly nodes?: number
  /** Default 1. */
  readonly cpusPerNode?: number
  readonly walltimeMs?: Millis
  readonly held?: boolean
  /** Default true. */
  readonly requeueable?: boolean
  /** The id of a job that has to end first. */
  readonly after?: string
  /** More than one: an array of so many equal tasks. */
  readonly tasks?: number
}

/**
 * A batch system on the workbench: the adapter under test, and hands for everybody else who acts on the
 * same pool (users, the admin, the machines).
 */
export interface BatchBench {
  readonly system: BatchSystem
  /** At least three nodes that may be made and started again in every case. All of one size. */
  readonly names: readonly string[]
  /** What of the law cannot be shown here; each absent ability skips its cases. */
  readonly can: {
    /** An epilog runs after each job; `epilogMs` says how long. */
    readonly epilogMs: Millis | undefined
    /** A waiting wide job is named in `collectingFor`. */
    readonly collecting: boolean
    readonly notRequeueable: boolean
    readonly arrays: boolean
    readonly dependencies: boolean
    /** Who drains a node can say why. Default true. */
    readonly drainReasons?: boolean
    /** A node of the admin's own is always there, under this name. */
    readonly staticNode: string | undefined
  }
  /** How long a change may take to become visible. Bounds every wait of the law. */
  readonly patienceMs: Millis
  /** The same node every time: one mark, one size. */
  node(name: string): ExpectedNode
  /** Starts the machine; its node daemon registers under the name, with the node's mark. */
  startMachine(name: string): Promise<void>
  /** The power fails: nothing of the machine runs on, nobody is told. */
  killMachine(name: string): Promise<void>
  submit(job: BenchJob): Promise<string>
  cancel(jobId: string): Promise<void>
  adminDrain(name: string, reason: string): Promise<void>
  adminResume(name: string): Promise<void>
  /** A second client of the same pool. */
  another(): Promise<BatchSystem>
  /** The same adapter, pointed at a place where no server answers. */
  unreachable(): Promise<BatchSystem>
  /** After each case: no jobs, no machines, no nodes but the static ones. */
  clear(): Promise<void>
  close(): Promise<void>
}

/** What is left of the time of a case when everything that it still waits for is aborted. */
const CASE_END_MS: Millis = 2_000

/** Looks again and again, without hurry, until `wanted` is satisfied; fails with the last look. */
export async function until<T>(
  what: string,
  patienceMs: Millis,
  look: () => Promise<T>,
  wanted: (seen: T) => boolean,
): Promise<T> {
  const end = systemClock.monotonic() + patienceMs
  for (;;) {
    const began = systemClock.monotonic()
    const seen = await look()
    if (wanted(seen)) return seen
    if (systemClock.monotonic() > end)
      throw new Error(
        `waited ${patienceMs} ms in vain until ${what}; last seen: ${JSON.stringify(seen, null, 1)}`,
      )
    await sleep(systemClock, restAfter(systemClock.monotonic() - began, 30))
  }
}

export interface BatchLawOptions {
  /** A one-line reason why it cannot run here. */
  readonly skip?: string | undefined
  /** What such a batch system does not tell at all: its cases are left out, and it is held to not telling it. */
  readonly untold?: readonly ('collecting' | 'events')[]
  readonly openMs?: Millis
  readonly caseMs?: Millis
}

/** The law of adapters/batch-system.ts. */
export function batchSystemLaw(
  name: string,
  open: () => Promise<BatchBench>,
  options: BatchLawOptions = {},
): void {
  const { skip, untold = [], openMs = 60_000, caseMs = 120_000 } = options
  describe.skipIf(skip !== undefined)(`${name} keeps the law of batch systems`, { timeout: caseMs }, () => {
    let bench: BatchBench
    /** Aborts before the time of the case is up: what it waits for must not go on while the next one runs. */
    let inTime: AbortSignal
    const mark: NodeMark = { leaseId: 'lease-of-another', unitId: 'unit-of-another' }

    beforeAll(async () => {
      bench = await open()
      const told = { collecting: bench.can.collecting, events: bench.system.capabilities.events }
      for (const what of untold)
        if (told[what]) throw new Error(`${what} is told here: its case may not be left out`)
    }, openMs)
    beforeEach(() => {
      inTime = AbortSignal.timeout(caseMs - CASE_END_MS)
    })
    afterEach(() => bench.clear(), caseMs)
    afterAll(() => bench?.close(), openMs)

    const picture = (): Promise<BatchPicture> => bench.system.observe(inTime)
    const node = async (nodeName: string): Promise<BatchNode | undefined> =>
      (await picture()).nodes.find((each) => each.name === nodeName)
    const job = async (id: string): Promise<Job | undefined> =>
      (await picture()).jobs.find((each) => each.id === id)
    const name = (at: number): string => bench.names[at] ?? `missing-name-${at}`
    const nodeIs = (
      nodeName: string,
      what: string,
      wanted: (seen: BatchNode) => boolean,
    ): Promise<BatchNode | undefined> =>
      until(
        `node ${nodeName} is ${what}`,
        bench.patienceMs,
        () => node(nodeName),
        (seen) => seen !== undefined && wanted(seen),
      )
    const jobIs = (id: string, what: string, wanted: (seen: Job) => boolean): Promise<Job | undefined> =>
      until(
        `job ${id} is ${what}`,
        bench.patienceMs,
        () => job(id),
        (seen) => seen !== undefined && wanted(seen),
      )
    const running = (id: string): Promise<Job | undefined> =>
      jobIs(id, 'running', (seen) => seen.state === 'running')
    /** Ended jobs may drop off the list. */
    const over = (id: string): Promise<Job | undefined> =>
      until(
        `job ${id} is over`,
        bench.patienceMs,
        () => job(id),
        (seen) => seen === undefined || seen.state === 'ended',
      )
    const letIn = async (nodeName: string): Promise<ExpectedNode> => {
      await bench.startMachine(nodeName)
      await bench.system.expect(bench.node(nodeName), inTime)
      return bench.node(nodeName)
    }
    const code = (promise: Promise<unknown>): Promise<unknown> =>
      promise.then(
        () => 'resolved',
        (error: unknown) => (error instanceof Error && 'code' in error ? error.code : error),
      )

    test('a healthy system has nothing missing', async () => {
      expect(await bench.system.check(inTime)).toEqual([])
      // Its clock may be a faster one than ours.
      const findings =
        (await bench.system.examine?.(
          { names: bench.names, machines: [], skewMsMax: 400 * 24 * 3_600_000 },
          inTime,
        )) ?? []
      expect(findings.filter(({ severity }) => severity === 'missing')).toEqual([])
    })

    test('a waiting job is seen with its demand, and the look is to be trusted', async () => {
      const id = await bench.submit({ runsMs: 100, nodes: 2, cpusPerNode: 1, walltimeMs: 600_000 })
      const seen = await jobIs(id, 'waiting', (each) => each.state === 'pending')
      expect(seen).toMatchObject({
        nodes: 2,
        cpusPerNode: 1,
        walltimeMs: 600_000,
        nodeNames: [],
        restarts: 0,
        tasks: 1,
      })
      expect(seen?.user).not.toBe('')
      expect(seen?.startedAt).toBeUndefined()
      const { trust, startedAt, at } = await picture()
      expect(trust).toBe('confirmed')
      expect(startedAt).toBeLessThanOrEqual(at)
    })

    test('a held job is held, not waiting', async () => {
      const id = await bench.submit({ runsMs: 100, held: true })
      const held = await jobIs(id, 'held', (each) => each.state === 'held')
      expect(['user', 'operator']).toContain(held?.heldBy)
    })

    test('a job that waits for another job is held, not waiting', async ({ skip }) => {
      if (!bench.can.dependencies) return skip('no dependencies here')
      const first = await bench.submit({ runsMs: 100 })
      const second = await bench.submit({ runsMs: 100, after: first })
      await jobIs(first, 'pending', (each) => each.state === 'pending')
      const held = await jobIs(
        second,
        'held',
        ({ state, vendorReason }) => state === 'held' && vendorReason !== '',
      )
      expect(held?.heldBy).toBe('dependency')
    })

    test('the tasks of an array are all counted', async ({ skip }) => {
      if (!bench.can.arrays) return skip('no arrays here')
      await bench.submit({ runsMs: 100, tasks: 3 })
      await until(
        'three tasks wait',
        bench.patienceMs,
        picture,
        ({ jobs }) =>
          jobs.filter((each) => each.state === 'pending').reduce((sum, each) => sum + each.tasks, 0) === 3,
      )
    })

    test('a machine takes no job before it is expected, and takes one afterwards', async () => {
      const id = await bench.submit({ runsMs: 100 })
      await bench.startMachine(name(0))
      if (bench.system.capabilities.nodes === 'self')
        await nodeIs(name(0), 'registered, but not accepting', (seen) => seen.responding && !seen.accepting)
      expect(await job(id)).toMatchObject({ state: 'pending' })
      await bench.system.expect(bench.node(name(0)), inTime)
      await until(
        `job ${id} starts`,
        bench.patienceMs,
        () => job(id),
        (seen) => seen === undefined || seen.state !== 'pending',
      )
      await over(id)
    })

    test('expecting a machine that comes late resolves once it has come', async () => {
      let come = false
      const expecting = bench.system.expect(bench.node(name(0)), inTime).then(() => {
        expect(come).toBe(true)
      })
      await until('the late machine is not accepting', bench.patienceMs, picture, ({ nodes }) =>
        nodes.every((each) => each.name !== name(0) || !each.accepting),
      )
      come = true
      await bench.startMachine(name(0))
      await expecting
      await nodeIs(name(0), 'accepting', (seen) => seen.accepting && seen.empty && seen.responding)
    })

    test('expecting twice is expecting once, and the node carries our mark', async () => {
      const expected = await letIn(name(0))
      await bench.system.expect(expected, inTime)
      const nodes = (await picture()).nodes.filter((each) => each.name === name(0))
      expect(nodes).toHaveLength(1)
      expect(nodes[0]).toMatchObject({
        mark: expected.mark,
        drained: 'no',
        empty: true,
        jobs: [],
        cpus: expected.cpus,
        cpusInUse: 0,
      })
      expect(nodes[0]?.collectingFor).toBeUndefined()
    })

    test('giving up an expectation rejects with the reason given', async () => {
      const giveUp = new AbortController()
      const expecting = code(bench.system.expect(bench.node(name(0)), giveUp.signal))
      const reason = new Error('no longer wanted')
      giveUp.abort(reason)
      expect(await expecting).toBe(reason)
      // A record that was made all the same is ours to take away again.
      await bench.system.remove(name(0), bench.node(name(0)).mark, { lost: false }, inTime)
      await until(
        'no record is left',
        bench.patienceMs,
        () => node(name(0)),
        (seen) => seen === undefined,
      )
    })

    test('a node with another mark is not ours to expect, drain, resume or remove', async () => {
      const expected = await letIn(name(0))
      expect(await code(bench.system.expect({ ...expected, mark }, inTime))).toBe('node-not-ours')
      expect(await code(bench.system.drain(name(0), mark, 'not mine', inTime))).toBe('node-not-ours')
      expect(await code(bench.system.resume(name(0), mark, inTime))).toBe('node-not-ours')
      expect(await code(bench.system.remove(name(0), mark, { lost: false }, inTime))).toBe('node-not-ours')
      expect(await code(bench.system.remove(name(0), mark, { lost: true }, inTime))).toBe('node-not-ours')
      expect(await node(name(0))).toMatchObject({ mark: expected.mark, accepting: true, drained: 'no' })
    })

    test('a node of the admin’s own is only observed', async ({ skip }) => {
      const own = bench.can.staticNode
      if (own === undefined) return skip('no static node here')
      expect((await node(own))?.mark).toBeUndefined()
      expect(await code(bench.system.expect({ ...bench.node(name(0)), name: own }, inTime))).toBe(
        'node-not-ours',
      )
      expect(await code(bench.system.drain(own, mark, 'not mine', inTime))).toBe('node-not-ours')
      expect(await code(bench.system.resume(own, mark, inTime))).toBe('node-not-ours')
      expect(await code(bench.system.remove(own, mark, { lost: true }, inTime))).toBe('node-not-ours')
      expect(await node(own)).toMatchObject({ drained: 'no', responding: true })
    })

    test('a drained node keeps its job and takes no new one, until it is resumed', async () => {
      const expected = await letIn(name(0))
      const first = await bench.submit({ runsMs: 60_000 })
      await running(first)
      await bench.system.drain(name(0), expected.mark, 'lease ends', inTime)
      await bench.system.drain(name(0), expected.mark, 'lease ends', inTime)
      const seen = await nodeIs(
        name(0),
        'drained by us',
        (each) => each.drained === 'ours' && !each.accepting,
      )
      expect(seen).toMatchObject({ empty: false, jobs: [first] })
      expect(seen?.drainReason).toContain('lease ends')
      expect(await job(first)).toMatchObject({ state: 'running', nodeNames: [name(0)] })
      const second = await bench.submit({ runsMs: 60_000 })
      await bench.cancel(first)
      await nodeIs(name(0), 'empty', (each) => each.empty)
      expect(await job(first)).toMatchObject({ state: 'ended', nodeNames: [name(0)] })
      expect(await job(second)).toMatchObject({ state: 'pending' })
      await bench.system.resume(name(0), expected.mark, inTime)
      await bench.system.resume(name(0), expected.mark, inTime)
      await running(second)
      expect(await node(name(0))).toMatchObject({ drained: 'no' })
    })

    test('a node that we drained and have forgotten of is let in again when it is expected anew', async () => {
      const expected = await letIn(name(0))
      await bench.system.drain(name(0), expected.mark, 'its site doubts it', inTime)
      await nodeIs(name(0), 'drained by us', (each) => each.drained === 'ours')
      await bench.system.expect(expected, inTime)
      await running(await bench.submit({ runsMs: 60_000 }))
      expect(await node(name(0))).toMatchObject({ drained: 'no' })
    })

    test('what the admin drained stays the admin’s', async () => {
      const expected = await letIn(name(0))
      await bench.adminDrain(name(0), 'smells of smoke')
      await nodeIs(name(0), 'drained by them', (seen) => seen.drained === 'theirs')
      await bench.system.drain(name(0), expected.mark, 'lease ends', inTime)
      await bench.system.resume(name(0), expected.mark, inTime)
      const seen = await node(name(0))
      expect(seen).toMatchObject({ drained: 'theirs', accepting: false })
      if (bench.can.drainReasons !== false) expect(seen?.drainReason).toContain('smells of smoke')
      await bench.adminResume(name(0))
      await nodeIs(name(0), 'accepting', (each) => each.accepting && each.drained === 'no')
    })

    test('a node with a job on it is not removed; without one it is, twice over', async () => {
      const expected = await letIn(name(0))
      const id = await bench.submit({ runsMs: 60_000 })
      await running(id)
      expect(await code(bench.system.remove(name(0), expected.mark, { lost: false }, inTime))).toBe(
        'node-busy',
      )
      expect(await job(id)).toMatchObject({ state: 'running' })
      await bench.system.drain(name(0), expected.mark, 'lease ends', inTime)
      await bench.cancel(id)
      await nodeIs(name(0), 'empty', (each) => each.empty)
      await bench.system.remove(name(0), expected.mark, { lost: false }, inTime)
      await until(
        'the node is gone',
        bench.patienceMs,
        () => node(name(0)),
        (seen) => seen === undefined,
      )
      await bench.system.remove(name(0), expected.mark, { lost: false }, inTime)
      await bench.system.remove(name(0), expected.mark, { lost: true }, inTime)
    })

    test('an empty look after a full one is still trusted only if it is confirmed', async () => {
      const id = await bench.submit({ runsMs: 100 })
      await jobIs(id, 'waiting', (each) => each.state === 'pending')
      await bench.cancel(id)
      await over(id)
      expect((await picture()).trust).toBe('confirmed')
    })

    test('a node is not empty while an epilog runs', async ({ skip }) => {
      if (bench.can.epilogMs === undefined) return skip('no epilog here')
      await letIn(name(0))
      const id = await bench.submit({ runsMs: 60_000 })
      await running(id)
      await bench.cancel(id)
      const seen = await until('the job completes', bench.patienceMs, picture, ({ jobs }) =>
        jobs.some((each) => each.id === id && each.state === 'completing'),
      )
      expect(seen.nodes.find((each) => each.name === name(0))).toMatchObject({ empty: false })
      await nodeIs(name(0), 'empty', (each) => each.empty)
      await over(id)
    })

    if (!untold.includes('collecting'))
      test('a node that a wide job collects says so', async ({ skip }) => {
        if (!bench.can.collecting) return skip('collecting is not told here')
        await letIn(name(0))
        await letIn(name(1))
        const { cpus } = bench.node(name(0))
        const long = await bench.submit({ runsMs: 60_000, cpusPerNode: cpus })
        const [busy] = (await running(long))?.nodeNames ?? []
        const idle = busy === name(0) ? name(1) : name(0)
        const wide = await bench.submit({ runsMs: 100, nodes: 2, cpusPerNode: cpus })
        await nodeIs(idle, 'being collected', (seen) => seen.empty && seen.collectingFor === wide)
        await bench.cancel(long)
        await until(
          `job ${wide} starts`,
          bench.patienceMs,
          () => job(wide),
          (seen) => seen === undefined || seen.state !== 'pending',
        )
        await over(wide)
        await nodeIs(idle, 'collected no more', (seen) => seen.empty && seen.collectingFor === undefined)
      })

    test('when a machine is lost, its jobs are requeued where they may be and failed where not', async () => {
      const expected = await letIn(name(0))
      const { cpus } = expected
      const may = await bench.submit({ runsMs: 60_000 })
      await running(may)
      const mayNot =
        bench.can.notRequeueable && cpus > 1
          ? await bench.submit({ runsMs: 60_000, requeueable: false })
          : undefined
      if (mayNot !== undefined) await running(mayNot)
      await bench.killMachine(name(0))
      await bench.system.remove(name(0), expected.mark, { lost: true }, inTime)
      await jobIs(may, 'waiting again', (seen) => seen.state === 'pending' || seen.state === 'held')
      if (mayNot !== undefined) await over(mayNot)
      await until(
        'the node is gone',
        bench.patienceMs,
        () => node(name(0)),
        (seen) => seen === undefined,
      )
      await bench.system.remove(name(0), expected.mark, { lost: true }, inTime)
    })

    test('a requeued job waits or runs again; one that may not be requeued is named', async ({ skip }) => {
      if (!bench.system.capabilities.requeue) return skip('jobs are not requeued here')
      await letIn(name(0))
      const may = await bench.submit({ runsMs: 60_000, requeueable: true })
      await running(may)
      expect(await bench.system.requeue([may], 'the machine is wanted back', inTime)).toEqual([])
      await jobIs(
        may,
        'restarted or waiting',
        (seen) => seen.restarts === 1 || seen.state === 'pending' || seen.state === 'held',
      )
      if (bench.can.notRequeueable) {
        await bench.cancel(may)
        await over(may)
        const mayNot = await bench.submit({ runsMs: 60_000, requeueable: false })
        await running(mayNot)
        const refused = await bench.system.requeue([mayNot], 'the machine is wanted back', inTime)
        expect(refused.map(({ id }) => id)).toEqual([mayNot])
        expect(refused[0]?.reason).not.toBe('')
        expect(await job(mayNot)).toMatchObject({ state: 'running' })
      }
      expect(await bench.system.requeue([], 'nothing to do', inTime)).toEqual([])
    })

    if (!untold.includes('events'))
      test('a watcher hears of a change soon', async ({ skip }) => {
        if (!bench.system.capabilities.events) return skip('changes are not told here')
        const watching = new AbortController()
        let calls = 0
        bench.system.watch?.(() => {
          calls += 1
        }, watching.signal)
        await bench.submit({ runsMs: 100, held: true })
        await until(
          'the watcher is called',
          bench.patienceMs,
          async () => calls,
          (seen) => seen > 0,
        )
        watching.abort()
      })

    test('the pool has one seat, which close gives back', async () => {
      await bench.system.claim('one', inTime)
      await bench.system.claim('one', inTime)
      const second = await bench.another()
      const third = await bench.another()
      try {
        expect(await code(second.claim('two', inTime))).toBe('already-running')
        await bench.system.close()
        await second.claim('two', inTime)
        expect(await code(third.claim('three', inTime))).toBe('already-running')
        // A closed adapter may be used again, but the seat is taken.
        expect(await code(bench.system.claim('one', inTime))).toBe('already-running')
      } finally {
        await second.close()
        await third.close()
      }
    })

    test('a look that fails rejects, and never shows an empty picture', async () => {
      const deaf = await bench.unreachable()
      expect(await code(deaf.observe(inTime))).toBe('middleware-unreachable')
      expect(await code(deaf.check(inTime))).toBe('middleware-unreachable')
      await deaf.close()
    })

    test('an aborted look rejects with the reason given', async () => {
      const reason = new Error('shutting down')
      expect(await code(bench.system.observe(AbortSignal.abort(reason)))).toBe(reason)
    })
  })
}
