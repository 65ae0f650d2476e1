import { authority } from '../../actors/authority/authority.ts'
import type { AuthorityConfig } from '../../actors/authority/config.ts'
import type { AuthorityTables } from '../../actors/authority/rows.ts'
import type { UnitEffectArgs } from '../../actors/authority/units.ts'
import { broker } from '../../actors/broker/broker.ts'
import type { BrokerConfig } from '../../actors/broker/config.ts'
import type { BrokerTables } from '../../actors/broker/rows.ts'
import { downgrade } from '../../actors/leases/versions.ts'
import { Actor, type ActorParts } from '../../actors/runtime/actor.ts'
import { sleep } from '../../actors/runtime/clock.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import type { Perform } from '../../actors/runtime/effects.ts'
import { type Ack, type Envelope, seal } from '../../actors/runtime/envelope.ts'
import { inOneLine } from '../../actors/runtime/errors.ts'
import type { Identity, KeyRing } from '../../actors/runtime/identity.ts'
import type { Mind } from '../../actors/runtime/mind.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import type { Tables } from '../../actors/runtime/rows.ts'
import type { Guest, ServiceManagerConfig } from '../../actors/service-manager/config.ts'
import { type MemberEffectArgs, Membership } from '../../actors/service-manager/membership.ts'
import type { ServiceManagerTables } from '../../actors/service-manager/rows.ts'
import { serviceManager } from '../../actors/service-manager/service-manager.ts'
import { guestView } from '../../actors/service-manager/view.ts'
import { bestFit } from '../../controllers/authorities/best-fit.ts'
import { firstCome } from '../../controllers/brokers/first-come.ts'
import type {
  GuestController,
  GuestIntent,
  GuestView,
  HeldLease,
  Refusal,
} from '../../controllers/controller.ts'
import { cheapIdentity, cheapKey, cheapTrust } from '../simulation/identities.ts'
import { World } from '../simulation/world.ts'
import { Machines } from './machines.ts'
import { Memory } from './memory-store.ts'
import { Queue } from './queue.ts'
import { type Fate, type Passing, Wire } from './wire.ts'
import { clockText, gist, Names } from './words.ts'

export interface Setting {
  readonly managers?: readonly string[]
  readonly sites?: readonly string[]
  /** Of type `small`, at each site. */
  readonly units?: number
  readonly broker?: Partial<BrokerConfig>
  readonly authority?: Partial<AuthorityConfig>
  readonly manager?: Partial<ServiceManagerConfig>
  /** Jobs run on its machines, and leave them by the production verbs; else nothing ever runs there. */
  readonly works?: boolean
  readonly parts?: (name: string) => Partial<ActorParts<Tables>>
  /** What these speak; all others speak all there is. */
  readonly protocols?: Readonly<Record<string, readonly number[]>>
}

type Mine = Actor<ServiceManagerTables> | Actor<BrokerTables> | Actor<AuthorityTables>

const SECOND = 1_000
const GUEST = 'grid'
const DAEMONS = { join: async () => undefined, leave: async () => undefined, close: async () => undefined }

/**
 * Three actors (or more) in their production form, on virtual time, and a script that says what happens to them. What
 * they say and write down becomes a transcript.
 *
 *   script ──intents──▶ manager ⇄ broker ⇄ site ──▶ machines
 *      └──rules──▶ wire (lose, hold, double)   └──▶ transcript
 */
export class Stage {
  readonly world = new World()
  readonly machines: Readonly<Record<string, Machines>>
  readonly disks: Readonly<Record<string, Memory>>
  readonly wire: Wire
  /** What runs on the machines, if anything does. */
  readonly queue = new Queue()
  /** How long the middleware takes to let a machine in. */
  joinSeconds = 0
  /** Whom each actor trusts, over all its lives. */
  readonly trusts: Readonly<Record<string, KeyRing>>
  /** What it speaks from its next life on. */
  readonly protocols = new Map<string, readonly number[]>()
  readonly #keyWords = new Map<string, string>()
  readonly transcript: string[] = []
  readonly #names = new Names()
  readonly #setting: Setting
  readonly #actors = new Map<string, { actor: Mine; die: () => void }>()
  readonly #intents = new Map<string, GuestIntent[]>()
  readonly #startedAt: number
  #lives = 0
  #slipped = 0

