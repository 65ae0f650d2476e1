import { type Clock, type Millis, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { unreadWarning } from './unread.ts'

/** So long the event loop is held at a time; one record of usual size takes under a tenth of a millisecond. */
const SLICE_MS: Millis = 8

/** What was read, and a sentence for each record that could not be. */
export interface Sliced<R> {
  readonly records: readonly R[]
  readonly warnings: readonly string[]
  /** Names of those, as far as they can be told, else empty ones. */
  readonly unread: readonly string[]
}

/** Whose turn it is: resolves at once within a slice, and after it when everybody else has had theirs. */
function turns(clock: Clock, signal: AbortSignal): () => Promise<void> | undefined {
  let turn = clock.monotonic()
  return () => {
    if (clock.monotonic() - turn < SLICE_MS) return undefined
    return sleep(clock, 0, signal).then(() => {
      turn = clock.monotonic()
    })
  }
}

/** Work on very many that may be set aside after each of them; what it comes to is what it returns. */
export type Steps<R> = Generator<void, R, void>

/** Does such work, and between slices of time everybody else has a turn. */
export async function inSlices<R>(
  steps: Steps<R>,
  { clock, signal }: { readonly clock: Clock; readonly signal: AbortSignal },
): Promise<R> {
  const othersTurn = turns(clock, signal)
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
    const waits = othersTurn()
    if (waits !== undefined) await waits
  }
}

/**
 * Each record is read by itself, and between slices of time everybody else has a turn: ten thousand jobs are
 * 13 to 35 MB. A record that is broken costs a warning, not the look.
 */
export async function readInSlices<T, R>(
  what: string,
  pieces: Iterable<T>,
  make: (piece: T) => R | undefined,
  {
    clock,
    signal,
    nameOf,
  }: { readonly clock: Clock; readonly signal: AbortSignal; readonly nameOf?: (piece: T) => string },
): Promise<Sliced<R>> {
  const records: R[] = []
  const unread: string[] = []
  const warnings: string[] = []
  let count = 0
  const othersTurn = turns(clock, signal)
  for (const piece of pieces) {
    count += 1
    try {
      const record = make(piece)
      if (record !== undefined) records.push(record)
    } catch (error) {
      unread.push(nameOf?.(piece) ?? '')
      warnings.push(unreadWarning(what, count, piece, error))
    }
    const waits = othersTurn()
    if (waits !== undefined) await waits
  }
  // A format that fits no record at all is another version's, not a broken record.
  if (count > 1 && warnings.length === count)
    throw new SubletError(
      'middleware-garbage',
      `Of ${count} records of ${what} none is readable. ${warnings[0]}`,
    )
  return { records, warnings, unread }
}
