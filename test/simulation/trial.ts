import { authority } from '../../actors/authority/authority.ts'
import type { AuthorityTables } from '../../actors/authority/rows.ts'
import type { UnitEffectArgs } from '../../actors/authority/units.ts'
import { broker } from '../../actors/broker/broker.ts'
import type { BrokerTables } from '../../actors/broker/rows.ts'
import { Actor, type Log } from '../../actors/runtime/actor.ts'
import type { Clock, Millis } from '../../actors/runtime/clock.ts'
import type { Perform } from '../../actors/runtime/effects.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { Mind } from '../../actors/runtime/mind.ts'
import { type Random, seededRandom } from '../../actors/runtime/random.ts'
import type { Tables } from '../../actors/runtime/rows.ts'
import { steadyClock } from '../../actors/runtime/steady.ts'
import type { Guest } from '../../actors/service-manager/config.ts'
import { type MemberEffectArgs, Membership } from '../../actors/service-manager/membership.ts'
import type { ServiceManagerTables } from '../../actors/service-manager/rows.ts'
import { serviceManager } from '../../actors/service-manager/service-manager.ts'
import { Watcher } from '../../actors/service-manager/watcher.ts'
import type { Handler } from '../../adapters/handler.ts'
import { bestFit } from '../../controllers/authorities/best-fit.ts'
import { firstCome } from '../../controllers/brokers/first-come.ts'
import { grocConfig } from '../../controllers/guests/groc/config.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import { type CommitFate, Disk } from './disk.ts'
import { CALM, type Faults, faultsOf } from './faults.ts'
import { cheapIdentity, cheapTrust } from './identities.ts'
import { afterQuiet, atEveryStep } from './invariants.ts'
import { Site } from './machines.ts'
import { Middleware } from './middleware.ts'
import { Operator, UNITS } from './operator.ts'
import type { Plants } from './plants.ts'
import { Weather } from './weather.ts'
import { World } from './world.ts'

export const ROLES = ['service-manager', 'broker', 'authority'] as const
export type Role = (typeof ROLES)[number]

export interface TrialOptions {
  readonly seed: number
  /** A crash at exactly this commit (1, 2, ...) of this role, besides what the faults bring. */
  readonly crashAt?: { readonly role: Role; readonly commit: number; readonly when: 'before' | 'after' }
  /** No faults but `crashAt`. */
  readonly calm?: boolean
  readonly jobs?: number
  readonly plants?: Plants
  /** Called after every event, while nothing is violated. */
  readonly watch?: (trial: Trial) => void
}

export interface TrialResult {
  readonly seed: number
  /** Sentences; empty when everything held. */
  readonly violations: readonly string[]
  readonly commits: Readonly<Record<Role, number>>
  readonly crashes: number
  readonly events: number
  readonly leases: number
  readonly trail: readonly string[]
  /** Exceptions that the actors wrote to their logs: each is a programmer error. */
  readonly stumbles: readonly string[]
}

/** Jobs arrive and faults happen; then faults stop and everything has to end. Both shorter when it is calm. */
const PHASES_MS = {
  stormy: { storm: 10 * 60_000, quiet: 20 * 60_000 },
  calm: { storm: 3 * 60_000, quiet: 7 * 60_000 },
}
const SETUP_MS = 15_000
const TERM_MS = 90_000
const SKEW_MS_MAX = 2_000

/** One seed: a storm of faults while jobs arrive, then quiet until everything should have ended. */
export async function trial(options: TrialOptions): Promise<TrialResult> {
  const t = new Trial(options)
  return t.run()
}

export class Trial {
  readonly options: TrialOptions
  readonly world = new World()
  readonly random: Random
  readonly faults: Faults
  readonly site: Site
  readonly middleware: Middleware
  readonly weather: Weather
  readonly disks: Record<Role, Disk> = {
    'service-manager': new Disk(),
    broker: new Disk(),
    authority: new Disk(),
  }
  readonly stumbles: string[] = []
  readonly violations: string[] = []
  crashes = 0
  readonly operator: Operator
  readonly conditions = { recallable: true, noticeMs: 20_000, graceMs: 120_000 }
  /** Commands that nobody did, because the actor died under them. */
  readonly lost: string[] = []
  serviceManager: Actor<ServiceManagerTables> | undefined
  broker: Actor<BrokerTables> | undefined
  authority: Actor<AuthorityTables> | undefined
  #stormy = true
  #lives = 0
  #guestIsThere = true
  #config = { units: UNITS, graceMs: this.conditions.graceMs, typed: true }
  readonly #die: Partial<Record<Role, () => void>> = {}

