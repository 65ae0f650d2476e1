import { readFileSync } from 'node:fs'
import { z } from 'zod'
import type { Log } from '../../actors/runtime/actor.ts'
import {
  type Cancel,
  type Clock,
  type Instant,
  type Millis,
  systemClock,
} from '../../actors/runtime/clock.ts'
import { instantSchema } from '../../actors/runtime/envelope.ts'
import { inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import { type ClockMark, steadyClock } from '../../actors/runtime/steady.ts'
import { writeDurably } from '../../adapters/durable-file.ts'

/** Since which start of the machine how much time has gone by, suspended or not. */
export interface SinceBoot {
  readonly boot: string
  readonly upMs: Millis
}

const keptHour = z.strictObject({ boot: z.string(), upMs: z.number().min(0), wall: instantSchema })
type KeptHour = z.infer<typeof keptHour>

/** What a file of `/proc` says. */
export type ProcFile = (path: string) => string

const procFile: ProcFile = (path) => readFileSync(`/proc/${path}`, 'utf8')

/** By which two readings that are not made at once may differ. */
const READING_MS: Millis = 2_000

/**
 * A machine that does not say is one that was started anew each time. A container may be told how long it is up itself,
 * and beside that the start of the machine below, which is up for longer: there each start of the container is another.
 */
export function sinceBoot(
  read: ProcFile = procFile,
  monotonicMs: Millis = systemClock.monotonic(),
): SinceBoot | undefined {
  try {
    const boot = read('sys/kernel/random/boot_id').trim()
    const upMs = Math.round(Number(read('uptime').split(' ')[0]) * 1_000)
    if (boot === '' || !Number.isFinite(upMs)) return undefined
    // Monotonic time is the machine's, and stands still while that is suspended: no machine is up for less.
    return upMs >= monotonicMs - READING_MS ? { boot, upMs } : { boot: `${boot} ${firstBegan(read)}`, upMs }
  } catch {
    return undefined
  }
}

/** When the first process began, in ticks since the start of the machine; the name of its program may have any letters. */
function firstBegan(read: ProcFile): string {
  const began = read('1/stat').split(')').at(-1)!.trim().split(' ')[19]
  if (began === undefined || !/^\d+$/.test(began))
    throw new RangeError('it is not said when the container began')
  return began
}

export interface HourParts {
  readonly file: string
  readonly clock: Clock
  readonly stepMsMax: Millis
  readonly log: Log
  readonly sinceBoot: () => SinceBoot | undefined
  /** The wall clock is right, whatever it was before. */
  readonly believe: boolean
}

const KEEP_MS: Millis = 60_000

/**
 * What the hour was when Sublet last ran in a work folder, so that a clock that jumps is not believed by the next
 * process either:
 *
 *   same start of the machine    goes on with the time since then, suspended or not: leases end when they should, and
 *                                the jump is told of
 *   another start                the clock may be any time later; earlier than the last known hour: `clock-behind`
 *
 * The hour is kept once a minute. One that is not there, cannot be read or is no date that can be written, says nothing.
 */
export class Hour {
  readonly #parts: HourParts
  /** For the clocks of this life; undefined: the wall clock is believed. */
  readonly mark: ClockMark | undefined
  #cancel: Cancel = () => undefined

  constructor(parts: HourParts) {
    this.#parts = parts
    this.mark = parts.believe ? undefined : markAfter(readKept(parts), parts)
  }

  /** Keeps it from now on; returns how to end that. */
  keep(): () => void {
    const { clock, stepMsMax } = this.#parts
    const believed = steadyClock(unsuspended(this.#parts), stepMsMax, () => undefined, this.mark)
    const again = (): void => {
      this.#write(believed.now())
      this.#cancel = clock.after(KEEP_MS, again)
    }
    again()
    return () => {
      this.#cancel()
      this.#write(believed.now())
    }
  }

  /** What was kept before is as good, only older. */
  #write(wall: Instant): void {
    const { file, log, sinceBoot: sinceThis } = this.#parts
    const { boot, upMs } = sinceThis() ?? { boot: '', upMs: 0 }
    const kept: KeptHour = { boot, upMs, wall }
    try {
      writeDurably(file, kept)
    } catch (error) {
      log.warn({ file, reason: inOneLine(error) }, 'what the hour is was not kept')
    }
  }
}

/**
 * The monotonic time of a process stands still while the machine is suspended, and the time since its start goes on: the
 * hour that is kept is not behind by so much.
 */
function unsuspended({ clock, sinceBoot: sinceThis }: HourParts): Clock {
  const begun = sinceThis()
  const begunMs = clock.monotonic()
  const monotonic = (): Millis => {
    const since = sinceThis()
    return begun === undefined || since?.boot !== begun.boot
      ? clock.monotonic()
      : begunMs + (since.upMs - begun.upMs)
  }
  return { now: () => clock.now(), monotonic, after: (delayMs, callback) => clock.after(delayMs, callback) }
}

function readKept({ file, log }: HourParts): KeptHour | undefined {
  try {
    return keptHour.parse(JSON.parse(readFileSync(file, 'utf8')))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT')
      log.warn({ file, reason: inOneLine(error) }, 'what the hour was is not known: the clock is believed')
    return undefined
  }
}

function markAfter(kept: KeptHour | undefined, parts: HourParts): ClockMark | undefined {
  if (kept === undefined) return undefined
  const { clock, stepMsMax } = parts
  const since = parts.sinceBoot()
  if (since !== undefined && since.boot === kept.boot && since.upMs >= kept.upMs)
    return { wall: kept.wall + (since.upMs - kept.upMs), monotonic: clock.monotonic() }
  const now = clock.now()
  if (now >= kept.wall - stepMsMax) return undefined
  throw new SubletError(
    'clock-behind',
    `the clock of this machine says ${iso(now)}, and Sublet ran here until ${iso(kept.wall)}`,
  )
}

const iso = (instant: Instant): string => new Date(instant).toISOString()
