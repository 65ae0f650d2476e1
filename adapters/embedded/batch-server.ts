import { spawn } from 'node:child_process'
import { openSync, readFileSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { type Clock, type Millis, sleep, systemClock } from '../../actors/runtime/clock.ts'
import { inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import { writeDurably } from '../durable-file.ts'
import { makeFolder } from '../make-folder.ts'
import { batchAsks } from './batch-asks.ts'
import { type BatchSettings, batchCore } from './batch-core.ts'
import { batchStore } from './batch-store.ts'
import { asFields, count, optional, text } from './fields.ts'
import {
  type Caller,
  type Channel,
  checkSocketPath,
  dial,
  isNobodyThere,
  type Listener,
  listen,
} from './wire.ts'

/**
 * The embedded batch system's server, a process of its own: `node adapters/embedded/batch-server.ts --dir D`.
 * It outlives whoever started it, ends by SIGTERM, and ends by itself when its folder is taken away.
 *
 *   D/settings.json   epilog and its time limit      D/batch.db    jobs and nodes
 *   D/sock            the socket, mode 0600          D/server.log  what it had to complain about
 */

const CALLERS_MAX = 1_000
const FOLDER_CHECK_MS = 1_000
const LOG_BYTES_MAX = 1024 * 1024
const STARTING_MS_MAX = 15_000
/** If ours ended, somebody else's server of the same folder gets so long to answer. */
const ANOTHER_STARTING_MS_MAX = 2_000
const ENDING_MS_MAX = 15_000
const POLL_MS = 10

export const batchSocketIn = (dir: string): string => join(dir, 'sock')

export interface RunningBatchServer {
  readonly pid: number
  readonly socket: string
}

export interface BatchServerOptions {
  /** A shell command that runs on each node of a job after it. */
  readonly epilog?: string
  /** Default five minutes. */
  readonly epilogMsMax?: Millis
}

/** Starts the server of this folder in the background, or finds the one that runs. */
export async function spawnBatchServer(
  dir: string,
  options: BatchServerOptions,
  clock: Clock,
): Promise<RunningBatchServer> {
  const found = await runningBatchServer(dir, clock)
  if (found !== undefined) return found
  checkSocketPath(batchSocketIn(dir))
  makeFolder(dir, 0o700)
  writeDurably(join(dir, 'settings.json'), {
    epilog: options.epilog ?? null,
    epilogMsMax: options.epilogMsMax ?? 300_000,
  } satisfies BatchSettings)
  const log = join(dir, 'server.log')
  const tooLong = (statSync(log, { throwIfNoEntry: false })?.size ?? 0) > LOG_BYTES_MAX
  const output = openSync(log, tooLong ? 'w' : 'a', 0o600)
  const child = spawn(process.execPath, [import.meta.filename, '--dir', resolve(dir)], {
    detached: true,
    stdio: ['ignore', output, output],
    cwd: dir,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      NODE_COMPILE_CACHE: join(resolve(dir), '.compiled'),
    },
  })
  child.unref()
  let giveUpAt = clock.monotonic() + STARTING_MS_MAX
  // Another may have won the race for the folder, so an end alone proves nothing.
  child.once('exit', () => {
    giveUpAt = Math.min(giveUpAt, clock.monotonic() + ANOTHER_STARTING_MS_MAX)
  })
  while (clock.monotonic() < giveUpAt) {
    const running = await runningBatchServer(dir, clock)
    if (running !== undefined) return running
    await sleep(clock, POLL_MS)
  }
  const why = readFileSync(log, 'utf8').trimEnd().split('\n').at(-1)
  throw new SubletError('middleware-unreachable', `The batch server of ${dir} did not start: ${why}`)
}

/** Ends the server in good order; its jobs go on. Resolves when the process is gone; absence is success. */
export async function endBatchServer(dir: string, clock: Clock): Promise<void> {
  const running = await runningBatchServer(dir, clock)
  if (running === undefined) return
  process.kill(running.pid, 'SIGTERM')
  const end = clock.monotonic() + ENDING_MS_MAX
  while (isThere(running.pid)) {
    if (clock.monotonic() > end)
      throw new SubletError('middleware-refused', `The batch server ${running.pid} of ${dir} does not end.`)
    await sleep(clock, POLL_MS)
  }
}

/** Undefined if no server is there; a server that is there and does not answer is an error. */
async function runningBatchServer(dir: string, clock: Clock): Promise<RunningBatchServer | undefined> {
  const socket = batchSocketIn(dir)
  const who = 'The batch server'
  let channel: Channel | undefined
  try {
    channel = await dial(socket, { clock, who, code: 'middleware-unreachable', timeoutMs: 2_000 })
    const hello = asFields('hello', await channel.ask('hello', {}, { timeoutMs: 5_000 }))
    return { pid: count(hello, 'pid'), socket }
  } catch (error) {
    // A socket whose server was killed refuses, and whoever starts next replaces it; one may also end just now.
    if (isNobodyThere(error) || channel?.gone.aborted) return undefined
    throw error
  } finally {
    channel?.hangUp()
  }
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '')[0] !== 'Z'
  } catch {
    // ESRCH, or it ended between the two questions: both mean that it is gone.
    return false
  }
}

