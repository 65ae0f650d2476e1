import { join } from 'node:path'
import { authority } from '../actors/authority/authority.ts'
import type { AuthorityTables } from '../actors/authority/rows.ts'
import type { UnitEffectArgs } from '../actors/authority/units.ts'
import { broker } from '../actors/broker/broker.ts'
import type { BrokerTables } from '../actors/broker/rows.ts'
import { downgrade } from '../actors/leases/versions.ts'
import { Actor, type Log } from '../actors/runtime/actor.ts'
import { type Clock, deadline, type Millis, sleep } from '../actors/runtime/clock.ts'
import type { Perform } from '../actors/runtime/effects.ts'
import { inOneLine, SubletError } from '../actors/runtime/errors.ts'
import { ed25519Trust, type Identity } from '../actors/runtime/identity.ts'
import type { Mind } from '../actors/runtime/mind.ts'
import type { Random } from '../actors/runtime/random.ts'
import type { Tables } from '../actors/runtime/rows.ts'
import { period } from '../actors/runtime/sentence.ts'
import { type ClockMark, steadyClock } from '../actors/runtime/steady.ts'
import type { ServiceManagerTables } from '../actors/service-manager/rows.ts'
import { serviceManager } from '../actors/service-manager/service-manager.ts'
import { isFinished } from '../actors/service-manager/steps.ts'
import type { Handler } from '../adapters/handler.ts'
import { makeFolder } from '../adapters/make-folder.ts'
import { sqliteStore } from '../adapters/sqlite/store.ts'
import type { KeptStore } from '../adapters/store.ts'
import { authorityConfig, brokerConfig, managerTimes } from './actor-configs.ts'
import { machinesOf } from './adapters.ts'
import { type AssembledGuest, assembleGuest, guestOf, memberVerbs, type SiteGuest } from './assemble-guest.ts'
import { networkOf } from './assemble-network.ts'
import { isNewIn, OwnKeys } from './peers/keys.ts'
import { PeerBook, waysOf } from './peers/peers.ts'
import { Recording } from './recording/recording.ts'
import type { Federation } from './reports/site-view.ts'
import type {
  BrokerSettings,
  GuestSettings,
  ServiceManagerSettings,
  Settings,
  SiteSettings,
} from './settings/config.ts'
import { namesHere } from './settings/names-here.ts'
import type { Role } from './settings/network-config.ts'
import { inDir } from './settings/work-files.ts'
import { ownStore } from './upkeep/own-store.ts'

export interface SiteParts {
  readonly clock: Clock
  /** What the hour was before. */
  readonly clockMark?: ClockMark | undefined
  readonly random: Random
  readonly log: Log
  /** Told at each place where a crash would matter; the kill tests end the process there. */
  readonly onBoundary?: (label: string) => void
  /** Told once when an actor could not go on; the process should end and be started again. */
  readonly onFailed?: (error: unknown) => void
}

/** Those of the three actors that one configuration describes, in one process. */
export interface Site {
  readonly settings: Settings
  readonly serviceManager: Actor<ServiceManagerTables> | undefined
  readonly broker: Actor<BrokerTables> | undefined
  readonly authority: Actor<AuthorityTables> | undefined
  readonly federation: Federation
  readonly stores: readonly { readonly name: string; readonly store: KeptStore }[]
  readonly guests: Readonly<Record<string, SiteGuest>>
  start(): Promise<void>
  /** Leaves leases running. */
  stop(): Promise<void>
  /** Gives all leases back; resolves when they are closed, rejects with `deadline-missed` after `withinMs`. */
  releaseAll(reason: string, withinMs?: Millis): Promise<void>
  take(next: Settings): void
  /** Calls back after each commit of any actor that wrote to its ledger; returns how to stop that. */
  onChange(callback: () => void): () => void
}

const CHECK_MS: Millis = 20_000
const RELEASE_MS: Millis = 120_000
const RELEASE_LOOK_MS: Millis = 50

