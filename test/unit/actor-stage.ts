import { Actor, type Log } from '../../actors/runtime/actor.ts'
import type { Clock, Instant, Millis } from '../../actors/runtime/clock.ts'
import type { Commit, CommitLog } from '../../actors/runtime/commit.ts'
import type { Downgrade } from '../../actors/runtime/courier.ts'
import type { Draft } from '../../actors/runtime/draft.ts'
import type { Perform } from '../../actors/runtime/effects.ts'
import {
  type Ack,
  type Envelope,
  type Letter,
  type Place,
  seal,
  sealAck,
} from '../../actors/runtime/envelope.ts'
import type { Identity, Trust } from '../../actors/runtime/identity.ts'
import type { LinkBounds } from '../../actors/runtime/links.ts'
import type { Input } from '../../actors/runtime/mind.ts'
import { type Random, seededRandom } from '../../actors/runtime/random.ts'
import type { Rate } from '../../actors/runtime/rates.ts'
import type { Row } from '../../actors/runtime/rows.ts'
import type { ClockMark } from '../../actors/runtime/steady.ts'
import { type CommitFate, Disk } from '../simulation/disk.ts'
import { cheapIdentity, cheapTrust } from '../simulation/identities.ts'
import { World } from '../simulation/world.ts'

/** The rows of the actors in these tests. */
export interface NoteRow extends Row {
  readonly text: string
}
export type NoteTables = { note: NoteRow }
export type NoteDraft = Draft<NoteTables>
export type Handle = (input: Input, draft: NoteDraft) => unknown

export const SKEW_MS: Millis = 2_000
/** Everybody an actor of these tests trusts. */
export const NAMES = ['actor', 'peer', 'other']

export interface LifeOptions {
  readonly handle?: Handle
  readonly perform?: Perform
  readonly send?: (envelope: Envelope) => Promise<Ack>
  /** What peers say to the first word of a life; they have seen nothing unless this says otherwise. */
  readonly hello?: (envelope: Envelope) => Promise<Ack>
  readonly protocols?: readonly number[]
  readonly rate?: Rate
  readonly linkBounds?: LinkBounds
  readonly log?: Log
  readonly downgrade?: Downgrade
  readonly syncMs?: Millis
  readonly fate?: () => CommitFate
  /** Takes the place of the disk's open. */
  readonly open?: CommitLog['open']
  /** Takes the place of the disk's commit. */
  readonly commit?: (commit: Commit) => Promise<void>
  readonly clock?: Clock
  readonly clockMark?: ClockMark
  readonly identity?: Identity
  readonly trust?: Trust
  readonly random?: Random
  readonly onCommitted?: () => void
}

/** One life of an actor: what it was told, sent, logged, and how it ended. */
export interface Life {
  readonly actor: Actor<NoteTables>
  readonly inputs: Input[]
  readonly sent: Envelope[]
  readonly logged: string[]
  readonly failures: unknown[]
  readonly started: Promise<void>
  /** The power goes. */
  crash(): void
}

/** Virtual time, one disk, and lives of the actor that owns it, one after the other. */
export class Stage {
  readonly world: World
  readonly disk = new Disk()
  closed = 0
  #lives = 0

  /** Stages that share a world share their time. */
  constructor(world = new World()) {
    this.world = world
  }

  get now(): Instant {
    return this.world.now
  }

  /** Lets virtual time pass; what was just begun runs first. */
  async pass(ms: Millis): Promise<void> {
    await new Promise(setImmediate)
    await this.world.run(this.world.elapsed + ms, () => undefined)
    await new Promise(setImmediate)
  }

  /** The outcome of something that needs virtual time, within ten minutes of it. */
  async soon<T>(work: Promise<T>): Promise<T> {
    let settled = false
    const mark = (): void => {
      settled = true
    }
    work.then(mark, mark)
    for (let i = 0; i < 6_000 && !settled; i++) await this.pass(100)
    return work
  }

