import type { Instant } from './clock.ts'

interface DueItem {
  readonly table: string
  readonly id: string
  at: Instant
  /** Rows that are due at the same instant come in the order in which they were put in. */
  order: number
  /** Where it is in the heap. */
  place: number
}

/** Rows by the instant they are due: a binary heap with one place for each row, however often it is moved. */
export class DueQueue {
  readonly #heap: DueItem[] = []
  /** By table, then by row: a text of both for each row would cost more than all the rest. */
  readonly #items = new Map<string, Map<string, DueItem>>()
  #order = 0

  get size(): number {
    return this.#heap.length
  }

  /** Moves the row to `at`, or takes it out. */
  set(table: string, id: string, at: Instant | undefined): void {
    const items = this.#itemsOf(table)
    const known = items.get(id)
    if (at === undefined) {
      if (known !== undefined) this.#remove(known)
    } else if (known === undefined) {
      const item = { table, id, at, order: this.#order++, place: this.#heap.length }
      items.set(id, item)
      this.#heap.push(item)
      this.#rise(item)
    } else if (known.at !== at) {
      known.at = at
      known.order = this.#order++
      this.#rise(known)
      this.#sink(known)
    }
  }

  #itemsOf(table: string): Map<string, DueItem> {
    const known = this.#items.get(table)
    if (known !== undefined) return known
    const items = new Map<string, DueItem>()
    this.#items.set(table, items)
    return items
  }

  /** When the earliest row is due. */
  next(): Instant | undefined {
    return this.#heap[0]?.at
  }

  /** Takes out the rows due at `now`, the earliest first, at most `max` of them. */
  take(now: Instant, max: number): { readonly table: string; readonly id: string }[] {
    const taken: DueItem[] = []
    for (let top = this.#heap[0]; top !== undefined && top.at <= now && taken.length < max; ) {
      taken.push(top)
      this.#remove(top)
      top = this.#heap[0]
    }
    return taken
  }

  #remove(item: DueItem): void {
    const last = this.#heap.pop()!
    this.#items.get(item.table)!.delete(item.id)
    if (last === item) return
    this.#seat(last, item.place)
    this.#rise(last)
    this.#sink(last)
  }

  #rise(item: DueItem): void {
    while (item.place > 0) {
      const parent = this.#heap[(item.place - 1) >> 1]!
      if (before(parent, item)) return
      this.#swap(parent, item)
    }
  }

  #sink(item: DueItem): void {
    for (;;) {
      let least = item
      for (const place of [2 * item.place + 1, 2 * item.place + 2]) {
        const child = this.#heap[place]
        if (child !== undefined && before(child, least)) least = child
      }
      if (least === item) return
      this.#swap(item, least)
    }
  }

  #swap(a: DueItem, b: DueItem): void {
    const { place } = a
    this.#seat(a, b.place)
    this.#seat(b, place)
  }

  #seat(item: DueItem, place: number): void {
    this.#heap[place] = item
    item.place = place
  }
}

const before = (a: DueItem, b: DueItem): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)
