import type { Instant } from '../../actors/runtime/clock.ts'
import type { Ack, Envelope } from '../../actors/runtime/envelope.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { FETCH_BYTES_MAX, FETCH_MAX } from './calls.ts'

/** Messages that wait for one peer, those that it has fetched and not yet acknowledged too. */
export const BAG_MAX = 256
export const BAG_BYTES_MAX = 16 * 1024 * 1024

interface Letter {
  readonly id: string
  readonly text: string
  readonly resolve: (ack: Ack) => void
  fetched: boolean
}

/**
 * What waits for a peer that comes for it.
 *
 *   send ──▶ waiting ──poll──▶ fetched ──acks──▶ acknowledged: `send` resolves
 *               │                 │
 *               └──── the sender gives up: taken out, and it was not sent ────
 *
 * One poll waits at a time; a newer one of the same peer takes its place.
 */
export class Bag {
  readonly #letters = new Map<Letter, number>()
  #bytes = 0
  #poll: ((texts: readonly string[]) => void) | undefined
  #soon = false
  #fetchedAt: Instant | undefined

  get waiting(): number {
    return this.#letters.size
  }

  get fetchedAt(): Instant | undefined {
    return this.#fetchedAt
  }

  send(envelope: Envelope, signal: AbortSignal): Promise<Ack> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason)
      const text = JSON.stringify(envelope)
      const bytes = Buffer.byteLength(text)
      if (this.#letters.size >= BAG_MAX || this.#bytes + bytes > BAG_BYTES_MAX)
        return reject(new SubletError('peer-silent', 'too much waits for this peer to be fetched'))
      const giveUp = (): void => {
        this.#remove(letter)
        reject(signal.reason)
      }
      const letter: Letter = {
        id: envelope.id,
        text,
        fetched: false,
        resolve: (ack) => {
          signal.removeEventListener('abort', giveUp)
          this.#remove(letter)
          resolve(ack)
        },
      }
      signal.addEventListener('abort', giveUp, { once: true })
      this.#letters.set(letter, bytes)
      this.#bytes += bytes
      this.#handOverSoon()
    })
  }

  /**
   * Messages as JSON: those that wait, or the first that come until `ended` is aborted; then none. A peer
   * that is gone has fetched nothing.
   */
  fetch(now: Instant, ended: AbortSignal): Promise<readonly string[]> {
    this.#fetchedAt = now
    this.#poll?.([])
    return new Promise((resolve) => {
      const end = (): void => answer([])
      const answer = (texts: readonly string[]): void => {
        if (this.#poll === answer) this.#poll = undefined
        ended.removeEventListener('abort', end)
        resolve(texts)
      }
      this.#poll = answer
      if (ended.aborted) return end()
      ended.addEventListener('abort', end, { once: true })
      this.#handOver()
    })
  }

  /** How many of the acknowledgements were waited for. */
  settle(acks: readonly Ack[]): number {
    let accepted = 0
    for (const ack of acks)
      for (const letter of [...this.#letters.keys()])
        if (letter.fetched && letter.id === ack.id) {
          letter.resolve(ack)
          accepted++
        }
    return accepted
  }

  /** What one commit sends goes out together. */
  #handOverSoon(): void {
    if (this.#soon || this.#poll === undefined) return
    this.#soon = true
    setImmediate(() => {
      this.#soon = false
      this.#handOver()
    })
  }

  #handOver(): void {
    if (this.#poll === undefined) return
    const texts: string[] = []
    let bytes = 0
    for (const [letter, size] of this.#letters) {
      if (letter.fetched) continue
      if (texts.length >= FETCH_MAX || (texts.length > 0 && bytes + size > FETCH_BYTES_MAX)) break
      letter.fetched = true
      texts.push(letter.text)
      bytes += size
    }
    if (texts.length > 0) this.#poll(texts)
  }

  #remove(letter: Letter): void {
    const bytes = this.#letters.get(letter)
    if (bytes === undefined) return
    this.#letters.delete(letter)
    this.#bytes -= bytes
  }
}
