import { type ChildProcess, spawn } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect } from 'vitest'
import { systemClock as clock, type Millis, sleep } from '../../actors/runtime/clock.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import type { BatchNode, BatchPicture } from '../../adapters/batch-system.ts'
import { type BatchUser, batchUser, type Submission } from '../../adapters/embedded/batch-client.ts'
import type { JobRecord } from '../../adapters/embedded/batch-records.ts'
import { endBatchServer, spawnBatchServer } from '../../adapters/embedded/batch-server.ts'
import { embeddedBatch } from '../../adapters/embedded/batch-system.ts'
import { processMachines } from '../../adapters/embedded/process-machines.ts'
import { type ControlClient, controlClient } from '../../deploy/control/control-client.ts'
import { restAfter } from '../../deploy/labs/rest.ts'
import type { LeaseReport } from '../../deploy/reports/lease-report.ts'
import { type LedgerVerdict, openLedgers, verifyAll } from '../../deploy/reports/ledgers.ts'
import { readTrails, type Trail } from '../../deploy/reports/report.ts'
import type { NodeReport, StatusReport } from '../../deploy/reports/status.ts'

export { clock }
export const BIN = new URL('../../deploy/bin.js', import.meta.url).pathname

const never = new AbortController().signal
const POLL_MS: Millis = 250
const REST_MS_MAX: Millis = 1_500
const START_POLL_MS: Millis = 30
const START_MS_MAX: Millis = 60_000

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: string
  readonly err: string
}

export interface Machine {
  readonly unitId: string
  readonly name: string
  /** Of its supervisor. */
  readonly pid: number
}

/** A Sublet of a process of its own. */
export interface Sublet {
  readonly pid: number
  /** What it has written to standard error so far. */
  told(): string
  readonly ended: Promise<Ended>
}

/**
 * A site in a folder of its own, in which everything that takes minutes takes seconds:
 *
 *   DIR/b          the embedded batch system     DIR/site.yaml  the configuration
 *   DIR/s          Sublet's work folder          DIR/m          the machines
 *   DIR/observer   each job writes there when it begins and when it is done
 */
export interface Pool {
  readonly dir: string
  readonly work: string
  readonly config: string
  readonly socket: string
  readonly user: BatchUser
  readonly client: ControlClient
  /** The pid of the batch server. */
  batchPid(): number
  killBatch(): Promise<void>
  startBatch(): Promise<void>
  /** Resolves when it runs; rejects with what it told if it ended instead. */
  start(...more: readonly string[]): Promise<Sublet>
  /** The batch system's folder under another name, so that it can be found there, too. */
  linkBatchAs(name: string): void
  kill(sublet: Sublet): Promise<void>
  /** The one that was started last gives all leases back; resolves when it has ended. */
  release(): Promise<Ended>
  /** The ledgers, as the databases hold them. */
  verdicts(): Promise<readonly LedgerVerdict[]>
  /** A command on this pool, run to its end. */
  ask(...args: readonly string[]): Promise<Ended>
  json<T>(...args: readonly string[]): Promise<T>
  status(): Promise<StatusReport>
  nodes(): Promise<readonly NodeReport[]>
  leases(): Promise<readonly LeaseReport[]>
  ledger(subject?: string): Promise<readonly LedgerEntry[]>
  picture(): Promise<BatchPicture>
  node(name: string): Promise<BatchNode | undefined>
  /** The machines that run. */
  machines(): readonly Machine[]
  supervisorOf(name: string): number
  /** A job that tells the observer when it begins and, after so many seconds or this command, that it is done. */
  submit(work: number | string, more?: Partial<Submission>): Promise<string>
  records(): Promise<readonly JobRecord[]>
  record(id: string): Promise<JobRecord | undefined>
  trail(id: string): Trail
  /** Living processes that are in this folder, whoever started them. */
  processes(): readonly string[]
  /** Every Sublet and command that this pool started. */
  killAll(): Promise<void>
  close(): Promise<void>
}

type Changes = Record<string, unknown>

