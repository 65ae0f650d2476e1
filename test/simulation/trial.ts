import type { AuthorityTables } from '../../actors/authority/rows.ts'
import type { BrokerTables } from '../../actors/broker/rows.ts'
import type { Log } from '../../actors/runtime/actor.ts'
import type { Millis } from '../../actors/runtime/clock.ts'
import { type Envelope, PROTOCOLS } from '../../actors/runtime/envelope.ts'
import type { Mind } from '../../actors/runtime/mind.ts'
import { type Random, seededRandom } from '../../actors/runtime/random.ts'
import type { StoredRow } from '../../actors/runtime/rows.ts'
import type { ServiceManagerTables } from '../../actors/service-manager/rows.ts'
import { type CommitFate, type Disk, heardIn } from './disk.ts'
import { CALM, type Faults } from './faults.ts'
import { Invariants } from './invariants.ts'
import { type Keys, keysFor, REAL_KEYS_EVERY } from './keys.ts'
import { handling, type Life, startActor, startWithMiddleware, startWithYard, unreachable } from './life.ts'
import { type Plan, type PlanOptions, planOf, type SitePlan } from './plan.ts'
import type { Plants } from './plants.ts'
import { Restores } from './restores.ts'
import { authorityMind, brokerMind, type SiteConfig, serviceManagerMind } from './roles.ts'
import type { Scene } from './scene.ts'
import {
  type AnyStage,
  type BrokerStage,
  configOf,
  isManager,
  isSite,
  type ManagerStage,
  type SiteStage,
  stagesOf,
} from './stages.ts'
import { WallClock } from './wall-clock.ts'
import { Weather } from './weather.ts'
import { World } from './world.ts'

export { ROLES, type Role } from './plan.ts'

export interface TrialOptions extends PlanOptions {
  /** A crash at exactly this commit (1, 2, ...) of this actor, besides what the faults bring. */
  readonly crashAt?: { readonly role: string; readonly commit: number; readonly when: 'before' | 'after' }
  readonly plants?: Plants | undefined
  /** Called after every event, while nothing is violated. */
  readonly watch?: (trial: Trial) => void
}

export interface TrialResult {
  readonly seed: number
  /** Sentences; empty when everything held. */
  readonly violations: readonly string[]
  readonly commits: Readonly<Record<string, number>>
  readonly crashes: number
  readonly events: number
  /** In virtual time, from its beginning to its end or to what was violated. */
  readonly elapsedMs: Millis
  /** How often each fault happened. */
  readonly faults: Readonly<Record<string, number>>
  readonly leases: number
  readonly trail: readonly string[]
  /** What each ledger says of what was violated. */
  readonly story: readonly string[]
  /** Exceptions that the actors wrote to their logs: each is a programmer error. */
  readonly stumbles: readonly string[]
}

/** What a program of before keys were in messages speaks. */
const OLD_PROTOCOLS: readonly number[] = [1]

const STORY_MAX = 80
const RESTORES: ReadonlySet<string> = new Set(['restored', 'recovering', 'recovered'])
const WHOLE_QUIET_EVERY = 10
const QUIET_MS_MIN: Millis = 5 * 60_000
const QUIET_STEP_MS: Millis = 60_000
/** Longer than the longest job. */
const WORK_STEP_MS: Millis = 6 * 60_000
const WORK_STEPS_MAX = 20
const STORM_STEP_MS: Millis = 20_000

/** One seed: a storm of faults while jobs arrive, then quiet until everything should have ended. */
export const trial = (options: TrialOptions): Promise<TrialResult> => new Trial(options).run()

export class Trial implements Scene {
  readonly options: TrialOptions
  readonly plan: Plan
  readonly world = new World()
  readonly random: Random
  readonly weather: Weather
  readonly sites: readonly SiteStage[]
  readonly brokers: readonly BrokerStage[]
  readonly managers: readonly ManagerStage[]
  readonly disks: Readonly<Record<string, Disk>>
  readonly stumbles: string[] = []
  readonly #invariants: Invariants
  readonly #restores: Restores
  readonly #names: readonly string[]
  readonly #keys: Keys
  readonly #saw: (violation: string) => void
  crashes = 0
  #stormy = true
  #lives = 0
  readonly #wallClocks = new Map<string, WallClock>()

