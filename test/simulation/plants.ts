import type { AuthorityTables } from '../../actors/authority/rows.ts'
import type { BrokerTables } from '../../actors/broker/rows.ts'
import type { Ack, Envelope } from '../../actors/runtime/envelope.ts'
import type { Trust } from '../../actors/runtime/identity.ts'
import type { Mind } from '../../actors/runtime/mind.ts'
import type { StoredRow } from '../../actors/runtime/rows.ts'
import type { ServiceManagerTables } from '../../actors/service-manager/rows.ts'
import type { Handler } from '../../adapters/handler.ts'
import type { Spoils } from './disk.ts'

/** Faults put into the parts of a trial, to see that it finds them. Each takes a part and gives a worse one. */
export interface Plants {
  readonly broker?: (mind: Mind<BrokerTables>) => Mind<BrokerTables>
  readonly authority?: (mind: Mind<AuthorityTables>) => Mind<AuthorityTables>
  readonly serviceManager?: (mind: Mind<ServiceManagerTables>) => Mind<ServiceManagerTables>
  readonly handler?: (handler: Handler) => Handler
  /** What an actor reads from its disk when it begins. */
  readonly restart?: (rows: readonly StoredRow[]) => readonly StoredRow[]
  /** Rows that do not fit their checksum are passed over. */
  readonly skipsCorrupt?: boolean
  readonly trust?: (trust: Trust) => Trust
  /** How a message is taken that has come to an actor. */
  readonly receive?: (envelope: Envelope, receive: (envelope: Envelope) => Promise<Ack>) => Promise<Ack>
  /** What a disk makes of commits. */
  readonly spoils?: Spoils
  /** A start believes the wall clock, whatever the hour was before. */
  readonly believesClock?: boolean
  /** How often stores are set back, for what is found only then. */
  readonly restores?: number
}
