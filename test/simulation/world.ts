import type { Cancel, Clock, Instant, Millis } from '../../actors/runtime/clock.ts'

interface Event {
  readonly at: Millis
  readonly order: number
  run: (() => void) | undefined
}

/** A monday morning; every simulation starts there. */
const EPOCH: Instant = Date.UTC(2026, 0, 5, 8)

/** Virtual time: events in order of their instant, then of their making. Nothing happens between them. */
export class World {
  #now: Millis = 0
  #order = 0
  #heap: Event[] = []
  events = 0

  get now(): Instant {
    return EPOCH + this.#now
  }

  get elapsed(): Millis {
    return this.#now
  }

  /** `skewMs` is how far the wall clock of this place is off, now. */
  clock(skewMs: Millis | (() => Millis) = 0, alive: () => boolean = () => true): Clock {
    return {
      now: () => this.now + (typeof skewMs === 'number' ? skewMs : skewMs()),
      monotonic: () => this.#now,
      after: (delayMs, callback) => this.after(delayMs, () => alive() && callback()),
    }
  }

  after(delayMs: Millis, callback: () => void): Cancel {
    const event: Event = {
      at: this.#now + Math.max(0, Math.ceil(delayMs)),
      order: this.#order++,
      run: callback,
    }
    this.#push(event)
    return () => {
      event.run = undefined
    }
  }

  /** Runs until `untilMs` of virtual time, or until nothing is left to happen; `check` after each event. */
  async run(untilMs: Millis, check: () => void): Promise<void> {
    for (let event = this.#pop(untilMs); event !== undefined; event = this.#pop(untilMs)) {
      this.#now = event.at
      if (event.run === undefined) continue
      this.events++
      event.run()
      // All promises that this event settled run to their end before the next one.
      await new Promise(setImmediate)
      check()
    }
    this.#now = Math.max(this.#now, untilMs)
  }

  #push(event: Event): void {
    const heap = this.#heap
    heap.push(event)
    for (let i = heap.length - 1; i > 0; ) {
      const parent = (i - 1) >> 1
      if (before(heap[parent]!, heap[i]!)) break
      ;[heap[parent], heap[i]] = [heap[i]!, heap[parent]!]
      i = parent
    }
  }

  #pop(untilMs: Millis): Event | undefined {
    const heap = this.#heap
    const first = heap[0]
    if (first === undefined || first.at > untilMs) return undefined
    const last = heap.pop()!
    if (heap.length === 0) return first
    heap[0] = last
    for (let i = 0; ; ) {
      let least = i
      for (const child of [2 * i + 1, 2 * i + 2])
        if (child < heap.length && before(heap[child]!, heap[least]!)) least = child
      if (least === i) return first
      ;[heap[least], heap[i]] = [heap[i]!, heap[least]!]
      i = least
    }
  }
}

const before = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)
