import type { Socket } from 'node:net'
import { oldestOfFullest, takeOut } from './fullest.ts'

export interface ConnectionBounds {
  readonly max: number
  /** Of one peer. */
  readonly peerMax: number
}

/**
 * The open connections of a server, bounded in a way that neither strangers nor one peer can use up.
 *
 *   opened ──▶ unproven ──a peer was believed on it──▶ proven, that peer’s ──closed──▶ gone
 *                 │                                       ▲      │
 *                 │                                       │      └─ one more than a peer may have: its oldest is ended
 *                 └─ one more than there may be: the oldest unproven one is ended, and if there is none but the new
 *                    one, the oldest of the peer that has most
 */
export class Connections {
  readonly #bounds: ConnectionBounds
  /** By the address of the other end, which TLS and what it runs over have in common; the oldest first. */
  readonly #unproven = new Map<string, Socket>()
  /** By peer. */
  readonly #proven = new Map<string, Map<string, Socket>>()
  /** Whose each is. */
  readonly #peers = new Map<string, string>()

  constructor(bounds: ConnectionBounds) {
    this.#bounds = bounds
  }

  get open(): number {
    return this.#unproven.size + this.#peers.size
  }

  opened(socket: Socket): void {
    const id = idOf(socket)
    this.#unproven.set(id, socket)
    socket.once('close', () => {
      if (this.#unproven.get(id) === socket) this.#unproven.delete(id)
      if (this.#provenOf(id)?.get(id) === socket) this.#forget(id)
    })
    if (this.open <= this.#bounds.max) return
    const [oldest, ended] = this.#unproven.entries().next().value!
    const crowd = oldest === id ? oldestOfFullest(this.#proven) : undefined
    if (crowd !== undefined) return this.#end(...crowd)
    this.#unproven.delete(oldest)
    ended.destroy()
  }

  /** Who was believed on it; undefined if nobody was. */
  peerOn(socket: Socket): string | undefined {
    return this.#peers.get(idOf(socket))
  }

  /** Somebody who is trusted speaks on it. */
  believed(socket: Socket, peer: string): void {
    const id = idOf(socket)
    const known = this.#unproven.get(id)
    if (known === undefined) return
    this.#unproven.delete(id)
    const those = this.#proven.get(peer) ?? new Map<string, Socket>()
    this.#proven.set(peer, those.set(id, known))
    this.#peers.set(id, peer)
    if (those.size > this.#bounds.peerMax) this.#end(...those.entries().next().value!)
  }

  #end(id: string, socket: Socket): void {
    this.#forget(id)
    socket.destroy()
  }

  #forget(id: string): void {
    takeOut(this.#proven, this.#peers.get(id) ?? '', id)
    this.#peers.delete(id)
  }

  #provenOf(id: string): Map<string, Socket> | undefined {
    return this.#proven.get(this.#peers.get(id) ?? '')
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