  live(options: LifeOptions = {}): Life {
    const life = { alive: true }
    const inputs: Input[] = []
    const sent: Envelope[] = []
    const logged: string[] = []
    const failures: unknown[] = []
    const die = (): void => {
      life.alive = false
      this.disk.release()
    }
    const store = this.disk.store(
      this.world,
      () => life.alive,
      options.fate ?? (() => 'done'),
      die,
      () => options.syncMs ?? 1,
    )
    const log = (level: string) => (fields: object, message: string) => {
      const { reason, code, err } = fields as { reason?: string; code?: string; err?: unknown }
      logged.push(
        [level, message, code, reason, err instanceof Error ? err.message : ''].filter(Boolean).join(': '),
      )
    }
    const silent: Log = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') }
    const hello = options.hello ?? (async (envelope) => this.ack(envelope, { seenSeq: 0 }))
    const actor = new Actor<NoteTables>({
      mind: {
        handle(input, draft) {
          inputs.push(input)
          return options.handle?.(input, draft)
        },
      },
      store: {
        open: options.open ?? ((take) => store.open(take)),
        commit: options.commit ?? ((commit) => store.commit(commit)),
        close: () => {
          this.closed++
          return store.close()
        },
      },
      clock: options.clock ?? this.world.clock(0, () => life.alive),
      clockMark: options.clockMark,
      identity: options.identity ?? cheapIdentity('actor'),
      trust: options.trust ?? cheapTrust(NAMES),
      transport: {
        send(envelope) {
          if (envelope.kind === 'hello') return hello(envelope)
          sent.push(envelope)
          return options.send?.(envelope) ?? new Promise(() => undefined)
        },
      },
      perform: options.perform ?? (() => Promise.resolve(undefined)),
      random: options.random ?? seededRandom(`life ${++this.#lives}`),
      log: options.log ?? silent,
      skewMsMax: SKEW_MS,
      ...(options.onCommitted === undefined ? {} : { onCommitted: options.onCommitted }),
      ...(options.linkBounds === undefined ? {} : { linkBounds: options.linkBounds }),
      ...(options.rate === undefined ? {} : { rate: options.rate }),
      ...(options.protocols === undefined ? {} : { protocols: options.protocols }),
      ...(options.downgrade === undefined ? {} : { downgrade: options.downgrade }),
      onFailed: (error) => failures.push(error),
    })
    const started = actor.start()
    started.catch(() => undefined)
    return { actor, inputs, sent, logged, failures, started, crash: die }
  }

  async begin(options: LifeOptions = {}): Promise<Life> {
    const life = this.live(options)
    await this.soon(life.started)
    return life
  }

  /** A message from a peer to the actor, good for a minute. */
  letter(number: number, changes: Partial<Omit<Letter, 'bodyHash'>> = {}, place?: Place): Envelope {
    const unsigned = {
      id: `message-${number}`,
      from: 'peer',
      to: 'actor',
      kind: 'say',
      subject: 'lease-1',
      number,
      body: { text: `word ${number}` },
      sentAt: this.now,
      until: this.now + 60_000,
      ...changes,
    }
    return seal(unsigned, cheapIdentity(unsigned.from), place)
  }

  /** A peer's answer to a message of the actor; in protocol 2 if it says what it has seen. */
  ack(
    { id, from, to }: Envelope,
    changes: { outcome?: Ack['outcome']; code?: string; reason?: string; seenSeq?: number } = {},
  ): Ack {
    const { outcome = 'received', code = '', reason = '', seenSeq } = changes
    const place = seenSeq === undefined ? undefined : { generation: 0, seq: seenSeq }
    return sealAck({ id, from: to, to: from, outcome, code, reason, at: this.now }, cheapIdentity(to), place)
  }

  /** Rows of a table as they are on disk. */
  stored(table: string): Row[] {
    return [...this.disk.rows.values()]
      .filter((row) => row.table === table)
      .map((row) => JSON.parse(row.json!) as Row)
  }

  notes(): string[] {
    return this.disk.ledger.map((entry) => `${entry.kind}: ${entry.reason}`)
  }
}

/** Writes what it is told into a row of its own; a message that says so makes it throw. */
export const writer: Handle = (input, draft) => {
  if (input.kind === 'message') {
    const { text } = input.envelope.body as { text: string }
    if (text === 'poison') throw new Error('this one is poison')
    draft.put('note', { id: `${input.envelope.subject} ${input.envelope.number}`, text })
  }
  if (input.kind === 'command') {
    draft.put('note', { id: input.name, text: String(input.args) })
    return `did ${input.name}`
  }
  return undefined
}
