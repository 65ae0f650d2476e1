import type { Ack, Envelope } from './envelope.ts'
import type { ActorName } from './identity.ts'

/**
 * Carries a message to its receiver and brings back the acknowledgement; rejects if it cannot, and at once
 * when the signal is aborted.
 */
export interface Transport {
  send(envelope: Envelope, signal: AbortSignal): Promise<Ack>
}

export interface Receiver {
  /**
   * The refusal of a message that is not to be believed whatever its body is; undefined if the body counts. Who carries
   * long messages asks, so that whoever can show no head that a peer signed has no long bodies read; on plain HTTP others
   * may have seen one. Absent: each is read.
   */
  refusal?(head: unknown): Ack | undefined
  /** `isNew` is called once the message is durable, if it was never taken before: then its sender has said it now. */
  receive(envelope: Envelope, isNew?: () => void): Promise<Ack>
}

/** Actors that share a process. Messages are copied, as they would be on a wire. */
export class InProcessNetwork implements Transport {
  readonly #receivers = new Map<ActorName, Receiver>()

  attach(name: ActorName, receiver: Receiver): void {
    this.#receivers.set(name, receiver)
  }

  async send(envelope: Envelope, signal: AbortSignal): Promise<Ack> {
    signal.throwIfAborted()
    const receiver = this.#receivers.get(envelope.to)
    if (receiver === undefined) throw new Error(`no actor named ${envelope.to} in this process`)
    return untilAborted(receiver.receive(structuredClone(envelope)), signal)
  }
}

function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason)
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}
