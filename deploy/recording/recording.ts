import { existsSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '../../actors/runtime/actor.ts'
import { inOneLine } from '../../actors/runtime/errors.ts'
import type { BatchPicture } from '../../adapters/batch-system.ts'
import { Differences } from './events.ts'

/**
 * Keeps what happens in a guest's queue, for `sublet replay --recording`:
 *
 *   look ─▶ events.ts (what is different) ─▶ FOLDER/2026-11-30.jsonl, …  ──too much in all──▶ the oldest day goes
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
const FILE = /^\d{4}-\d\d-\d\d\.jsonl$/

export class Recording {
  readonly #folder: string
  readonly #log: Log
  readonly #limits: RecordingLimits
  readonly #differences = new Differences()
  #waiting: { readonly file: string; text: string } | undefined
  #waitingChars = 0
  #writing: Promise<void> = Promise.resolve()
  #isTold = false
  #leftOut = 0

  constructor(folder: string, log: Log, limits: RecordingLimits = LIMITS) {
    this.#folder = folder
    this.#log = log
    this.#limits = limits
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
    const file = join(this.#folder, `${new Date(picture.at).toISOString().slice(0, 10)}.jsonl`)
    this.#waitingChars += text.length
    if (this.#waiting?.file === file) {
      this.#waiting.text += text
      return
    }
    const batch = { file, text }
    this.#waiting = batch
    this.#writing = this.#writing.then(() => this.#write(batch))
  }

  /** Resolves when all that was taken is written, or given up. */
  async flushed(): Promise<void> {
    await this.#writing
  }

  async #write(batch: { readonly file: string; text: string }): Promise<void> {
    if (this.#waiting === batch) this.#waiting = undefined
    try {
      if (!existsSync(batch.file)) this.#makeRoom()
      await appendFile(batch.file, batch.text, { mode: 0o600 })
      this.#isTold = false
    } catch (error) {
      this.#tell(inOneLine(error))
    } finally {
      this.#waitingChars -= batch.text.length
    }
  }

  /** Once a day, when a new file begins. */
  #makeRoom(): void {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 })
    const files = filesIn(this.#folder).map((name) => join(this.#folder, name))
    let bytes = files.reduce((sum, file) => sum + statSync(file).size, 0)
    for (const file of files) {
      if (bytes <= this.#limits.bytesMax) return
      bytes -= statSync(file).size
      rmSync(file)
    }
  }

  #tell(reason: string): void {
    if (this.#isTold) return
    this.#isTold = true
    this.#log.warn({ folder: this.#folder, reason }, 'the recording has a gap')
  }
}

/** The days of a recording, oldest first. */
export const filesIn = (folder: string): readonly string[] =>
  readdirSync(folder)
    .filter((name) => FILE.test(name))
    .sort()
