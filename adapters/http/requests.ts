import type { Socket } from 'node:net'
import { oldestOfFullest, takeOut } from './fullest.ts'

export interface RequestBounds {
  /** Of all strangers together, and of one peer. */
  readonly max: number
  /** Long ones of all strangers together. */
  readonly longMax: number
  /** Of all peers together. */
  readonly peersMax: number
}

/**
 * The requests under way at a server, bounded in a way that neither strangers nor one peer can use up: each may hold a
 * body of some megabytes, and takes as long to come in as its sender likes.
 *
 *   of a peer that was believed     so many of each; one more is told to come again
 *                                   so many of all; for one more the oldest of the peer that has most is ended
 *   of anybody else                 so many, and few long ones; for one more the oldest is ended with its connection
 */
export class Requests {
  readonly #bounds: RequestBounds
  readonly #peerOn: (socket: Socket) => string | undefined
  /** The oldest first. */
  readonly #unproven = new Map<object, Socket>()
  readonly #unprovenLong = new Map<object, Socket>()
  readonly #proven = new Map<string, Map<object, Socket>>()
  readonly #peers = new Map<object, string>()

  constructor(bounds: RequestBounds, peerOn: (socket: Socket) => string | undefined) {
    this.#bounds = bounds
    this.#peerOn = peerOn
  }

  /** False if there is no room. */
  begin(request: object, socket: Socket, isLong = false): boolean {
    const peer = this.#peerOn(socket)
    if (peer !== undefined) return this.#beginOf(peer, request, socket)
    this.#beginUnproven(this.#unproven, this.#bounds.max, request, socket)
    if (isLong) this.#beginUnproven(this.#unprovenLong, this.#bounds.longMax, request, socket)
    return true
  }

  end(request: object): void {
    this.#unproven.delete(request)
    this.#unprovenLong.delete(request)
    takeOut(this.#proven, this.#peers.get(request) ?? '', request)
    this.#peers.delete(request)
  }

  #beginOf(peer: string, request: object, socket: Socket): boolean {
    const those = this.#proven.get(peer) ?? new Map<object, Socket>()
    if (those.size >= this.#bounds.max) return false
    if (this.#peers.size >= this.#bounds.peersMax) {
      const [oldest, held] = oldestOfFullest(this.#proven)!
      this.end(oldest)
      held.destroy()
    }
    // Anew: it may have been the last one of this peer that was ended.
    this.#proven.set(peer, those.set(request, socket))
    this.#peers.set(request, peer)
    return true
  }

  #beginUnproven(those: Map<object, Socket>, max: number, request: object, socket: Socket): void {
    if (those.size >= max) {
      const [oldest, held] = those.entries().next().value!
      this.end(oldest)
      held.destroy()
    }
    those.set(request, socket)
  }
}