// ── the daemon ──────────────────────────────────────────────────────────────────────────────────────

/** Opens the folder and answers until `stop` is called. */
async function serve(
  dir: string,
  clock: Clock,
  complain: (fault: unknown) => void,
  fatal: (error: unknown) => void,
): Promise<{ stop(): Promise<void> }> {
  const settings = asFields('settings', JSON.parse(readFileSync(join(dir, 'settings.json'), 'utf8')))
  const store = batchStore(join(dir, 'batch.db'))
  const watchers = new Set<Caller>()
  const core = batchCore({
    store,
    clock,
    settings: {
      epilog: optional(settings, 'epilog', text) ?? null,
      epilogMsMax: count(settings, 'epilogMsMax'),
    },
    onChange: () => {
      for (const watcher of watchers) watcher.tell('changed', {})
    },
    onFatal: fatal,
  })
  const known = batchAsks(core, clock, watchers)
  const listener: Listener = await listen({
    path: batchSocketIn(dir),
    callersMax: CALLERS_MAX,
    onFault: complain,
    async answer(what, body, caller, signal) {
      const ask = known[what]
      if (ask === undefined)
        throw new SubletError('message-malformed', `The batch system does not know “${what}”.`)
      const answer = await ask(body, caller, signal)
      await core.settled()
      return answer
    },
  })
  return {
    async stop() {
      core.stop()
      await listener.close()
      await core.settled()
      store.close()
    },
  }
}

async function main(): Promise<void> {
  const clock = systemClock
  const { values } = parseArgs({ options: { dir: { type: 'string' } } })
  if (values.dir === undefined) throw new SubletError('usage', 'The batch server needs --dir FOLDER.')
  const dir = values.dir
  process.umask(0o077)
  const complain = (fault: unknown): void => {
    process.stderr.write(`${new Date(clock.now()).toISOString()} ${inOneLine(fault)}\n`)
  }
  const die = (error: unknown): void => {
    complain(error)
    process.exit(1)
  }
  const serving = await serve(dir, clock, complain, die)
  const stop = (): void => {
    serving.stop().then(() => process.exit(0), die)
  }
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  const { ino } = statSync(dir)
  const lookForFolder = (): void => {
    if (statSync(dir, { throwIfNoEntry: false })?.ino === ino) clock.after(FOLDER_CHECK_MS, lookForFolder)
    else stop()
  }
  lookForFolder()
}

if (import.meta.main)
  main().catch((error: unknown) => {
    process.stderr.write(`${inOneLine(error)}\n`)
    process.exitCode = 1
  })
