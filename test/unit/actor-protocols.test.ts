import { describe, expect, test } from 'vitest'
import type { OutRow } from '../../actors/runtime/courier.ts'
import { type Envelope, letterOf, seal, sealLetter } from '../../actors/runtime/envelope.ts'
import { ed25519Identity, ed25519Trust, generateKeys } from '../../actors/runtime/identity.ts'
import type { PeerRow } from '../../actors/runtime/peers.ts'
import { requestProof, requestProofSchema, verifyProof } from '../../actors/runtime/proof.ts'
import { encodeRow, type Row } from '../../actors/runtime/rows.ts'
import { cheapIdentity, cheapKey, cheapTrust } from '../simulation/identities.ts'
import { Pair } from './actor-pair.ts'
import { type Handle, NAMES, Stage } from './actor-stage.ts'

/** In protocol 1 words are in capitals, and there is no modification. */
const downgrade = (kind: string, body: unknown): unknown => {
  const { text } = body as { text: string }
  return kind === 'modify' ? undefined : { text: text.toUpperCase() }
}
const old = { protocols: [1] }
const today = { protocols: [1, 2], downgrade }

const knownProtocol = (pair: Pair, side: 'actor' | 'peer'): number | undefined =>
  (pair[side].stored('$peer')[0] as PeerRow | undefined)?.protocol

describe('two actors that speak protocol 2', () => {
  test('show key, generation and place in messages and acknowledgements', async () => {
    const pair = new Pair()
    await pair.begin('peer')
    await pair.begin('actor')
    for (const text of ['say one', 'say two']) await pair.say('actor', text)
    await pair.say('actor', 'say three', 'lease-2')
    const said = pair.wire.filter(({ envelope }) => envelope.kind === 'say')
    expect(said.map(({ envelope }) => envelope)).toMatchObject([
      { protocol: 2, key: cheapKey('actor'), generation: 0, number: 1, seq: 1 },
      { protocol: 2, key: cheapKey('actor'), generation: 0, number: 2, seq: 2 },
      { protocol: 2, key: cheapKey('actor'), generation: 0, number: 1, seq: 3 },
    ])
    expect(said.map(({ ack }) => ack)).toMatchObject(
      [1, 2, 3].map((seenSeq) => ({ protocol: 2, key: cheapKey('peer'), generation: 0, seenSeq })),
    )
    expect(pair.heard('peer')).toEqual(['say one', 'say two', 'say three'])
  })

  test('remember with which key the other signed last, in messages and in acknowledgements', async () => {
    const pair = new Pair()
    await pair.begin('peer')
    await pair.begin('actor')
    for (const text of ['say one', 'say two']) await pair.say('actor', text)
    const keyKnown = (side: 'actor' | 'peer') => (pair[side].stored('$peer')[0] as PeerRow | undefined)?.key
    expect([keyKnown('actor'), keyKnown('peer')]).toEqual([cheapKey('peer'), cheapKey('actor')])
  })

  test('say hello once in a life, before anything else', async () => {
    const pair = new Pair()
    await pair.begin('peer')
    await pair.begin('actor')
    for (const text of ['say one', 'say two']) await pair.say('actor', text)
    await pair.say('peer', 'say three')
    const kinds = pair.wire.map(({ envelope }) => `${envelope.from} ${envelope.kind}`)
    expect(kinds).toEqual(['actor hello', 'actor say', 'actor say', 'peer hello', 'peer say'])
  })
})

