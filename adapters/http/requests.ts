import type { Socket } from 'node:net'

/**
 * The requests under way at a server, bounded in a way that strangers cannot use up: each may hold a body of some
 * megabytes, and takes as long to come in as its sender likes.
 *
 *   of a peer that was believed     so many; one more is told to come again
 *   of anybody else                 so many; for one more the oldest is ended with its connection
 */
export class Requests {
  readonly #max: number
  readonly #isProven: (socket: Socket) => boolean
  /** The oldest first. */
  readonly #unproven = new Map<object, Socket>()
  readonly #proven = new Set<object>()

  constructor(max: number, isProven: (socket: Socket) => boolean) {
    this.#max = max
    this.#isProven = isProven
  }

  /** False if there is no room. */
  begin(request: object, socket: Socket): boolean {
    if (this.#isProven(socket)) {
      if (this.#proven.size >= this.#max) return false
      this.#proven.add(request)
      return true
    }
    if (this.#unproven.size >= this.#max) {
      const [oldest, held] = this.#unproven.entries().next().value!
      this.#unproven.delete(oldest)
      held.destroy()
    }
    this.#unproven.set(request, socket)
    return true
  }

  end(request: object): void {
    this.#proven.delete(request)
    this.#unproven.delete(request)
  }
}
