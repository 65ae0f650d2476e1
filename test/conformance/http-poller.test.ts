import { expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import type { Ack } from '../../actors/runtime/envelope.ts'
import { ed25519Identity, generateKeys } from '../../actors/runtime/identity.ts'
import { idSource } from '../../actors/runtime/ids.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import type { HttpClient } from '../../adapters/http/client.ts'
import { Poller } from '../../adapters/http/poller.ts'

test.each([
  [
    'throws',
    () => {
      throw new Error('no room for it')
    },
  ],
  ['rejects', () => Promise.reject(new Error('no room for it'))],
] as [
  string,
  () => Promise<Ack>,
][])('a receiver that %s is told of, and the next messages come all the same', async (_, receive) => {
  const told = Promise.withResolvers<object>()
  const second = Promise.withResolvers<void>()
  const answers: unknown[][] = [[{ id: 'message-1' }], [{ id: 'message-2' }]]
  const client = {
    post: async (_url: string, path: string, _seal: unknown, { signal }: { signal: AbortSignal }) => {
      if (path !== '/v2/poll') return {}
      const envelopes = answers.shift()
      if (envelopes !== undefined) return { envelopes }
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    },
  }
  const quiet = (): void => undefined
  let taken = 0
  const random = seededRandom('poller')
  const poller = new Poller('peer', 'http://127.0.0.1:1', {
    client: client as unknown as HttpClient,
    ...{ clock: systemClock, random, ids: idSource(random) },
    identity: ed25519Identity('here', generateKeys().privateKey),
    receiver: {
      receive() {
        if (++taken === 2) second.resolve()
        return receive()
      },
    },
    log: { warn: quiet, error: (fields) => told.resolve(fields) },
  })
  expect(await told.promise).toEqual({ actor: 'here', peer: 'peer', reason: 'no room for it' })
  await second.promise
  // The poll itself went well.
  expect([poller.lastError, poller.silentSince]).toEqual([undefined, undefined])
  await poller.stop()
})
