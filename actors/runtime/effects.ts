import { type Clock, deadline, type Millis, within } from './clock.ts'
import { inOneLine, SubletError } from './errors.ts'
import type { EffectOutcome } from './mind.ts'
import type { Row } from './rows.ts'
import { period } from './sentence.ts'

/** An effect that was decided and is not yet answered for. Kept until its outcome is committed. */
export interface EffectRow extends Row {
  readonly verb: string
  readonly args: unknown
  readonly timeoutMs: Millis
  /** Grows with every effect; an outcome of an older one on the same key is only noted. */
  readonly attempt: number
}

/** Does one thing in the world. Ends soon after the signal aborts, leaving nothing running behind. */
export type Perform = (verb: string, key: string, args: unknown, signal: AbortSignal) => Promise<unknown>

/** Of one verb: slow setups do not keep teardowns and probes waiting. */
export const EFFECTS_AT_ONCE_MAX = 16
/** How long a verb may take to end once it was told to; then it is answered for as failed. */
export const OVERRUN_MS_MAX = 10_000
/** How long stopping waits for verbs that were told to end. */
export const EFFECTS_STOP_MS_MAX = 30_000

interface Running {
  readonly verb: string
  readonly attempt: number
  readonly stop: AbortController
  readonly ended: Promise<void>
}

interface Waiting {
  readonly row: EffectRow
  /** Ends the wait for a key whose earlier effect does not end. */
  readonly cancel: () => void
}

/**
 * Performs effects, one per key at a time: before a new attempt starts, the one before has ended.
 *
 *   start ──▶ waiting ──key and verb free──▶ running ──▶ answered: done, or failed with a code
 *               │                               ├──timeoutMs──▶ told to end ──▶ failed: deadline-missed
 *               │                               │                  └──ends not──▶ the same; its key stays taken
 *               │                               └──end, or another on the key──▶ told to end, not answered for
 *               └──key not free within timeoutMs──▶ failed: deadline-missed
 */
export class EffectRunner {
  readonly #clock: Clock
  readonly #perform: Perform
  readonly #answer: (row: EffectRow, outcome: EffectOutcome) => void
  readonly #running = new Map<string, Running>()
  readonly #waiting = new Map<string, Waiting>()
  /** Of each verb the keys that wait, in the order in which they came: there may be very many. */
  readonly #queues = new Map<string, Set<string>>()
  readonly #busy = new Map<string, number>()
  #stopped = false

  constructor(clock: Clock, perform: Perform, answer: (row: EffectRow, outcome: EffectOutcome) => void) {
    this.#clock = clock
    this.#perform = perform
    this.#answer = answer
  }

  start(row: EffectRow): void {
    const underWay = this.#waiting.get(row.id)?.row ?? this.#running.get(row.id)
    if (this.#stopped || (underWay !== undefined && underWay.attempt >= row.attempt)) return
    this.end(row.id)
    this.#waiting.set(row.id, { row, cancel: this.#running.has(row.id) ? this.#giveUpLater(row) : nothing })
    const queue = this.#queues.get(row.verb) ?? new Set<string>()
    this.#queues.set(row.verb, queue.add(row.id))
    this.#pump(row.verb)
  }

  /** Ends what is under way on the key; it is not answered for. */
  end(key: string): void {
    this.#takeOut(key)?.cancel()
    this.#running.get(key)?.stop.abort(new Error('another effect takes its place'))
  }

  /** Ends everything; resolves when nothing runs, with the keys of what did not end in time. */
  async stop(): Promise<readonly string[]> {
    this.#stopped = true
    for (const { cancel } of this.#waiting.values()) cancel()
    this.#waiting.clear()
    this.#queues.clear()
    for (const { stop } of this.#running.values()) stop.abort(new Error('the actor stops'))
    const ended = Promise.all([...this.#running.values()].map((running) => running.ended))
    try {
      await within(this.#clock, EFFECTS_STOP_MS_MAX, lateToStop, () => ended)
    } catch {
      return [...this.#running.keys()]
    }
    return []
  }

  #giveUpLater(row: EffectRow): () => void {
    return this.#clock.after(row.timeoutMs, () => {
      this.#takeOut(row.id)
      const reason = `${row.verb} could not begin within ${period(row.timeoutMs)}: what was done before on ${row.id} has not ended`
      this.#answer(row, { kind: 'failed', code: 'deadline-missed', reason })
    })
  }

  /** It waits no longer. */
  #takeOut(key: string): Waiting | undefined {
    const waiting = this.#waiting.get(key)
    if (waiting === undefined) return undefined
    this.#waiting.delete(key)
    const { verb } = waiting.row
    const queue = this.#queues.get(verb)
    queue?.delete(key)
    if (queue?.size === 0) this.#queues.delete(verb)
    return waiting
  }

  /** Begins what has come first, while the verb has places; passed over are only keys that are taken, which are few. */
  #pump(verb: string): void {
    for (const key of this.#queues.get(verb) ?? []) {
      if ((this.#busy.get(verb) ?? 0) >= EFFECTS_AT_ONCE_MAX) return
      if (this.#running.has(key)) continue
      const { row, cancel } = this.#takeOut(key)!
      cancel()
      this.#run(row)
    }
  }

  #run(row: EffectRow): void {
    const stop = new AbortController()
    const leaveVerb = this.#enterVerb(row.verb)
    const ended = this.#once(row, stop.signal, leaveVerb).then(() => {
      this.#running.delete(row.id)
      leaveVerb()
      this.#pump(row.verb)
      const next = this.#waiting.get(row.id)?.row
      if (next !== undefined) this.#pump(next.verb)
    })
    this.#running.set(row.id, { verb: row.verb, attempt: row.attempt, stop, ended })
  }

  #enterVerb(verb: string): () => void {
    const change = (by: number): unknown => this.#busy.set(verb, (this.#busy.get(verb) ?? 0) + by)
    let inside = true
    change(1)
    return () => {
      if (inside) change(-1)
      inside = false
    }
  }

  /** Resolves when the effect has really ended; answers for it at most once. */
  async #once(row: EffectRow, ended: AbortSignal, leaveVerb: () => void): Promise<void> {
    const { id, verb, args, timeoutMs } = row
    const late = (): Error =>
      new SubletError('deadline-missed', `${verb} took longer than ${period(timeoutMs)}`)
    let answered = false
    const answer = (outcome: EffectOutcome): void => {
      if (!answered && !this.#stopped) this.#answer(row, outcome)
      answered = true
    }
    const failed = (error: unknown): void => {
      const code = error instanceof SubletError ? error.code : 'unexpected'
      if (!ended.aborted) answer({ kind: 'failed', code, reason: inOneLine(error) })
    }
    const limit = deadline(this.#clock, timeoutMs, late, ended)
    const cancelOverrun = this.#clock.after(timeoutMs + OVERRUN_MS_MAX, () => {
      failed(
        new SubletError(
          'deadline-missed',
          `${verb} took longer than ${period(timeoutMs)} and has not ended yet`,
        ),
      )
      // It keeps its key, but others of its verb no longer wait for it.
      leaveVerb()
      this.#pump(verb)
    })
    try {
      // Answered even if it was to end: that it was done after all is to be noted.
      answer({ kind: 'done', value: await this.#perform(verb, id, args, limit.signal) })
    } catch (error) {
      failed(error)
    } finally {
      cancelOverrun()
      limit.done()
    }
  }
}

const nothing = (): void => undefined

const lateToStop = (): Error => new Error(`not everything ended within ${period(EFFECTS_STOP_MS_MAX)}`)
