/** Integer milliseconds since the Unix epoch. */
export type Instant = number
/** No instant that travels is later: what is reckoned from it is still a date that can be written. */
export const LATEST: Instant = Date.UTC(9999, 0)
/** A length of time in integer milliseconds. */
export type Millis = number

/** Cancels a timer; calling it again, or after it fired, does nothing. */
export type Cancel = () => void

/**
 * The only source of time. Everything that waits or reads the hour is handed one of these, so that a
 * simulation can drive the same code on virtual time.
 */
export interface Clock {
  /** Wall-clock time. May step; terms of leases are written in it. */
  now(): Instant
  /** Milliseconds since an arbitrary origin of this machine's boot; never steps back. */
  monotonic(): Millis
  /** Calls back once, `delayMs` from now; delays beyond what a timer can hold are cut into pieces. */
  after(delayMs: Millis, callback: () => void): Cancel
}

/** setTimeout holds a signed 32-bit count of milliseconds, about 24.8 days. */
const TIMER_MS_MAX = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => Math.floor(Number(process.hrtime.bigint() / 1_000_000n)),
  after(delayMs, callback) {
    let timer: NodeJS.Timeout
    const arm = (leftMs: Millis): void => {
      const stepMs = Math.min(Math.max(0, leftMs), TIMER_MS_MAX)
      timer = setTimeout(() => (leftMs > stepMs ? arm(leftMs - stepMs) : callback()), stepMs)
    }
    arm(delayMs)
    return () => clearTimeout(timer)
  },
}

/** Resolves after `delayMs`, or rejects with the signal's reason as soon as it is aborted. */
export function sleep(clock: Clock, delayMs: Millis, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const stop = (): void => {
      cancel()
      reject(signal?.reason)
    }
    const cancel = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', stop)
      resolve()
    })
    signal?.addEventListener('abort', stop, { once: true })
  })
}

/**
 * A signal that aborts after `delayMs` with an operating error, or when `parent` aborts.
 * `done()` must be called when the work has ended, so that no timer outlives it.
 */
export function deadline(
  clock: Clock,
  delayMs: Millis,
  reason: () => Error,
  parent?: AbortSignal,
): { signal: AbortSignal; done: () => void } {
  const controller = new AbortController()
  const onParent = (): void => controller.abort(parent?.reason)
  const cancel = clock.after(delayMs, () => controller.abort(reason()))
  if (parent?.aborted) onParent()
  else parent?.addEventListener('abort', onParent, { once: true })
  return {
    signal: controller.signal,
    done: () => {
      cancel()
      parent?.removeEventListener('abort', onParent)
    },
  }
}

/** The outcome of the work, or the reason as soon as it has taken `delayMs` or `parent` aborts. */
export function within<T>(
  clock: Clock,
  delayMs: Millis,
  reason: () => Error,
  work: (signal: AbortSignal) => Promise<T>,
  parent?: AbortSignal,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const controller = new AbortController()
    const stop = (why: unknown): void => {
      done()
      controller.abort(why)
      reject(why)
    }
    const onParent = (): void => stop(parent?.reason)
    const cancel = clock.after(delayMs, () => stop(reason()))
    const done = (): void => {
      cancel()
      parent?.removeEventListener('abort', onParent)
    }
    if (parent?.aborted) return onParent()
    parent?.addEventListener('abort', onParent, { once: true })
    settle(() => work(controller.signal), resolve, reject, done)
  })
}

/** The same for work that cannot be told to end: nothing is made to tell it. */
export function inTime<T>(
  clock: Clock,
  delayMs: Millis,
  reason: () => Error,
  work: () => Promise<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = clock.after(delayMs, () => reject(reason()))
    settle(work, resolve, reject, cancel)
  })
}

/** Begins the work, and calls `done` before its outcome is told. */
function settle<T>(
  work: () => Promise<T>,
  resolve: (value: T) => void,
  reject: (error: unknown) => void,
  done: () => void,
): void {
  const failed = (error: unknown): void => {
    done()
    reject(error)
  }
  try {
    work().then((value) => {
      done()
      resolve(value)
    }, failed)
  } catch (error) {
    failed(error)
  }
}
