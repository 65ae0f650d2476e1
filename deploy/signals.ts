import type { Clock, Millis } from '../actors/runtime/clock.ts'

/** One Ctrl-C may arrive twice: from the terminal and from npm, which passes it on. */
const SAME_MS: Millis = 700

/**
 * Ctrl-C, TERM and a closed terminal: the first one asks for an orderly end, a second Ctrl-C or TERM ends at
 * once. Returns how to take that back.
 */
export function onInterrupt(
  clock: Clock,
  first: (signal: NodeJS.Signals) => void,
  second: () => void,
): () => void {
  let firstAt: Millis | undefined
  const receive = (signal: NodeJS.Signals): void => {
    if (firstAt === undefined) {
      firstAt = clock.monotonic()
      return first(signal)
    }
    if (signal !== 'SIGHUP' && clock.monotonic() - firstAt > SAME_MS) second()
  }
  const signals: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, receive)
  return () => {
    for (const signal of signals) process.off(signal, receive)
  }
}
