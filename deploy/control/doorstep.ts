import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  mkdirSync,
  openSync,
  rmdirSync,
  type Stats,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { SubletError } from '../../actors/runtime/errors.ts'

/**
 * The caller's side of doorkeeper.ts: she shows who she is by a folder of hers, and nowhere but where she asks.
 *
 *   DIR                held open: what it is called may be made another's meanwhile, what is held may not
 *    ├─ control.sock   asked through DIR
 *    └─ auth/          held open, no link, of the same owner as DIR (or root's, or her own)
 *        └─ NAME       32 hex digits: all that is taken from the answer
 *
 * Whatever listens there may hand on a challenge of another Sublet, for an order that she never gave. Its name is
 * then looked for in that other's `auth`, but is made in this one.
 */
export interface Doorstep {
  /** The path of the socket in the folder that is held, however it is called now. */
  readonly socket: string
  /**
   * Makes the folder that was named; what takes it away, if that can be done. Throws `not-permitted`, or what the
   * system says where Sublet has ended since it answered.
   */
  prove(named: string): () => void
  close(): void
}

/** Linux: holds a folder that may be entered, if not listed. */
const O_PATH = 0o10_000_000
const FOLDER = O_PATH | constants.O_DIRECTORY

/** Throws what the system says where there is no such folder. */
export function doorstep(socket: string): Doorstep {
  const held = [openSync(dirname(socket), FOLDER)]
  const inHeld = (name: string): string => join(`/proc/self/fd/${held[0]}`, name)
  const asked = inHeld(basename(socket))

  /** The path of `auth`, held, after it was found to be of those who answer here. */
  const auth = (): string => {
    const owner = fstatSync(held[0]!).uid
    const fd = openSync(inHeld('auth'), FOLDER | constants.O_NOFOLLOW)
    held.push(fd)
    refuseOthers('the socket', lstatSync(asked), owner, socket)
    refuseOthers('auth', fstatSync(fd), owner, socket)
    return `/proc/self/fd/${fd}`
  }

  return {
    socket: asked,
    prove(named) {
      const name = basename(named)
      if (!/^[0-9a-f]{32}$/.test(name)) throw refused(`${JSON.stringify(named)} is not named as Sublet does`)
      try {
        const folder = join(auth(), name)
        mkdirSync(folder, { mode: 0o700 })
        return () => removeOwn(folder)
      } catch (cause) {
        if (cause instanceof SubletError || isGone(asked)) throw cause
        throw refused(`${name} cannot be made in ${join(dirname(socket), 'auth')}`, cause)
      }
    },
    close() {
      for (const fd of held) closeSync(fd)
    },
  }
}

/** It takes its socket with it when it ends. */
const isGone = (socket: string): boolean => lstatSync(socket, { throwIfNoEntry: false }) === undefined

function refuseOthers(what: string, { uid }: Stats, owner: number, socket: string): void {
  if (uid === 0 || uid === owner || uid === process.getuid?.()) return
  throw refused(`${what} in ${dirname(socket)} is of uid ${uid}, the folder of uid ${owner}`)
}

const refused = (why: string, cause?: unknown): SubletError =>
  new SubletError('not-permitted', `this user cannot show who he is: ${why}`, { cause })

/**
 * The server has removed it already, unless it could not be reached. An order that was carried out is not made one that
 * failed by what is left of it: that proves nothing any more, and goes when Sublet starts again.
 */
function removeOwn(folder: string): void {
  try {
    rmdirSync(folder)
  } catch {
    return
  }
}
