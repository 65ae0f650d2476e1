import type { Cancel, Clock, Instant, Millis } from '../../actors/runtime/clock.ts'
import type { Random } from '../../actors/runtime/random.ts'

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
  /** Of those in the heap: most timers are deadlines that are called off. */
  #cancelled = 0
  events = 0
  /** How often each fault happened. */
  readonly faults: Record<string, number> = {}

  get now(): Instant {
    return EPOCH + this.#now
  }

  /** When it began. */
  get start(): Instant {
    return EPOCH
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
      if (event.run === undefined) return
      event.run = undefined
      if (++this.#cancelled > 200 && this.#cancelled > this.#heap.length / 2) this.#sweep()
    }
  }

  /** A fault happened. */
  count(fault: string): void {
    this.faults[fault] = (this.faults[fault] ?? 0) + 1
  }

  /** Whether a fault of this chance happens now; if so it is counted. */
  strikes(fault: string, chance: number, random: Random): boolean {
    if (random.next() >= chance) return false
    this.count(fault)
    return true
  }

  /** Runs until `untilMs` of virtual time, or until nothing is left to happen; `check` after each event. */
  async run(untilMs: Millis, check: () => void): Promise<void> {
    for (let event = this.#pop(untilMs); event !== undefined; event = this.#pop(untilMs)) {
      this.#now = event.at
      const { run } = event
      if (run === undefined) {
        this.#cancelled--
        continue
      }
      this.events++
      // It has happened: calling it off changes nothing any more.
      event.run = undefined
      run()
      await settled()
      // Whoever runs this in a worker is heard now and then.
      if (this.events % EVENTS_PER_TURN === 0) await new Promise(setImmediate)
      check()
    }
    this.#now = Math.max(this.#now, untilMs)
  }

  /** In order of time is a heap as well. */
  #sweep(): void {
    this.#heap = this.#heap.filter(({ run }) => run !== undefined).sort((a, b) => (before(a, b) ? -1 : 1))
    this.#cancelled = 0
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

/** Of the event loop of Node, on which nothing here waits. */
const EVENTS_PER_TURN = 2_000

/**
 * All promises that an event settled run to their end before the next one: a tick of Node comes when no microtask
 * is left, and costs far less than a turn of its event loop.
 */
const settled = (): Promise<void> => new Promise((resolve) => process.nextTick(resolve))

const before = (a: Event, b: Event): boolean => a.at < b.at || (a.at === b.at && a.order < b.order)
