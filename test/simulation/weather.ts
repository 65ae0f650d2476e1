import type { Ack, Envelope } from '../../actors/runtime/envelope.ts'
import type { Random } from '../../actors/runtime/random.ts'
import type { Receiver, Transport } from '../../actors/runtime/transport.ts'
import type { Faults } from './faults.ts'
import { forge } from './forger.ts'
import type { World } from './world.ts'

export interface WeatherParts {
  readonly world: World
  readonly random: Random
  readonly faults: () => Faults
  /** Everybody who takes part. */
  readonly names: readonly string[]
  /** The message is in its sender's outbox, on disk. */
  readonly isSaid: (envelope: Envelope) => boolean
  /** The message is marked as heard, on its receiver's disk. */
  readonly isHeard: (envelope: Envelope) => boolean
  /** Somebody saw what must never be. */
  readonly saw: (violation: string) => void
}

/**
 * A network that loses, delays (and so reorders) and doubles messages and acknowledgements, that falls apart and
 * heals, is slow for some, and is listened to by somebody who tries to pass false messages.
 */
export class Weather implements Transport {
  readonly #parts: WeatherParts
  readonly #receivers = new Map<string, Receiver | undefined>()
  readonly #trail: Step[] = []
  /** Those who cannot reach the others, until when. */
  readonly #cutOff = new Map<string, number>()
  readonly #slow = new Map<string, { readonly until: number; readonly ms: number }>()

  constructor(parts: WeatherParts) {
    this.#parts = parts
  }

  /** Partitions and slow actors, at times of their own. */
  begin({ partitions, slow }: Faults, stormMs: number): void {
    const { world, random, names } = this.#parts
    for (let i = 0; i < partitions; i++)
      world.after(random.int(stormMs), () => {
        world.count('partition')
        const until = world.elapsed + 2_000 + random.int(60_000)
        for (const name of names) if (random.next() < 0.3) this.#cutOff.set(name, until)
      })
    for (let i = 0; i < slow; i++)
      world.after(random.int(stormMs), () => {
        world.count('slow')
        const until = world.elapsed + 5_000 + random.int(60_000)
        this.#slow.set(names[random.int(names.length)]!, { until, ms: 500 + random.int(8_000) })
      })
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
    const { world, random, faults, isSaid, saw } = this.#parts
    const { from, to, kind, subject } = envelope
    if (!isSaid(envelope)) saw(`${from} says ${kind} ${subject}, and that is not on its disk`)
    return new Promise((resolve) => {
      const copies = world.strikes('double', faults().double, random) ? 2 : 1
      for (let i = 0; i < copies; i++) this.#carry(from, to, () => this.#deliver(envelope, resolve))
    })
  }

  #deliver(envelope: Envelope, resolve: (ack: Ack) => void): void {
    const { world, isHeard, saw } = this.#parts
    const { from, to, kind, subject, number } = envelope
    const receiver = this.#receivers.get(to)
    this.#trail.push({ at: world.elapsed, envelope, there: receiver !== undefined })
    if (this.#trail.length > 2 * TRAIL_MAX) this.#trail.splice(0, TRAIL_MAX)
    if (receiver === undefined) return
    void receiver.receive(envelope).then((ack) => {
      if (ack.outcome === 'received' && !isHeard(envelope))
        saw(`${to} acknowledges ${kind} ${subject} #${number} of ${from}, and that is not on its disk`)
      this.#carry(to, from, () => resolve(ack))
      if (ack.outcome === 'received' && kind !== 'hello') this.#listen(envelope)
    })
  }

  #carry(from: string, to: string, arrive: () => void): void {
    const { world, random, faults } = this.#parts
    const { lose, delayMsMax } = faults()
    if (world.strikes('lose', lose, random) || this.#isCut(from) !== this.#isCut(to)) return
    const slowMs = this.#slowMs(from) + this.#slowMs(to)
    world.after(1 + random.int(delayMsMax + 1) + slowMs, arrive)
  }

  #isCut(name: string): boolean {
    return (this.#cutOff.get(name) ?? 0) > this.#parts.world.elapsed
  }

  #slowMs(name: string): number {
    const slow = this.#slow.get(name)
    return slow === undefined || slow.until <= this.#parts.world.elapsed ? 0 : slow.ms
  }

  /** Whoever reads along tries something with what was just taken. Nothing of it may be believed. */
  #listen(heard: Envelope): void {
    const { world, random, faults, names, saw } = this.#parts
    if (!world.strikes('forged', faults().forged, random)) return
    const { what, envelope, right } = forge(heard, names, random)
    world.after(1 + random.int(500), () => {
      const { to, kind, subject, number } = envelope
      const answer = this.#receivers.get(to)?.receive(envelope)
      void answer?.then(({ outcome, code }) => {
        if (outcome !== 'busy' && !right.includes(outcome))
          saw(`${to} answers ${outcome} ${code} to ${kind} ${subject} #${number}, which is ${what}`)
      })
    })
  }
}

interface Step {
  readonly at: number
  readonly envelope: Envelope
  readonly there: boolean
}

const TRAIL_MAX = 200