  constructor(setting: Setting = {}) {
    this.#setting = setting
    this.#startedAt = this.world.now
    this.machines = Object.fromEntries(this.sites.map((name) => [name, new Machines()]))
    if (setting.works)
      for (const name of this.sites)
        this.machines[name]!.isBusy = (machine) => this.queue.on(machine).length > 0
    this.disks = Object.fromEntries(this.names.map((name) => [name, new Memory()]))
    this.trusts = Object.fromEntries(this.names.map((name) => [name, cheapTrust(this.names)]))
    for (const [name, spoken] of Object.entries(setting.protocols ?? {})) this.protocols.set(name, spoken)
    this.wire = new Wire(
      this.world,
      (passing) => this.#tellPassing(passing),
      (envelope, ack) => {
        if (ack.outcome === 'refused')
          this.#tell(`${envelope.to} refuses ${envelope.kind}: ${ack.reason} (${ack.code})`)
        // Whom nobody has heard of yet greets, and is greeted.
        if (ack.outcome === 'busy' && envelope.kind !== 'hello')
          this.#tell(`${envelope.to} is busy: ${ack.reason}`)
      },
    )
  }

  get managers(): readonly string[] {
    return this.#setting.managers ?? ['manager']
  }

  get sites(): readonly string[] {
    return this.#setting.sites ?? ['site']
  }

  get names(): readonly string[] {
    return [...this.managers, 'broker', ...this.sites]
  }

  // ── what a script says ───────────────────────────────────────────────────────────────────────────

  /** Everybody begins. */
  async begins(): Promise<void> {
    for (const name of ['broker', ...this.sites, ...this.managers]) this.starts(name)
    await this.runs(1)
  }

  /** A life of the actor begins, with what is on its disk. */
  starts(name: string): void {
    this.#life(name)
  }

  /** The power of the actor goes now, or at its next commit. */
  dies(name: string, when: 'now' | 'before its next commit' | 'after its next commit' = 'now'): void {
    if (when === 'now') return this.#actors.get(name)?.die()
    const disk = this.disks[name]!
    disk.power = () => {
      disk.power = () => 'stays'
      return when.startsWith('before') ? 'goes before' : 'goes after'
    }
  }

  /** So many seconds pass. */
  async runs(seconds: number): Promise<void> {
    // What was begun just now goes as far as it can without time passing.
    await new Promise(setImmediate)
    await this.world.run(this.world.elapsed + seconds * SECOND, () => undefined)
  }

  /** The next messages of this kind fare as said. */
  messages(kind: string, fate: Fate, { times = 1, from }: { times?: number; from?: string } = {}): void {
    this.wire.rule({ kind, fate, times, ...(from === undefined ? {} : { from }) })
  }