/** What Node compiled of Sublet is shared by all processes of a test file: they start in half the time. */
let compiled = ''
const environment = (): NodeJS.ProcessEnv => ({ ...process.env, NODE_COMPILE_CACHE: compiled })
const opened: Pool[] = []

beforeAll(async () => {
  compiled = mkdtempSync(join(tmpdir(), 'sublet-'))
  const modules = [
    'commands/start',
    'commands/stop',
    'commands/read-ledger',
    'control/control-client',
    'reports/show',
  ].map((name) => new URL(`../../deploy/${name}.ts`, import.meta.url).href)
  const compiling = await run(process.execPath, [
    '--input-type=module',
    '-e',
    modules.map((url) => `import '${url}'`).join(';'),
  ])
  expect(compiling).toMatchObject({ code: 0, err: '' })
})

afterAll(async () => {
  await Promise.all(opened.map((pool) => pool.close()))
  rmSync(compiled, { recursive: true, force: true })
}, 180_000)

/** Closed after the last test of the file. */
export async function openPool(changes: Changes = {}): Promise<Pool> {
  const pool = await newPool(changes)
  opened.push(pool)
  return pool
}

async function newPool(changes: Changes): Promise<Pool> {
  const dir = mkdtempSync(join(tmpdir(), 'sublet-'))
  const files = { batch: join(dir, 'b'), work: join(dir, 's'), machines: join(dir, 'm') }
  const observer = join(dir, 'observer')
  const config = join(dir, 'site.yaml')
  mkdirSync(observer)
  for (const folder of [files.batch, files.machines]) {
    mkdirSync(folder)
    // Where its processes look for what Node compiled of them.
    symlinkSync(compiled, join(folder, '.compiled'))
  }
  // JSON is YAML.
  writeFileSync(config, JSON.stringify(merged(siteOf(), changes), null, 1))
  let server = await spawnBatchServer(files.batch, {}, clock)
  const { socket } = server
  const user = batchUser(socket, clock)
  const system = embeddedBatch({ socket }, { clock })
  const client = controlClient(join(files.work, 'control.sock'))
  const started: ChildProcess[] = []
  let latest: Sublet | undefined
  const handler = processMachines(
    { dir: files.machines, bootMs: [0, 0], images: {} },
    { clock, random: () => 0.5, nonce: () => 'none' },
  )
  const all = async (path: string): Promise<unknown> => client.get(path)
  const picture = (): Promise<BatchPicture> => system.observe(never)

  async function start(...more: readonly string[]): Promise<Sublet> {
    const child = spawn(process.execPath, [BIN, 'start', '--config', config, '--json', ...more], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment(),
    })
    started.push(child)
    const said = hear(child)
    const until = clock.monotonic() + START_MS_MAX
    for (;;) {
      const { pid } = JSON.parse(said.out.includes('\n') ? said.out : '{}') as { pid?: number }
      if (pid !== undefined) {
        latest = { pid, told: () => said.err, ended: said.ended }
        return latest
      }
      if (child.exitCode !== null || clock.monotonic() > until)
        throw new Error(`Sublet did not start: ${(await said.ended).err}`)
      await sleep(clock, START_POLL_MS)
    }
  }

  const ask = (...args: readonly string[]): Promise<Ended> => {
    const child = spawn(process.execPath, [BIN, ...args, '--dir', files.work], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment(),
    })
    started.push(child)
    return hear(child).ended
  }

  async function killAll(): Promise<void> {
    const alive = started.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)
    for (const child of alive) child.kill('SIGKILL')
    await Promise.all(alive.map(({ pid = 0 }) => gone(pid)))
  }

  const file = (unitId: string, name: string): Record<string, unknown> => {
    const path = join(files.machines, unitId, name)
    return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>) : {}
  }
  /** As its folders tell; what is in none of them is looked for by `processes`. */
  const machines = (): readonly Machine[] =>
    unitFolders(files.machines)
      .map((unitId) => ({
        unitId,
        name: String(file(unitId, 'unit.json').name),
        pid: Number(file(unitId, 'identity.json').pid ?? 0),
      }))
      .filter(({ pid }) => lives(pid))

  return {
    dir,
    work: files.work,
    config,
    socket,
    user,
    client,
    batchPid: () => server.pid,
    async killBatch() {
      process.kill(server.pid, 'SIGKILL')
      await gone(server.pid)
    },
    async startBatch() {
      server = await spawnBatchServer(files.batch, {}, clock)
    },
    start,
    linkBatchAs: (name) => symlinkSync(files.batch, join(dir, name)),
    async release() {
      await client.post('/stop', { release: true })
      const ended = await latest?.ended
      if (ended === undefined) throw new Error('no Sublet was started')
      return ended
    },
    async verdicts() {
      const { ledgers, close } = await openLedgers(files.work)
      try {
        return await verifyAll(ledgers)
      } finally {
        await close()
      }
    },
    async kill({ pid, ended }) {
      process.kill(pid, 'SIGKILL')
      await ended
    },
    ask,
    async json<T>(...args: readonly string[]) {
      const { out, err } = await ask(...args, '--json')
      if (out === '') throw new Error(`${args.join(' ')} printed nothing; it told: ${err}`)
      return JSON.parse(out) as T
    },
    status: async () => (await all('/status')) as StatusReport,
    nodes: async () => (await all('/nodes')) as NodeReport[],
    leases: async () => (await all('/leases')) as LeaseReport[],
    ledger: async (subject) =>
      (await all(
        `/ledger?limit=10000${subject === undefined ? '' : `&subject=${subject}`}`,
      )) as LedgerEntry[],
    picture,
    node: async (name) => (await picture()).nodes.find((node) => node.name === name),
    machines,
    supervisorOf(name) {
      const found = machines().find((machine) => machine.name === name)
      if (found === undefined) throw new Error(`no machine ${name} runs`)
      return found.pid
    },
    submit: (work, more = {}) =>
      user.submit({
        command: `f='${observer}'/$SUBLET_JOB_ID; echo "$SUBLET_JOB_ID $SUBLET_JOB_ATTEMPT" >>"$f"; ${typeof work === 'number' ? `sleep ${work}` : work}; echo "$SUBLET_JOB_ID $SUBLET_JOB_ATTEMPT done" >>"$f"`,
        cpusPerNode: 2,
        memoryMiBPerNode: 256,
        walltimeMs: 60_000,
        ...more,
      }),
    records: () => user.jobRecords(),
    record: async (id) => (await user.jobRecords()).find((job) => job.id === id),
    trail: (id) => readTrails(observer).get(id) ?? [],
    processes: () => processesIn(dir),
    killAll,
    async close() {
      await killAll()
      await system.close()
      await user.close()
      for (const { unitId, leaseId, name } of await handler.list(never))
        await handler.teardown(
          { ...NO_UNIT, unitId, leaseId, name, endsAt: clock.now() },
          { force: true },
          never,
        )
      await endBatchServer(files.batch, clock)
      rmSync(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 })
    },
  }
}

