import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Cancel, Clock } from '../../actors/runtime/clock.ts'
import { inOneLine } from '../../actors/runtime/errors.ts'
import { writeDurably } from '../durable-file.ts'
import type { PartOrder, PartReport } from './batch-records.ts'
import { asFields, count, optional, text } from './fields.ts'
import { type Guarded, guard } from './machine-guard.ts'
import { type MachineMark, markEnvironment, markedProcesses, readStat, sweep } from './machine-marks.ts'

/**
 * What runs on one machine for the batch system.
 *
 *   start ──▶ marker on disk ──▶ running ──▶ result on disk ──▶ ended ──▶ epilog ──▶ done ──▶ forgotten
 *
 *   jobs/17.1.start   synced before the command begins: without it, the job never ran here
 *   jobs/17.1.end     synced before anybody is told: with `start` alone, the outcome is unknown
 */

/** Between the polite and the final signal. */
const TERM_MS = 1_000
const SWEEP_MS_MAX = 5_000

export interface MachineParts {
  start(order: PartOrder): void
  /** Kills the command, or releases the node if the command runs elsewhere. */
  end(jobId: string, attempt: number, reason: string): void
  /** The batch system has written it down, or wants nothing of it: kills what runs, removes the files. */
  forget(jobId: string, attempt: number): void
  reports(): readonly PartReport[]
  /** Jobs whose command or epilog runs, or for which this node is kept. */
  busyWith(): readonly string[]
  /** Ends everything at once; what had no result yet is reported as killed. */
  killAll(): Promise<void>
}

interface Part {
  readonly order: PartOrder
  state: PartReport['state']
  exitCode: number | null
  reason: string
  nodeFault: string
  running: Guarded | undefined
  /** Resolves the wait of a node that is kept for a command elsewhere. */
  release: (() => void) | undefined
  /** Why we end it; empty if it ends by itself. */
  endReason: string
  forgotten: boolean
  cancels: Cancel[]
}

