import {
  type Cancel,
  type Clock,
  type Instant,
  type Millis,
  systemClock,
} from '../../actors/runtime/clock.ts'

/** A clock that runs so many times faster than the wall's, so that Torque's minutes pass in seconds. */
export function scaledClock(times: number, start: Instant): Clock {
  const origin = systemClock.monotonic()
  const passed = (): Millis => (systemClock.monotonic() - origin) * times
  return {
    now: () => start + passed(),
    monotonic: passed,
    after: (delayMs, callback) => systemClock.after(Math.ceil(delayMs / times), callback),
  }
}

/** A clock that stands still until it is moved; what is due on the way happens at its hour, in order. */
export interface HandClock extends Clock {
  moveTo(at: Instant): Promise<void>
}

export function handClock(start: Instant): HandClock {
  let now = start
  let count = 0
  const due = new Map<number, { readonly at: Instant; readonly call: () => void }>()
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  return {
    now: () => now,
    monotonic: () => now - start,
    after(delayMs, call): Cancel {
      const key = ++count
      due.set(key, { at: now + Math.max(0, delayMs), call })
      return () => void due.delete(key)
    },
    async moveTo(at) {
      await settle()
      for (;;) {
        const next = [...due]
          .filter(([, each]) => each.at <= at)
          .sort(([a, x], [b, y]) => x.at - y.at || a - b)[0]
        if (next === undefined) break
        const [key, { at: hour, call }] = next
        due.delete(key)
        now = Math.max(now, hour)
        call()
        await settle()
      }
      now = Math.max(now, at)
    },
  }
}

/** Moves the clock on until the work has its outcome. */
export async function driven<T>(clock: HandClock, work: Promise<T>, stepMs: Millis = 250): Promise<T> {
  let isOver = false
  const outcome = work.finally(() => {
    isOver = true
  })
  outcome.catch(() => undefined)
  for (let steps = 0; !isOver && steps < 20_000; steps++) await clock.moveTo(clock.now() + stepMs)
  return outcome
}
