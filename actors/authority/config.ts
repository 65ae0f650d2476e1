import type { ProbeCommand } from '../../adapters/handler.ts'
import type { PlacementPolicy } from '../../controllers/controller.ts'
import type { Conditions } from '../leases/conditions.ts'
import type { Vector } from '../leases/resources.ts'
import { LENGTH_MS_MAX } from '../leases/term.ts'
import type { Millis } from '../runtime/clock.ts'

/** What the site lends of one type. */
export interface TypeOffer {
  readonly vector: Vector
  /** Used when the request names none. */
  readonly image: string
  readonly units: number
  /** Who gives them away; undefined: the site's broker. One broker for each type. */
  readonly broker?: string | undefined
}

export interface Host {
  readonly name: string
  readonly capacity: Vector
  /** The switch that it is plugged into; a host that names none is a group of its own. */
  readonly switch?: string | undefined
}

export interface AuthorityConfig {
  /** Whose tickets are honoured, for types that name no other. */
  readonly broker: string
  readonly hosts: readonly Host[]
  readonly types: Readonly<Record<string, TypeOffer>>
  readonly images: readonly string[]
  readonly probe: readonly ProbeCommand[]
  readonly conditions: Conditions
  readonly termMsMax: Millis
  /** How long a root claim is good; a new one is issued when half of that is over. */
  readonly delegationMs: Millis
  /** A unit that served and died is replaced within the term, while at least `repairMinMs` of it are left. */
  readonly repair: boolean
  readonly repairMinMs: Millis
  /** After a restore: peers that do not answer within this long are taken to hold what the own rows say. */
  readonly recoverMs: Millis
  /** Brokers and holders, who are asked then besides those of the own rows; absent: every peer that was met. */
  readonly peers?: readonly string[] | undefined
  /** Leases on one page of what is told to somebody who was restored; absent: as many as a message may have. */
  readonly holdingsMax?: number | undefined
  readonly placement: PlacementPolicy
  /** Machines are named prefix + slot, slots 1 to `slots`. */
  readonly namePrefix: string
  readonly slots: number
  readonly setupMs: Millis
  readonly probeMs: Millis
  readonly modifyMs: Millis
  readonly teardownMs: Millis
  /** Active machines are probed this often, while they are idle. */
  readonly probeEveryMs: Millis
  /** Machines and rows are compared this often. */
  readonly sweepEveryMs: Millis
  /** Failed setups and probes after which a lease goes without the missing units. */
  readonly failuresMax: number
  /** First delay after a failure with an image; doubles with each further one, up to 64 times. */
  readonly backoffMs: Millis
  /**
   * What is done where most machines are dead at one time: so many are started in a minute, and for so long what fails
   * counts against no lease. Absent: as ever.
   */
  readonly powerCut?: { readonly startsPerMinute: number; readonly patienceMs: Millis } | undefined
  /** Pause before a busy or failed teardown, or a lease without room, is tried again. */
  readonly retryMs: Millis
  /** How long an update is worth repeating. */
  readonly answerMs: Millis
}

/** The longest term, as it can be said to others. */
export const longestOf = ({ termMsMax }: AuthorityConfig): Millis => Math.min(termMsMax, LENGTH_MS_MAX)

/** Who gives away the units of a type. */
export const brokerOf = ({ types, broker }: AuthorityConfig, type: string): string =>
  types[type]?.broker ?? broker
