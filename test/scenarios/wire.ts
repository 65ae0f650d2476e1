import type { Ack, Envelope } from '../../actors/runtime/envelope.ts'
import type { Receiver, Transport } from '../../actors/runtime/transport.ts'
import type { World } from '../simulation/world.ts'

/** What happens to a message on its way. */
export type Fate = 'arrives' | 'lost' | 'acknowledgement lost' | 'doubled' | 'held'

export interface Rule {
  readonly kind: string
  readonly from?: string
  readonly fate: Fate
  /** How many messages it is for; each message only once. */
  times: number
}

export interface Passing {
  readonly envelope: Envelope
  readonly again: boolean
  readonly fate: Fate
  readonly away: boolean
}

const LATENCY_MS = 10

/** The network of a scene: everything arrives after 10 ms, but what a rule of the script is for. */
export class Wire {
  readonly #world: World
  readonly #passed: (passing: Passing) => void
  readonly #answered: (envelope: Envelope, ack: Ack) => void
  readonly #receivers = new Map<string, Receiver>()
  readonly #rules: Rule[] = []
  readonly #sent = new Set<string>()
  /** Every message there was, each once. */
  readonly history: Envelope[] = []
  readonly #held: (() => void)[] = []

  constructor(
    world: World,
    passed: (passing: Passing) => void,
    answered: (envelope: Envelope, ack: Ack) => void,
  ) {
    this.#world = world
    this.#passed = passed
    this.#answered = answered
  }

  attach(name: string, receiver: Receiver): void {
    this.#receivers.set(name, receiver)
  }

  detach(name: string): void {
    this.#receivers.delete(name)
  }

  rule(rule: Rule): void {
    this.#rules.push(rule)
  }

  /** No rule is left: what is sent from now on arrives. */
  calm(): void {
    this.#rules.length = 0
  }

  /** What was held arrives now, in the order in which it was sent. */
  release(): void {
    for (const deliver of this.#held.splice(0)) deliver()
  }

  /** The transport of one life of an actor. */
  transport(alive: () => boolean): Transport {
    return { send: (envelope) => this.#send(envelope, alive) }
  }

  /** Puts a message on the wire that no actor sends, be it forged or an old one. */
  inject(envelope: Envelope): Promise<Ack> {
    return this.#send(envelope, () => true)
  }

  #send(envelope: Envelope, alive: () => boolean): Promise<Ack> {
    const again = this.#sent.has(envelope.id)
    if (!again) this.history.push(structuredClone(envelope))
    this.#sent.add(envelope.id)
    const fate = this.#fateOf(envelope)
    const hidden = !this.#receivers.has(envelope.to)
    // The first word of a life is of interest only while nobody hears it.
    if (envelope.kind !== 'hello' || hidden) this.#passed({ envelope, again, fate, away: hidden })
    return new Promise((resolve, reject) => {
      const deliver = (): void => {
        this.#world.after(LATENCY_MS, () => {
          const receiver = this.#receivers.get(envelope.to)
          if (receiver === undefined) return reject(new Error(`${envelope.to} is away`))
          void receiver.receive(structuredClone(envelope)).then((ack) => {
            if (fate === 'acknowledgement lost') return
            this.#world.after(LATENCY_MS, () => {
              if (!alive()) return
              this.#answered(envelope, ack)
              resolve(ack)
            })
          })
        })
      }
      if (fate === 'lost') return
      if (fate === 'held') this.#held.push(deliver)
      else deliver()
      if (fate === 'doubled') deliver()
    })
  }

  #fateOf({ kind, from }: Envelope): Fate {
    const rule = this.#rules.find(
      (one) => one.times > 0 && one.kind === kind && (one.from === undefined || one.from === from),
    )
    if (rule === undefined) return 'arrives'
    rule.times--
    return rule.fate
  }
}