  constructor(options: TrialOptions) {
    this.options = options
    this.random = seededRandom(options.seed)
    this.faults = options.calm ? CALM : faultsOf(this.random.child('faults'))
    const faults = (): Faults => (this.#stormy ? this.faults : CALM)
    this.site = new Site(this.world, this.random.child('site'), faults)
    this.middleware = new Middleware(this.world, this.site, this.random.child('middleware'), faults)
    this.weather = new Weather(this.world, this.random.child('weather'), faults)
    this.operator = new Operator(this, this.random.child('operator'))
  }

  async run(): Promise<TrialResult> {
    for (const role of ROLES) this.#begin(role)
    this.#submitJobs()
    this.operator.begin(this.faults.orders, this.#phases().storm)
    const check = (): void => {
      if (this.violations.length === 0)
        this.violations.push(...atEveryStep(this), ...this.site.violations, ...this.middleware.violations)
      if (this.violations.length > 0) throw new Error('violated')
      this.options.watch?.(this)
    }
    try {
      const { storm, quiet } = this.#phases()
      await this.world.run(storm, check)
      this.#stormy = false
      this.#restoreConfiguration()
      await this.world.run(storm + quiet, check)
      this.violations.push(...afterQuiet(this))
    } catch (error) {
      if (this.violations.length === 0) throw error
    }
    const commits = { ...CALM_COMMITS }
    for (const role of ROLES) commits[role] = this.disks[role].commits
    const leases = new Set(
      this.disks.broker.ledger
        .filter((entry) => entry.kind === 'ticket granted')
        .map((entry) => entry.subject),
    )
    const { seed } = this.options
    const { violations, crashes, stumbles } = this
    return {
      seed,
      violations: [...violations, ...stumbles],
      commits,
      crashes,
      events: this.world.events,
      leases: leases.size,
      trail: this.weather.trail.slice(-60),
      stumbles,
    }
  }

  #phases(): { storm: Millis; quiet: Millis } {
    return this.options.calm ? PHASES_MS.calm : PHASES_MS.stormy
  }

  #submitJobs(): void {
    const random = this.random.child('jobs')
    const count = this.options.jobs ?? 25
    for (let i = 0; i < count; i++) {
      const atMs = random.int(this.#phases().storm * 0.7)
      const nodes = random.next() < 0.15 ? 2 + random.int(2) : 1
      const long = this.options.calm ? 90_000 : 240_000
      const runMs = random.next() < 0.2 ? 60_000 + random.int(long) : 500 + random.int(20_000)
      const walltimeMs = random.next() < 0.5 ? Math.round(runMs * 1.2) : undefined
      const requeueable = random.next() < 0.9
      this.world.after(atMs, () => this.middleware.submit(nodes, runMs, { walltimeMs, requeueable }))
    }
  }

  /** A life: from a start to the next crash. */
  #begin(role: Role): void {
    const life = { alive: true }
    const number = ++this.#lives
    const random = this.random.child(`${role} life ${number}`)
    const skewMs = Math.round((this.random.child(`${role} skew`).next() * 2 - 1) * this.faults.skewMsMax)
    const clock = this.world.clock(this.#stepping(skewMs, random.child('steps')), () => life.alive)
    this.#configure(role, random.child('configuration'))
    const die = (): void => {
      if (!life.alive) return
      life.alive = false
      this.crashes++
      this.disks[role].release()
      this.weather.attach(role, undefined)
      if (role === 'service-manager') this.serviceManager = undefined
      if (role === 'broker') this.broker = undefined
      if (role === 'authority') this.authority = undefined
      this.world.after(100 + random.int(20_000), () => this.#begin(role))
    }
    const store = this.disks[role].store(
      this.world,
      () => life.alive,
      () => this.#fate(role, random),
      die,
      () => 1 + random.int(4),
      this.options.plants?.restart,
    )
    this.#die[role] = die
    const parts = { store, clock, random, life, die }
    const plants = this.options.plants ?? {}
    const sound = <Part>(part: Part): Part => part
    if (role === 'broker')
      this.broker = this.#start(role, (plants.broker ?? sound)(this.brokerMind()), parts, unreachable)
    if (role === 'authority') {
      const handler = (plants.handler ?? sound)(this.site.handler(clock))
      const mind = (plants.authority ?? sound)(this.authorityMind())
      this.authority = this.#start(role, mind, parts, performer(handler))
    }
    if (role === 'service-manager') this.#beginServiceManager(parts)
  }

  /** A clock that jumps now and then: a little, or by an hour, which is not to be believed. */
  #stepping(skewMs: Millis, random: Random): () => Millis {
    let steppedMs = 0
    if (this.#stormy && random.next() < this.faults.clockSteps)
      this.world.after(random.int(120_000), () => {
        const sign = random.next() < 0.5 ? -1 : 1
        steppedMs = sign * (random.next() < 0.5 ? random.int(1_000) : 3_600_000)
      })
    return () => skewMs + steppedMs
  }

  /** A life may begin with another configuration: fewer units, a shorter grace, no type, no guest. */
  #configure(role: Role, random: Random): void {
    const other = this.#stormy && random.next() < this.faults.reconfigured
    if (role === 'service-manager') this.#guestIsThere = !other || random.next() < 0.5
    if (role !== 'authority') return
    const kind = other ? random.int(3) : -1
    this.#config = {
      units: kind === 0 ? UNITS - 2 : UNITS,
      graceMs: kind === 1 ? this.conditions.graceMs / 4 : this.conditions.graceMs,
      typed: kind !== 2,
    }
  }

