import { type Clock, type Millis, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { unreadWarning } from '../batch/unread.ts'
import type { Records } from './records.ts'

/** So long the event loop is held at a time; one record of usual size takes under a tenth of a millisecond. */
const SLICE_MS: Millis = 8

/**
 * Each record is read by itself, and between slices of time everybody else has a turn: ten thousand jobs are
 * 13 MB. A record that is broken costs a warning, not the look.
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
): Promise<Records<R>> {
  const records: R[] = []
  const unread: string[] = []
  const warnings: string[] = []
  let count = 0
  let turn = clock.monotonic()
  for (const piece of pieces) {
    count += 1
    try {
      const record = make(piece)
      if (record !== undefined) records.push(record)
    } catch (error) {
      unread.push(nameOf?.(piece) ?? '')
      warnings.push(unreadWarning(what, count, piece, error))
    }
    if (clock.monotonic() - turn < SLICE_MS) continue
    await sleep(clock, 0, signal)
    turn = clock.monotonic()
  }
  // A format that fits no record at all is another version's, not a broken record.
  if (count > 1 && warnings.length === count)
    throw new SubletError(
      'middleware-garbage',
      `Of ${count} records of ${what} none is readable. ${warnings[0]}`,
    )
  return { records, warnings, unread }
}
