import { randomBytes } from 'node:crypto'
import { chmodSync, lstatSync, readdirSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Clock, Instant, Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { makeNamedFolder } from '../upkeep/make-folder.ts'

/**
 * Tells who is at the other end of the socket. Node cannot ask the kernel for a peer's uid, but the file
 * system can: only the user himself makes a folder that is his.
 *
 *   caller                         doorkeeper                       DIR/auth (anybody may make, nobody may list)
 *     ├─ challenge: “GET /status” ─▶ │  a name of 128 random bits
 *     │ ◀──────── token, folder ─────┤
 *     ├──────────── mkdir, mode 0700 ┼────────────────────────────▶ folder
 *     ├─ GET /status, token ───────▶ │  lstat: a folder? whose? ──▶ removed
 *
 * A token serves one request, the one it was asked for, within five seconds. Of too many the oldest is forgotten.
 */
export interface Doorkeeper {
  challenge(request: string): Challenge
  /** The uid of whoever made the folder; the token is spent, however this ends. */
  uidOf(token: string, request: string): number
  close(): void
}

export interface Challenge {
  readonly token: string
  readonly folder: string
}

export const CHALLENGE_MS: Millis = 5_000
export const PENDING_MAX = 256

interface Pending {
  readonly request: string
  readonly folder: string
  readonly until: Instant
}

export function doorkeeper(dir: string, open: boolean, clock: Clock): Doorkeeper {
  const cure = 'Move it away: Sublet makes this folder itself when it starts.'
  // Where a link leads is somebody else's: its mode would be changed, and empty folders there removed.
  if (lstatSync(dir, { throwIfNoEntry: false })?.isSymbolicLink() === true)
    throw new SubletError('usage', `${dir} is a link, not a folder of its own`, { cure })
  makeNamedFolder(dir, cure)
  // Sticky, so that nobody renames another's folder; not to be listed, so that nobody learns its name.
  chmodSync(dir, open ? 0o1733 : 0o700)
  for (const left of readdirSync(dir)) removeFolder(join(dir, left))
  const pending = new Map<string, Pending>()

  const refuse = (why: string): SubletError =>
    new SubletError('not-permitted', `who is asking could not be told: ${why}`)

  const dropExpired = (): void => {
    for (const [token, { until, folder }] of pending)
      if (until <= clock.monotonic()) {
        pending.delete(token)
        removeFolder(folder)
      }
  }

  return {
    challenge(request) {
      dropExpired()
      // Anybody may begin; who only begins must not keep out who goes on at once.
      for (const [oldest, { folder }] of pending) {
        if (pending.size < PENDING_MAX) break
        pending.delete(oldest)
        removeFolder(folder)
      }
      const token = randomBytes(16).toString('hex')
      const folder = join(dir, randomBytes(16).toString('hex'))
      pending.set(token, { request, folder, until: clock.monotonic() + CHALLENGE_MS })
      return { token, folder }
    },
    uidOf(token, request) {
      dropExpired()
      const held = pending.get(token)
      pending.delete(token)
      if (held === undefined)
        throw refuse('the token is not known, was used before, or is older than five seconds')
      try {
        if (held.request !== request) throw refuse('the token was asked for another request')
        const found = lstatSync(held.folder, { throwIfNoEntry: false })
        if (found === undefined) throw refuse(`the folder ${held.folder} was not made`)
        if (!found.isDirectory()) throw refuse(`${held.folder} is no folder`)
        if ((found.mode & 0o777) !== 0o700) throw refuse(`the folder ${held.folder} has not the mode 0700`)
        return found.uid
      } finally {
        removeFolder(held.folder)
      }
    },
    close() {
      for (const { folder } of pending.values()) removeFolder(folder)
      pending.clear()
    },
  }
}

/** Whatever else stands there (a file, a link, a folder with something in it) is its owner's to clear up. */
function removeFolder(folder: string): void {
  try {
    rmdirSync(folder)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (
      code !== 'ENOENT' &&
      code !== 'ENOTDIR' &&
      code !== 'ENOTEMPTY' &&
      code !== 'EPERM' &&
      code !== 'EACCES'
    )
      throw error
  }
}