export function assemble(settings: Settings, given: SiteParts): Site {
  const { random, log } = given
  let current = settings
  // The actors see to their own clock, and tell of a jump; everything beside them must not believe it either.
  const clock = steadyClock(given.clock, settings.skewMax, () => undefined, given.clockMark)
  const parts: SiteParts = { ...given, clock }
  makeFolder(settings.dir, 0o700)
  const files = inDir(settings.dir)
  const keys = new OwnKeys(files.keys, namesHere(settings), clock, isNewIn(settings.dir))
  const identity = (name: string): Identity => keys.identity(name)
  const trust = ed25519Trust({})
  const network = networkOf(settings, { clock, random: random.child('network'), log, trust, identity })
  /** They change while the broker runs. */
  const sites: string[] = []
  const managers: string[] = []
  /** Those that a site, and those that a service manager, may have to do with. */
  const borrowers: string[] = []
  const lenders: string[] = []
  const peers = new PeerBook({
    ...{ settings, trust, keys, clock, log },
    onChange(now) {
      network.setPeers(waysOf(settings, now))
      const names = (wanted: Role, here: { readonly name: string } | undefined): readonly string[] => [
        ...(here === undefined ? [] : [here.name]),
        ...now.flatMap(({ name, role }) => (role === wanted ? [name] : [])),
      ]
      sites.splice(0, sites.length, ...names('site', settings.site))
      managers.splice(0, managers.length, ...names('service-manager', settings.serviceManager))
      const brokers = names('broker', settings.broker)
      borrowers.splice(0, borrowers.length, ...brokers, ...managers)
      lenders.splice(0, lenders.length, ...brokers, ...sites)
    },
  })
  const listeners = new Set<() => void>()
  const stopping = new AbortController()
  const handler = settings.site === undefined ? undefined : machinesOf(settings.site.machines, parts)
  const guests: Record<string, AssembledGuest> = {}

  const changed = (): void => {
    for (const listener of listeners) listener()
    for (const { watcher } of Object.values(guests)) watcher.poke()
  }

  function actorOf<T extends Tables>(
    name: string,
    mind: Mind<T>,
    perform: Perform,
  ): { actor: Actor<T>; store: KeptStore } {
    const store = bounded(ownStore(sqliteStore(files.database(name)), name), name)
    const actor = new Actor<T>({
      ...{ mind, store, trust, log, downgrade, transport: network },
      ...{ clock: given.clock, clockMark: given.clockMark },
      perform: boundedPerform(perform),
      identity: identity(name),
      random: random.child(name),
      skewMsMax: settings.skewMax,
      rate: settings.peerRate,
      onCommitted: changed,
      onFailed: (error) => parts.onFailed?.(error),
    })
    network.attach(name, actor)
    return { actor, store }
  }

  function bounded(store: KeptStore, name: string): KeptStore {
    const { onBoundary } = parts
    if (onBoundary === undefined) return store
    return {
      ...store,
      async commit(commit) {
        const what = [...new Set(commit.ledger.map((entry) => entry.kind))].sort().join(', ') || 'rows'
        onBoundary(`before commit: ${name}: ${what}`)
        await store.commit(commit)
        onBoundary(`after commit: ${name}: ${what}`)
      },
    }
  }

  function boundedPerform(perform: Perform): Perform {
    const { onBoundary } = parts
    if (onBoundary === undefined) return perform
    return async (verb, key, args, signal) => {
      onBoundary(`before effect: ${verb}`)
      const value = await perform(verb, key, args, signal)
      onBoundary(`after effect: ${verb}`)
      return value
    }
  }

  /** As the configuration says now. */
  const controllerOf = (name: string): GuestSettings['controller'] =>
    current.guests.find((guest) => guest.name === name)!.controller

  const stores: { name: string; store: KeptStore }[] = []
  const role = <S, T extends Tables>(
    section: (S & { readonly name: string }) | undefined,
    made: (section: S, name: string) => { actor: Actor<T>; store: KeptStore },
  ): Actor<T> | undefined => {
    if (section === undefined) return undefined
    const { actor, store } = made(section, section.name)
    stores.push({ name: section.name, store })
    return actor
  }
  const manager = role<ServiceManagerSettings, ServiceManagerTables>(
    settings.serviceManager,
    (section, name) => {
      const mind = serviceManager(
        {
          ...managerTimes(section, settings.skewMax),
          ...{ broker: section.broker, peers: lenders },
          guests: Object.fromEntries(
            settings.guests.map((guest) => [guest.name, guestOf(guest, () => controllerOf(guest.name))]),
          ),
        },
        trust,
      )
      return actorOf(name, mind, (verb, _key, args, signal) => memberVerbs(guests, verb, args, signal))
    },
  )
  const brokerActor = role<BrokerSettings, BrokerTables>(settings.broker, (section, name) => {
    const nothing: Perform = () => Promise.reject(new Error('a broker has no effects'))
    const mind = broker(
      { ...brokerConfig(section), sites, peers: managers, holders: managers },
      identity(name),
      trust,
    )
    return actorOf(name, mind, nothing)
  })
  const siteActor = role<SiteSettings, AuthorityTables>(settings.site, (section, name) =>
    actorOf(
      name,
      authority({ ...authorityConfig(section), peers: borrowers }, identity(name), trust),
      handlerVerbs(handler!),
    ),
  )
  const actors = [brokerActor, siteActor, manager].filter((actor) => actor !== undefined)
  if (settings.serviceManager !== undefined && manager !== undefined)
    for (const guest of settings.guests)
      guests[guest.name] = assembleGuest(
        guest,
        settings.serviceManager,
        parts,
        manager,
        () => controllerOf(guest.name),
        new Recording(join(files.recordings, guest.name), log),
      )

  async function start(): Promise<void> {
    await refuseToStart(handler, guests, settings, parts)
    await network.open()
    peers.watch()
    // At once: each waits for the others to say what they saw of it.
    await Promise.all(actors.map((actor) => actor.start()))
    handler?.watch?.((unitId) => {
      siteActor
        ?.command('machine ended', { unitId })
        .catch((error: unknown) => log.warn({ reason: inOneLine(error) }, 'a hint was not taken'))
    }, stopping.signal)
    for (const { watcher } of Object.values(guests)) watcher.start()
  }

  async function stop(): Promise<void> {
    stopping.abort(new SubletError('not-running', 'the site stops'))
    peers.stop()
    await Promise.all(Object.values(guests).map(({ watcher }) => watcher.stop()))
    await Promise.all(Object.values(guests).map(({ recording }) => recording?.flushed()))
    await Promise.all(actors.map((actor) => actor.stop()))
    await network.close()
    for (const { join, batch } of Object.values(guests)) {
      await join.close()
      await batch.close()
    }
  }

  async function releaseAll(reason: string, withinMs: Millis = RELEASE_MS): Promise<void> {
    if (manager === undefined)
      throw new SubletError(
        'usage',
        'no service manager runs here: leases are given back where they are held',
      )
    await Promise.all(Object.values(guests).map(({ watcher }) => watcher.stop()))
    const late = (): Error =>
      new SubletError('deadline-missed', `not all leases were closed within ${period(withinMs)}`)
    const limit = deadline(clock, withinMs, late)
    try {
      await manager.command('release all', { reason })
      const open = (): boolean =>
        manager.rows('lease').some((lease) => !isFinished(lease)) ||
        (siteActor?.rows('lease') ?? []).some(
          ({ holder, state }) => holder === manager.name && state !== 'closed',
        )
      while (open()) await sleep(clock, RELEASE_LOOK_MS, limit.signal)
    } finally {
      limit.done()
    }
  }

  return {
    get settings() {
      return current
    },
    serviceManager: manager,
    broker: brokerActor,
    authority: siteActor,
    stores,
    federation: {
      ...{ network, trust, keys },
      peers: () => peers.peers,
      reload: () => peers.reload(),
    },
    guests,
    start,
    stop,
    releaseAll,
    take(next) {
      current = next
      for (const { watcher } of Object.values(guests)) watcher.poke()
    },
    onChange(callback) {
      listeners.add(callback)
      return () => listeners.delete(callback)
    },
  }
}