  /** What was configured otherwise is put right: those actors begin anew. */
  #restoreConfiguration(): void {
    const { units, graceMs, typed } = this.#config
    if (units !== UNITS || graceMs !== this.conditions.graceMs || !typed) this.#die.authority?.()
    if (!this.#guestIsThere) this.#die['service-manager']?.()
  }

  #beginServiceManager(parts: LifeParts): void {
    // What a look is compared with is written in believed time, so looks are, too.
    const clock = steadyClock(parts.clock, SKEW_MS_MAX, () => undefined)
    const batch = this.middleware.batch(clock)
    const membership = new Membership(batch, this.middleware.join(clock), clock)
    const guestIsThere = this.#guestIsThere
    const perform: Perform = (verb, _key, args, signal) => {
      if (!guestIsThere)
        return Promise.reject(new SubletError('unknown-id', 'the guest is not configured any more'))
      if (verb !== 'requeue') return membership.perform(verb, args as MemberEffectArgs, signal)
      const { jobIds, reason } = args as { jobIds: readonly string[]; reason: string }
      return batch.requeue(jobIds, reason, signal)
    }
    const actor: Actor<ServiceManagerTables> = this.#start(
      'service-manager',
      (this.options.plants?.serviceManager ?? ((mind) => mind))(this.serviceManagerMind()),
      parts,
      perform,
      () => guestIsThere && watcher.poke(),
    )
    const config = { guest: 'groc', pollMs: 5_000, lookMs: 2_000, quietMs: 20 }
    const watcher: Watcher = new Watcher(
      config,
      batch,
      (look) => actor.command('look', look) as Promise<{ againMs: number }>,
      clock,
    )
    this.serviceManager = actor
    this.world.after(50, () => parts.life.alive && guestIsThere && watcher.start())
  }

  #start<T extends Tables>(
    role: Role,
    mind: Mind<T>,
    { store, clock, random, life, die }: LifeParts,
    perform: Perform,
    onCommitted?: () => void,
  ): Actor<T> {
    const actor = new Actor<T>({
      mind,
      store,
      clock,
      identity: cheapIdentity(role),
      trust: cheapTrust(ROLES),
      transport: {
        send: (envelope) => (life.alive ? this.weather.send(envelope) : new Promise(() => undefined)),
      },
      perform,
      random,
      log: this.#log(role, life),
      skewMsMax: SKEW_MS_MAX,
      onFailed: (error) => {
        this.violations.push(`${role} failed: ${String(error)}`)
        die()
      },
      ...(onCommitted === undefined ? {} : { onCommitted }),
    })
    void actor.start().then(() => life.alive && this.weather.attach(role, actor))
    return actor
  }

  #fate(role: Role, random: Random): CommitFate {
    const { crashAt } = this.options
    const number = this.disks[role].commits + 1
    if (crashAt?.role === role && crashAt.commit === number) return `crash ${crashAt.when}`
    if (!this.#stormy || random.next() >= this.faults.crash) return 'done'
    return random.next() < 0.5 ? 'crash before' : 'crash after'
  }

  #log(role: Role, life: { alive: boolean }): Log {
    const silent = (): void => undefined
    return {
      debug: silent,
      info: silent,
      warn: (fields, message) =>
        message.includes('failed') &&
        life.alive &&
        this.stumbles.push(`${role}: ${message}: ${JSON.stringify(fields)}`),
      error: (fields, message) => this.stumbles.push(`${role}: ${message}: ${errorText(fields)}`),
    }
  }

  brokerMind(): Mind<BrokerTables> {
    return broker(
      { policy: firstCome, sites: ['authority'], batchMs: 50, quarantineMs: 5_000, answerMs: 3_600_000 },
      cheapIdentity('broker'),
    )
  }

  authorityMind(): Mind<AuthorityTables> {
    const capacity = { cpu: 2, memoryMiB: 2048 }
    const vector = { cpu: 1, memoryMiB: 1024 }
    const { units, graceMs, typed } = this.#config
    return authority(
      {
        broker: 'broker',
        hosts: ['a', 'b', 'c'].map((name) => ({ name, capacity })),
        types: typed ? { 'vm.small': { vector, image: 'plain', units } } : {},
        images: ['plain'],
        probe: [],
        conditions: { ...this.conditions, graceMs },
        termMsMax: 10 * TERM_MS,
        placement: bestFit,
        namePrefix: 'n',
        slots: 20,
        setupMs: SETUP_MS,
        probeMs: 2_000,
        modifyMs: 2_000,
        teardownMs: 5_000,
        probeEveryMs: 10_000,
        sweepEveryMs: 15_000,
        failuresMax: 4,
        backoffMs: 500,
        retryMs: 500,
        answerMs: 3_600_000,
      },
      cheapTrust(ROLES),
    )
  }

  serviceManagerMind(): Mind<ServiceManagerTables> {
    const config = grocConfig.parse({
      type: 'vm.small',
      unit: { cpus: 1, memoryMiB: 1024 },
      max: UNITS,
      grow: { wait: '0s' },
      shrink: { idle: '5s' },
      term: `${TERM_MS}ms`,
      termMin: '30s',
      retry: { first: '1s', most: '10s' },
      settle: '50ms',
      missing: '30s',
      every: '5s',
    })
    return serviceManager(
      {
        guests: this.#guestIsThere
          ? { groc: { controller: groc, config, properties: { image: 'plain' } } as Guest }
          : {},
        broker: 'broker',
        skewMsMax: SKEW_MS_MAX,
        leaveBudgetMs: 5_000,
        askMs: 20_000,
        joinMs: 3_000,
        leaveMs: 5_000,
        retryMs: 500,
        joinFailuresMax: 3,
        quarantineMs: 60_000,
        answerMs: 3_600_000,
      },
      cheapTrust(ROLES),
    )
  }
}

interface LifeParts {
  readonly store: ReturnType<Disk['store']>
  readonly clock: Clock
  readonly random: Random
  readonly life: { alive: boolean }
  readonly die: () => void
}

const CALM_COMMITS: Record<Role, number> = { 'service-manager': 0, broker: 0, authority: 0 }

const unreachable: Perform = () => Promise.reject(new Error('a broker has no effects'))

/** The authority's effects, as in production. */
function performer(handler: Handler): Perform {
  return (verb, _key, args, signal) => {
    if (verb === 'list') return handler.list(signal)
    const { spec, onlyIdle, force } = args as UnitEffectArgs
    if (verb === 'setup') return handler.setup(spec, signal)
    if (verb === 'probe') return handler.probe(spec, { onlyIdle }, signal)
    if (verb === 'modify') return handler.modify(spec, signal)
    return handler.teardown(spec, { force }, signal)
  }
}

const errorText = (fields: object): string => {
  const { err } = fields as { err?: unknown }
  return err instanceof Error ? (err.stack ?? err.message) : JSON.stringify(fields)
}
