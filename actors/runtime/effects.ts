import { type Clock, deadline, type Millis } from './clock.ts'
import { inOneLine, SubletError } from './errors.ts'
import type { EffectOutcome } from './mind.ts'
import type { Row } from './rows.ts'

/** An effect that was decided and is not yet answered for. Kept until its outcome is committed. */
export interface EffectRow extends Row {
  readonly verb: string
  readonly args: unknown
  readonly timeoutMs: Millis
  /** Grows with every effect and every life of the actor; an outcome of an older attempt is only noted. */
  readonly attempt: number
}

/** Does one thing in the world. Ends soon after the signal aborts, leaving nothing running behind. */
export type Perform = (verb: string, key: string, args: unknown, signal: AbortSignal) => Promise<unknown>

const AT_ONCE_MAX = 16

interface Running {
  readonly attempt: number
  readonly stop: AbortController
  readonly ended: Promise<void>
}

/** Performs effects, one per key at a time: before a new attempt starts, the one before has ended. */
export class EffectRunner {
  readonly #clock: Clock
  readonly #perform: Perform
  readonly #answer: (row: EffectRow, outcome: EffectOutcome) => void
  readonly #running = new Map<string, Running>()
  readonly #next = new Map<string, EffectRow>()
  readonly #waiting = new Set<string>()
  #stopped = false

  constructor(clock: Clock, perform: Perform, answer: (row: EffectRow, outcome: EffectOutcome) => void) {
    this.#clock = clock
    this.#perform = perform
    this.#answer = answer
  }

  start(row: EffectRow): void {
    if (this.#stopped) return
    this.end(row.id)
    this.#next.set(row.id, row)
    this.#waiting.add(row.id)
    this.#pump()
  }

  /** Ends what is under way on the key; it is not answered for. */
  end(key: string): void {
    this.#next.delete(key)
    this.#running.get(key)?.stop.abort(new Error('another effect takes its place'))
  }

  /** Ends everything; resolves when nothing runs. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#next.clear()
    const ended = [...this.#running.values()].map((running) => {
      running.stop.abort(new Error('the actor stops'))
      return running.ended
    })
    await Promise.all(ended)
  }

  #pump(): void {
    for (const key of this.#waiting) {
      if (this.#running.size >= AT_ONCE_MAX) return
      if (this.#running.has(key)) continue
      this.#waiting.delete(key)
      const row = this.#next.get(key)
      if (row !== undefined) this.#run(row)
    }
  }

  #run(row: EffectRow): void {
    this.#next.delete(row.id)
    const stop = new AbortController()
    const ended = this.#once(row, stop.signal).then((outcome) => {
      this.#running.delete(row.id)
      if (outcome !== undefined && !this.#stopped) this.#answer(row, outcome)
      this.#pump()
    })
    this.#running.set(row.id, { attempt: row.attempt, stop, ended })
  }

  /** Undefined if the effect was ended from outside. */
  async #once(row: EffectRow, ended: AbortSignal): Promise<EffectOutcome | undefined> {
    const late = (): Error =>
      new SubletError('deadline-missed', `${row.verb} took longer than ${row.timeoutMs} ms`)
    const limit = deadline(this.#clock, row.timeoutMs, late, ended)
    try {
      return { kind: 'done', value: await this.#perform(row.verb, row.id, row.args, limit.signal) }
    } catch (error) {
      if (ended.aborted) return undefined
      const code = error instanceof SubletError ? error.code : 'unexpected'
      return { kind: 'failed', code, reason: inOneLine(error) }
    } finally {
      limit.done()
    }
  }
}
