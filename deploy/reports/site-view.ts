import type { AuthorityTables } from '../../actors/authority/rows.ts'
import type { BrokerTables } from '../../actors/broker/rows.ts'
import type { LedgerHead } from '../../actors/runtime/commit.ts'
import type { Trust } from '../../actors/runtime/identity.ts'
import type { PeerView } from '../../actors/runtime/peers.ts'
import type { Tables } from '../../actors/runtime/rows.ts'
import type { ServiceManagerTables } from '../../actors/service-manager/rows.ts'
import type { BatchPicture, BatchSystem } from '../../adapters/batch-system.ts'
import type { Store } from '../../adapters/store.ts'
import type { Network } from '../../adapters/transport.ts'
import type { GuestDecision } from '../../controllers/controller.ts'
import type { OwnKeys } from '../peers/keys.ts'
import type { Peer } from '../peers/peers.ts'
import type { Settings } from '../settings/config.ts'

/** What is asked of an actor from outside: its rows, its commands, where its ledger ends. */
export interface ActorView<T extends Tables> {
  readonly name: string
  readonly running: boolean
  readonly head: { readonly seq: number; readonly hash: string }
  rows<K extends keyof T & string>(table: K): T[K][]
  command(name: string, args: unknown): Promise<unknown>
  /** How others look from this actor. */
  peers?(): readonly PeerView[]
}

/** Actors in other processes, and the ways to them. */
export interface Federation {
  readonly network: Network
  readonly trust: Trust
  readonly keys: OwnKeys
  peers(): readonly Peer[]
  /** Reads the peers again. */
  reload(): void
}

export interface GuestView {
  readonly batch: BatchSystem
  /** The last look at its middleware. */
  lastPicture(): BatchPicture | undefined
  /** In sentences, by id; those that the middleware does not show (any more) are not in it. */
  explainJobs(ids: readonly string[]): ReadonlyMap<string, readonly string[]>
  /** What each of its machines is good for now, by unit, as its controller sees it; without those it says nothing of. */
  explainMachines(): ReadonlyMap<string, string>
  /** What its controller would decide now. */
  plan(): GuestDecision<unknown>
}

/** A ledger that can be read: of a running actor, or of its database alone. */
export interface Ledger extends Pick<Store, 'entries'> {
  /** The last line that is only in archives any more; absent: all lines are here. */
  base?(): LedgerHead
}

/** Those of the three actors that run here. */
export const actorsOf = ({ serviceManager, broker, authority }: SiteView) =>
  [serviceManager, broker, authority].filter((actor) => actor !== undefined)

/** What commands, views and reports look at: those of the three actors that run here, their ledgers and guests. */
export interface SiteView {
  readonly settings: Settings
  readonly serviceManager: ActorView<ServiceManagerTables> | undefined
  readonly broker: ActorView<BrokerTables> | undefined
  readonly authority: ActorView<AuthorityTables> | undefined
  readonly stores: readonly { readonly name: string; readonly store: Ledger }[]
  readonly guests: Readonly<Record<string, GuestView>>
  /** Absent where nothing is known of other processes. */
  readonly federation?: Federation
  /** From now on it runs by these settings, as far as they may change while it runs. */
  take?(next: Settings): void
  /** Calls back after every commit of any actor, until the returned function is called. */
  onChange(callback: () => void): () => void
}
