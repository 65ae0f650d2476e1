import type { ActorName } from '../actors/runtime/identity.ts'
import type { Receiver, Transport } from '../actors/runtime/transport.ts'

/**
 * Carries messages between processes. What a transport is stands in `actors/runtime/transport.ts`; a network
 * is one that can be opened and closed, and says how its peers look from here.
 *
 *   actor ──envelope──▶ network ─────────────▶ network ──▶ receiver ──▶ durable
 *         ◀──signed ack──┘        ◀── the way back ──┘
 *
 * The law (`test/conformance/transport.ts`):
 *
 * - `send` resolves with the very acknowledgement that the receiver gave, or rejects. It does not judge it:
 *   whoever sent the message verifies the signature.
 * - It rejects soon when the receiver is away, and at once with the reason of its signal.
 * - It sends once. Only a connection that broke before an answer came is tried once more; all further
 *   repeating is the sender's. A message may so arrive twice, or arrive while `send` rejects.
 * - What is not a message is never handed to a receiver as if it were; what the network itself refuses never
 *   looks like an acknowledgement.
 * - Everything it keeps is bounded, in number and in time. It keeps nothing over its life: what was not
 *   acknowledged, its sender sends again.
 */
export interface Network extends Transport {
  /** An actor of this process. */
  attach(name: ActorName, receiver: Receiver): void
  /** From here on peers get through. */
  open(): Promise<void>
  /** Ends what is under way; its senders are told. */
  close(): Promise<void>
  /** Takes the place of all ways that were set before. */
  setPeers(peers: readonly PeerWay[]): void
  /** Asks a peer whether it is there and whether it knows the key that `from` signs with. */
  hello(from: ActorName, to: ActorName, signal: AbortSignal): Promise<PeerAnswer>
  peers(): readonly PeerSight[]
}

/**
 * How to get to a peer.
 *
 *   url                it is called
 *   poll               it calls: what is for it waits here until it is fetched
 *   url and poll       it is called, and what it has for us is fetched from it, for nobody can call here
 */
export interface PeerWay {
  readonly name: ActorName
  /** `http://host:port` or `https://host:port`. */
  readonly url?: string | undefined
  readonly poll: boolean
  /** Actors of this process that have nothing to say to this peer. */
  readonly notFor?: readonly ActorName[] | undefined
}

/** What a peer said of itself, signed by it. */
export interface PeerAnswer {
  /** Whether it knows the key that we showed. */
  readonly outcome: 'known' | 'unknown-peer' | 'unknown-key' | 'key-expired'
  /** The key it signed with, base64url; that it is a key which is trusted here is said by `trusted`. */
  readonly key: string
  readonly trusted: boolean
  readonly protocols: readonly number[]
  /** Its clock minus ours, in milliseconds, right within `errorMs`. */
  readonly offsetMs: number
  readonly errorMs: number
}

/** How the way to a peer looks from here. */
export interface PeerSight {
  readonly name: ActorName
  readonly url: string | undefined
  readonly poll: boolean
  /** When it last fetched here; undefined if it never did since the network was opened. */
  readonly fetchedAt: number | undefined
  /** Since when nothing can be fetched from it; undefined while that works, or is not to be done. */
  readonly silentSince: number | undefined
  readonly lastError: string | undefined
  /** Messages that wait here to be fetched. */
  readonly waiting: number
}
