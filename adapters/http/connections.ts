import type { Socket } from 'node:net'

/**
 * The open connections of a server, bounded in a way that strangers cannot use up.
 *
 *   opened ──▶ unproven ──a peer was believed on it──▶ proven ──closed──▶ gone
 *                 │                                       ▲
 *                 └─ one more than there may be: the oldest unproven one is ended, and only if there is none,
 *                    the new one
 */
export class Connections {
  readonly #max: number
  /** By the address of the other end, which TLS and what it runs over have in common; the oldest first. */
  readonly #unproven = new Map<string, Socket>()
  readonly #proven = new Map<string, Socket>()

  constructor(max: number) {
    this.#max = max
  }

  get open(): number {
    return this.#unproven.size + this.#proven.size
  }

  opened(socket: Socket): void {
    const id = idOf(socket)
    this.#unproven.set(id, socket)
    socket.once('close', () => {
      for (const some of [this.#unproven, this.#proven]) if (some.get(id) === socket) some.delete(id)
    })
    if (this.open <= this.#max) return
    for (const [oldest, ended] of this.#unproven) {
      this.#unproven.delete(oldest)
      ended.destroy()
      return
    }
  }

  isProven(socket: Socket): boolean {
    return this.#proven.has(idOf(socket))
  }

  /** Somebody who is trusted speaks on it. */
  believed(socket: Socket): void {
    const id = idOf(socket)
    const known = this.#unproven.get(id)
    if (known === undefined) return
    this.#unproven.delete(id)
    this.#proven.set(id, known)
  }
}

/** The other end of a socket of the file system has no address; it is known by itself. */
const nameless = new WeakMap<Socket, string>()
let namelessCount = 0

function idOf(socket: Socket): string {
  const { remoteAddress, remotePort } = socket
  if (remotePort !== undefined) return `${remoteAddress} ${remotePort}`
  const id = nameless.get(socket) ?? `nameless ${++namelessCount}`
  nameless.set(socket, id)
  return id
}
