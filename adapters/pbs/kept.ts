import type { Clock, Millis } from '../../actors/runtime/clock.ts'

/** Between two askings. An admin who stops a queue is noticed at the latest then. */
const KEEP_MS: Millis = 60_000

/** The same question asked anew only now and then. */
export function kept<T>(
  clock: Clock,
  ask: (signal: AbortSignal) => Promise<T>,
): {
  readonly fresh: (signal: AbortSignal) => Promise<T>
  readonly recent: (signal: AbortSignal) => Promise<T>
} {
  let last: { readonly value: T; readonly at: Millis } | undefined
  const fresh = async (signal: AbortSignal): Promise<T> => {
    const value = await ask(signal)
    last = { value, at: clock.monotonic() }
    return value
  }
  return {
    fresh,
    recent: async (signal) =>
      last !== undefined && clock.monotonic() - last.at < KEEP_MS ? last.value : fresh(signal),
  }
}