describe('an actor that speaks both protocols, and one that speaks only the first', () => {
  test('talk in the first, both ways, in bodies of it', async () => {
    const pair = new Pair()
    await pair.begin('peer', old)
    await pair.begin('actor', today)
    await pair.say('actor', 'say one')
    await pair.say('peer', 'say two')
    expect([pair.heard('peer'), pair.heard('actor')]).toEqual([['SAY ONE'], ['say two']])
    expect(pair.trail).toEqual(['say 1 received', 'say 1 received'])
    expect([knownProtocol(pair, 'actor'), knownProtocol(pair, 'peer')]).toEqual([1, 1])
  })

  test('the one that is told of a new kind’s fate hears that its peer is too old', async () => {
    const pair = new Pair()
    await pair.begin('peer', old)
    const { inputs } = await pair.begin('actor', today)
    await pair.say('actor', 'modify one')
    expect(inputs.at(-1)).toMatchObject({
      ...{ kind: 'undelivered', code: 'peer-too-old' },
      reason: 'peer speaks protocol 1, which knows no modify',
    })
    await pair.say('actor', 'say two')
    expect([pair.heard('peer'), pair.actor.stored('$out').length]).toEqual([['SAY TWO'], 1])
  })

  test('a mind sees what its peer speaks, from its first message on', async () => {
    const seen: unknown[] = []
    const handle: Handle = (input, draft) => {
      if (input.kind === 'message') seen.push(draft.peer(input.envelope.from)?.protocol)
    }
    for (const protocols of [[1], [1, 2]]) {
      const pair = new Pair()
      await pair.begin('actor', { ...today, handle })
      await pair.begin('peer', { protocols })
      await pair.say('peer', 'say one')
    }
    expect(seen).toEqual([1, 2])
  })

  test('when the old one was upgraded they talk in the second, and nothing is lost or read twice', async () => {
    const pair = new Pair()
    await pair.begin('peer', old)
    await pair.begin('actor', today)
    await pair.say('actor', 'say one')
    pair.lost = ({ kind }) => (kind === 'say' ? 'ack' : undefined)
    await pair.say('actor', 'say two')
    expect(pair.heard('peer')).toEqual(['SAY ONE', 'SAY TWO'])
    pair.crash('peer')
    pair.lost = () => undefined
    await pair.begin('peer', today)
    await pair.actor.pass(60_000)
    await pair.say('actor', 'say three')
    expect(pair.heard('peer')).toEqual(['say three'])
    expect(pair.trail.slice(-2)).toEqual(['say 2 received', 'say 2 received'])
    expect(pair.actor.notes().concat(pair.peer.notes())).toEqual([])
  })

  test('a number that was used in the first is refused in the second to another message', async () => {
    const pair = new Pair()
    await pair.begin('peer', old)
    await pair.begin('actor', today)
    await pair.say('actor', 'say one')
    pair.crash('peer')
    const { actor } = await pair.begin('peer', today)
    const { signature: _, ...said } = pair.wire.find(({ envelope }) => envelope.kind === 'say')!.envelope
    const again = (id: string): Promise<unknown> => {
      const place = { generation: 0, seq: 1 }
      const letter = { ...said, id, body: { text: 'otherwise' } }
      return pair.actor.soon(actor.receive(sealLetter(letterOf(letter), cheapIdentity('actor'), place)))
    }
    expect(await again(said.id)).toMatchObject({ outcome: 'received', reason: 'received before' })
    expect(await again('another')).toMatchObject({ outcome: 'refused', code: 'message-conflict' })
    expect(pair.heard('peer')).toEqual([])
  })

  test('when it was set back to the old one they go on in the first', async () => {
    const pair = new Pair()
    await pair.begin('peer', today)
    await pair.begin('actor', today)
    await pair.say('actor', 'say one')
    pair.crash('peer')
    await pair.begin('peer', old)
    await pair.say('actor', 'say two')
    await pair.say('peer', 'say three')
    expect(pair.heard('peer')).toEqual(['SAY TWO'])
    expect(pair.heard('actor')).toEqual(['say three'])
    expect(pair.trail).toEqual(['say 2 received', 'say 2 refused', 'say 1 received', 'say 1 received'])
  })

  test('when they have no protocol in common the sender hears of it', async () => {
    const pair = new Pair()
    await pair.begin('peer', old)
    const { inputs } = await pair.begin('actor', { protocols: [2] })
    await pair.say('actor', 'say one')
    expect(inputs.at(-1)).toMatchObject({ kind: 'undelivered', code: 'message-malformed' })
  })
})

describe('a message is signed when it is sent', () => {
  test('one that the last version signed and kept goes out, too', async () => {
    const pair = new Pair()
    await pair.begin('peer')
    const unsigned = { from: 'actor', to: 'peer', kind: 'say', subject: 'lease-1', sentAt: pair.actor.now }
    const kept = [1, 2].map((seq) => {
      const body = { text: `word ${seq}` }
      const head = { ...unsigned, id: `message-${seq}`, number: seq, until: pair.actor.now + 60_000 }
      return { id: head.id, envelope: seal({ ...head, body }, cheapIdentity('actor')), overtakes: false, seq }
    })
    const meta = { id: 'meta', epoch: 1, attempt: 0, outSeq: 2 }
    const link = { id: 'peer lease-1', out: 2, in: 0, inHash: '' }
    const put = (table: string, row: Row): unknown =>
      pair.actor.disk.rows.set(`${table}\n${row.id}`, encodeRow(table, row.id, row))
    for (const row of kept) put('$out', row)
    put('$meta', meta)
    put('$link', link)
    await pair.begin('actor')
    await pair.say('actor', 'say three')
    expect(pair.heard('peer')).toEqual(['word 1', 'word 2', 'say three'])
    const said = pair.wire.filter(({ envelope }) => envelope.kind === 'say')
    expect(said.map(({ envelope: { number, seq } }) => [number, seq])).toEqual([
      ...[1, 2, 3].map((n) => [n, n]),
    ])
  })

  test('with the key of that moment: a new one between two tries is used at the second', async () => {
    const [first, second] = [cheapIdentity('actor', cheapKey('actor', '1')), cheapIdentity('actor')]
    let now = first
    const identity = {
      name: 'actor',
      sign: (text: string) => now.sign(text),
      get key() {
        return now.key
      },
    }
    const trust = cheapTrust(NAMES)
    const pair = new Pair()
    await pair.begin('peer', { trust })
    await pair.begin('actor', { identity })
    await pair.say('actor', 'say one')
    expect(trust.strangers()).toMatchObject([{ name: 'actor', key: first.key }])
    pair.lost = () => 'message'
    await pair.say('actor', 'say two')
    now = second
    pair.lost = () => undefined
    await pair.actor.pass(60_000)
    // What was refused for the first key comes with the second, too.
    expect(pair.heard('peer')).toEqual(['say one', 'say two'])
    const kept = pair.actor.stored('$out') as OutRow[]
    expect(kept).toEqual([])
  })

  test('once for all tries in one protocol with one key', async () => {
    let signed = 0
    const { name, key, sign } = cheapIdentity('actor')
    const counted = (text: string): string => {
      if (text.includes('"say"')) signed++
      return sign(text)
    }
    const identity = { name, key, sign: counted }
    const pair = new Pair()
    await pair.begin('peer')
    await pair.begin('actor', { identity })
    pair.lost = ({ kind }) => (kind === 'say' && pair.wire.length < 8 ? 'message' : undefined)
    await pair.say('actor', 'say one')
    await pair.actor.pass(60_000)
    expect([pair.heard('peer'), signed]).toEqual([['say one'], 1])
  })
})

