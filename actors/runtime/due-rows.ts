import type { Instant, Millis } from './clock.ts'
import { DueQueue } from './due-queue.ts'
import type { RowSet } from './row-set.ts'
import type { Row } from './rows.ts'

const SOON_MS_MAX = 60_000
const SET_ASIDE_MS_FIRST = 60_000
const SET_ASIDE_MS_MAX = 3_600_000

/**
 * When each row is to be handed to the mind.
 *
 *   due ──taken──▶ handled ──moved or cleared──▶ as the row says
 *                     ├──still due──▶ again after 1, 2, 4 ... ms, at most a minute: it neither spins nor is lost
 *                     └──set aside──▶ again after 1, 2, 4 ... minutes, at most an hour
 *
 * A row that is changed by anything else is due when it says, whatever was before.
 */
export class DueRows {
  readonly #rows: RowSet
  readonly #queue = new DueQueue()
  /** How often in a row a row was handed over in vain. */
  readonly #vain = new Map<string, number>()

  constructor(rows: RowSet) {
    this.#rows = rows
  }

  /** The row is now what it is in the rows of the last commit. */
  adopt(table: string, id: string, row: Row | undefined): void {
    this.#queue.set(table, id, row?.due)
    if (row?.due === undefined && this.#vain.size > 0) this.#vain.delete(`${table}\n${id}`)
  }

  /** A row of a store that is being opened. */
  schedule(table: string, id: string, due: Instant): void {
    this.#queue.set(table, id, due)
  }

  next(): Instant | undefined {
    return this.#queue.next()
  }

  take(now: Instant, max: number): { readonly table: string; readonly row: Row }[] {
    return this.#queue.take(now, max).map(({ table, id }) => ({ table, row: this.#rows.get(table, id)! }))
  }

  /** The row was handed over and is not due any more. */
  settle(table: string, id: string): void {
    this.#vain.delete(`${table}\n${id}`)
  }

  /** The row was handed over and is still due. */
  stillDue(table: string, id: string, now: Instant): void {
    this.#wait(table, id, now, 1, SOON_MS_MAX)
  }

  setAside(table: string, id: string, now: Instant): void {
    this.#wait(table, id, now, SET_ASIDE_MS_FIRST, SET_ASIDE_MS_MAX)
  }

  #wait(table: string, id: string, now: Instant, first: Millis, most: Millis): void {
    const due = this.#rows.get(table, id)?.due
    if (due === undefined) return
    const key = `${table}\n${id}`
    const times = this.#vain.get(key) ?? 0
    this.#vain.set(key, times + 1)
    const delayMs = Math.min(most, first * 2 ** Math.min(times, 30))
    this.#queue.set(table, id, Math.max(due, now + delayMs))
  }
}