export function machineParts(deps: {
  readonly dir: string
  readonly mark: MachineMark
  readonly env: Readonly<Record<string, string>>
  readonly clock: Clock
  readonly onReport: (report: PartReport) => void
  readonly log: (sentence: string) => void
}): MachineParts {
  const { clock, mark, log } = deps
  const jobsDir = join(deps.dir, 'jobs')
  const workDir = join(deps.dir, 'work')
  mkdirSync(jobsDir, { recursive: true })
  mkdirSync(workDir, { recursive: true })
  const parts = new Map<string, Part>(recall(jobsDir).map((part) => [keyOf(part.order), part]))
  let ending = false
  /** Whatever we started is not older than we are. */
  const startedAt = readStat(process.pid)?.startTicks ?? 0

  const file = (part: Part, what: 'start' | 'end'): string => join(jobsDir, `${keyOf(part.order)}.${what}`)

  const report = (part: Part): void => {
    // After the machine has begun to end, only the farewell speaks.
    if (!ending && !part.forgotten) deps.onReport(asReport(part))
  }

  function begin(part: Part, command: string, what: string): Guarded {
    return guard({
      command,
      cwd: workDir,
      output: part.order.output,
      env: {
        ...deps.env,
        ...part.order.environment,
        ...markEnvironment(mark),
        SUBLET_PART: keyOf(part.order),
        SUBLET_JOB_ID: part.order.jobId,
        SUBLET_JOB_ATTEMPT: String(part.order.attempt),
        SUBLET_NODES: part.order.nodes.join(','),
        SUBLET_STAGE: what,
      },
    })
  }

  async function run(part: Part): Promise<void> {
    const { order } = part
    if (order.first) {
      const running = begin(part, order.command, 'job')
      part.running = running
      writeDurably(file(part, 'start'), {
        jobId: order.jobId,
        attempt: order.attempt,
        pid: running.pid,
        startTicks: readStat(running.pid)?.startTicks ?? null,
      })
      running.go()
      report(part)
      if (order.walltimeMs !== null)
        part.cancels.push(clock.after(order.walltimeMs, () => stop(part, 'walltime')))
      const { exitCode, stderr } = await running.ended
      running.signal('SIGKILL')
      part.exitCode = exitCode
      part.reason =
        part.endReason !== '' ? part.endReason : exitCode === 0 ? '' : `exit ${exitCode}: ${lastLine(stderr)}`
    } else {
      writeDurably(file(part, 'start'), {
        jobId: order.jobId,
        attempt: order.attempt,
        pid: null,
        startTicks: null,
      })
      report(part)
      await new Promise<void>((resolve) => {
        part.release = resolve
        if (part.endReason !== '') resolve()
      })
    }
    for (const cancel of part.cancels.splice(0)) cancel()
    part.running = undefined
    if (ending) return
    await clean(part)
    writeDurably(file(part, 'end'), { exitCode: part.exitCode, reason: part.reason })
    part.state = 'ended'
    report(part)
    await epilog(part)
    part.state = 'done'
    report(part)
    if (part.forgotten) drop(part)
  }

  /** What the job left running goes with it. */
  async function clean(part: Part): Promise<void> {
    const key = keyOf(part.order)
    const left = await sweep(
      () =>
        markedProcesses(mark.site, startedAt).filter(
          (each) => each.unitId === mark.unitId && each.part === key,
        ),
      clock,
      SWEEP_MS_MAX,
    )
    if (left.length > 0) part.nodeFault = `process ${left.map(({ pid }) => pid).join(', ')} does not end`
  }

  async function epilog(part: Part): Promise<void> {
    const { epilog: command, epilogMsMax } = part.order
    if (command === null || ending) return
    const running = begin(part, command, 'epilog')
    part.running = running
    const cancel = clock.after(epilogMsMax, () => running.signal('SIGKILL'))
    running.go()
    const { exitCode, stderr } = await running.ended
    cancel()
    part.running = undefined
    if (exitCode !== 0) part.nodeFault = `epilog exit ${exitCode}: ${lastLine(stderr)}`
    await clean(part)
  }

  function stop(part: Part, reason: string): void {
    if (part.state !== 'running' || part.endReason !== '') return
    part.endReason = reason
    part.release?.()
    const { running } = part
    if (running === undefined) return
    running.signal('SIGTERM')
    part.cancels.push(clock.after(TERM_MS, () => running.signal('SIGKILL')))
  }

  function drop(part: Part): void {
    parts.delete(keyOf(part.order))
    rmSync(file(part, 'start'), { force: true })
    rmSync(file(part, 'end'), { force: true })
  }

  return {
    start(order) {
      const known = parts.get(keyOf(order))
      if (known !== undefined) return report(known)
      if (ending) return
      const part: Part = {
        order,
        state: 'running',
        exitCode: null,
        reason: '',
        nodeFault: '',
        running: undefined,
        release: undefined,
        endReason: '',
        forgotten: false,
        cancels: [],
      }
      parts.set(keyOf(order), part)
      run(part).catch((error: unknown) => {
        log(`job ${keyOf(order)}: ${inOneLine(error)}`)
        part.running?.signal('SIGKILL')
        part.state = 'killed'
        // A full disk would kill the next one too, and the next.
        part.nodeFault = inOneLine(error)
        report(part)
      })
    },
    end(jobId, attempt, reason) {
      const part = parts.get(`${jobId}.${attempt}`)
      if (part !== undefined) stop(part, reason === '' ? 'ended by the batch system' : reason)
    },
    forget(jobId, attempt) {
      const part = parts.get(`${jobId}.${attempt}`)
      if (part === undefined) return
      part.forgotten = true
      if (part.state === 'done' || part.state === 'killed') drop(part)
      else stop(part, 'forgotten by the batch system')
    },
    reports: () => [...parts.values()].map(asReport),
    busyWith: () =>
      [...parts.values()]
        .filter(({ state }) => state === 'running' || state === 'ended')
        .map(({ order }) => order.jobId),
    async killAll() {
      ending = true
      const open = [...parts.values()].filter(({ state }) => state === 'running' || state === 'ended')
      for (const part of open) {
        for (const cancel of part.cancels.splice(0)) cancel()
        part.running?.signal('SIGKILL')
        part.release?.()
        part.state = part.state === 'running' ? 'killed' : 'done'
      }
      const left = await sweep(
        () =>
          markedProcesses(mark.site, startedAt).filter(
            (each) => each.unitId === mark.unitId && !each.isSupervisor,
          ),
        clock,
        SWEEP_MS_MAX,
      )
      if (left.length > 0) log(`process ${left.map(({ pid }) => pid).join(', ')} does not end`)
    },
  }
}

const keyOf = (order: { readonly jobId: string; readonly attempt: number }): string =>
  `${order.jobId}.${order.attempt}`

const asReport = ({ order, state, exitCode, reason, nodeFault }: Part): PartReport => ({
  jobId: order.jobId,
  attempt: order.attempt,
  state,
  exitCode,
  reason,
  nodeFault,
})

const lastLine = (said: string): string => said.split('\n').at(-1)?.slice(0, 200) ?? ''

/** What an earlier life of the machine left: a result, or a beginning without one. Nothing of it runs any more. */
function recall(jobsDir: string): Part[] {
  return readdirSync(jobsDir)
    .filter((name) => name.endsWith('.start'))
    .map((name) => {
      const started = asFields(name, JSON.parse(readFileSync(join(jobsDir, name), 'utf8')))
      const endFile = join(jobsDir, name.replace(/start$/, 'end'))
      const ended = existsSync(endFile)
        ? asFields(endFile, JSON.parse(readFileSync(endFile, 'utf8')))
        : undefined
      const order: PartOrder = {
        jobId: text(started, 'jobId'),
        attempt: count(started, 'attempt'),
        first: true,
        command: '',
        environment: {},
        output: null,
        nodes: [],
        walltimeMs: null,
        epilog: null,
        epilogMsMax: 0,
      }
      return {
        order,
        state: ended === undefined ? 'killed' : 'done',
        exitCode: ended === undefined ? null : (optional(ended, 'exitCode', count) ?? null),
        reason: ended === undefined ? '' : text(ended, 'reason'),
        nodeFault: '',
        running: undefined,
        release: undefined,
        endReason: '',
        forgotten: false,
        cancels: [],
      }
    })
}
