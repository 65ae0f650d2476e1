import type { Instant } from './clock.ts'

interface DueItem {
  readonly table: string
  readonly id: string
  at: Instant
  /** Rows that are due at the same instant come in the order in which they were put in. */
  order: number
}

/** Rows by the instant they are due: a binary heap with one place for each row, however often it is moved. */
export class DueQueue {
  readonly #heap: DueItem[] = []
  /** By table, then by row: a text of both for each row would cost more than all the rest. */
  readonly #places = new Map<string, Map<string, number>>()
  #order = 0

  get size(): number {
    return this.#heap.length
  }

  /** Moves the row to `at`, or takes it out. */
  set(table: string, id: string, at: Instant | undefined): void {
    const place = this.#places.get(table)?.get(id)
    if (at === undefined) {
      if (place !== undefined) this.#removeAt(place)
      return
    }
    if (place === undefined) {
      if (!this.#places.has(table)) this.#places.set(table, new Map())
      this.#heap.push({ table, id, at, order: this.#order++ })
      this.#seat(this.#heap.at(-1)!, this.#heap.length - 1)
      this.#rise(this.#heap.length - 1)
      return
    }
    const item = this.#heap[place]!
    if (item.at === at) return
    item.at = at
    item.order = this.#order++
    this.#sink(this.#rise(place))
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
      this.#removeAt(0)
      top = this.#heap[0]
    }
    return taken
  }

  #removeAt(place: number): void {
    const item = this.#heap[place]!
    const last = this.#heap.pop()!
    this.#places.get(item.table)!.delete(item.id)
    if (last === item) return
    this.#seat(last, place)
    this.#sink(this.#rise(place))
  }

  #rise(from: number): number {
    let place = from
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (before(this.#heap[parent]!, this.#heap[place]!)) break
      this.#swap(place, parent)
      place = parent
    }
    return place
  }

  #sink(from: number): void {
    for (let place = from; ; ) {
      let least = place
      for (const child of [2 * place + 1, 2 * place + 2])
        if (child < this.#heap.length && before(this.#heap[child]!, this.#heap[least]!)) least = child
      if (least === place) return
      this.#swap(place, least)
      place = least
    }
  }

  #swap(a: number, b: number): void {
    const item = this.#heap[a]!
    this.#seat(this.#heap[b]!, a)
    this.#seat(item, b)
  }

  #seat(item: DueItem, place: number): void {
    this.#heap[place] = item
    this.#places.get(item.table)!.set(item.id, place)
  }
}

const before = (a: DueItem, b: DueItem): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)
