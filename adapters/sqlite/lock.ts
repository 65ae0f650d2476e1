import { DatabaseSync } from 'node:sqlite'
import { SubletError } from '../../actors/runtime/errors.ts'
import { codeOf, reasonOf } from './failures.ts'
import { lockBeside } from './place.ts'

/**
 * Takes a database for this process: a transaction held for ever on a file beside it, so that the lock goes with the
 * process, however it ends. That file says nothing; where it is damaged the database is not.
 */
export function takeLock(path: string): DatabaseSync {
  const lock = new DatabaseSync(lockBeside(path), { timeout: 0 })
  try {
    lock.exec('BEGIN EXCLUSIVE')
    return lock
  } catch (cause) {
    lock.close()
    if (codeOf(cause) !== 'store-corrupt') throw cause
    throw new SubletError('store-lock-damaged', reasonOf(cause), { cause })
  }
}
