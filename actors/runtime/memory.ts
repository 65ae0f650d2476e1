import { type Clock, type Millis, within } from './clock.ts'
import type { MetaRow } from './composition.ts'
import type { ActorName } from './identity.ts'
import type { Log } from './log.ts'
import type { Peers, Restored } from './peers.ts'
import type { Postman } from './postman.ts'

export interface MemoryParts {
  readonly clock: Clock
  readonly peers: Peers
  readonly postman: Postman
  /** How long a start waits for the peers. */
  readonly helloMs: Millis
  readonly log: Log
  /** Told once for each generation that is over, when it is noticed after the start. */
  readonly noticed: (restored: Restored) => void
}

/** Peers that are silent delay a start by no more. */
export const HELLO_MS: Millis = 3_000

/**
 * Whether an actor remembers all that it ever said: it does not when an older copy of its store was put in
 * the place of the one it had.
 *
 *   start ──rows read──▶ the store has the mark of a restore ──────────────┐
 *              └──hello to each peer──▶ one has seen more than we said ────┤
 *                                       of a silent one: when it answers ──┴──▶ lost: a new generation begins
 *
 * Nothing new is said to a peer before it answered, so that what it saw is of the time before. A store cannot be
 * put back under an actor that runs: who says so a second time in one life is not believed, or one peer that lies
 * could keep an actor from its work for ever. Whoever is the only one to say so is named in `by`: a mind need not wait
 * long for one who says that there is more and does not say what.
 */
export class Memory {
  readonly #parts: MemoryParts
  #lost: Restored | undefined
  #asking = true
  /** Peers that were believed in this life. */
  readonly #believed = new Set<ActorName>()

  constructor(parts: MemoryParts) {
    this.#parts = parts
  }

  /** Why a new generation is to begin; undefined while everything is remembered. */
  get lost(): Restored | undefined {
    return this.#lost
  }

  /** Resolves when all these peers have said what they saw, or the time for it is over. */
  async ask(names: readonly ActorName[], { outSeq, restored }: MetaRow): Promise<void> {
    const { clock, peers, postman, helloMs } = this.#parts
    peers.begin(outSeq)
    if (restored !== undefined) {
      const reason = `the store was put back from ${restored.from} at ${new Date(restored.at).toISOString()}`
      this.#lost = { reason, seenSeq: 0 }
    }
    const late = (): Error => new Error('not every peer answered in time')
    await within(clock, helloMs, late, () => postman.greet(names)).catch(() => undefined)
    for (const peer of names) if (!postman.isGreeted(peer)) peers.ungreeted(peer)
    this.#asking = false
  }

  /** This peer has seen what is not remembered here. */
  notice(peer: ActorName, restored: Restored): void {
    const first = this.#lost === undefined
    if (first && this.#believed.has(peer)) return this.#doubt(restored)
    this.#believed.add(peer)
    const { reason, seenSeq, by } = this.#lost ?? { ...restored, by: peer }
    this.#lost = { reason, seenSeq: Math.max(seenSeq, restored.seenSeq), by: by === peer ? peer : undefined }
    if (first && !this.#asking) this.#parts.noticed(this.#lost)
  }

  #doubt({ reason }: Restored): void {
    this.#parts.log.warn(
      { reason },
      'not believed: it was believed once since the start, and nothing can be put back since',
    )
  }

  /** A new generation is durable: peers have seen nothing of it above this place. */
  renew(outSeq: number): void {
    this.#lost = undefined
    this.#parts.peers.begin(outSeq)
  }
}
