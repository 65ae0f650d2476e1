import { type ErrorCode, SubletError } from '../../actors/runtime/errors.ts'

export type StoreCode = Extract<ErrorCode, `store-${string}`>

export const damaged = (reason: string, cause?: unknown): SubletError =>
  new SubletError('store-corrupt', reason, { cause })

export const newer = (version: number): SubletError => new SubletError('store-newer', String(version))

/** Primary result codes of SQLite (https://sqlite.org/rescode.html); the extended ones keep them in the low byte. */
const BUSY = 5
const LOCKED = 6
const CORRUPT = 11
const NOT_A_DATABASE = 26

export function codeOf(error: unknown): StoreCode {
  if (error instanceof SubletError && error.code.startsWith('store-')) return error.code as StoreCode
  const primary = error instanceof Error && 'errcode' in error ? Number(error.errcode) & 0xff : 0
  if (primary === BUSY || primary === LOCKED) return 'store-locked'
  if (primary === CORRUPT || primary === NOT_A_DATABASE) return 'store-corrupt'
  return 'store-failed'
}

export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** What is told of a database that will not do. */
export function sentence(path: string, code: StoreCode, reason: string): string {
  switch (code) {
    case 'store-locked':
      return `the database ${path} is in use by another process`
    case 'store-newer':
      return `the database ${path} was written by a newer version (layout ${reason})`
    case 'store-corrupt':
      return `the database ${path} is damaged: ${reason}`
    case 'store-lock-damaged':
      return `the lock ${path}.lock is damaged, and not the database beside it: ${reason}`
    case 'store-remote':
      return `the database ${path} would lie on ${reason}, where no lock and no sync can be relied on`
    case 'store-failed':
      return `the database ${path} failed: ${reason}`
  }
}
