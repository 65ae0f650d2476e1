import { spawn } from 'node:child_process'
import { readFileSync, statSync, truncateSync } from 'node:fs'
import { flushCompileCache } from 'node:module'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type Cancel, type Clock, type Millis, systemClock } from '../../actors/runtime/clock.ts'
import { inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import { period } from '../../actors/runtime/sentence.ts'
import { writeDurably } from '../durable-file.ts'
import { asFields, count, type Fields, list, optional, text, textRecord, texts } from './fields.ts'
import { type Attachment, type MachineAgent, machineAgent } from './machine-agent.ts'
import { deadman } from './machine-deadman.ts'
import { signalGroup } from './machine-guard.ts'
import { bootId, type MachineMark, markEnvironment, readStat } from './machine-marks.ts'
import { machineParts } from './machine-parts.ts'
import { listen } from './wire.ts'

/**
 * The machine itself: `node adapters/embedded/supervisor.ts --dir UNIT-FOLDER`. One process that stays
 * when Sublet goes, runs the batch system's jobs, and ends when the lease has ended and no work runs.
 *
 *   unit.json      who it is, written by whoever sets it up      end.json    what the dead-man holds
 *   identity.json  this process, written by itself               s           its socket, mode 0600
 *   properties.json   of the lease, for programs on the machine  place.json  slot, host and size that the site gave it
 *   jobs/  work/   markers of jobs; where they run               console.log
 */

const CONSOLE_BYTES_MAX = 256 * 1024
const FOLDER_CHECK_MS = 1_000
const CALLERS_MAX = 64
const PROBE_SAID_MAX = 2_048

interface Unit extends MachineMark {
  readonly bootMs: Millis
  /** What chance had in store for this start. */
  readonly luck: 'boots' | 'fails' | 'hangs'
}

function readUnit(dir: string): Unit {
  const from = asFields('unit.json', JSON.parse(readFileSync(join(dir, 'unit.json'), 'utf8')))
  const luck = (['boots', 'fails', 'hangs'] as const).find((each) => each === from.luck)
  if (luck === undefined) throw new SubletError('machine-setup', `The machine in ${dir} has no luck.`)
  return {
    site: text(from, 'site'),
    unitId: text(from, 'unitId'),
    leaseId: text(from, 'leaseId'),
    name: text(from, 'name'),
    nonce: text(from, 'nonce'),
    bootMs: count(from, 'bootMs'),
    luck,
  }
}

async function main(clock: Clock): Promise<void> {
  const { values } = parseArgs({ options: { dir: { type: 'string' } } })
  if (values.dir === undefined) throw new SubletError('usage', 'A machine needs --dir FOLDER.')
  const dir = values.dir
  process.umask(0o077)
  const { ino } = statSync(dir)
  const unit = readUnit(dir)
  const console = join(dir, 'console.log')
  const log = (sentence: string): void => {
    if ((statSync(console, { throwIfNoEntry: false })?.size ?? 0) > CONSOLE_BYTES_MAX) truncateSync(console)
    process.stderr.write(`${new Date(clock.now()).toISOString()} ${sentence}\n`)
  }

  let agent: MachineAgent | undefined
  let ending = false
  const env = { PATH: process.env.PATH ?? '', HOME: process.env.HOME ?? '' }
  const parts = machineParts({
    dir,
    mark: unit,
    env,
    clock,
    log,
    onReport(report) {
      agent?.report(report)
      if (report.state !== 'running') guardian.look()
    },
  })
  const guardian = deadman({
    file: join(dir, 'end.json'),
    clock,
    isBusy: () => parts.busyWith().length > 0,
    onEnd: (why) => void end(why),
  })

  /** Ends all work and then this process. The folder stays; whoever set the machine up takes it away. */
  async function end(why: string): Promise<void> {
    if (ending) return
    ending = true
    log(`ends: ${why}`)
    await parts.killAll()
    await agent?.bye()
    process.exit(0)
  }

  function detach(): void {
    agent?.stop()
    agent = undefined
    for (const { jobId, attempt } of parts.reports()) parts.forget(jobId, attempt)
  }

  function attach(attachment: Attachment): void {
    if (JSON.stringify(agent?.attachment) === JSON.stringify(attachment)) return
    if (agent !== undefined) detach()
    agent = machineAgent({
      attachment,
      parts,
      clock,
      log,
      onRemoved() {
        log('the batch system removed the node')
        detach()
      },
    })
  }

  const booted = new Promise<void>((resolve) => {
    clock.after(unit.bootMs, () => {
      if (unit.luck === 'boots') resolve()
      if (unit.luck === 'fails') {
        log('kernel panic: this start was to fail')
        process.exit(1)
      }
    })
  })

  const asks: Record<string, (body: Fields, callerGone: AbortSignal) => unknown> = {
    hello: () => ({ unitId: unit.unitId, leaseId: unit.leaseId, nonce: unit.nonce, pid: process.pid }),
    ready: () => booted,
    status: () => ({ busyWith: parts.busyWith() }),
    modify: (body) => {
      // Properties first: whoever sees the new end finds them there.
      writeDurably(join(dir, 'properties.json'), textRecord(body, 'properties'))
      guardian.modify({ endsAt: count(body, 'endsAt'), graceMs: count(body, 'graceMs') })
    },
    probe: (body, callerGone) => {
      const commands = list(body, 'commands', (each) => ({
        argv: texts(each, 'argv'),
        timeoutMs: count(each, 'timeoutMs'),
      }))
      if (body.onlyIdle === true && parts.busyWith().length > 0) return { kind: 'busy' }
      return probe(commands, { dir, env: { ...env, ...markEnvironment(unit) }, clock, callerGone })
    },
    attach: (body) => {
      const mark = optional(body, 'mark', (from, field) => asFields(field, from[field]))
      attach({
        socket: text(body, 'socket'),
        name: text(body, 'name'),
        mark: mark === undefined ? null : { leaseId: text(mark, 'leaseId'), unitId: text(mark, 'unitId') },
        cpus: count(body, 'cpus'),
        memoryMiB: count(body, 'memoryMiB'),
      })
    },
    detach,
    halt: (body) => {
      const busyWith = parts.busyWith()
      if (body.force !== true && busyWith.length > 0) return { busyWith }
      void end('it is torn down')
      return { busyWith: [] }
    },
  }

  // The identity comes first: whoever can reach the socket can also find the process.
  writeDurably(join(dir, 'identity.json'), {
    unitId: unit.unitId,
    leaseId: unit.leaseId,
    nonce: unit.nonce,
    pid: process.pid,
    startTicks: readStat(process.pid)?.startTicks ?? null,
    bootId: bootId(),
  })
  await listen({
    path: join(dir, 's'),
    callersMax: CALLERS_MAX,
    onFault: (fault) => log(inOneLine(fault)),
    answer(what, body, caller, dropped) {
      const ask = asks[what]
      if (ask === undefined) throw new SubletError('message-malformed', `A machine does not know “${what}”.`)
      // Whoever found this machine is to find out that it is one no more.
      if (ending && what !== 'hello' && what !== 'halt')
        throw new SubletError('machine-unreachable', `The machine ${unit.name} is ending.`)
      return ask(body, AbortSignal.any([caller.gone, dropped]))
    },
  })
  // Machines seldom end in good order, so the next one's code is not left to the end.
  flushCompileCache()
  log(`runs as ${unit.name} (unit ${unit.unitId}, lease ${unit.leaseId})`)

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => void end(`it got ${signal}`))
  const lookForFolder = (): void => {
    if (statSync(dir, { throwIfNoEntry: false })?.ino === ino) clock.after(FOLDER_CHECK_MS, lookForFolder)
    else void end('its folder is gone')
  }
  lookForFolder()
}

