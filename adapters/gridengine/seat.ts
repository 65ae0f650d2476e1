import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { SubletError } from '../../actors/runtime/errors.ts'

/**
 * The pool's one seat on this host: the lock of a small database, which the kernel takes away from a
 * process that dies, however it dies. The file stays; only its lock counts. Beside it lies the name of
 * the last who held it, for the message to the next who asks.
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

export function seatOf(folder: string, pool: string): Seat {
  const file = join(folder, `sublet-gridengine-${pool.replaceAll(/[^A-Za-z0-9.-]/g, '_')}.lock`)
  const holderFile = `${file}.holder`
  let lock: DatabaseSync | undefined

  return {
    take(owner) {
      if (lock !== undefined) return
      let opened: DatabaseSync | undefined
      try {
        opened = new DatabaseSync(file, { timeout: 0 })
        opened.exec('BEGIN EXCLUSIVE')
      } catch (cause) {
        opened?.close()
        if (!isBusy(cause))
          throw new SubletError(
            'config-invalid',
            `The lock file ${file} of the pool ${pool} cannot be used`,
            {
              cause,
              cure: 'Give a lockFolder that Sublet’s user may write.',
            },
          )
        throw new SubletError('already-running', `The pool ${pool} is driven by ${lastHolder(holderFile)}`)
      }
      lock = opened
      held.add(opened)
      writeFileSync(holderFile, `“${owner}” (pid ${process.pid})\n`)
    },
    giveBack() {
      if (lock === undefined) return
      held.delete(lock)
      lock.close()
      lock = undefined
    },
  }
}

const isBusy = (error: unknown): boolean =>
  error instanceof Error &&
  'errcode' in error &&
  typeof error.errcode === 'number' &&
  (error.errcode & 0xff) === BUSY

function lastHolder(holderFile: string): string {
  try {
    return readFileSync(holderFile, 'utf8').trim()
  } catch {
    // It has the lock but has not yet written its name.
    return 'another process'
  }
}
