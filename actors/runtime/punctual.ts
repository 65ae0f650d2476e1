import { type Clock, inTime, type Millis } from './clock.ts'
import type { CommitLog } from './commit.ts'
import { SubletError } from './errors.ts'
import { period } from './sentence.ts'

/** How long a commit may take before the actor stops: nobody knows then whether it is on disk. */
export const COMMIT_MS_MAX: Millis = 60_000
export const CLOSE_MS_MAX: Millis = 30_000
/** Reading a million rows takes some seconds; a disk that takes this long is one that does not answer. */
export const OPEN_STORE_MS_MAX: Millis = 600_000

/** The store of an actor, which does not wait for it for ever. */
export function punctual(store: CommitLog, owner: string, clock: Clock): CommitLog {
  const late = (what: string, withinMs: Millis) => (): Error =>
    new SubletError('store-failed', `the store of ${owner} did not ${what} within ${period(withinMs)}`)
  return {
    open: (take) => inTime(clock, OPEN_STORE_MS_MAX, late('open', OPEN_STORE_MS_MAX), () => store.open(take)),
    commit: (commit) =>
      inTime(clock, COMMIT_MS_MAX, late('answer', COMMIT_MS_MAX), () => store.commit(commit)),
    close: () => inTime(clock, CLOSE_MS_MAX, late('close', CLOSE_MS_MAX), () => store.close()),
  }
}
