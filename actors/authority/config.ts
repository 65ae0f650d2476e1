import type { ProbeCommand } from '../../adapters/handler.ts'
import type { PlacementPolicy } from '../../controllers/controller.ts'
import type { Conditions } from '../leases/conditions.ts'
import type { Vector } from '../leases/resources.ts'
import type { Millis } from '../runtime/clock.ts'

/** What the site lends of one type. */
export interface TypeOffer {
  readonly vector: Vector
  /** Used when the request names none. */
  readonly image: string
  readonly units: number
}

export interface AuthorityConfig {
  /** The broker whose tickets are honoured. */
  readonly broker: string
  readonly hosts: readonly { readonly name: string; readonly capacity: Vector }[]
  readonly types: Readonly<Record<string, TypeOffer>>
  readonly images: readonly string[]
  readonly probe: readonly ProbeCommand[]
  readonly conditions: Conditions
  readonly termMsMax: Millis
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
  /** Pause before a busy or failed teardown, or a lease without room, is tried again. */
  readonly retryMs: Millis
  /** How long an update is worth repeating. */
  readonly answerMs: Millis
}