describe('the key of a message', () => {
  const keys = { good: cheapKey('peer'), old: cheapKey('peer', 'old'), strange: cheapKey('peer', 'strange') }
  const letterBy = (stage: Stage, key: string): Envelope => {
    const { protocol: _, signature: __, ...letter } = stage.letter(1)
    return seal(letter, cheapIdentity('peer', key), { generation: 0, seq: 1 })
  }

  test.each([
    ['good', 'received', ''],
    ['old', 'refused', 'message-key-expired'],
    ['strange', 'refused', 'message-unknown-key'],
  ] as const)('that is %s: %s %s', async (which, outcome, code) => {
    const stage = new Stage()
    const trust = cheapTrust(NAMES, {
      peer: [{ key: keys.good }, { key: keys.old, notAfter: stage.now }],
    })
    const { actor } = await stage.begin({ trust })
    const letter = letterBy(stage, keys[which])
    expect(await stage.soon(actor.receive(letter))).toMatchObject({ outcome, code, protocol: 2 })
    expect(trust.strangers().map(({ key }) => key)).toEqual(which === 'strange' ? [keys.strange] : [])
  })

  test('is not remembered of one who cannot sign with it', async () => {
    const stage = new Stage()
    const trust = cheapTrust(NAMES)
    const { actor } = await stage.begin({ trust })
    const letter = { ...letterBy(stage, keys.good), key: keys.strange }
    expect((await stage.soon(actor.receive(letter))).code).toBe('message-unknown-key')
    expect(trust.strangers()).toEqual([])
  })

  test('of protocol 1 is any that is good now', async () => {
    const stage = new Stage()
    const trust = cheapTrust(NAMES, { peer: [{ key: cheapKey('peer'), notAfter: stage.now + 10_000 }] })
    const { actor } = await stage.begin({ trust })
    expect((await stage.soon(actor.receive(stage.letter(1)))).outcome).toBe('received')
    await stage.pass(10_000)
    expect((await stage.soon(actor.receive(stage.letter(2)))).code).toBe('message-key-expired')
  })

  test('of an acknowledgement counts as that of a message', async () => {
    const pair = new Pair()
    await pair.begin('peer', { identity: cheapIdentity('peer', keys.strange) })
    const { actor } = await pair.begin('actor')
    await pair.say('actor', 'say one')
    expect(actor.peers()).toMatchObject([
      { peer: 'peer', waiting: 1, lastError: `${keys.strange} is not a key that is known of peer` },
    ])
  })
})

describe('the proof of a request', () => {
  const { privateKey, publicKey } = generateKeys()
  const identity = ed25519Identity('holder', privateKey)
  const unsigned = {
    ...{ id: 'message-1', from: 'holder', to: 'broker', kind: 'ticket', subject: 'lease-1', number: 1 },
    ...{ body: { secret: 'units' }, sentAt: 1_000, until: 2_000 },
  }
  const trust = ed25519Trust({ holder: publicKey, other: generateKeys().publicKey })

  test.each([
    ['1', undefined],
    ['2', { generation: 0, seq: 7 }],
  ])('in protocol %s is its head, and holds without the body', (_, place) => {
    const proof = requestProof(seal(unsigned, identity, place))
    expect(JSON.stringify(proof)).not.toContain('secret')
    expect(requestProofSchema.parse(proof)).toEqual(proof)
    expect(verifyProof(proof, trust)).toBe(true)
    for (const change of [{ subject: 'lease-2' }, { bodyHash: 'x' }, { from: 'other' }, { sentAt: 1_001 }])
      expect(verifyProof({ ...proof, ...change }, trust)).toBe(false)
    expect([undefined, {}, { ...proof, protocol: 7 }].map((other) => verifyProof(other, trust))).toEqual([
      ...[false, false, false],
    ])
  })

  test('holds as long as the key was good when it was signed', () => {
    const proof = requestProof(seal(unsigned, identity, { generation: 0, seq: 7 }))
    const until = (notAfter: number) => ed25519Trust({ holder: [{ key: identity.key, notAfter }] })
    expect([verifyProof(proof, until(1_001)), verifyProof(proof, until(1_000))]).toEqual([true, false])
  })
})