const unitFolders = (dir: string): readonly string[] =>
  existsSync(dir) ? readdirSync(dir).filter((name) => name.startsWith('unit-')) : []

const NO_UNIT = { slot: 0, host: '', vector: {}, image: '', graceMs: 0, probe: [], properties: {} }

/** Runs a command to its end. */
export function run(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Ended> {
  return hear(spawn(program, args, { env: environment(), ...options, stdio: ['ignore', 'pipe', 'pipe'] }))
    .ended
}

function hear(child: ChildProcess): { out: string; err: string; readonly ended: Promise<Ended> } {
  const ended = new Promise<Ended>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, out: said.out, err: said.err }))
  })
  const said = { out: '', err: '', ended }
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    said.out += text
  })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said.err += text
  })
  return said
}

/** Whoever tests may share the machine with others. */
const PATIENCE = 3

/** Looks again and again until what is seen is what is wanted; says what was seen last if it never is. */
export async function until<T>(
  what: string,
  withinMs: Millis,
  look: () => T | Promise<T>,
  wanted: (seen: T) => boolean,
): Promise<T> {
  const end = clock.monotonic() + withinMs * PATIENCE
  for (;;) {
    const began = clock.monotonic()
    const seen = await look()
    if (wanted(seen)) return seen
    if (clock.monotonic() > end)
      throw new Error(
        `waited ${withinMs * PATIENCE} ms in vain until ${what}; last seen: ${JSON.stringify(seen, null, 1)}`,
      )
    // A look may be a command, of a process of its own.
    await sleep(clock, restAfter(clock.monotonic() - began, POLL_MS, REST_MS_MAX))
  }
}

