import type { Instant } from './clock.ts'

interface DueItem {
  readonly at: Instant
  readonly table: string
  readonly id: string
}

/** A binary heap of rows by their due time. Entries of rows that changed since are weeded out on reading. */
export class DueQueue {
  #heap: DueItem[] = []

  push(at: Instant, table: string, id: string): void {
    const heap = this.#heap
    heap.push({ at, table, id })
    for (let i = heap.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1
      if (heap[parent]!.at <= heap[i]!.at) break
      ;[heap[parent], heap[i]] = [heap[i]!, heap[parent]!]
      i = parent
    }
  }

  /** The earliest entry that is still true of its row, by `dueOf`. */
  peek(dueOf: (table: string, id: string) => Instant | undefined): DueItem | undefined {
    for (let top = this.#heap[0]; top !== undefined; top = this.#heap[0]) {
      if (dueOf(top.table, top.id) === top.at) return top
      this.#pop()
    }
    return undefined
  }

  /** Removes and returns the entries due at `now`, at most `max` of them, each row once. */
  take(now: Instant, max: number, dueOf: (table: string, id: string) => Instant | undefined): DueItem[] {
    const taken: DueItem[] = []
    const seen = new Set<string>()
    for (
      let top = this.peek(dueOf);
      top !== undefined && top.at <= now && taken.length < max;
      top = this.peek(dueOf)
    ) {
      this.#pop()
      const key = `${top.table}\n${top.id}`
      if (!seen.has(key)) taken.push(top)
      seen.add(key)
    }
    return taken
  }

  #pop(): void {
    const heap = this.#heap
    const last = heap.pop()
    if (last === undefined || heap.length === 0) return
    heap[0] = last
    for (let i = 0; ; ) {
      const left = 2 * i + 1
      const right = left + 1
      let least = i
      if (left < heap.length && heap[left]!.at < heap[least]!.at) least = left
      if (right < heap.length && heap[right]!.at < heap[least]!.at) least = right
      if (least === i) return
      ;[heap[least], heap[i]] = [heap[i]!, heap[least]!]
      i = least
    }
  }
}
