import { signable } from './canonical.ts'
import type { Instant, Millis } from './clock.ts'
import type { LedgerHead, LedgerNote } from './commit.ts'
import type { ActorName, Identity } from './identity.ts'

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
}

/** Whether lines up to `seq` are to be signed now. */
export const isCheckpointDue = (last: LastCheckpoint, seq: number, now: Instant): boolean =>
  seq - last.seq >= CHECKPOINT_LINES || (seq > last.seq && now - last.at >= CHECKPOINT_MS)
