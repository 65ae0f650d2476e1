import { expect, test } from 'vitest'
import { idSource } from '../../actors/runtime/ids.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { CallGuard, NONCES_MAX } from '../../adapters/http/call-guard.ts'
import { type Poll, sealCall } from '../../adapters/http/calls.ts'
import { cheapIdentity, cheapTrust } from '../simulation/identities.ts'
import { World } from '../simulation/world.ts'

test('who calls without end uses up no place of others who are known', () => {
  const world = new World()
  const ids = idSource(seededRandom(1))
  const guard = new CallGuard({
    ...{ clock: world.clock(), trust: cheapTrust(['left', 'greedy']), skewMsMax: 2_000 },
    isHere: () => true,
  })
  const poll = (name: string): Poll =>
    sealCall('poll', { waitMs: 0 }, 'right', { identity: cheapIdentity(name), ids, now: world.now })
  for (let i = 0; i < NONCES_MAX; i++) guard.admit('poll', poll('greedy'))
  expect(() => guard.admit('poll', poll('greedy'))).toThrow('too many calls')
  expect(() => guard.admit('poll', poll('left'))).not.toThrow()
})

test('calls of strangers use up no place of those who are known', () => {
  const world = new World()
  const ids = idSource(seededRandom(1))
  const trust = cheapTrust(['left'])
  const guard = new CallGuard({ clock: world.clock(), trust, skewMsMax: 2_000, isHere: () => true })
  const poll = (name: string): Poll =>
    sealCall('poll', { waitMs: 0 }, 'right', { identity: cheapIdentity(name), ids, now: world.now })
  for (let i = 0; i <= NONCES_MAX; i++)
    expect(guard.doubt('poll', poll('stranger'))).toBe('message-unknown-peer')
  const known = poll('left')
  expect(() => guard.admit('poll', known)).not.toThrow()
  expect(() => guard.admit('poll', known)).toThrow('heard before')
})
