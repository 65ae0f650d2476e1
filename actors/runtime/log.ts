import type { Clock, Millis } from './clock.ts'

/** Constant message plus fields, as pino takes them. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** What is said of things never ends them: a log that cannot write a line (a full disk, an error of a strange form) loses it. */
export function unfailing(log: Log): Log {
  const tell =
    (level: keyof Log) =>
    (fields: object, message: string): void => {
      try {
        log[level](fields, message)
      } catch {
        // There is nowhere to tell it.
      }
    }
  return { debug: tell('debug'), info: tell('info'), warn: tell('warn'), error: tell('error') }
}

/** What strangers bring about is written so often in `SPARING_MS`. */
export const SPARING_MAX = 100
export const SPARING_MS: Millis = 60_000

/**
 * Lines that anybody can bring about, as often as he likes: without a bound they fill the disk. Refusals and failures
 * have one each, so that many of the one do not hide the other.
 *
 *   so many in a minute ──▶ written        more ──▶ counted; the next one that is written says how many were not
 */
export class SparingLog {
  readonly #log: Pick<Log, 'warn' | 'error'>
  readonly #clock: Pick<Clock, 'monotonic'>
  #since = Number.NEGATIVE_INFINITY
  #written = 0
  #unwritten = 0

  constructor(log: Pick<Log, 'warn' | 'error'>, clock: Pick<Clock, 'monotonic'>) {
    this.#log = log
    this.#clock = clock
  }

  warn(fields: object, message: string): void {
    this.#tell('warn', fields, message)
  }

  error(fields: object, message: string): void {
    this.#tell('error', fields, message)
  }

  #tell(level: 'warn' | 'error', fields: object, message: string): void {
    const now = this.#clock.monotonic()
    if (now - this.#since >= SPARING_MS) {
      this.#since = now
      this.#written = 0
    }
    if (this.#written >= SPARING_MAX) {
      this.#unwritten++
      return
    }
    this.#written++
    const more = this.#unwritten === 0 ? {} : { unwrittenBefore: this.#unwritten }
    this.#unwritten = 0
    this.#log[level]({ ...fields, ...more }, message)
  }
}
