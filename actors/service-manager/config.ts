import type { GuestController } from '../../controllers/controller.ts'
import type { Properties } from '../leases/properties.ts'
import type { Millis } from '../runtime/clock.ts'

/** A guest: somebody's middleware, with the controller that watches it. */
export interface Guest {
  readonly controller: GuestController<unknown, unknown, unknown>
  readonly config: unknown
  /** What it decides is written down, and nothing is done. */
  readonly observe?: boolean | undefined
  /** Sent with each request, such as `image` or `ssh.authorizedKey`. */
  readonly properties: Properties
  /** Whom tickets are asked of; absent: the one of all guests. */
  readonly broker?: string | undefined
}

export interface ServiceManagerConfig {
  readonly guests: Readonly<Record<string, Guest>>
  /** Whom tickets are asked of for guests that have no other. */
  readonly broker: string
  readonly skewMsMax: Millis
  /** How long before the end (less the guard) units begin to leave. */
  readonly leaveBudgetMs: Millis
  /** How long a request that is not deferrable waits for its ticket. */
  readonly askMs: Millis
  readonly joinMs: Millis
  readonly leaveMs: Millis
  readonly retryMs: Millis
  /** Joins that fail before the unit is given up. */
  readonly joinFailuresMax: number
  /** Decisions of a guest that do something, in a row; `BURST` if absent. A bench that decides without end has none. */
  readonly burst?: number | undefined
  /** How long after the end the site's final word is waited for. */
  readonly quarantineMs: Millis
  /** How long, after a restore, brokers and sites are waited for; absent: 10 minutes. */
  readonly recoverMs?: Millis | undefined
  /** Brokers and sites, who are asked after a restore, besides those of the rows; absent: every peer that was met. */
  readonly peers?: readonly string[] | undefined
  /** Leases on one page of what is told to somebody who was restored; absent: as many as a message may have. */
  readonly holdingsMax?: number | undefined
  /** How long close and relinquish are worth repeating. */
  readonly answerMs: Millis
}
