import type { Instant } from './clock.ts'
import { type RowsPart, rowAt, rowsIn, textAt } from './row-parts.ts'
import type { Row } from './rows.ts'

/** Where the text of a row is that nobody has asked for: the number of its part, and its place there. */
type Unread = number

const PLACES = 65_536

/** What can be said of a row without parsing it. */
export interface Glimpse {
  readonly id: string
  readonly due: Instant | undefined
  /** Of the field that was asked for, if it has a text. */
  readonly text: string | undefined
}

/** Rows that were read together, until most of them are no more what they were then. */
interface Pending {
  readonly part: RowsPart
  /** Rows that are still only in the text. */
  left: number
}

/**
 * The rows of one table by their ids. Those that were read at the start are parsed when somebody asks for them: after
 * a restart with very many leases most are not looked at for a long time.
 *
 *   taken up ──text──▶ unread ──asked for──▶ row
 *                        └──replaced, removed──▶ gone
 *
 * Of a part of which more than a quarter is read or gone the rest is read, too, and its text goes: rows are hardly ever
 * kept in both forms.
 */
export class RowTable {
  readonly #rows = new Map<string, Row | Unread>()
  readonly #parts = new Map<number, Pending>()
  #partsEver = 0

  get size(): number {
    return this.#rows.size
  }

  has(id: string): boolean {
    return this.#rows.has(id)
  }

  get(id: string): Row | undefined {
    const row = this.#rows.get(id)
    return typeof row === 'number' ? this.#read(id, row) : row
  }

  /** Every row, in the order in which they came. */
  values(): Iterable<Row> {
    for (const number of this.#parts.keys()) this.#readRest(number)
    return this.#rows.values() as Iterable<Row>
  }

  /** Due and one field of every row. */
  *glimpses(field: string): Generator<Glimpse> {
    for (const [id, row] of this.#rows) {
      if (typeof row === 'number') {
        const { part } = this.#parts.get(partOf(row))!
        const due = part.dues[row % PLACES]!
        yield { id, due: Number.isNaN(due) ? undefined : due, text: textAt(part, row % PLACES, field) }
      } else yield { id, due: row.due, text: textIn(row, field) }
    }
  }

  set(id: string, row: Row | undefined): void {
    if (this.#parts.size > 0) {
      const before = this.#rows.get(id)
      if (typeof before === 'number') this.#leave(before)
    }
    if (row === undefined) this.#rows.delete(id)
    else this.#rows.set(id, row)
  }

  takeUp(part: RowsPart): void {
    const number = this.#partsEver++
    this.#parts.set(number, { part, left: part.ids.length })
    const first = number * PLACES
    for (let place = 0; place < part.ids.length; place++) this.#rows.set(part.ids[place]!, first + place)
  }

  #read(id: string, unread: Unread): Row {
    const row = rowAt(this.#parts.get(partOf(unread))!.part, unread % PLACES)
    this.#rows.set(id, row)
    this.#leave(unread)
    return row
  }

  /** The row is not in its text any more. */
  #leave(unread: Unread): void {
    const number = partOf(unread)
    const pending = this.#parts.get(number)!
    pending.left--
    if (4 * pending.left < 3 * pending.part.ids.length) this.#readRest(number)
  }

  #readRest(number: number): void {
    const { part, left } = this.#parts.get(number)!
    this.#parts.delete(number)
    if (left === 0) return
    const first = number * PLACES
    rowsIn(part).forEach((row, place) => {
      if (this.#rows.get(row.id) === first + place) this.#rows.set(row.id, row)
    })
  }
}

const partOf = (unread: Unread): number => Math.floor(unread / PLACES)

export function textIn(row: Row | undefined, field: string): string | undefined {
  const value = (row as Readonly<Record<string, unknown>> | undefined)?.[field]
  return typeof value === 'string' ? value : undefined
}