  constructor(options: TrialOptions) {
    this.options = options
    this.random = seededRandom(options.seed)
    this.plan = planOf(options, this.random)
    const faults = (): Faults => (this.#stormy ? this.plan.faults : CALM)
    const { sites, brokers, managers } = stagesOf(this.plan, this.world, this.random, faults)
    this.sites = sites
    this.brokers = brokers
    this.managers = managers
    const all = [...this.managers, ...this.brokers, ...this.sites]
    this.#names = all.map(({ name }) => name)
    this.#keys = keysFor(this.#names, options.seed % REAL_KEYS_EVERY === 0)
    this.disks = Object.fromEntries(all.map(({ name, disk }) => [name, disk]))
    this.#restores = new Restores(this.world, this.random.child('restores'), all)
    const invariants = new Invariants(this)
    this.#invariants = invariants
    this.#saw = (violation) => invariants.saw(violation)
    this.weather = new Weather({
      ...{ world: this.world, random: this.random.child('weather'), faults, names: this.#names },
      isSaid: ({ from, id, kind }) => kind === 'hello' || this.disks[from]!.rows.has(`$out\n${id}`),
      isHeard: (envelope) => envelope.kind === 'hello' || this.#isHeard(envelope),
      saw: this.#saw,
    })
  }

  /** A conversation is forgotten when nothing that was said in it is good any more. */
  #isHeard({ from, to, subject, number, until }: Envelope): boolean {
    const json = this.disks[to]!.rows.get(`$link\n${from} ${subject}`)?.json
    if (json === undefined) return this.world.now >= until
    return heardIn(json) >= number
  }

  get violations(): string[] {
    return this.#invariants.violations
  }

  async run(): Promise<TrialResult> {
    const { stormMs, quietMs, leases, stormsMax } = this.plan
    this.#installPrograms()
    for (const manager of this.managers) this.#begin(manager)
    for (const broker of this.brokers) this.#begin(broker)
    for (const site of this.sites) this.#begin(site)
    const { orders, maintenance, withdrawals } = this.plan.faults
    for (const { operator, caretaker } of this.sites) {
      operator.begin(orders, withdrawals, stormMs)
      caretaker.begin(maintenance, withdrawals, stormMs)
    }
    for (const { approver, plan } of this.brokers)
      if (plan.approval !== undefined) approver.begin(() => this.#stormy)
    for (const { administrator } of this.managers) administrator.begin(orders, stormMs)
    for (const manager of this.managers) this.#submitJobs(manager)
    this.weather.begin(this.plan.faults, stormMs)
    this.#cutPower()
    this.#restores.begin(this.plan.faults.restores, stormMs)
    const check = (): void => {
      this.#invariants.asTimePasses()
      if (this.violations.length > 0) throw new Error('violated')
      this.options.watch?.(this)
    }
    try {
      await this.world.run(stormMs, check)
      while (this.#leases().size < leases && this.world.elapsed < stormMs * stormsMax)
        await this.world.run(this.world.elapsed + STORM_STEP_MS, check)
      this.#stormy = false
      this.#restoreConfiguration()
      for (const { name, administrator } of this.managers)
        administrator.tidyUp((leaseId) => this.#invariants.isNobodys(name, leaseId))
      await this.#quiet(quietMs, check)
      this.#invariants.afterQuiet()
    } catch (error) {
      if (this.violations.length === 0) throw error
    }
    return this.#result()
  }

  /**
   * Until everything has ended and some minutes have passed, or the time for that is over. In one seed of ten, and in all
   * small ones with faults, to the end of that time: what is over has to stay so. While jobs come to their ends it goes on:
   * a pool of which its owner has most back may have much to do.
   */
  async #quiet(quietMs: Millis, check: () => void): Promise<void> {
    const until = this.world.elapsed + quietMs
    const isCalm = this.options.calm === true
    await this.world.run(this.world.elapsed + (isCalm ? QUIET_STEP_MS : QUIET_MS_MIN), check)
    const isSmall = this.options.size !== 'federation' && !isCalm
    const isWhole = isSmall || this.options.seed % WHOLE_QUIET_EVERY === 0
    while (this.world.elapsed < until && (isWhole || !this.#invariants.hasEnded()))
      await this.world.run(Math.min(until, this.world.elapsed + QUIET_STEP_MS), check)
    for (let i = 0, before = -1; i < WORK_STEPS_MAX && !this.#invariants.hasEnded(); i++) {
      const done = this.#workDone()
      if (done === before) return
      before = done
      await this.world.run(this.world.elapsed + WORK_STEP_MS, check)
    }
  }

  /** Jobs that were begun and jobs that have ended, in all batch systems. */
  #workDone(): number {
    const tasks = this.managers.flatMap(({ middleware }) => middleware?.tasks ?? [])
    return tasks.reduce((sum, { attempt, state }) => sum + attempt + (state === 'ended' ? 1 : 0), 0)
  }

  /** That were ever granted. */
  #leases(): ReadonlySet<string> {
    const granted = this.brokers.flatMap(({ disk: { ledger, forgotten } }) =>
      [...forgotten, ...ledger].filter(({ kind }) => kind === 'ticket granted').map(({ subject }) => subject),
    )
    return new Set(granted)
  }

  #result(): TrialResult {
    return {
      seed: this.options.seed,
      violations: [...new Set([...this.violations, ...this.stumbles])],
      commits: Object.fromEntries(Object.entries(this.disks).map(([name, { commits }]) => [name, commits])),
      crashes: this.crashes,
      events: this.world.events,
      elapsedMs: this.world.elapsed,
      faults: this.world.faults,
      leases: this.#leases().size,
      trail: this.weather.trail(60),
      story: this.#story(),
      stumbles: this.stumbles,
    }
  }

  /** What the ledgers say of the leases and units that the violations name, and of restores of those who knew them. */
  #story(): string[] {
    const named = new Set(this.violations.join(' ').match(/(lease|unit)-[0-9a-z]+/g))
    const lines = Object.entries(this.disks).map(([name, { ledger, forgotten }]) => ({
      ...{ name, ledger: [...forgotten, ...ledger] },
    }))
    for (const { subject, data } of lines.flatMap(({ ledger }) => ledger)) {
      const { leaseId } = (data ?? {}) as { leaseId?: string }
      if (named.has(subject) && leaseId !== undefined) named.add(leaseId)
    }
    const told = lines
      .filter(({ ledger }) => ledger.some(({ subject }) => named.has(subject)))
      .flatMap(({ name, ledger }) =>
        ledger
          .filter(({ subject, kind }) => named.has(subject) || RESTORES.has(kind))
          .map(({ at, kind, subject, reason }) => ({ at, words: `${name}: ${kind} ${subject}: ${reason}` })),
      )
    const began = this.world.now - this.world.elapsed
    return told
      .sort((a, b) => a.at - b.at)
      .slice(-STORY_MAX)
      .map(({ at, words }) => `${String(at - began).padStart(8)} ${words}`)
  }

  #submitJobs({ name, plan, middleware }: ManagerStage): void {
    if (middleware === undefined) return
    const random = this.random.child(`jobs of ${name}`)
    for (let i = 0; i < plan.jobs; i++) {
      const atMs = random.int(this.plan.stormMs * 0.7)
      const nodes = random.next() < 0.15 ? 2 + random.int(2) : 1
      const long = this.options.calm ? 90_000 : 240_000
      const runMs = random.next() < 0.2 ? 60_000 + random.int(long) : 500 + random.int(20_000)
      const walltimeMs = random.next() < 0.5 ? Math.round(runMs * 1.2) : undefined
      const requeueable = random.next() < 0.9
      this.world.after(atMs, () => middleware.submit(nodes, runMs, { walltimeMs, requeueable }))
    }
  }

