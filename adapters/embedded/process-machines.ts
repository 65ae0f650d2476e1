import { spawn } from 'node:child_process'
import { accessSync, appendFileSync, closeSync, constants, openSync } from 'node:fs'
import { extname, join } from 'node:path'
import { z } from 'zod'
import { type Clock, type Millis, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { FoundMachine, Handler, ProbeOutcome, TeardownOutcome, UnitFacts, UnitSpec } from '../handler.ts'
import { asFields, type Fields, text, texts } from './fields.ts'
import { type Boot, machineFolders } from './machine-folder.ts'
import { machineLines, type Watcher } from './machine-lines.ts'
import {
  isAlive,
  killProcess,
  type MachineMark,
  type MarkedProcess,
  markEnvironment,
  markedProcesses,
  readStat,
  sweep,
} from './machine-marks.ts'
import { checkSocketPath } from './wire.ts'

const image = z.strictObject({
  /** The share of starts that end in a panic after their boot time. */
  bootFails: z.number().min(0).max(1).default(0),
  /** The share of starts that never answer. */
  bootHangs: z.number().min(0).max(1).default(0),
})

export const processMachinesConfig = z.strictObject({
  /** Each machine has a folder in this one. Keep it short: sockets are in there. */
  dir: z.string().min(1),
  /** The least and the longest time a start pretends to take. */
  bootMs: z.tuple([z.int().min(0), z.int().min(0)]).default([0, 0]),
  /** Bad luck by image, to practise with; an image that is not named here has none. */
  images: z.record(z.string(), image).default({}),
})
export type ProcessMachinesConfig = z.infer<typeof processMachinesConfig>

const ASK_MS = 5_000
/** From the start of the supervisor until it answers; a boot comes on top. */
const ANSWERING_MS_MAX = 15_000
/** A machine that was told to end gets so long to tell the batch system. */
const HALT_MS_MAX = 4_000
const SWEEP_MS_MAX = 5_000
const POLL_MS = 10
/** `.ts` where this runs as it was written, `.js` where it was built. */
const SUPERVISOR = join(import.meta.dirname, `supervisor${extname(import.meta.filename)}`)
/** `/`, a unit id, `/s`. */
const SOCKET_TAIL_BYTES = 32

interface Process {
  readonly pid: number
  readonly startTicks: number
}

/**
 * Machines that are processes: each unit is a supervisor (supervisor.ts) with a folder of its own. They
 * need no rights and no installed program, and keep every promise of the contract.
 */
export function processMachines(
  config: ProcessMachinesConfig,
  deps: {
    readonly clock: Clock
    /** In [0, 1). */
    readonly random: () => number
    /** A text that never comes twice, of letters and digits. */
    readonly nonce: () => string
  },
): Handler {
  const { clock } = deps
  const folders = machineFolders(config.dir)
  const { site } = folders
  const watchers = new Set<Watcher>()

  const processesOf = (unitId: string): MarkedProcess[] =>
    markedProcesses(site).filter((each) => each.unitId === unitId)

  const supervisorOf = (unitId: string): MarkedProcess | undefined =>
    processesOf(unitId).find(({ isSupervisor }) => isSupervisor)

  const { withCall, follow } = machineLines({ clock, folders, supervisorOf })

  // ── setup ─────────────────────────────────────────────────────────────────────────────────────────

  function chance(imageName: string): Boot {
    const { bootFails = 0, bootHangs = 0 } = config.images[imageName] ?? {}
    const [bootMsMin, bootMsMax] = config.bootMs
    const drawn = deps.random()
    return {
      bootMs: Math.round(bootMsMin + deps.random() * (bootMsMax - bootMsMin)),
      luck: drawn < bootFails ? 'fails' : drawn < bootFails + bootHangs ? 'hangs' : 'boots',
    }
  }

  function startSupervisor(mark: MachineMark): Process {
    const { path, work, console: log } = folders.of(mark.unitId)
    const console = openSync(log, 'a', 0o600)
    try {
      const child = spawn(process.execPath, [SUPERVISOR, '--dir', path], {
        detached: true,
        cwd: work,
        stdio: ['ignore', console, console],
        env: {
          PATH: process.env.PATH,
          HOME: process.env.HOME,
          ...markEnvironment(mark),
          SUBLET_ROLE: 'supervisor',
          NODE_COMPILE_CACHE: folders.compiled,
        },
      })
      child.once('error', (error) => appendFileSync(log, `${error.message}\n`))
      child.unref()
      const { pid = 0 } = child
      return { pid, startTicks: readStat(pid)?.startTicks ?? 0 }
    } finally {
      closeSync(console)
    }
  }

  /** Resolves when the machine answers and has its end. Its death is told from a machine that is only slow. */
  async function becomeReady(unit: UnitSpec, supervisor: Process, signal: AbortSignal): Promise<void> {
    const { unitId, endsAt, graceMs, properties } = unit
    const lives = (): boolean => isAlive(supervisor.pid, supervisor.startTicks)
    const giveUpAt = clock.monotonic() + ANSWERING_MS_MAX
    for (;;) {
      try {
        await withCall(unitId, signal, async (channel) => {
          await channel.ask('modify', { endsAt, graceMs, properties }, { timeoutMs: ASK_MS, signal })
          await channel.ask('ready', {}, { timeoutMs: config.bootMs[1] + ANSWERING_MS_MAX, signal })
        })
        return
      } catch (error) {
        if (signal.aborted) throw signal.reason
        if (!lives()) throw setupFailed(unitId)
        if (!(error instanceof SubletError) || clock.monotonic() > giveUpAt) throw error
        await sleep(clock, POLL_MS, signal)
      }
    }
  }

  const setupFailed = (unitId: string): SubletError =>
    new SubletError(
      'machine-setup',
      `The machine of unit ${unitId} ended while it started; its console says: ${folders.of(unitId).lastWords()}`,
    )

  /** The machine that runs already, if one does and goes on running. */
  async function adopt(unit: UnitSpec, signal: AbortSignal): Promise<boolean> {
    const folder = folders.of(unit.unitId)
    const running = supervisorOf(unit.unitId)
    if (running === undefined || !folder.speaksOf(running)) return false
    if (folder.unit() === undefined) folder.remember({ site, ...running })
    try {
      await becomeReady(unit, running, signal)
      return true
    } catch (error) {
      // It was ending when we found it.
      if (!signal.aborted && error instanceof SubletError && error.code === 'machine-setup') return false
      throw error
    }
  }

  async function make(unit: UnitSpec, signal: AbortSignal): Promise<void> {
    await endAll(unit.unitId, signal)
    const { unitId, leaseId, name, endsAt, graceMs, slot, host, vector } = unit
    const mark: MachineMark = { site, unitId, leaseId, name, nonce: deps.nonce() }
    folders.of(unitId).prepare(mark, chance(unit.image), { endsAt, graceMs }, { slot, host, vector })
    const supervisor = startSupervisor(mark)
    try {
      await becomeReady(unit, supervisor, signal)
    } catch (error) {
      // What this call began, it ends, and it is over when the call is; a machine that was found it leaves alone.
      killProcess(supervisor.pid, supervisor.startTicks)
      await endAll(unit.unitId)
      throw error
    }
  }

  async function setup(unit: UnitSpec, signal: AbortSignal): Promise<UnitFacts> {
    if (signal.aborted) throw signal.reason
    const folder = folders.of(unit.unitId)
    checkSocketPath(folder.socket)
    const kept = folder.unit()
    if (kept !== undefined && kept.leaseId !== unit.leaseId)
      throw new SubletError(
        'machine-setup',
        `The folder of unit ${unit.unitId} belongs to lease ${kept.leaseId}.`,
      )
    if (!(await adopt(unit, signal))) await make(unit, signal)
    for (const watcher of watchers) void follow(unit.unitId, watcher)
    return { kind: 'process', address: '127.0.0.1', socket: folder.socket, name: unit.name }
  }

  // ── teardown ──────────────────────────────────────────────────────────────────────────────────────

  async function endAll(unitId: string, signal?: AbortSignal): Promise<void> {
    const left = await sweep(() => (signal?.aborted ? [] : processesOf(unitId)), clock, SWEEP_MS_MAX)
    if (signal?.aborted) throw signal.reason
    if (left.length > 0)
      throw new SubletError(
        'machine-teardown',
        `Of the machine of unit ${unitId}, process ${left.map(({ pid }) => pid).join(', ')} does not end.`,
      )
  }

  /** What runs there; if nothing does, or by force, the machine begins to end. Undefined: it does not answer. */
  async function halt(
    unitId: string,
    force: boolean,
    signal: AbortSignal,
  ): Promise<readonly string[] | undefined> {
    try {
      const answer = await withCall(unitId, signal, (channel) =>
        channel.ask('halt', { force }, { timeoutMs: ASK_MS, signal }),
      )
      return texts(asFields('halt', answer), 'busyWith')
    } catch (error) {
      if (signal.aborted) throw signal.reason
      if (!(error instanceof SubletError && error.code === 'machine-unreachable')) throw error
      return undefined
    }
  }

  /** Jobs that began and have no result, by the markers and by the processes themselves. */
  function unfinished(unitId: string): readonly string[] {
    const seen = processesOf(unitId).flatMap(({ part }) => (part === '' ? [] : [part]))
    return [...new Set([...folders.of(unitId).openParts(), ...seen])].map((part) =>
      part.replace(/\.\d+$/, ''),
    )
  }

  async function teardown(
    unit: UnitSpec,
    { force }: { readonly force: boolean },
    signal: AbortSignal,
  ): Promise<TeardownOutcome> {
    if (signal.aborted) throw signal.reason
    const { unitId } = unit
    const running = supervisorOf(unitId)
    if (running !== undefined) {
      const answered = await halt(unitId, force, signal)
      // A live supervisor that does not answer may well have work; a dead one has none that counts.
      const busyWith = answered ?? (force || supervisorOf(unitId) === undefined ? [] : unfinished(unitId))
      if (busyWith.length > 0) return { kind: 'busy', what: `job ${busyWith.join(', ')}` }
      const end = clock.monotonic() + HALT_MS_MAX
      while (answered !== undefined && isAlive(running.pid, running.startTicks) && clock.monotonic() < end)
        await sleep(clock, POLL_MS, signal)
    }
    await endAll(unitId, signal)
    folders.of(unitId).remove()
    return { kind: 'gone' }
  }

  // ── the rest ──────────────────────────────────────────────────────────────────────────────────────

  function list(): FoundMachine[] {
    const processes = markedProcesses(site)
    return [...new Set([...folders.unitIds(), ...processes.map(({ unitId }) => unitId)])].map((unitId) => {
      const unit = folders.of(unitId).unit()
      const [marked] = processes.filter((each) => each.unitId === unitId && each.leaseId !== '')
      return {
        unitId,
        leaseId: unit?.leaseId ?? marked?.leaseId ?? '',
        name: unit?.name ?? marked?.name ?? '',
        running: processes.some((each) => each.unitId === unitId && each.isSupervisor),
        ...folders.of(unitId).place(),
        ...folders.of(unitId).end(),
      }
    })
  }

  return {
    kind: 'process',
    async check() {
      const sentences: string[] = []
      if (process.platform !== 'linux')
        sentences.push('Machines of kind “process” need Linux, for they are found through /proc.')
      for (const program of ['/bin/sh', ...(isInPath('grep') ? [] : ['grep'])])
        if (!isExecutable(program)) sentences.push(`The program ${program} is missing.`)
      if (!isWritable(site)) sentences.push(`The folder ${site} cannot be written to.`)
      const bytes = Buffer.byteLength(site) + SOCKET_TAIL_BYTES
      if (bytes > SOCKET_PATH_BYTES)
        sentences.push(`The folder ${site} has a path too long for sockets in it; choose a shorter one.`)
      return sentences
    },
    setup,
    async probe(unit, { onlyIdle }, signal) {
      if (signal.aborted) throw signal.reason
      const timeoutMs: Millis = unit.probe.reduce((sum, each) => sum + each.timeoutMs, ASK_MS)
      const body = { onlyIdle, commands: unit.probe }
      try {
        const answer = await withCall(unit.unitId, signal, (channel) =>
          channel.ask('probe', body, { timeoutMs, signal }),
        )
        return readProbe(asFields('probe', answer))
      } catch (error) {
        // A machine that has ended does not pass.
        if (!signal.aborted && error instanceof SubletError && error.code === 'machine-unreachable')
          return { kind: 'failed', command: unit.probe[0]?.argv.join(' ') ?? 'hello', reason: error.message }
        throw error
      }
    },
    async modify(unit, signal) {
      if (signal.aborted) throw signal.reason
      const { endsAt, graceMs, properties } = unit
      await withCall(unit.unitId, signal, (channel) =>
        channel.ask('modify', { endsAt, graceMs, properties }, { timeoutMs: ASK_MS, signal }),
      )
    },
    teardown,
    async list(signal) {
      if (signal.aborted) throw signal.reason
      return list()
    },
    watch(onEnded, signal) {
      const watcher: Watcher = { onEnded, signal, following: new Set() }
      watchers.add(watcher)
      signal.addEventListener('abort', () => watchers.delete(watcher), { once: true })
      for (const { unitId, running } of list()) if (running) void follow(unitId, watcher)
    },
  }
}

const SOCKET_PATH_BYTES = 107

function readProbe(from: Fields): ProbeOutcome {
  if (from.kind === 'passed') return { kind: 'passed' }
  if (from.kind === 'busy') return { kind: 'busy' }
  return { kind: 'failed', command: text(from, 'command'), reason: text(from, 'reason') }
}

const isInPath = (program: string): boolean =>
  (process.env.PATH ?? '').split(':').some((folder) => isExecutable(join(folder, program)))

function isExecutable(path: string): boolean {
  return isAllowed(path, constants.X_OK)
}

function isWritable(path: string): boolean {
  return isAllowed(path, constants.W_OK)
}

function isAllowed(path: string, mode: number): boolean {
  try {
    accessSync(path, mode)
    return true
  } catch {
    // `accessSync` answers no by throwing.
    return false
  }
}
