import type { Clock } from '../../actors/runtime/clock.ts'
import type { Finished } from '../executor.ts'
import type { Finding } from '../finding.ts'

/** A host that daemons of a batch system run on, or that its commands do. */
export interface HostAsk {
  readonly clock: Clock
  /** For sentences, such as `the batch system’s host`. */
  readonly title: string
  /** A short program; that it fails is an answer. */
  readonly run: (argv: readonly [string, ...string[]], signal: AbortSignal) => Promise<Finished>
  /** What a machine that cannot be found by its name means there. */
  readonly nameless: (about: 'names', sentence: string, cure: string) => Finding
}

/** Where its commands run, which is best where its server does. */
export const HEAD = 'the batch system’s host'