  /** Somebody on the way kept the first message of this kind, and sends it again; `change` is what he changes. */
  async replays(kind: string, change: Partial<Envelope> = {}): Promise<Ack> {
    const old = this.wire.history.find((envelope) => envelope.kind === kind)
    if (old === undefined) throw new Error(`nobody ever sent ${kind}`)
    const ack = await this.doing(this.wire.inject({ ...old, ...change }))
    this.#tell(
      `    ${old.to} acknowledges ${kind}: ${ack!.outcome}${ack!.reason === '' ? '' : `: ${ack!.reason}`}`,
    )
    return ack!
  }

  /** A message as its sender would sign it, or as somebody with another key would. */
  signed(envelope: Envelope, identity = this.identity(envelope.from)): Envelope {
    const { id, from, to, kind, subject, number, body, sentAt, until, generation, seq } = envelope
    const place = generation === undefined || seq === undefined ? undefined : { generation, seq }
    return seal({ id, from, to, kind, subject, number, body, sentAt, until }, identity, place)
  }

  /** Somebody puts a message on the wire, signed by `from` unless said otherwise. */
  async slips(
    message: Pick<Envelope, 'from' | 'to' | 'kind' | 'subject' | 'body'> & { readonly number?: number },
    identity = this.identity(message.from),
  ): Promise<Ack> {
    const { now } = this.world
    const { from, to, kind, subject, body, number = 1 } = message
    const id = `message-slipped${++this.#slipped}`
    const letter = { id, from, to, kind, subject, number, body, sentAt: now, until: now + 60 * SECOND }
    const ack = await this.doing(this.wire.inject(seal(letter, identity, { generation: 0, seq: 1 })))
    if (ack!.outcome !== 'refused') this.#tell(`    ${to} acknowledges ${kind}: ${ack!.outcome}`)
    return ack!
  }

  /** What the actor signs with, at each moment. */
  identity(name: string): Identity {
    const key = (): string => cheapKey(name, this.#keyWords.get(name))
    return {
      name,
      get key() {
        return key()
      },
      sign: (text) => cheapIdentity(name, key()).sign(text),
    }
  }

  /** The actor signs with another key from now on. */
  changesKey(name: string, word: string): void {
    this.#keyWords.set(name, word)
  }

  /** One bit of a row on the disk is not what it was. */
  rots(name: string, table: string): void {
    const { rows } = this.disks[name]!
    const [key, row] = [...rows].find(([, stored]) => stored.table === table)!
    rows.set(key, { ...row, json: row.json!.replace('"units":', '"unitz":') })
  }

  /** A line of the author, for the reader. */
  says(line: string): void {
    this.transcript.push('', `── ${line}`, '')
  }

  /** The guest’s controller wishes so. */
  async wishes(intents: readonly GuestIntent[], manager = this.managers[0]!): Promise<void> {
    this.#intents.set(manager, [...intents])
    const actor = this.#actors.get(manager)?.actor
    const look = { guest: GUEST, observation: {}, failure: undefined, traces: undefined }
    await this.doing(actor?.command('look', look))
  }

  /** Lets time pass until it is done: a commit takes a moment. */
  async doing<T>(work: Promise<T> | undefined): Promise<T | undefined> {
    let value: T | undefined
    let failure: unknown
    let done = false
    work?.then(
      (result) => {
        value = result
        done = true
      },
      (error: unknown) => {
        failure = error
        done = true
      },
    )
    for (let i = 0; i < 1_000 && !done; i++) await this.runs(0.001)
    if (failure !== undefined) throw failure
    return value
  }

  command(name: string, command: string, args: unknown): Promise<unknown> {
    return this.doing(this.actor(name).command(command, args))
  }

  // ── what a script looks at ───────────────────────────────────────────────────────────────────────

  actor(name: string): Mine {
    const life = this.#actors.get(name)
    if (life === undefined) throw new Error(`${name} is not alive`)
    return life.actor
  }

  /** What a manager shows its controller. */
  view(manager = this.managers[0]!): GuestView<unknown> {
    const actor = this.actor(manager) as Actor<ServiceManagerTables>
    const units = new Map(actor.rows('unit').map((unit) => [unit.id, unit]))
    return guestView(
      actor.rows('lease'),
      (id) => units.get(id),
      undefined,
      {},
      undefined,
      (lease) => lease.term?.end,
      this.world.now,
      undefined,
      actor.rows('brake')[0],
    )
  }

  /** What its controller is told was refused. */
  refusals(manager = this.managers[0]!): readonly Refusal[] {
    const [guest] = (this.actor(manager) as Actor<ServiceManagerTables>).rows('guest')
    return guest?.refusals ?? []
  }

  leases(manager?: string): readonly HeldLease[] {
    return this.view(manager).leases
  }

  /** The instant so many seconds after the scene began. */
  at(seconds: number): number {
    return this.#startedAt + seconds * SECOND
  }

  ledger(name: string): readonly LedgerEntry[] {
    return this.disks[name]!.ledger
  }

  // ── lives ────────────────────────────────────────────────────────────────────────────────────────

  #life(name: string): void {
    const life = { alive: true }
    const number = ++this.#lives
    const alive = (): boolean => life.alive
    const die = (): void => {
      if (!life.alive) return
      life.alive = false
      this.#actors.delete(name)
      this.wire.detach(name)
      this.#tell(`${name} dies`)
    }
    if (number > this.names.length) this.#tell(`${name} begins again`)
    const clock = this.world.clock(0, alive)
    const common = {
      store: this.disks[name]!.store(alive, die),
      clock,
      identity: this.identity(name),
      trust: this.trusts[name]!,
      transport: this.wire.transport(alive),
      random: seededRandom(`scene ${number}`),
      log: { debug: quiet, info: quiet, warn: quiet, error: loud },
      skewMsMax: 2 * SECOND,
      downgrade,
      ...(this.protocols.has(name) ? { protocols: this.protocols.get(name)! } : {}),
      onCommitted: (entries: readonly LedgerEntry[]) => this.#tellEntries(name, entries),
      onFailed: (error: unknown) => {
        throw error
      },
      ...this.#setting.parts?.(name),
    }
    const begin = <T extends Tables>(mind: Mind<T>, perform: Perform): void => {
      const actor = new Actor<T>({ ...common, mind, perform } as ActorParts<T>)
      this.#actors.set(name, { actor: actor as unknown as Mine, die })
      this.wire.attach(name, actor)
      actor.start().catch((error: unknown) => this.#tell(`${name} does not start: ${inOneLine(error)}`))
    }
    if (name === 'broker')
      return begin(this.#broker(), () => Promise.reject(new Error('a broker does nothing')))
    if (this.sites.includes(name)) return begin(this.#authority(name), this.#verbs(name, alive))
    const membership = this.#setting.works && new Membership(this.queue.batch(clock), DAEMONS, clock)
    begin(this.#manager(name), async (verb, _key, args, signal) => {
      if (membership && verb !== 'requeue') return membership.perform(verb, args as MemberEffectArgs, signal)
      if (verb === 'join' && this.joinSeconds > 0) await sleep(clock, this.joinSeconds * SECOND, signal)
      return verb === 'leave' ? { kind: 'left' } : verb === 'requeue' ? [] : undefined
    })
  }

  /** What the actor thinks with; for tests that ask it without a stage. */
  mindOf(name: string): Mind<Tables> {
    if (name === 'broker') return this.#broker() as unknown as Mind<Tables>
    return (this.sites.includes(name)
      ? this.#authority(name)
      : this.#manager(name)) as unknown as Mind<Tables>
  }

  #verbs(name: string, alive: () => boolean): Perform {
    const handler = this.machines[name]!.handler(this.world.clock(0, alive))
    return (verb, _key, args, signal) => {
      if (verb === 'list') return handler.list(signal)
      const { spec, onlyIdle, force } = args as UnitEffectArgs
      if (verb === 'setup') return handler.setup(spec, signal)
      if (verb === 'probe') return handler.probe(spec, { onlyIdle }, signal)
      if (verb === 'modify') return handler.modify(spec, signal)
      return handler.teardown(spec, { force }, signal)
    }
  }

  #broker(): Mind<BrokerTables> {
    const config: BrokerConfig = {
      ...{
        policy: firstCome,
        sites: this.sites,
        batchMs: 50,
        quarantineMs: 5 * SECOND,
        answerMs: 600 * SECOND,
      },
      ...this.#setting.broker,
    }
    return broker(config, this.identity('broker'), this.trusts.broker!)
  }

  #authority(name: string): Mind<AuthorityTables> {
    const units = this.#setting.units ?? 4
    const config: AuthorityConfig = {
      ...{ broker: 'broker', images: ['plain'], probe: [], placement: bestFit, namePrefix: 'vm', slots: 20 },
      hosts: ['a', 'b'].map((host) => ({ name: host, capacity: { cpu: units } })),
      types: { small: { vector: { cpu: 1 }, image: 'plain', units } },
      conditions: { recallable: true, noticeMs: 5 * SECOND, graceMs: 30 * SECOND },
      termMsMax: 3_600 * SECOND,
      ...{ delegationMs: 36_000 * SECOND, repair: true, repairMinMs: 30 * SECOND, recoverMs: 600 * SECOND },
      ...{ setupMs: 30 * SECOND, probeMs: 5 * SECOND, modifyMs: 5 * SECOND, teardownMs: 10 * SECOND },
      ...{ probeEveryMs: 600 * SECOND, sweepEveryMs: 15 * SECOND, failuresMax: 3, backoffMs: SECOND },
      ...{ retryMs: SECOND, answerMs: 600 * SECOND },
      ...this.#setting.authority,
    }
    return authority(config, this.identity(name), this.trusts[name]!)
  }

  #manager(name: string): Mind<ServiceManagerTables> {
    const config: ServiceManagerConfig = {
      guests: {
        [GUEST]: { controller: this.#puppet(name) as Guest['controller'], config: {}, properties: {} },
      },
      ...{ broker: 'broker', skewMsMax: 2 * SECOND, leaveBudgetMs: 2 * SECOND, askMs: 20 * SECOND },
      ...{ joinMs: 5 * SECOND, leaveMs: 5 * SECOND, retryMs: SECOND, joinFailuresMax: 3 },
      ...{ quarantineMs: 60 * SECOND, answerMs: 600 * SECOND },
      ...this.#setting.manager,
    }
    return serviceManager(config, this.trusts[name]!)
  }

  /** Wishes what the script wishes, once. */
  #puppet(manager: string): GuestController<unknown, unknown, unknown> {
    const figures = { backlogJobs: 0, unitsWanted: 0, unitsJoined: 0, unitsComing: 0, oldestWaitMs: 0 }
    return {
      name: 'puppet',
      firstMemory: null,
      decide: () => {
        const intents = this.#intents.get(manager) ?? []
        this.#intents.set(manager, [])
        return { intents, memory: null, reason: '', figures, againMs: 60 * SECOND }
      },
      explainJob: () => undefined,
    }
  }

  // ── the transcript ───────────────────────────────────────────────────────────────────────────────

  #tell(line: string): void {
    const text = this.#names.in(line, this.#startedAt)
    this.transcript.push(`${clockText(this.world.now - this.#startedAt)}  ${text}`.trimEnd())
  }

  #tellPassing({ envelope, again, fate, away }: Passing): void {
    const { from, to, kind, subject } = envelope
    const marks = [again ? 'again' : '', fate === 'arrives' ? '' : fate, away ? 'nobody there' : ''].filter(
      Boolean,
    )
    const mark = marks.length === 0 ? '' : ` (${marks.join(', ')})`
    const about = gist(envelope, this.#startedAt)
    this.#tell(`${from} → ${to}  ${kind} ${subject}${mark}${about === '' || again ? '' : `: ${about}`}`)
  }

  #tellEntries(name: string, entries: readonly LedgerEntry[]): void {
    for (const { kind, subject, reason } of entries)
      if (!UNSAID.has(kind)) this.#tell(`    ${name} writes “${kind}” of ${subject}: ${reason}`)
  }
}

/** What every scene would begin with. */
const UNSAID: ReadonlySet<string> = new Set(['started', 'decided'])

const quiet = (): void => undefined
const loud = (fields: object, message: string): void => {
  const { err } = fields as { err?: unknown }
  throw new Error(message, { cause: err })
}