/** Something holds at every look for so long. */
export async function always<T>(
  what: string,
  forMs: Millis,
  look: () => T | Promise<T>,
  wanted: (seen: T) => boolean,
): Promise<void> {
  const end = clock.monotonic() + forMs
  while (clock.monotonic() < end) {
    const seen = await look()
    if (!wanted(seen)) throw new Error(`it is not so that ${what}: ${JSON.stringify(seen, null, 1)}`)
    await sleep(clock, POLL_MS)
  }
}

/** A process that is no more; a zombie counts as none. */
export function lives(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) [ZX]/s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    // No such process.
    return false
  }
}

export const gone = (pid: number): Promise<boolean> =>
  until(
    `process ${pid} has ended`,
    10_000,
    () => lives(pid),
    (alive) => !alive,
  )

/** `PID COMMAND` of living processes whose command line, environment or folder names this one. */
export const processesIn = (folder: string): readonly string[] =>
  readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid || !lives(Number(entry))) return []
    try {
      const [line, environment] = ['cmdline', 'environ'].map((file) =>
        readFileSync(`/proc/${entry}/${file}`, 'latin1').replaceAll('\0', ' '),
      )
      return line?.includes(folder) || environment?.includes(folder) ? [`${entry} ${line}`] : []
    } catch {
      // It ended meanwhile, or is another user's.
      return []
    }
  })

// ── what has to be true ────────────────────────────────────────────────────────────────────────────

/** The three views of the pool: what the site holds, which machines run, which nodes the batch system has. */
export interface Views {
  readonly held: readonly string[]
  readonly running: readonly string[]
  readonly joined: readonly string[]
  readonly nodes: readonly string[]
}

export async function views(pool: Pool): Promise<Views> {
  const nodes = await pool.nodes()
  const held = nodes.filter(({ machine }) => machine !== null && machine !== 'ended')
  const joined = nodes.filter(({ membership }) => membership === 'joined')
  return {
    held: held.map(({ unitId }) => unitId).sort(),
    running: pool
      .machines()
      .map(({ unitId }) => unitId)
      .sort(),
    joined: joined.map(({ unitId }) => unitId).sort(),
    nodes: (await pool.picture()).nodes.flatMap(({ mark }) => mark?.unitId ?? []).sort(),
  }
}

export const agree = ({ held, running, joined, nodes }: Views): boolean =>
  [running, joined, nodes].every((other) => JSON.stringify(other) === JSON.stringify(held))

/** Every job finished by its own word and the middleware's, and its command came to its end exactly once. */
export async function allRanOnce(pool: Pool, ids: readonly string[]): Promise<readonly string[]> {
  const records = new Map((await pool.records()).map((record) => [record.id, record]))
  return ids.flatMap((id) => {
    const record = records.get(id)
    const last = record?.attempts.at(-1)?.outcome
    const trail = pool.trail(id)
    const [done] = trail.filter(({ mark }) => mark === 'done')
    const begun = trail.filter(({ mark }) => mark === 'begun').map(({ attempt }) => attempt)
    const faults = [
      ...(record?.state === 'ended' && last === 'finished' ? [] : [`${record?.state ?? 'unknown'}, ${last}`]),
      ...(trail.filter(({ mark }) => mark === 'done').length === 1 ? [] : ['not done once']),
      ...(new Set(begun).size === begun.length ? [] : ['an attempt began twice']),
      ...(trail.at(-1) === done ? [] : ['it began again after it was done']),
    ]
    return faults.length === 0 ? [] : [`job ${id}: ${faults.join('; ')}`]
  })
}

