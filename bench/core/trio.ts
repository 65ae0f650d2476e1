import { authority } from '../../actors/authority/authority.ts'
import type { AuthorityTables } from '../../actors/authority/rows.ts'
import { broker } from '../../actors/broker/broker.ts'
import type { BrokerTables } from '../../actors/broker/rows.ts'
import { downgrade } from '../../actors/leases/versions.ts'
import { Actor, type ActorParts } from '../../actors/runtime/actor.ts'
import type { Clock } from '../../actors/runtime/clock.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import type { Perform } from '../../actors/runtime/effects.ts'
import type { Identity, Trust } from '../../actors/runtime/identity.ts'
import type { Mind } from '../../actors/runtime/mind.ts'
import type { Random } from '../../actors/runtime/random.ts'
import type { Tables } from '../../actors/runtime/rows.ts'
import type { Transport } from '../../actors/runtime/transport.ts'
import type { Guest } from '../../actors/service-manager/config.ts'
import type { ServiceManagerTables } from '../../actors/service-manager/rows.ts'
import { serviceManager } from '../../actors/service-manager/service-manager.ts'
import type { Store } from '../../adapters/store.ts'
import { firstCome } from '../../controllers/brokers/first-come.ts'
import type { GuestController, GuestIntent, HostRoom } from '../../controllers/controller.ts'

export const NAMES = ['manager', 'broker', 'site'] as const
export type Name = (typeof NAMES)[number]

export interface TrioParts {
  readonly clock: Clock
  readonly random: Random
  readonly identity: (name: Name) => Identity
  readonly trust: Trust
  readonly store: (name: Name) => Store
  readonly transport: (name: Name) => Transport
  readonly attach: (name: Name, actor: Actor<Tables>) => void
  /** Units of the one type that the site has. */
  readonly units: number
  readonly batchMs?: number
  readonly onCommitted?: (name: Name, entries: readonly LedgerEntry[]) => void
}

/** One of each actor, in its production form, with handlers that do nothing, and a guest that wishes what it is told. */
export interface Trio {
  readonly manager: Actor<ServiceManagerTables>
  readonly broker: Actor<BrokerTables>
  readonly site: Actor<AuthorityTables>
  start(): Promise<void>
  stop(): Promise<void>
  /** Resolves when the wishes are on the manager's disk. */
  wish(intents: readonly GuestIntent[]): Promise<void>
}

const GUEST = 'guest'
const HOUR = 3_600_000
const quiet = (): void => undefined
const say = (fields: object, message: string): void => {
  process.stderr.write(`${message}: ${JSON.stringify(fields)}\n`)
}

const NO_FIGURES = { backlogJobs: 0, unitsWanted: 0, unitsJoined: 0, unitsComing: 0, oldestWaitMs: 0 }

const puppetOf = (intents: () => readonly GuestIntent[]): GuestController<unknown, null, unknown> => ({
  name: 'puppet',
  firstMemory: null,
  decide: () => ({ intents: intents(), memory: null, reason: '', figures: NO_FIGURES, againMs: HOUR }),
  explainJob: () => undefined,
})

const NOTHING_WISHED = puppetOf(() => [])

/** As production has them, with a guest that does what it is told. */
export function mindsOf(
  parts: Pick<TrioParts, 'identity' | 'trust' | 'units' | 'batchMs'>,
  guest: GuestController<unknown, null, unknown> = NOTHING_WISHED,
) {
  const times = { retryMs: 1_000, answerMs: HOUR }
  return {
    manager: serviceManager(
      {
        guests: {
          [GUEST]: { controller: guest as unknown as Guest['controller'], config: {}, properties: {} },
        },
        ...{ broker: 'broker', skewMsMax: 2_000, leaveBudgetMs: 1_000, askMs: 60_000, joinMs: 5_000 },
        ...{
          leaveMs: 5_000,
          joinFailuresMax: 3,
          burst: Number.MAX_SAFE_INTEGER,
          quarantineMs: 60_000,
          ...times,
        },
      },
      parts.trust,
    ),
    broker: broker(
      {
        ...{ policy: firstCome, sites: ['site'], batchMs: parts.batchMs ?? 50 },
        ...{ quarantineMs: 5_000, answerMs: HOUR },
      },
      parts.identity('broker'),
      parts.trust,
    ),
    site: authority(
      {
        ...{ broker: 'broker', images: ['plain'], probe: [], placement: onTheOne, namePrefix: 'n' },
        hosts: [{ name: 'host', capacity: { cpu: parts.units } }],
        types: { small: { vector: { cpu: 1 }, image: 'plain', units: parts.units } },
        conditions: { recallable: false, noticeMs: 0, graceMs: 30_000 },
        ...{
          ...{ delegationMs: 1_000 * HOUR, repair: true, repairMinMs: 60_000, recoverMs: 600_000 },
          termMsMax: 100 * HOUR,
          slots: 2 * parts.units,
          setupMs: 60_000,
          probeMs: 60_000,
          modifyMs: 60_000,
        },
        ...{
          teardownMs: 60_000,
          probeEveryMs: HOUR,
          sweepEveryMs: HOUR,
          failuresMax: 3,
          backoffMs: 1_000,
          ...times,
        },
      },
      parts.identity('site'),
      parts.trust,
    ),
  }
}

export function trio(parts: TrioParts): Trio {
  let wishes: readonly GuestIntent[] = []
  const puppet = puppetOf(() => {
    const intents = wishes
    wishes = []
    return intents
  })
  const minds = mindsOf(parts, puppet)
  const actorOf = <T extends Tables>(name: Name, mind: Mind<T>, perform: Perform): Actor<T> => {
    const actor = new Actor<T>({
      ...{ mind, perform, downgrade, clock: parts.clock, trust: parts.trust, skewMsMax: 2_000 },
      store: parts.store(name),
      identity: parts.identity(name),
      transport: parts.transport(name),
      random: parts.random.child(name),
      log: { debug: quiet, info: quiet, warn: say, error: say },
      onCommitted: (entries: readonly LedgerEntry[]) => parts.onCommitted?.(name, entries),
      onFailed: (error: unknown) => {
        throw error
      },
    } as ActorParts<T>)
    parts.attach(name, actor as unknown as Actor<Tables>)
    return actor
  }
  const actors = {
    manager: actorOf('manager', minds.manager, async (verb) =>
      verb === 'leave' ? { kind: 'left' } : undefined,
    ),
    broker: actorOf('broker', minds.broker, () => Promise.reject(new Error('a broker does nothing'))),
    site: actorOf('site', minds.site, async (verb) => ANSWERS[verb]),
  }
  return {
    ...actors,
    async start() {
      await Promise.all([actors.broker.start(), actors.site.start(), actors.manager.start()])
    },
    async stop() {
      await Promise.all([actors.broker.stop(), actors.site.stop(), actors.manager.stop()])
    },
    async wish(intents) {
      wishes = intents
      await actors.manager.command('look', {
        ...{ guest: GUEST, observation: {}, failure: undefined, traces: undefined },
      })
    },
  }
}

const ANSWERS: Readonly<Record<string, unknown>> = {
  setup: {},
  probe: { kind: 'passed' },
  teardown: { kind: 'gone' },
  list: [],
}

/** Placement is not what is measured. */
const onTheOne = (count: number, _: unknown, hosts: readonly HostRoom[]): readonly string[] => {
  const free = hosts[0]?.free.cpu ?? 0
  return Array.from({ length: Math.max(0, Math.min(count, free)) }, () => 'host')
}