  /** The power goes at any moment, at whoever it hits. */
  #cutPower(): void {
    const all = [...this.managers, ...this.brokers, ...this.sites]
    const random = this.random.child('power')
    for (let i = 0; i < this.plan.faults.powerCuts; i++)
      this.world.after(random.int(this.plan.stormMs), () => {
        this.world.count('power cut')
        all[random.int(all.length)]!.die()
      })
    // Of the whole room: Sublet comes back first.
    const room = this.random.child('room')
    for (let i = 0; i < this.plan.faults.roomCuts; i++)
      this.world.after(room.int(this.plan.stormMs), () => {
        this.world.count('room cut')
        for (const { machines } of this.sites) machines.cutPower(room.int(20_000), room.int(60_000))
        for (const { die } of all) die()
      })
  }

  /** Some begin with an older program. */
  #installPrograms(): void {
    const random = this.random.child('programs')
    for (const self of [...this.managers, ...this.brokers, ...this.sites])
      if (this.world.strikes('old program', this.plan.faults.oldProgram, random))
        Object.assign(self, { protocols: OLD_PROTOCOLS, wasOld: true })
  }

  // ── their lives ──────────────────────────────────────────────────────────────────────────────────

  #begin(self: AnyStage): void {
    const { name, disk } = self
    const state = { alive: true }
    const isAlive = (): boolean => state.alive
    const random = this.random.child(`${name} life ${++this.#lives}`)
    const hours = this.#wallClock(name).begin(random.child('steps'), (chance) => this.#steps(chance), isAlive)
    const { clock } = hours
    const clockMark = this.options.plants?.believesClock === true ? undefined : hours.mark
    const die = (): void => {
      if (!state.alive) return
      state.alive = false
      hours.keep()
      this.crashes++
      disk.release()
      this.weather.attach(name, undefined)
      self.actor = undefined
      if (self.protocols === OLD_PROTOCOLS && this.world.strikes('upgrade', 0.5, random))
        self.protocols = PROTOCOLS
      this.world.after(100 + random.int(20_000), () => this.#begin(self))
    }
    self.die = die
    const onFailed = (error: unknown): void => {
      this.violations.push(`${name} failed: ${String(error)}`)
      die()
    }
    const { world, weather } = this
    const plants = this.options.plants ?? {}
    const corrupted = this.#corrupted(disk, random.child('corruption'))
    let isSpoiled = false
    const restart = (rows: readonly StoredRow[]): readonly StoredRow[] => {
      const kept = plants.restart?.(rows) ?? rows
      const { row: spoiled, read } = corrupted ?? {}
      isSpoiled = read !== undefined && kept.some(({ table, id }) => isRow(spoiled!, table, id))
      const given = isSpoiled ? kept.map((row) => (isRow(spoiled!, row.table, row.id) ? read! : row)) : kept
      return plants.skipsCorrupt === true ? given.filter((row) => row !== read) : given
    }
    const syncMs = (): Millis =>
      this.#stormy && world.strikes('slow disk', this.plan.faults.slowDisk, random)
        ? 1_000 + random.int(8_000)
        : 1 + random.int(4)
    const fate = (): CommitFate => this.#fate(name, random)
    const store = disk.store(world, isAlive, fate, die, syncMs, restart, plants.spoils)
    const onStarted = (): void => {
      if (isSpoiled) this.#saw(`${name} begins on a disk with a corrupt row ${corrupted?.row.id}`)
    }
    const onUnreadable = (error: unknown): void => {
      // The disk is mended by hand, and it begins anew.
      if (isSpoiled) return die()
      if (isAlive()) onFailed(error)
    }
    this.#start(self, {
      ...{
        name,
        world,
        weather,
        clock,
        clockMark,
        random,
        store,
        isAlive,
        onFailed,
        onStarted,
        onUnreadable,
        plants,
      },
      ...{ saw: this.#saw, keys: this.#keys, protocols: self.protocols, log: this.#log(name, isAlive) },
    })
  }

  /** A row that is read otherwise than it was written, now and then. */
  #corrupted(disk: Disk, random: Random): { row: StoredRow; read: StoredRow } | undefined {
    const rows = [...disk.rows.values()]
    const row = rows[random.int(rows.length)]
    if (row?.json === undefined || !this.#stormy) return undefined
    if (!this.world.strikes('corrupt', this.plan.faults.corrupt, random)) return undefined
    const at = random.int(row.json.length)
    const letter = row.json[at] === '1' ? '2' : '1'
    return { row, read: { ...row, json: `${row.json.slice(0, at)}${letter}${row.json.slice(at + 1)}` } }
  }

  #start(self: AnyStage, life: Life): void {
    const plants = this.options.plants ?? {}
    const random = life.random.child('configuration')
    if (isSite(self)) {
      self.config = this.#stormy ? this.#reconfigured(self.plan, random) : configOf(self.plan)
      const handler = sound(plants.handler)(self.machines.handler(life.clock))
      const mind = sound(plants.authority)(this.#siteMind(self))
      self.actor = startActor(life, mind, handling(handler))
    } else if (isManager(self)) {
      self.guestIsThere = !this.#isOther(random) || random.next() < 0.5
      const mind = sound(plants.serviceManager)(this.#managerMind(self))
      self.actor =
        self.middleware === undefined
          ? startWithYard(life, mind, self.yard, self.guestIsThere, () => this.#stormy)
          : startWithMiddleware(life, mind, self.middleware, self.guestIsThere)
    } else {
      const mind = sound(plants.broker)(this.#brokerMind(self))
      self.actor = startActor(life, mind, unreachable)
    }
  }

  #brokerMind({ name, plan }: BrokerStage): Mind<BrokerTables> {
    return brokerMind(plan, this.plan, this.#keys.identity(name), this.#keys.trust())
  }

  #siteMind({ plan, config }: SiteStage): Mind<AuthorityTables> {
    return authorityMind(plan, config, this.plan.pace, this.#keys.identity(plan.name), this.#keys.trust())
  }

  #managerMind({ plan, guestIsThere }: ManagerStage): Mind<ServiceManagerTables> {
    return serviceManagerMind(plan, this.options.seed, guestIsThere, this.plan, this.#keys.trust())
  }

  #wallClock(name: string): WallClock {
    const { skewMsMax } = this.plan.faults
    const skewMs = Math.round((this.random.child(`${name} skew`).next() * 2 - 1) * skewMsMax)
    const kept = this.#wallClocks.get(name) ?? new WallClock(this.world, skewMs)
    this.#wallClocks.set(name, kept)
    return kept
  }

  #steps(random: Random): boolean {
    return this.#stormy && random.next() < this.plan.faults.clockSteps
  }

  #isOther(random: Random): boolean {
    return this.#stormy && random.next() < this.plan.faults.reconfigured
  }

  /** A life may begin with another configuration: fewer units, a shorter grace, no type, no guest. */
  #reconfigured(plan: SitePlan, random: Random): SiteConfig {
    const as = configOf(plan)
    if (!this.#isOther(random)) return as
    const kind = random.int(3)
    if (kind === 0) return { ...as, fewer: 2 }
    return kind === 1 ? { ...as, graceMs: as.graceMs / 4 } : { ...as, typed: false }
  }

  /** What was configured otherwise is put right: those actors begin anew. */
  #restoreConfiguration(): void {
    for (const { config, plan, die } of this.sites) {
      const { fewer, graceMs, typed } = config
      if (fewer > 0 || graceMs !== plan.conditions.graceMs || !typed) die()
    }
    for (const { guestIsThere, die } of this.managers) if (!guestIsThere) die()
  }

  #fate(name: string, random: Random): CommitFate {
    const { crashAt } = this.options
    const number = this.disks[name]!.commits + 1
    if (crashAt?.role === name && crashAt.commit === number) return `crash ${crashAt.when}`
    if (!this.#stormy || random.next() >= this.plan.faults.crash) return 'done'
    const fate = random.next() < 0.5 ? 'crash before' : 'crash after'
    this.world.count(fate)
    return fate
  }

  #log(name: string, isAlive: () => boolean): Log {
    const silent = (): void => undefined
    return {
      debug: silent,
      info: silent,
      warn: (fields, message) =>
        message.includes('failed') &&
        isAlive() &&
        this.stumbles.push(`${name}: ${message}: ${JSON.stringify(fields)}`),
      error: (fields, message) => this.stumbles.push(`${name}: ${message}: ${errorText(fields)}`),
    }
  }

  // ── for tests that look at one mind ──────────────────────────────────────────────────────────────

  brokerMind(): Mind<BrokerTables> {
    return this.#brokerMind(this.brokers[0]!)
  }

  authorityMind(): Mind<AuthorityTables> {
    return this.#siteMind(this.sites[0]!)
  }

  serviceManagerMind(): Mind<ServiceManagerTables> {
    return this.#managerMind(this.managers[0]!)
  }
}

const isRow = (row: StoredRow, table: string, id: string): boolean => row.table === table && row.id === id

/** The part, or what a planted fault makes of it. */
const sound =
  <Part>(plant: ((part: Part) => Part) | undefined) =>
  (part: Part): Part =>
    plant === undefined ? part : plant(part)

const errorText = (fields: object): string => {
  const { err } = fields as { err?: unknown }
  return err instanceof Error ? (err.stack ?? err.message) : JSON.stringify(fields)
}
