import type { Ack, Envelope } from '../../actors/runtime/envelope.ts'
import type { Random } from '../../actors/runtime/random.ts'
import type { Receiver, Transport } from '../../actors/runtime/transport.ts'
import type { Faults } from './faults.ts'
import type { World } from './world.ts'

/** A network that loses, delays (and so reorders) and doubles messages and acknowledgements. */
export class Weather implements Transport {
  readonly #world: World
  readonly #random: Random
  readonly #faults: () => Faults
  readonly #receivers = new Map<string, Receiver | undefined>()
  readonly trail: string[] = []

  constructor(world: World, random: Random, faults: () => Faults) {
    this.#world = world
    this.#random = random
    this.#faults = faults
  }

  attach(name: string, receiver: Receiver | undefined): void {
    this.#receivers.set(name, receiver)
  }

  send(envelope: Envelope): Promise<Ack> {
    const text = JSON.stringify(envelope)
    return new Promise((resolve) => {
      const copies = this.#random.next() < this.#faults().double ? 2 : 1
      for (let i = 0; i < copies; i++) this.#carry(() => this.#deliver(text, resolve))
    })
  }

  #deliver(text: string, resolve: (ack: Ack) => void): void {
    const envelope = JSON.parse(text) as Envelope
    const receiver = this.#receivers.get(envelope.to)
    this.trail.push(
      `${this.#world.elapsed} ${envelope.from} → ${envelope.to} ${envelope.kind} ${envelope.subject} #${envelope.number}${receiver ? '' : ' (nobody there)'}`,
    )
    if (this.trail.length > 400) this.trail.splice(0, 200)
    if (receiver === undefined) return
    void receiver.receive(envelope).then((ack) => this.#carry(() => resolve(ack)))
  }

  #carry(arrive: () => void): void {
    const { lose, delayMsMax } = this.#faults()
    if (this.#random.next() < lose) return
    this.#world.after(1 + this.#random.int(delayMsMax + 1), arrive)
  }
}
