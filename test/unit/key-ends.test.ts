import { describe, expect, test } from 'vitest'
import { endOfKeys, KEY_ENDS_MS, KEY_LOOK_MS } from '../../actors/runtime/key-ends.ts'
import { cheapKey, cheapTrust } from '../simulation/identities.ts'
import { NAMES, Stage } from './actor-stage.ts'

const warnings = (logged: readonly string[]): number =>
  logged.filter((line) => line.startsWith('warn: a key ends')).length

test('keys end when the last of them does; one without an end never does', () => {
  const key = cheapKey('peer')
  expect(endOfKeys([])).toBeUndefined()
  expect(endOfKeys([{ key, notAfter: 5 }, { key: 'other' }])).toBeUndefined()
  expect(
    endOfKeys([
      { key, notAfter: 5 },
      { key: 'other', notAfter: 9 },
    ]),
  ).toBe(9)
})

describe('a key that ends within two weeks', () => {
  const noted = (stage: Stage): readonly string[] =>
    stage.disk.ledger.flatMap(({ kind, subject }) => (kind === 'key ends' ? [subject] : []))
  const keys = (stage: Stage, name: string, afterMs: number) => ({
    [name]: [{ key: cheapKey(name), notAfter: stage.now + afterMs }],
  })

  test('of our own is told at the start, and once a day, in the log and in the ledger', async () => {
    const stage = new Stage()
    const trust = cheapTrust(NAMES, keys(stage, 'actor', 3 * KEY_LOOK_MS))
    const { logged } = await stage.begin({ trust })
    expect([noted(stage), warnings(logged)]).toEqual([['actor'], 1])
    await stage.pass(KEY_LOOK_MS - 60_000)
    expect(noted(stage)).toHaveLength(1)
    await stage.pass(120_000)
    expect([noted(stage).length, warnings(logged)]).toEqual([2, 2])
  })

  test('of a peer is told once it is near, and shown before', async () => {
    const stage = new Stage()
    const trust = cheapTrust(NAMES, keys(stage, 'peer', KEY_ENDS_MS + KEY_LOOK_MS / 2))
    const endsAt = stage.now + KEY_ENDS_MS + KEY_LOOK_MS / 2
    const { actor } = await stage.begin({ trust })
    await stage.soon(actor.receive(stage.letter(1)))
    expect(actor.peers()).toMatchObject([{ peer: 'peer', keyEndsAt: endsAt }])
    expect(noted(stage)).toEqual([])
    await stage.pass(KEY_LOOK_MS + 60_000)
    expect(noted(stage)).toEqual(['peer'])
  })

  test('is not told if another follows it', async () => {
    const stage = new Stage()
    const trust = cheapTrust(NAMES, {
      actor: [{ key: cheapKey('actor'), notAfter: stage.now + 1_000 }, { key: cheapKey('actor', 'next') }],
    })
    const { logged } = await stage.begin({ trust })
    await stage.pass(2 * KEY_LOOK_MS)
    expect([noted(stage), warnings(logged)]).toEqual([[], 0])
  })
})
