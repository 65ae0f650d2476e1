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
  readonly #trail: Step[] = []

  constructor(world: World, random: Random, faults: () => Faults) {
    this.#world = world
    this.#random = random
    this.#faults = faults
  }

  attach(name: string, receiver: Receiver | undefined): void {
    this.#receivers.set(name, receiver)
  }

  /** The last messages that arrived, in words. */
  trail(count: number): string[] {
    return this.#trail
      .slice(-count)
      .map(
        ({ at, envelope: { from, to, kind, subject, number }, there }) =>
          `${at} ${from} → ${to} ${kind} ${subject} #${number}${there ? '' : ' (nobody there)'}`,
      )
  }

  send(envelope: Envelope): Promise<Ack> {
    return new Promise((resolve) => {
      const copies = this.#random.next() < this.#faults().double ? 2 : 1
      for (let i = 0; i < copies; i++) this.#carry(() => this.#deliver(envelope, resolve))
    })
  }

  #deliver(envelope: Envelope, resolve: (ack: Ack) => void): void {
    const receiver = this.#receivers.get(envelope.to)
    this.#trail.push({ at: this.#world.elapsed, envelope, there: receiver !== undefined })
    if (this.#trail.length > 2 * TRAIL_MAX) this.#trail.splice(0, TRAIL_MAX)
    if (receiver === undefined) return
    void receiver.receive(envelope).then((ack) => this.#carry(() => resolve(ack)))
  }

  #carry(arrive: () => void): void {
    const { lose, delayMsMax } = this.#faults()
    if (this.#random.next() < lose) return
    this.#world.after(1 + this.#random.int(delayMsMax + 1), arrive)
  }
}

interface Step {
  readonly at: number
  readonly envelope: Envelope
  readonly there: boolean
}

const TRAIL_MAX = 200