/** Nothing is started unless everything that is needed is there and nobody else drives the pool. */
async function refuseToStart(
  handler: Handler | undefined,
  guests: Readonly<Record<string, AssembledGuest>>,
  settings: Settings,
  parts: SiteParts,
): Promise<void> {
  const late = (): Error =>
    new SubletError('middleware-unreachable', 'the checks before the start took too long')
  const limit = deadline(parts.clock, CHECK_MS, late)
  try {
    const missing = (await handler?.check(limit.signal)) ?? []
    if (handler !== undefined && missing.length > 0)
      throw new SubletError(
        'config-invalid',
        `machines of kind ${handler.kind} cannot be made here: ${missing.join(' ')}`,
        { cure: 'Provide what is missing, or choose machines of another kind.' },
      )
    for (const [name, { batch }] of Object.entries(guests)) {
      const wrong = await batch.check(limit.signal)
      if (settings.guests.find((guest) => guest.name === name)?.mode === 'observe') {
        // It is only read: what else would be needed is good to know, and its seat may be another's.
        for (const sentence of wrong)
          parts.log.warn({ guest: name, reason: sentence }, 'missing, if it were not only observed')
        continue
      }
      if (wrong.length > 0)
        throw new SubletError(
          'middleware-unreachable',
          `the batch system of ${name} will not do: ${wrong.join(' ')}`,
        )
      await batch.claim(`${settings.name} (${settings.dir})`, limit.signal)
    }
  } catch (error) {
    for (const { batch, join } of Object.values(guests)) {
      await join.close()
      await batch.close()
    }
    throw error
  } finally {
    limit.done()
  }
}

function handlerVerbs(handler: Handler): Perform {
  return (verb, _key, args, signal) => {
    if (verb === 'list') return handler.list(signal)
    const { spec, onlyIdle, force } = args as UnitEffectArgs
    switch (verb) {
      case 'setup':
        return handler.setup(spec, signal)
      case 'probe':
        return handler.probe(spec, { onlyIdle }, signal)
      case 'modify':
        return handler.modify(spec, signal)
      case 'teardown':
        return handler.teardown(spec, { force }, signal)
      default:
        return Promise.reject(new Error(`no handler has a verb ${verb}`))
    }
  }
}
