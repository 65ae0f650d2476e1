import { chmodSync, statSync } from 'node:fs'
import { basename, dirname, relative } from 'node:path'
import type { StopOrder } from '../actors/leases/words.ts'
import type { Log } from '../actors/runtime/actor.ts'
import { type Clock, type Instant, inTime, type Millis } from '../actors/runtime/clock.ts'
import { inOneLine, SubletError } from '../actors/runtime/errors.ts'
import type { Random } from '../actors/runtime/random.ts'
import { makeFolder } from '../adapters/make-folder.ts'
import { ledgerArchive } from '../adapters/sqlite/archive.ts'
import { assemble, type Site } from './assemble.ts'
import { type ControlServer, controlServer, ledgersOf } from './control/control.ts'
import { controlClient } from './control/control-client.ts'
import { fileLog } from './log.ts'
import { type Metrics, metrics } from './metrics/metrics.ts'
import { actorsOf } from './reports/site-view.ts'
import type { Settings } from './settings/config.ts'
import { namesHere } from './settings/names-here.ts'
import { inDir } from './settings/work-files.ts'
import { watchDisk } from './upkeep/disk-watch.ts'
import { Hour, sinceBoot } from './upkeep/hour.ts'
import { scheduleHousekeeping } from './upkeep/housekeeping.ts'
import { refuseForeign } from './upkeep/own-folder.ts'
import { refuseHalfRestored } from './upkeep/restore.ts'

/**
 * A Sublet that runs in this process: the site, its control socket, its log and its housekeeping.
 *
 *   starting ──▶ running ──stop──▶ (releasing: all leases are given back) ──▶ stopping ──▶ ended
 *                   └──────────── an actor cannot go on ─────────────────────▶┘
 */
export interface Running {
  readonly site: Site
  readonly log: Log
  readonly startedAt: Instant
  /** Begins to stop; the first call counts. */
  stop(release: boolean, by: string, reason?: string): void
  /** To be done once leases are given back, while the actors and their ledgers are still there. */
  beforeEnd(task: () => Promise<void>): void
  /** Aborted as soon as stopping has begun. */
  readonly stopping: AbortSignal
  /** Settles when everything has ended: rejects if an actor could not go on, or leases could not be given back. */
  readonly ended: Promise<void>
}

export interface RunParts {
  readonly clock: Clock
  readonly random: Random
  /** Gets warnings and errors as lines. */
  readonly warn: ((line: string) => void) | undefined
  readonly onBoundary?: (label: string) => void
  /** The wall clock is right, whatever it was when Sublet last ran here. */
  readonly believeClock?: boolean
}

/** The line that says who ended it is waited for so long. */
const STOP_LINE_MS: Millis = 2_000

/** Whoever put them there, as `restore` of earlier programs did, others may get to the folder and are to read none. */
function closeDatabases(settings: Settings): void {
  for (const actor of namesHere(settings))
    for (const end of ['', '-wal', '-shm', '.lock']) {
      const file = `${inDir(settings.dir).database(actor)}${end}`
      if ((statSync(file, { throwIfNoEntry: false })?.mode ?? 0) & 0o077) chmodSync(file, 0o600)
    }
}

