import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../actors/runtime/clock.ts'
import type { ExpectedNode } from '../../adapters/batch-system.ts'
import { type BatchUser, batchUser } from '../../adapters/embedded/batch-client.ts'
import {
  type BatchServerOptions,
  endBatchServer,
  type RunningBatchServer,
  spawnBatchServer,
} from '../../adapters/embedded/batch-server.ts'
import { embeddedBatch } from '../../adapters/embedded/batch-system.ts'
import { embeddedJoin } from '../../adapters/embedded/join.ts'
import { processMachines } from '../../adapters/embedded/process-machines.ts'
import { dial } from '../../adapters/embedded/wire.ts'
import type { Handler, UnitFacts, UnitSpec } from '../../adapters/handler.ts'
import type { JoinHandler, JoinUnit } from '../../adapters/join.ts'
import type { BatchBench } from './batch-system.ts'

const clock = systemClock
const never = new AbortController().signal
const CPUS = 4
const MEMORY_MIB = 1024

/** A batch server and machines of kind `process`, in a folder of their own. */
export interface EmbeddedBench extends BatchBench {
  readonly dir: string
  readonly user: BatchUser
  readonly machines: Handler
  readonly join: JoinHandler
  server(): RunningBatchServer
  unit(name: string): UnitSpec
  joinUnit(name: string, facts: UnitFacts): JoinUnit
  /** The pid of the supervisor. */
  pidOf(name: string): number
  /** Nothing is told to anybody. */
  killServer(): void
  startServer(): Promise<void>
}

export const newNonce = (): string => randomBytes(8).toString('hex')

export const shortFolder = (): string => mkdtempSync(join(tmpdir(), 'sublet-'))

/** Ids of this run, so that two test files never meet. */
export function unitSpec(name: string, changes: Partial<UnitSpec> = {}): UnitSpec {
  return {
    unitId: `unit-${name}`,
    leaseId: `lease-${name}`,
    name,
    slot: 1,
    host: 'here',
    vector: { cpu: CPUS, memoryMiB: MEMORY_MIB },
    image: 'plain',
    endsAt: clock.now() + 3_600_000,
    graceMs: 3_600_000,
    probe: [],
    properties: {},
    ...changes,
  }
}

export async function openEmbeddedBench(
  options: BatchServerOptions & { readonly epilogMs?: number } = {},
): Promise<EmbeddedBench> {
  const dir = shortFolder()
  const serverDir = join(dir, 'b')
  const { epilogMs, ...others } = options
  const serverOptions: BatchServerOptions =
    epilogMs === undefined ? others : { epilog: `sleep ${epilogMs / 1000}` }
  let server = await spawnBatchServer(serverDir, serverOptions, clock)
  const { socket } = server
  const machines = processMachines(
    { dir: join(dir, 'm'), bootMs: [0, 0], images: {} },
    { clock, random: () => 0.5, nonce: newNonce },
  )
  const joiner = embeddedJoin({ socket }, { clock })
  const user = batchUser(socket, clock)
  const system = embeddedBatch({ socket }, { clock })
  const names = ['n1', 'n2', 'n3']
  const staticName = 'static'
  const unitOf = (name: string): UnitSpec => unitSpec(name)

  const node = (name: string): ExpectedNode => {
    const { unitId, leaseId } = unitOf(name)
    return { name, address: '127.0.0.1', mark: { unitId, leaseId }, cpus: CPUS, memoryMiB: MEMORY_MIB }
  }
  const joinUnit = (name: string, facts: UnitFacts): JoinUnit => ({ ...unitOf(name), facts })
  const pidOf = (name: string): number =>
    Number(JSON.parse(readFileSync(join(dir, 'm', unitOf(name).unitId, 'identity.json'), 'utf8')).pid)

  /** A node of the admin's own, with no cpu to spare, so that no job of the law lands there. */
  const startStatic = async (): Promise<void> => {
    const { socket: machine = '' } = await machines.setup(unitOf(staticName), never)
    const channel = await dial(machine, {
      clock,
      who: 'The static node',
      code: 'machine-unreachable',
      timeoutMs: 2_000,
    })
    await channel.ask(
      'attach',
      { socket, name: staticName, mark: null, cpus: 0, memoryMiB: 0 },
      { timeoutMs: 2_000 },
    )
    channel.hangUp()
  }
  await startStatic()

  return {
    dir,
    user,
    machines,
    join: joiner,
    system,
    names,
    can: {
      epilogMs: options.epilogMs,
      collecting: true,
      notRequeueable: true,
      arrays: true,
      dependencies: true,
      staticNode: staticName,
    },
    patienceMs: 8_000,
    node,
    unit: unitOf,
    joinUnit,
    pidOf,
    server: () => server,
    killServer() {
      process.kill(server.pid, 'SIGKILL')
    },
    async startServer() {
      server = await spawnBatchServer(serverDir, serverOptions, clock)
    },
    async startMachine(name) {
      await joiner.join(joinUnit(name, await machines.setup(unitOf(name), never)), never)
    },
    async killMachine(name) {
      process.kill(pidOf(name), 'SIGKILL')
    },
    submit: ({ runsMs, ...job }) => user.submit({ ...job, command: `sleep ${runsMs / 1000}` }),
    cancel: (id) => user.cancel(id),
    adminDrain: (name, reason) => user.adminDrain(name, reason),
    adminResume: (name) => user.adminResume(name),
    another: async () => embeddedBatch({ socket }, { clock }),
    unreachable: async () => embeddedBatch({ socket: join(dir, 'nobody') }, { clock }),
    async clear() {
      for (const { id, state } of await user.jobRecords()) if (state !== 'ended') await user.cancel(id)
      for (const each of (await system.observe(never)).nodes)
        if (each.name !== staticName) await user.adminDelete(each.name, { lost: true })
      for (const { name, unitId } of await machines.list(never))
        if (name !== staticName) await machines.teardown({ ...unitOf(name), unitId }, { force: true }, never)
    },
    async close() {
      await system.close()
      await user.close()
      for (const { name, unitId } of await machines.list(never))
        await machines.teardown({ ...unitOf(name), unitId }, { force: true }, never)
      await endBatchServer(serverDir, clock)
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
