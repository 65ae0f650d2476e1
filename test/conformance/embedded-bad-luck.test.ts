import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import type { BatchNode, Job } from '../../adapters/batch-system.ts'
import type { JobRecord } from '../../adapters/embedded/batch-records.ts'
import { endBatchServer, spawnBatchServer } from '../../adapters/embedded/batch-server.ts'
import {
  type ProcessMachinesConfig,
  processMachines,
  processMachinesConfig,
} from '../../adapters/embedded/process-machines.ts'
import { dial } from '../../adapters/embedded/wire.ts'
import type { Handler } from '../../adapters/handler.ts'
import { until } from './batch-system.ts'
import { type EmbeddedBench, newNonce, openEmbeddedBench, shortFolder, unitSpec } from './embedded-bench.ts'

const never = new AbortController().signal

/** Whether a process lives; a zombie does not. */
function lives(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

describe('bad luck with the embedded batch system and process machines', { timeout: 30_000 }, () => {
  let bench: EmbeddedBench
  beforeAll(async () => {
    bench = await openEmbeddedBench()
  })
  afterEach(() => bench.clear(), 30_000)
  afterAll(() => bench?.close(), 30_000)

  const letIn = async (...names: string[]): Promise<void> => {
    for (const name of names) {
      await bench.startMachine(name)
      await bench.system.expect(bench.node(name), never)
    }
  }
  const record = async (id: string): Promise<JobRecord | undefined> =>
    (await bench.user.jobRecords()).find((job) => job.id === id)
  const recordIs = (
    id: string,
    what: string,
    wanted: (job: JobRecord) => boolean,
  ): Promise<JobRecord | undefined> =>
    until(
      `job ${id} is ${what}`,
      8_000,
      () => record(id),
      (job) => job !== undefined && wanted(job),
    )
  const job = async (id: string): Promise<Job | undefined> =>
    (await bench.system.observe(never)).jobs.find((each) => each.id === id)
  const node = async (name: string): Promise<BatchNode | undefined> =>
    (await bench.system.observe(never)).nodes.find((each) => each.name === name)
  /** A job that writes the pids of its processes into a file and then goes on for a minute. */
  const talkative = async (
    commands: string,
    order: Parameters<EmbeddedBench['user']['submit']>[0] = { command: '' },
  ) => {
    const file = join(bench.dir, `pids-${systemClock.monotonic()}`)
    const id = await bench.user.submit({
      ...order,
      command: `P=${file}; ${commands} echo $$ >>$P; exec sleep 60`,
    })
    const count = commands.split('&').length
    const pids = await until(
      'the job has told its pids',
      8_000,
      async () =>
        existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean).map(Number) : [],
      (seen) => seen.length === count,
    )
    return { id, pids }
  }
  const allEnd = (pids: readonly number[], withinMs = 2_000): Promise<unknown> =>
    until(
      `processes ${pids} have ended`,
      withinMs,
      async () => pids.filter(lives),
      (left) => left.length === 0,
    )

  test('a job outlives the batch server, and its end is not lost', async () => {
    await letIn('n1')
    const long = await talkative('')
    const short = await bench.user.submit({ command: 'sleep 0.3; exit 3' })
    await recordIs(short, 'running', ({ state }) => state === 'running')
    bench.killServer()
    await until(
      'the server is dead',
      5_000,
      async () => lives(bench.server().pid),
      (alive) => !alive,
    )
    expect(await bench.system.observe(never).catch((error: unknown) => error)).toMatchObject({
      code: 'middleware-unreachable',
    })
    await bench.startServer()
    expect(await recordIs(short, 'ended', ({ state }) => state === 'ended')).toMatchObject({
      attempt: 1,
      restarts: 0,
      verdict: { outcome: 'failed', exitCode: 3 },
    })
    expect(long.pids.every(lives)).toBe(true)
    expect(await recordIs(long.id, 'still running', ({ state }) => state === 'running')).toMatchObject({
      attempt: 1,
    })
    await until(
      'the node is back',
      5_000,
      () => node('n1'),
      (seen) => seen?.accepting === true && !seen.empty,
    )
    await bench.cancel(long.id)
    await allEnd(long.pids)
  })

  test('a power cut takes every process of the job with it, also those that left its group', async () => {
    await letIn('n1')
    const { pids } = await talkative(
      '(echo $(exec sh -c "echo \\$PPID") >>$P; exec sleep 61) & setsid sh -c "echo \\$\\$ >>$P; exec sleep 62" & ',
    )
    expect(pids.every(lives)).toBe(true)
    await bench.killMachine('n1')
    await allEnd(pids)
  })

  test('nothing is started elsewhere while a lost machine may still run its jobs; remove says that it does not', async () => {
    await letIn('n1')
    const may = await talkative('')
    const mayNot = await talkative('', { command: '', requeueable: false })
    await letIn('n2')
    await bench.killMachine('n1')
    await until(
      'the node is lost',
      5_000,
      () => node('n1'),
      (seen) => seen?.vendorState === 'lost' && !seen.accepting,
    )
    expect(await node('n1')).toMatchObject({ empty: false, jobs: [may.id, mayNot.id] })
    expect(await job(may.id)).toMatchObject({ state: 'running', nodeNames: ['n1'] })
    await bench.system.remove('n1', bench.node('n1').mark, { lost: true }, never)
    expect(await recordIs(may.id, 'running elsewhere', ({ state }) => state === 'running')).toMatchObject({
      attempt: 2,
      restarts: 1,
      attempts: [{ attempt: 1, nodes: ['n1'], outcome: 'requeued', reason: 'machine n1 died' }],
    })
    expect(await record(mayNot.id)).toMatchObject({
      state: 'ended',
      verdict: { outcome: 'failed', reason: 'outcome unknown: machine n1 died' },
    })
  })

  test('a machine that starts again after a power cut says itself which outcomes are unknown', async () => {
    await letIn('n1')
    const { id } = await talkative('')
    await bench.killMachine('n1')
    await until(
      'the node is lost',
      5_000,
      () => node('n1'),
      (seen) => seen?.vendorState === 'lost',
    )
    await bench.startMachine('n1')
    expect(
      await recordIs(id, 'running again', ({ attempt, state }) => attempt === 2 && state === 'running'),
    ).toMatchObject({ restarts: 1 })
  })

  test('a torn down machine hands its jobs back at once', async () => {
    await letIn('n1')
    const { id, pids } = await talkative('')
    expect(await bench.machines.teardown(bench.unit('n1'), { force: false }, never)).toMatchObject({
      kind: 'busy',
      what: `job ${id}`,
    })
    expect(await bench.machines.teardown(bench.unit('n1'), { force: true }, never)).toEqual({ kind: 'gone' })
    expect(pids.filter(lives)).toEqual([])
    expect(await recordIs(id, 'waiting', ({ state }) => state === 'pending')).toMatchObject({ restarts: 1 })
  })

  test('teardown finds a process that threw its marks away', async () => {
    await letIn('n1')
    const { id, pids } = await talkative(
      'env -i /usr/bin/setsid /bin/sh -c "echo \\$\\$ >>$P; exec /bin/sleep 63" & ',
    )
    await bench.cancel(id)
    await recordIs(id, 'ended', ({ state }) => state === 'ended')
    expect(await bench.machines.teardown(bench.unit('n1'), { force: false }, never)).toEqual({ kind: 'gone' })
    expect(pids.filter(lives)).toEqual([])
  })

  test('so does a teardown of a machine that hangs, for one that stays in the session', async () => {
    await letIn('n1')
    const { pids } = await talkative(
      '(cd /; exec env -i /bin/sh -c "echo \\$\\$ >>$P; exec /bin/sleep 65") & ',
    )
    process.kill(bench.pidOf('n1'), 'SIGSTOP')
    expect(await bench.machines.teardown(bench.unit('n1'), { force: true }, never)).toEqual({ kind: 'gone' })
    expect(pids.filter(lives)).toEqual([])
  })

  test('a machine that hangs is busy as long as its job runs, and is torn down by force', async () => {
    await letIn('n1')
    const { id, pids } = await talkative('')
    const supervisor = bench.pidOf('n1')
    process.kill(supervisor, 'SIGSTOP')
    expect(await bench.machines.teardown(bench.unit('n1'), { force: false }, never)).toMatchObject({
      kind: 'busy',
      what: expect.stringContaining(`job ${id}`),
    })
    expect(await bench.machines.teardown(bench.unit('n1'), { force: true }, never)).toEqual({ kind: 'gone' })
    expect([supervisor, ...pids].filter(lives)).toEqual([])
  })

  test('what a job leaves behind is ended with it, and only then is the node empty', async () => {
    await letIn('n1')
    const file = join(bench.dir, 'left-behind')
    const id = await bench.user.submit({
      command: `setsid sh -c 'echo $$ >${file}; exec sleep 64' & until [ -s ${file} ]; do :; done`,
    })
    await recordIs(id, 'ended', ({ state, verdict }) => state === 'ended' && verdict?.outcome === 'finished')
    expect(lives(Number(readFileSync(file, 'utf8')))).toBe(false)
    expect(await node('n1')).toMatchObject({ empty: true })
  })

  test('a job past its walltime is ended', async () => {
    await letIn('n1')
    const id = await bench.user.submit({ command: 'sleep 60', walltimeMs: 150 })
    await recordIs(id, 'ended', ({ state, verdict }) => state === 'ended' && verdict?.outcome === 'timeout')
  })

  test('a command that no shell can be handed fails once, and is not tried for ever', async () => {
    await letIn('n1')
    const id = await bench.user.submit({ command: `: ${'x'.repeat(200_000)}` })
    const ended = await recordIs(id, 'ended', ({ state }) => state === 'ended')
    expect(ended).toMatchObject({ attempt: 1, verdict: { outcome: 'failed', exitCode: 126 } })
    expect(await node('n1')).toMatchObject({ accepting: true, empty: true })
  })

  test('a wide job has all its nodes to itself, and small jobs behind it do not starve it', async () => {
    await letIn('n1', 'n2')
    const first = await bench.user.submit({ command: 'sleep 0.4', cpusPerNode: 4 })
    const file = join(bench.dir, 'wide')
    const wide = await bench.user.submit({
      command: `echo $SUBLET_JOB_ID $SUBLET_JOB_ATTEMPT $SUBLET_NODE $SUBLET_NODES >${file}`,
      nodes: 2,
      cpusPerNode: 4,
    })
    const small = await bench.user.submit({ command: 'true' })
    await recordIs(small, 'ended', ({ state }) => state === 'ended')
    const [a, b, c] = await Promise.all([record(first), record(wide), record(small)])
    expect(b?.startedAt).toBeGreaterThanOrEqual(a?.endedAt ?? 0)
    expect(c?.startedAt).toBeGreaterThanOrEqual(b?.startedAt ?? 0)
    expect(readFileSync(file, 'utf8')).toMatch(new RegExp(`^${wide} 1 (n1|n2) n[12],n[12]\n$`))
  })

  test('the seat of a Sublet that died is free', async () => {
    const clock = systemClock
    const line = await dial(bench.server().socket, {
      clock,
      who: 'The server',
      code: 'middleware-unreachable',
      timeoutMs: 2_000,
    })
    await line.ask('claim', { owner: 'the one that dies' }, { timeoutMs: 2_000 })
    const next = await bench.another()
    await expect(next.claim('next', never)).rejects.toThrow('driven by “the one that dies” already')
    line.hangUp()
    const claim = (): Promise<string> =>
      next.claim('next', never).then(
        () => 'taken',
        () => 'refused',
      )
    await until('the seat is free', 5_000, claim, (seen) => seen === 'taken')
    await next.close()
  })

  test('two servers never share a folder: the second start finds the first', async () => {
    const { pid, socket } = bench.server()
    expect(await spawnBatchServer(join(bench.dir, 'b'), {}, systemClock)).toEqual({ pid, socket })
  })

  test('the queue survives an orderly end of the server', async () => {
    const dir = join(bench.dir, 'b')
    const id = await bench.user.submit({ command: 'true', held: true })
    await endBatchServer(dir, systemClock)
    await endBatchServer(dir, systemClock)
    await bench.startServer()
    expect(await record(id)).toMatchObject({ state: 'pending', held: true })
    await until(
      'the static node is back',
      5_000,
      () => node('static'),
      (seen) => seen?.responding === true,
    )
  })

  test('a server whose folder is gone ends by itself', async () => {
    const dir = shortFolder()
    const { pid } = await spawnBatchServer(dir, {}, systemClock)
    rmSync(dir, { recursive: true })
    await until(
      'the server has ended',
      5_000,
      async () => lives(pid),
      (alive) => !alive,
    )
  })

  test('a machine whose folder is gone ends by itself, with its jobs', async () => {
    await letIn('n1')
    const { pids } = await talkative('')
    const supervisor = bench.pidOf('n1')
    const aside = join(bench.dir, 'aside')
    renameSync(join(bench.dir, 'm', 'unit-n1'), aside)
    await until(
      'the machine has ended',
      5_000,
      async () => [supervisor, ...pids].filter(lives),
      (left) => left.length === 0,
    )
  })
})