export async function run(settings: Settings, parts: RunParts): Promise<Running> {
  const { clock, random, warn } = parts
  const files = inDir(settings.dir)
  const { viewers, operators, admins } = settings.control
  // Databases, keys and logs are nobody else's business.
  process.umask(0o077)
  const isShared = viewers.length + operators.length + admins.length > 0
  usable(settings.dir, () => refuseForeign(settings.dir))
  const made = usable(settings.dir, () => makeFolder(settings.dir))
  if (isShared) openParent(settings.dir, made, warn)
  await refuseSecond(files.socket, settings.dir)
  refuseHalfRestored(settings.dir)
  const {
    log,
    reopen,
    hush,
    close: closeLog,
  } = usable(settings.dir, () => {
    chmodSync(settings.dir, isShared ? 0o711 : 0o700)
    closeDatabases(settings)
    return fileLog({ file: files.log, level: settings.log.level, clock, warn })
  })
  const hour = hourOf(settings, parts, log, (error) => {
    hush()
    log.error({ reason: inOneLine(error) }, 'not started')
    closeLog()
  })
  const startedAt = clock.now()
  const stopping = new AbortController()
  const ended = Promise.withResolvers<void>()
  let failure: unknown
  let isUp = false
  let begun = false

  const site = usable(settings.dir, () =>
    assemble(settings, {
      ...{ clock, clockMark: hour.mark },
      random,
      log,
      ...(parts.onBoundary === undefined ? {} : { onBoundary: parts.onBoundary }),
      onFailed: (error) => {
        failure ??= error
        if (isUp) stop(false, 'an actor that cannot go on')
      },
    }),
  )
  let control: ControlServer | undefined
  let figures: Metrics | undefined
  let endHousekeeping = async (): Promise<void> => undefined
  let endDiskWatch = (): void => undefined
  let endHour = (): void => undefined

  const lastTasks: (() => Promise<void>)[] = []
  const end = async (order: StopOrder): Promise<void> => {
    const { release } = order
    try {
      await tellStop(site, order, clock)
      if (release && failure === undefined) await site.releaseAll('Sublet is being stopped')
      for (const task of lastTasks) await task()
    } finally {
      endDiskWatch()
      await endHousekeeping()
      await control?.close()
      await figures?.close()
      await site.stop()
      endHour()
    }
  }

  function stop(release: boolean, by: string, reason = 'the process is ended'): void {
    if (begun) return
    begun = true
    log.info({ release, by, reason }, 'stopping')
    stopping.abort(new SubletError('not-running', 'Sublet is stopping'))
    end({ release, by, reason }).then(
      () => finish(failure),
      (error: unknown) => finish(failure ?? error),
    )
  }

  function finish(error: unknown): void {
    hush()
    if (error === undefined) log.info({}, 'stopped')
    else log.error({ reason: inOneLine(error) }, 'stopped')
    closeLog()
    if (error === undefined) ended.resolve()
    else ended.reject(error)
  }
  // Whoever waits for the end gets the error; until somebody does, it is not to end the process.
  ended.promise.catch(() => undefined)

  try {
    log.info(
      { name: settings.name, file: settings.file, pid: process.pid, node: process.version },
      'starting',
    )
    endHour = hour.keep()
    await site.start()
    endDiskWatch = await watchDisk({
      dir: settings.dir,
      freeBytesMin: settings.housekeeping.diskFreeMiBMin * 1024 * 1024,
      clock,
      log,
      tell: async (paused) => {
        await site.broker?.command('pause', paused)
        await site.authority?.command('pause', paused)
      },
    })
    const counted = metrics(site, { clock, startedAt, log })
    figures = counted
    if (settings.metrics !== undefined)
      log.info({ url: await counted.listen(settings.metrics) }, 'metrics are served')
    control = await controlServer(site, {
      socket: files.socket,
      auth: files.auth,
      clock,
      log,
      startedAt,
      metrics: counted.text,
      stop,
    })
    endHousekeeping = scheduleHousekeeping({
      settings: settings.housekeeping,
      logFile: files.log,
      charts: files.charts,
      log,
      clock,
      ledgers: () => ledgersOf(site),
      stores: site.stores.map(({ name, store }) => ({
        ...{ name, store, archive: ledgerArchive(files.archive, name) },
      })),
      reopenLog: reopen,
    })
    if (failure !== undefined) throw failure
    isUp = true
  } catch (error) {
    const why = reasonOf(error)
    hush()
    log.error({ reason: inOneLine(why) }, 'not started')
    endDiskWatch()
    await endHousekeeping()
    await control?.close()
    await figures?.close()
    await site.stop()
    endHour()
    closeLog()
    throw why
  }
  const beforeEnd = (task: () => Promise<void>): void => void lastTasks.push(task)
  return { site, log, startedAt, stop, beforeEnd, stopping: stopping.signal, ended: ended.promise }
}

/** One that cannot go on, or has no room to write, has said so: nothing waits for its line. */
async function tellStop(site: Site, order: StopOrder, clock: Clock): Promise<void> {
  const late = (): Error => new SubletError('deadline-missed', 'the ledger took no line in time')
  await Promise.all(
    actorsOf(site).map((actor) =>
      inTime(clock, STOP_LINE_MS, late, () => actor.command('stopping', order)).catch(() => undefined),
    ),
  )
}

/** What cannot be relied on keeps everything as it is: nothing is started. */
function hourOf(
  { dir, skewMax }: Settings,
  { clock, believeClock = false }: RunParts,
  log: Log,
  refuse: (error: unknown) => void,
): Hour {
  try {
    const file = inDir(dir).hour
    return new Hour({ file, clock, stepMsMax: skewMax, log, sinceBoot, believe: believeClock })
  } catch (error) {
    refuse(error)
    throw error
  }
}

/** An actor that could not go on says why it is not running. */
const reasonOf = (error: unknown): unknown =>
  error instanceof SubletError && error.code === 'not-running' && error.cause !== undefined
    ? error.cause
    : error

/** What the system says of the work folder is the operator's affair, not a mistake of ours. */
function usable<T>(dir: string, use: () => T): T {
  try {
    return use()
  } catch (cause) {
    if (!(cause instanceof Error && 'syscall' in cause)) throw cause
    throw new SubletError('store-failed', `the work folder ${dir} cannot be used`, { cause })
  }
}

/**
 * Viewers must be able to pass through the folder that holds the work folder. Only a `.sublet` that was made
 * just now (`made` is the topmost new folder) is opened; of any other its owner decides.
 */
function openParent(dir: string, made: string | undefined, warn: RunParts['warn']): void {
  const parent = dirname(dir)
  const isNew = made !== undefined && relative(made, parent).split('/')[0] !== '..'
  if (isNew && basename(parent) === '.sublet') usable(parent, () => chmodSync(parent, 0o711))
  if ((usable(parent, () => statSync(parent)).mode & 0o001) === 0)
    warn?.(
      `viewers and operators cannot get to ${dir}: open the folder it lies in to them (chmod o+x ${parent})`,
    )
}

/** A better answer than that of a locked database. */
async function refuseSecond(socket: string, dir: string): Promise<void> {
  try {
    await controlClient(socket).get('/status', { timeoutMs: 2_000 })
  } catch (error) {
    if (error instanceof SubletError && error.code === 'not-running') return
    throw error
  }
  throw new SubletError('already-running', `a Sublet runs in ${dir} already`)
}
