import { expect, test } from 'vitest'
import type { Ack, Envelope } from '../../actors/runtime/envelope.ts'
import { BODY_CHARS_MAX } from '../../actors/runtime/envelope.ts'
import type { Receiver, Transport } from '../../actors/runtime/transport.ts'

/** Where messages leave and come in. */
export interface Side extends Transport {
  attach(name: string, receiver: Receiver): void
}

/** The actors `left` and `right`, each on its side, which may be the same. */
export interface TransportStage {
  readonly left: Side
  readonly right: Side
  /** The side of `right` is gone, as if its process had been killed. Absent if both share a process. */
  readonly killRight?: () => Promise<void>
  end(): Promise<void>
}

/** In the form of a message; transports do not look at signatures. */
export const message = (from: string, to: string, id: string, body: unknown = { n: 1 }): Envelope =>
  ({
    ...{ protocol: 1, id, from, to, kind: 'ask', subject: 'lease-1', number: 1, bodyHash: 'hash', body },
    ...{ sentAt: 1, until: 2_000_000_000_000, signature: 'signature' },
  }) as Envelope

export const ackOf = ({ id, from, to }: Envelope, reason = ''): Ack =>
  ({
    ...{ protocol: 1, id, from: to, to: from, outcome: 'received', code: '', reason, at: 7 },
    signature: 'signature',
  }) as Ack

/** Keeps what it is told, and answers with the length of the body in its reason. */
export class Listener implements Receiver {
  readonly heard: Envelope[] = []
  refusal?: (head: unknown) => Ack | undefined
  answer: (envelope: Envelope) => Promise<Ack> = async (envelope) => ackOf(envelope, `of ${envelope.id}`)

  receive(envelope: Envelope, isNew: () => void = () => undefined): Promise<Ack> {
    if (!this.heard.some(({ id }) => id === envelope.id)) isNew()
    this.heard.push(envelope)
    return this.answer(envelope)
  }
}

/** Aborted when the test has waited for long enough. */
export const patience = (ms = 10_000): AbortSignal => AbortSignal.timeout(ms)

/** What every transport keeps, however it carries messages. */
export function transportLaw(name: string, begin: () => Promise<TransportStage>): void {
  const law = (
    sentence: string,
    run: (stage: TransportStage & { readonly atLeft: Listener; readonly atRight: Listener }) => Promise<void>,
    needs: (stage: TransportStage) => boolean = () => true,
  ): void => {
    test(`${name}: ${sentence}`, async (context) => {
      const stage = await begin()
      try {
        if (!needs(stage)) return context.skip('both actors share a process')
        const [atLeft, atRight] = [new Listener(), new Listener()]
        stage.left.attach('left', atLeft)
        stage.right.attach('right', atRight)
        await run({ ...stage, atLeft, atRight })
      } finally {
        await stage.end()
      }
    })
  }

  law('a message arrives to the letter, and the acknowledgement comes back', async (stage) => {
    const sent = message('left', 'right', 'message-1', { text: 'naïve 🙂 \u0000', list: [1, { a: null }] })
    expect(await stage.left.send(sent, patience())).toEqual(ackOf(sent, 'of message-1'))
    expect(stage.atRight.heard).toEqual([sent])
  })

  law('both sides can begin', async (stage) => {
    const [there, back] = [message('left', 'right', 'message-1'), message('right', 'left', 'message-2')]
    const acks = await Promise.all([stage.left.send(there, patience()), stage.right.send(back, patience())])
    expect(acks).toEqual([ackOf(there, 'of message-1'), ackOf(back, 'of message-2')])
    expect(stage.atLeft.heard).toEqual([back])
  })

  law('what the receiver does to its copy is not seen by the sender', async (stage) => {
    stage.atRight.answer = async (envelope) => {
      ;(envelope.body as { n: number }).n = 2
      return ackOf(envelope)
    }
    const sent = message('left', 'right', 'message-1')
    await stage.left.send(sent, patience())
    expect(sent.body).toEqual({ n: 1 })
  })

  law('of many at once each gets its own answer', async (stage) => {
    const sent = Array.from({ length: 64 }, (_, i) => message('left', 'right', `message-${i}`))
    const acks = await Promise.all(sent.map((one) => stage.left.send(one, patience())))
    expect(acks).toEqual(sent.map((one) => ackOf(one, `of ${one.id}`)))
    expect(stage.atRight.heard.map(({ id }) => id).toSorted()).toEqual(sent.map(({ id }) => id).toSorted())
  })

  law('the longest body arrives, in letters that take three bytes', async (stage) => {
    const text = '€'.repeat(BODY_CHARS_MAX - 20)
    const sent = message('left', 'right', 'message-1', { text })
    await stage.left.send(sent, patience())
    expect((stage.atRight.heard[0]?.body as { text: string } | undefined)?.text === text).toBe(true)
  })

  law('a refusal and a busy are answers like others', async (stage) => {
    stage.atRight.answer = async (envelope) => ({ ...ackOf(envelope, 'no room'), outcome: 'busy' })
    const sent = message('left', 'right', 'message-1')
    expect(await stage.left.send(sent, patience())).toEqual({ ...ackOf(sent, 'no room'), outcome: 'busy' })
  })

  law('an actor that nobody knows is told of, and nobody hears the message', async (stage) => {
    await expect(stage.left.send(message('left', 'nobody', 'message-1'), patience())).rejects.toThrow(
      /nobody/,
    )
    expect(stage.atRight.heard).toEqual([])
  })

  law('a receiver that fails is no acknowledgement', async (stage) => {
    stage.atRight.answer = () => Promise.reject(new Error('secret detail'))
    await expect(stage.left.send(message('left', 'right', 'message-1'), patience(1_500))).rejects.toThrow()
    expect(stage.atRight.heard.length).toBeGreaterThan(0)
  })

  law('whoever waits is told at once when its signal is aborted, and may send again', async (stage) => {
    const stop = new AbortController()
    let isSlow = true
    stage.atRight.answer = (envelope) => {
      if (!isSlow) return Promise.resolve(ackOf(envelope))
      stop.abort(new Error('no more patience'))
      return new Promise(() => undefined)
    }
    const sent = message('left', 'right', 'message-1')
    await expect(stage.left.send(sent, stop.signal)).rejects.toThrow('no more patience')
    isSlow = false
    expect(await stage.left.send(sent, patience())).toEqual(ackOf(sent))
  })

  law('nothing is sent for a signal that is aborted already', async (stage) => {
    const gone = AbortSignal.abort(new Error('too late'))
    await expect(stage.left.send(message('left', 'right', 'message-1'), gone)).rejects.toThrow('too late')
    expect(stage.atRight.heard).toEqual([])
  })

  law(
    'a side that was killed is told of within the time limit, not waited for without end',
    async (stage) => {
      await stage.left.send(message('left', 'right', 'message-1'), patience())
      await stage.killRight?.()
      await expect(stage.left.send(message('left', 'right', 'message-2'), patience(1_500))).rejects.toThrow()
      expect(stage.atRight.heard.map(({ id }) => id)).toEqual(['message-1'])
    },
    ({ killRight }) => killRight !== undefined,
  )
}
