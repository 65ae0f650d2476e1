import { signable } from './canonical.ts'
import type { Instant, Millis } from './clock.ts'
import type { LedgerHead, LedgerNote } from './commit.ts'
import type { ActorName, Identity, PublicKey } from './identity.ts'

/**
 * An actor's signature over its ledger so far, as a line of it:
 *
 *   1 ─ ... ─ head │ checkpoint { seq, hash of head, key, signature } │ ...
 *
 * Whoever has seen it can hold the actor to every line before. Ledgers are archived up to one of these.
 */
export const CHECKPOINT_LINES = 1_000
export const CHECKPOINT_MS: Millis = 24 * 3_600_000

export const checkpointText = (actor: ActorName, { seq, hash }: LedgerHead): string =>
  signable('checkpoint', { actor, seq, hash })

export function checkpointNote(head: LedgerHead, identity: Identity): LedgerNote {
  const { seq, hash } = head
  const { name, key } = identity
  const data = { seq, hash, key, signature: identity.sign(checkpointText(name, head)) }
  return { kind: 'checkpoint', subject: name, reason: `${name} signs its ledger up to line ${seq}`, data }
}

/** The last checkpoint: its line, and when it was written; of a ledger without one, where it began. */
export interface LastCheckpoint {
  readonly seq: number
  readonly at: Instant
  /** What signed it; undefined: written by a program that did not remember. */
  readonly key?: PublicKey | undefined
}

/** Whether so many lines, over so long, are to be signed. */
export const isLongUnsigned = (last: LastCheckpoint, seq: number, now: Instant): boolean =>
  seq - last.seq >= CHECKPOINT_LINES || (seq > last.seq && now - last.at >= CHECKPOINT_MS)

/** Whether lines up to `seq` are to be signed now: also by a new key at once, so that whoever knows it alone can check them. */
export const isCheckpointDue = (last: LastCheckpoint, seq: number, now: Instant, key: PublicKey): boolean =>
  isLongUnsigned(last, seq, now) || (seq > last.seq && last.key !== key)
