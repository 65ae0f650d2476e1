import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { SubletError } from '../../actors/runtime/errors.ts'

/**
 * The pool's one seat on this host: the lock of a small database, which the kernel takes away from a process
 * that dies, however it dies. The file stays; only its lock counts. Beside it lies the name of the last who
 * held it, for the message to the next who asks.
 *
 *   free ──take──▶ held ──give back, or death of the process──▶ free
 */
export interface Seat {
  take(owner: string): void
  giveBack(): void
}

const BUSY = 5

/** A database that nobody refers to any more is closed by the collector, and its lock with it. */
const held = new Set<DatabaseSync>()

/** `pool` names the batch system, such as `torque-tqsrv`. */
export function seatOf(folder: string, pool: string): Seat {
  const file = join(folder, `sublet-${pool.replaceAll(/[^A-Za-z0-9.-]/g, '_')}.lock`)
  const holder = `${file}.holder`
  let taken: { readonly owner: string; readonly lock: DatabaseSync } | undefined

  const open = (): DatabaseSync => {
    let lock: DatabaseSync | undefined
    try {
      lock = new DatabaseSync(file, { timeout: 0 })
      lock.exec('BEGIN EXCLUSIVE')
      return lock
    } catch (cause) {
      lock?.close()
      if (isBusy(cause))
        throw new SubletError('already-running', `The pool ${pool} is driven by ${nameIn(holder)}`)
      throw new SubletError('config-invalid', `The lock file ${file} of the pool ${pool} cannot be used`, {
        cause,
        cure: 'Give a lockFolder that Sublet’s user may write.',
      })
    }
  }

  return {
    take(owner) {
      if (taken !== undefined && taken.owner !== owner)
        throw new SubletError(
          'already-running',
          `This adapter holds the seat as “${taken.owner}”, not as “${owner}”`,
        )
      if (taken !== undefined) return
      taken = { owner, lock: open() }
      held.add(taken.lock)
      writeFileSync(holder, `“${owner}” (pid ${process.pid})\n`)
    },
    giveBack() {
      if (taken === undefined) return
      held.delete(taken.lock)
      taken.lock.close()
      taken = undefined
    },
  }
}

const isBusy = (error: unknown): boolean =>
  error instanceof Error &&
  'errcode' in error &&
  typeof error.errcode === 'number' &&
  (error.errcode & 0xff) === BUSY

function nameIn(holder: string): string {
  try {
    return readFileSync(holder, 'utf8').trim()
  } catch {
    // It has the lock but has not yet written its name.
    return 'another process'
  }
}
