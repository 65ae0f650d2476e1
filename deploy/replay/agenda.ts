import type { Instant } from '../../actors/runtime/clock.ts'

interface Entry {
  readonly at: Instant
  readonly number: number
  readonly act: () => void
}

/** What is to happen when: the soonest first and, at one instant, in the order in which it was put down. A binary heap. */
export class Agenda {
  readonly #heap: Entry[] = []
  #count = 0

  get soonest(): Instant {
    return this.#heap[0]?.at ?? Number.POSITIVE_INFINITY
  }

  at(at: Instant, act: () => void): void {
    this.#count += 1
    const heap = this.#heap
    const entry = { at, number: this.#count, act }
    let i = heap.length
    heap.push(entry)
    while (i > 0) {
      const up = (i - 1) >> 1
      if (!isBefore(entry, heap[up]!)) break
      heap[i] = heap[up]!
      i = up
    }
    heap[i] = entry
  }

  /** Does all that is due by then. */
  perform(now: Instant): void {
    while (this.soonest <= now) this.#pop()!.act()
  }

  #pop(): Entry | undefined {
    const heap = this.#heap
    const [first] = heap
    const last = heap.pop()
    if (heap.length === 0 || last === undefined) return first
    let i = 0
    for (;;) {
      let down = 2 * i + 1
      if (down >= heap.length) break
      if (down + 1 < heap.length && isBefore(heap[down + 1]!, heap[down]!)) down += 1
      if (!isBefore(heap[down]!, last)) break
      heap[i] = heap[down]!
      i = down
    }
    heap[i] = last
    return first
  }
}

const isBefore = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.number < b.number)