/** Runs the commands in order; each ends, with all it started, when its time is over or the caller has gone. */
async function probe(
  commands: readonly { readonly argv: readonly string[]; readonly timeoutMs: Millis }[],
  where: { dir: string; env: Readonly<Record<string, string>>; clock: Clock; callerGone: AbortSignal },
): Promise<Fields> {
  for (const { argv, timeoutMs } of commands) {
    const reason = await probeOne(argv, timeoutMs, where)
    if (reason !== undefined) return { kind: 'failed', command: argv.join(' '), reason }
  }
  return { kind: 'passed' }
}

function probeOne(
  [program = '', ...args]: readonly string[],
  timeoutMs: Millis,
  {
    dir,
    env,
    clock,
    callerGone,
  }: { dir: string; env: Readonly<Record<string, string>>; clock: Clock; callerGone: AbortSignal },
): Promise<string | undefined> {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      detached: true,
      cwd: join(dir, 'work'),
      env: { ...env },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      said = (said + chunk).slice(-PROBE_SAID_MAX)
    })
    const kill = (): void => {
      if (child.pid !== undefined) signalGroup(child.pid, 'SIGKILL')
    }
    let late = false
    const cancel: Cancel = clock.after(timeoutMs, () => {
      late = true
      kill()
    })
    callerGone.addEventListener('abort', kill)
    const finish = (reason: string | undefined): void => {
      cancel()
      callerGone.removeEventListener('abort', kill)
      resolve(reason)
    }
    child.once('error', (error) => finish(error.message))
    child.once('exit', (code, signal) => {
      kill()
      if (late) finish(`it did not end within ${period(timeoutMs)}`)
      else if (code === 0) finish(undefined)
      else
        finish(`${code === null ? `ended by ${signal}` : `exit ${code}`}: ${said.trim().split('\n').at(-1)}`)
    })
  })
}

if (import.meta.main)
  main(systemClock).catch((error: unknown) => {
    process.stderr.write(`${inOneLine(error)}\n`)
    process.exit(1)
  })
