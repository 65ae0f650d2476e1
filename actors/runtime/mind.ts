import type { Instant } from './clock.ts'
import type { Draft } from './draft.ts'
import type { Envelope, Letter } from './envelope.ts'
import type { ErrorCode } from './errors.ts'
import type { Restored } from './peers.ts'
import type { Row, Tables } from './rows.ts'

/** How an effect ended. `aborted` does not occur: an effect that was ended is not answered for. */
export type EffectOutcome =
  | { readonly kind: 'done'; readonly value: unknown }
  | { readonly kind: 'failed'; readonly code: ErrorCode | 'unexpected'; readonly reason: string }

/** Everything an actor ever learns comes as one of these. */
export type Input =
  /** The first of each life, after all rows were read. */
  | { readonly kind: 'started'; readonly epoch: number; readonly restored?: Restored | undefined }
  /** Noticed later than at the start: this actor runs on an older store than it had. */
  | { readonly kind: 'restored'; readonly restored: Restored }
  /** Verified, numbered, new. */
  | { readonly kind: 'message'; readonly envelope: Envelope }
  /** A message of ours that the peer refused, or that nobody acknowledged until its deadline. */
  | {
      readonly kind: 'undelivered'
      readonly envelope: Letter
      readonly code: string
      readonly reason: string
    }
  /** The row's `due` has come; the mind moves or clears it. */
  | { readonly kind: 'due'; readonly table: string; readonly row: Row }
  /** The row was due, and the mind failed at it twice: it may be put away, or is due again after a while. */
  | { readonly kind: 'set-aside'; readonly table: string; readonly row: Row }
  /** The outcome of the attempt that is under way on the key. */
  | {
      readonly kind: 'effect'
      readonly key: string
      readonly verb: string
      readonly args: unknown
      readonly attempt: number
      readonly outcome: EffectOutcome
    }
  /** From this machine: the command line, a controller's look. The returned value is the reply. */
  | { readonly kind: 'command'; readonly name: string; readonly args: unknown }
  /** The wall clock jumped and is not believed. */
  | { readonly kind: 'clock-step'; readonly at: Instant; readonly byMs: number }

/**
 * The pure part of an actor: reads and writes the draft, nothing else. The same input on the same rows
 * at the same time gives the same draft. An operating error thrown from a command is the reply; any
 * other error takes back what the input did.
 */
export interface Mind<T extends Tables> {
  /** Tables of which it looks at every row when it is started: they are made ready while the store is read. */
  readonly looksAtAll?: readonly string[]
  handle(input: Input, draft: Draft<T>): unknown
}