describe('epilogs of the embedded batch system', { timeout: 30_000 }, () => {
  test('an epilog that fails drains the node, and that drain is not ours', async () => {
    const bench = await openEmbeddedBench({ epilog: 'echo no scratch disk >&2; exit 4' })
    try {
      await bench.startMachine('n1')
      await bench.system.expect(bench.node('n1'), never)
      const id = await bench.user.submit({ command: 'true' })
      const seen = await until(
        'the node is drained',
        8_000,
        async () => (await bench.system.observe(never)).nodes.find(({ name }) => name === 'n1'),
        (each) => each?.drained === 'theirs' && each.empty,
      )
      expect(seen?.drainReason).toBe(`job ${id}: epilog exit 4: no scratch disk`)
    } finally {
      await bench.clear()
      await bench.close()
    }
  })
})

describe('the dead-man and epilogs', { timeout: 30_000 }, () => {
  test('a machine does not end under an epilog', async () => {
    const bench = await openEmbeddedBench({ epilogMs: 700 })
    try {
      await bench.startMachine('n1')
      await bench.system.expect(bench.node('n1'), never)
      const id = await bench.user.submit({ command: 'true' })
      const state = async (): Promise<string | undefined> =>
        (await bench.user.jobRecords()).find((job) => job.id === id)?.state
      await until('the epilog runs', 5_000, state, (seen) => seen === 'completing')
      await bench.machines.modify({ ...bench.unit('n1'), endsAt: systemClock.now() }, never)
      const supervisor = bench.pidOf('n1')
      await until('the epilog has ended', 5_000, state, (seen) => seen === 'ended')
      await until(
        'the machine has ended',
        5_000,
        async () => lives(supervisor),
        (alive) => !alive,
      )
      expect((await bench.user.jobRecords()).find((job) => job.id === id)).toMatchObject({
        verdict: { outcome: 'finished', exitCode: 0 },
      })
      const seen = (await bench.system.observe(never)).nodes.find(({ name }) => name === 'n1')
      expect(seen).toMatchObject({ vendorState: 'lost', drained: 'no' })
    } finally {
      await bench.clear()
      await bench.close()
    }
  })
})

