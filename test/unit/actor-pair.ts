import type { Ack, Envelope } from '../../actors/runtime/envelope.ts'
import type { StoredRow } from '../../actors/runtime/rows.ts'
import { cheapIdentity } from '../simulation/identities.ts'
import { type Handle, type Life, type LifeOptions, Stage } from './actor-stage.ts'

type Side = 'actor' | 'peer'

/** Two actors over one time, each with its disk, and the wire between them. */
export class Pair {
  readonly actor = new Stage()
  readonly peer = new Stage(this.actor.world)
  readonly lives: Partial<Record<Side, Life>> = {}
  readonly wire: { readonly envelope: Envelope; ack?: Ack }[] = []
  /** What does not come through: the message, or its acknowledgement. */
  lost: (envelope: Envelope) => 'message' | 'ack' | undefined = () => undefined

  async begin(side: Side, options: LifeOptions = {}): Promise<Life> {
    const life = this.live(side, options)
    await this[side].soon(life.started)
    return life
  }

  live(side: Side, options: LifeOptions = {}): Life {
    const send = (envelope: Envelope): Promise<Ack> => this.#carry(envelope)
    const life = this[side].live({
      identity: cheapIdentity(side),
      handle: speaker,
      ...options,
      send,
      hello: send,
    })
    this.lives[side] = life
    return life
  }

  crash(side: Side): void {
    this.lives[side]?.crash()
    delete this.lives[side]
  }

  /** A copy of a disk, and what puts it back. */
  backup(side: Side): () => void {
    const { disk } = this[side]
    const rows = new Map<string, StoredRow>(disk.rows)
    const ledger = [...disk.ledger]
    return () => {
      disk.rows.clear()
      for (const [key, row] of rows) disk.rows.set(key, row)
      disk.ledger.splice(0, disk.ledger.length, ...ledger)
    }
  }

  /** Lets one side say something to the other, and the world go on for a while. */
  async say(side: Side, text: string, subject = 'lease-1'): Promise<void> {
    await this[side].soon(this.lives[side]!.actor.command(subject, text))
    await this.actor.pass(100)
  }

  heard(side: Side): string[] {
    return this.lives[side]!.inputs.flatMap((input) =>
      input.kind === 'message' ? [(input.envelope.body as { text: string }).text] : [],
    )
  }

  /** Messages but greetings, as they went over the wire: `kind protocol outcome`. */
  get trail(): string[] {
    return this.wire
      .filter(({ envelope }) => envelope.kind !== 'hello')
      .map(({ envelope, ack }) => `${envelope.kind} ${envelope.protocol} ${ack?.outcome ?? 'lost'}`)
  }

  async #carry(envelope: Envelope): Promise<Ack> {
    const passage: { envelope: Envelope; ack?: Ack } = { envelope }
    this.wire.push(passage)
    const life = this.lives[envelope.to as Side]
    const lost = this.lost(envelope)
    if (life === undefined || lost === 'message') throw new Error('connection refused')
    const ack = await life.actor.receive(structuredClone(envelope))
    if (lost === 'ack') throw new Error('connection reset')
    passage.ack = ack
    return ack
  }
}

/** Says to the other what a command says, on the subject that is its name; its kind is the first word. */
export const speaker: Handle = (input, draft) => {
  if (input.kind !== 'command') return
  const text = String(input.args)
  const to = draft.self === 'actor' ? 'peer' : 'actor'
  const kind = text.split(' ')[0]!
  draft.send({ to, kind, subject: input.name, body: { text }, until: draft.now + 600_000 })
}
