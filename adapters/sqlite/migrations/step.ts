import type { DatabaseSync } from 'node:sqlite'

/** One step of the layout, forward only. A step that has been released is never changed. */
export interface Migration {
  /** The version that it leads to, from the one before. */
  readonly to: number
  /** What it adds, for people. */
  readonly what: string
  up(database: DatabaseSync): void
}