describe('bad luck by image', { timeout: 30_000 }, () => {
  const withLuck = async (
    images: ProcessMachinesConfig['images'],
    use: (machines: Handler, dir: string) => Promise<void>,
  ): Promise<void> => {
    const dir = shortFolder()
    const config = processMachinesConfig.parse({ dir, bootMs: [30, 60], images })
    try {
      await use(processMachines(config, { clock: systemClock, random: () => 0.5, nonce: newNonce }), dir)
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  }
  const unit = unitSpec('luckless')

  test('a start that fails says why, and leaves what teardown takes away', async () => {
    await withLuck({ plain: { bootFails: 1, bootHangs: 0 } }, async (machines) => {
      await expect(machines.setup(unit, never)).rejects.toMatchObject({
        code: 'machine-setup',
        message: expect.stringContaining('kernel panic'),
      })
      expect(await machines.list(never)).toMatchObject([{ unitId: unit.unitId, running: false }])
      expect(await machines.teardown(unit, { force: false }, never)).toEqual({ kind: 'gone' })
      expect(await machines.list(never)).toEqual([])
    })
  })

  test('a start that hangs ends with the patience of whoever waits for it', async () => {
    await withLuck({ plain: { bootFails: 0, bootHangs: 1 } }, async (machines, dir) => {
      const reason = new Error('waited long enough')
      const patience = new AbortController()
      const begun = machines.setup(unit, patience.signal).catch((error: unknown) => error)
      const identity = join(dir, unit.unitId, 'identity.json')
      await until(
        'the machine starts',
        5_000,
        async () => existsSync(identity),
        (seen) => seen,
      )
      patience.abort(reason)
      expect(await begun).toBe(reason)
      await until(
        'it has ended',
        5_000,
        () => machines.list(never),
        ([found]) => found?.running === false,
      )
    })
  })

  test('the start pretends to take its time', async () => {
    await withLuck({}, async (machines) => {
      const begunAt = systemClock.monotonic()
      await machines.setup(unit, never)
      expect(systemClock.monotonic() - begunAt).toBeGreaterThanOrEqual(45)
      await machines.teardown(unit, { force: true }, never)
    })
  })
})
