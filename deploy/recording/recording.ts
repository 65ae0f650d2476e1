import type { Log } from '../../actors/runtime/actor.ts'
import { inOneLine } from '../../actors/runtime/errors.ts'
import type { BatchPicture } from '../../adapters/batch-system.ts'
import { Differences } from './events.ts'
import { Parts } from './parts.ts'

/**
 * Keeps what happens in a guest's queue, for `sublet replay --recording`:
 *
 *   look ─▶ events.ts (what is different) ─▶ parts.ts: FOLDER/2026-11-30.jsonl, 2026-11-30.2.jsonl, …
 *
 * It is never in the way of a decision: what cannot be written is said in the log, once, and left out.
 */
export interface RecordingLimits {
  /** Of all files of one guest together. */
  readonly bytesMax: number
  /** Waiting to be written. */
  readonly waitingMax: number
}

const LIMITS: RecordingLimits = { bytesMax: 64 * 1024 * 1024, waitingMax: 8 * 1024 * 1024 }

interface Batch {
  readonly day: string
  text: string
}

export class Recording {
  readonly #folder: string
  readonly #log: Log
  readonly #limits: RecordingLimits
  readonly #differences = new Differences()
  readonly #parts: Parts
  #waiting: Batch | undefined
  #waitingChars = 0
  #writing: Promise<void> = Promise.resolve()
  #isTold = false
  #leftOut = 0

  constructor(folder: string, log: Log, limits: RecordingLimits = LIMITS) {
    this.#folder = folder
    this.#log = log
    this.#limits = limits
    this.#parts = new Parts(folder, limits.bytesMax)
  }

  take(picture: BatchPicture): void {
    const events = this.#differences.take(picture)
    if (events.length === 0) return
    const text = events.map((event) => `${JSON.stringify(event)}\n`).join('')
    if (this.#waitingChars + text.length > this.#limits.waitingMax) {
      this.#leftOut += events.length
      this.#tell(`${this.#leftOut} events are left out: the disk does not keep up`)
      return
    }
    const day = new Date(picture.at).toISOString().slice(0, 10)
    this.#waitingChars += text.length
    if (this.#waiting?.day === day) {
      this.#waiting.text += text
      return
    }
    const batch: Batch = { day, text }
    this.#waiting = batch
    this.#writing = this.#writing.then(() => this.#write(batch))
  }

  /** Resolves when all that was taken is written, or given up. */
  async flushed(): Promise<void> {
    await this.#writing
  }

  async #write(batch: Batch): Promise<void> {
    if (this.#waiting === batch) this.#waiting = undefined
    try {
      const [longest] = [...(await this.#parts.append(batch.day, batch.text))].sort((a, b) => b - a)
      if (longest === undefined) this.#isTold = false
      else this.#tell(`an event of ${longest} bytes is left out: it is longer than a part of it may be`)
    } catch (error) {
      this.#tell(inOneLine(error))
    } finally {
      this.#waitingChars -= batch.text.length
    }
  }

  #tell(reason: string): void {
    if (this.#isTold) return
    this.#isTold = true
    this.#log.warn({ folder: this.#folder, reason }, 'the recording has a gap')
  }
}