/** What is left of a pool whose leases were all given back: nothing but its batch server. */
export async function leftovers(pool: Pool): Promise<readonly string[]> {
  const batch = String(pool.batchPid())
  return [
    ...pool.processes().filter((line) => !line.startsWith(`${batch} `)),
    ...unitFolders(join(pool.dir, 'm')),
    ...(await pool.picture()).nodes.map(({ name }) => `node ${name}`),
  ]
}

/** All leases are given back in good order, nothing is left, and the ledgers hold. */
export async function givesAllBack(pool: Pool): Promise<void> {
  expect(await pool.release()).toMatchObject({ code: 0 })
  const verdicts = await pool.verdicts()
  expect(verdicts.map(({ faults }) => faults)).toEqual([[], [], []])
  for (const { traces } of verdicts) expect(traces?.traced).toBe(traces?.accepted)
  expect(await leftovers(pool)).toEqual([])
}

export const allEnded = (records: readonly JobRecord[]): boolean =>
  records.every(({ state }) => state === 'ended')

// ── the configuration ──────────────────────────────────────────────────────────────────────────────

const siteOf = (): Changes => ({
  name: 'pool',
  dir: 's',
  skewMax: '500ms',
  site: {
    name: 'rack',
    hosts: [{ name: 'host-a', cpu: 16, memoryMiB: 16384 }],
    types: { 'vm.small': { cpu: 2, memoryMiB: 1024, image: 'plain', units: 4 } },
    machines: { kind: 'process', dir: 'm' },
    probe: [{ run: ['test', '-w', '/tmp'], timeout: '2s' }],
    terms: { max: '1h', grace: '20s', recallable: true, notice: '2s' },
    names: { prefix: 'vm', slots: 40 },
    timing: {
      setup: '20s',
      probe: '10s',
      modify: '5s',
      teardown: '15s',
      probeEvery: '3s',
      sweepEvery: '2s',
      backoff: '1s',
      retry: '500ms',
      answer: '60s',
    },
  },
  // Some of its folders are on a disk of a few MiB.
  housekeeping: { diskFreeMiBMin: 0 },
  broker: { quarantine: '5s', answer: '60s' },
  serviceManager: {
    leaveBudget: '2s',
    join: '20s',
    leave: '10s',
    ask: '10s',
    retry: '500ms',
    poll: '1s',
    lookTimeout: '3s',
    quarantine: '10s',
    answer: '60s',
  },
  guests: [
    {
      name: 'batch',
      batch: { kind: 'embedded', socket: 'b/sock' },
      join: { kind: 'embedded' },
      controller: {
        kind: 'groc',
        type: 'vm.small',
        unit: { cpus: 2, memoryMiB: 1024 },
        min: 1,
        max: 4,
        step: 4,
        grow: { wait: '0s', run: '2s' },
        shrink: { idle: '2s' },
        term: '10s',
        retry: { first: '1s', most: '4s' },
        settle: '0s',
        missing: '5s',
        every: '500ms',
      },
    },
  ],
})

const isChanges = (value: unknown): value is Changes =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** Changes by key; a list is changed entry by entry, and further ones come after. */
function merged(value: unknown, changes: unknown): unknown {
  if (Array.isArray(value) && Array.isArray(changes) && changes.every(isChanges))
    return [
      ...value.map((entry, i) => (changes[i] === undefined ? entry : merged(entry, changes[i]))),
      ...changes.slice(value.length),
    ]
  if (!isChanges(value) || !isChanges(changes)) return changes
  const keys = [...new Set([...Object.keys(value), ...Object.keys(changes)])]
  return Object.fromEntries(
    keys.map((key) => [key, key in changes ? merged(value[key], changes[key]) : value[key]]),
  )
}

/** Changes of the one guest's controller. */
export const controller = (changes: Changes): Changes => ({ guests: [{ controller: changes }] })
