import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonical, digest, signable } from '../../actors/runtime/canonical.ts'
import type { OutRow } from '../../actors/runtime/courier.ts'
import { type Ack, BODY_CHARS_MAX, type Envelope, isAckOf } from '../../actors/runtime/envelope.ts'
import { ComeAgain } from '../../actors/runtime/errors.ts'
import { ed25519Identity, ed25519Trust, generateKeys } from '../../actors/runtime/identity.ts'
import { MAILBOX_PEER_MAX } from '../../actors/runtime/mailbox.ts'
import { cheapIdentity, cheapTrust } from '../simulation/identities.ts'
import { type Life, NAMES, SKEW_MS, Stage, writer } from './actor-stage.ts'

const texts = (life: Life): string[] => life.actor.rows('note').map(({ text }) => text)

describe('a message is taken by its number', () => {
  test('a higher number is new, also when numbers are left out', async () => {
    const stage = new Stage()
    const life = await stage.begin({ handle: writer })
    for (const number of [1, 2, 7])
      expect(await stage.soon(life.actor.receive(stage.letter(number)))).toMatchObject({
        outcome: 'received',
      })
    expect(texts(life)).toEqual(['word 1', 'word 2', 'word 7'])
  })

  test('the same message gets the same answer again and is not read twice, also after a restart', async () => {
    const stage = new Stage()
    const first = await stage.begin({ handle: writer })
    await stage.soon(first.actor.receive(stage.letter(1)))
    expect((await stage.soon(first.actor.receive(stage.letter(1)))).outcome).toBe('received')
    first.crash()
    const second = await stage.begin({ handle: writer })
    expect((await stage.soon(second.actor.receive(stage.letter(1)))).outcome).toBe('received')
    expect(
      [first, second].flatMap(({ inputs }) => inputs).filter(({ kind }) => kind === 'message'),
    ).toHaveLength(1)
  })

  test('the same number for another message is refused and noted, also after a restart', async () => {
    const stage = new Stage()
    const first = await stage.begin({ handle: writer })
    await stage.soon(first.actor.receive(stage.letter(1)))
    first.crash()
    const life = await stage.begin({ handle: writer })
    for (const other of [{ body: { text: 'else' } }, { kind: 'close' }])
      expect(await stage.soon(life.actor.receive(stage.letter(1, other)))).toMatchObject({
        outcome: 'refused',
        code: 'message-conflict',
      })
    expect(texts(life)).toEqual(['word 1'])
    expect(stage.notes()).toEqual(
      Array(2).fill('message refused: number 1 was used before for another message'),
    )
  })

  test('an older number is noted and changes nothing', async () => {
    const stage = new Stage()
    const life = await stage.begin({ handle: writer })
    await stage.soon(life.actor.receive(stage.letter(5)))
    expect((await stage.soon(life.actor.receive(stage.letter(4)))).outcome).toBe('noted')
    expect(texts(life)).toEqual(['word 5'])
  })

  test('subjects and peers are counted apart', async () => {
    const stage = new Stage()
    const life = await stage.begin({ handle: writer })
    for (const where of [{}, { subject: 'lease-2' }, { from: 'other' }])
      expect((await stage.soon(life.actor.receive(stage.letter(1, where)))).outcome).toBe('received')
    expect(life.inputs.filter(({ kind }) => kind === 'message')).toHaveLength(3)
  })

  test('in the other direction it counts on over a restart', async () => {
    const stage = new Stage()
    const handle: typeof writer = (input, draft) =>
      input.kind === 'command' &&
      draft.send({ to: 'peer', kind: 'say', subject: 's', body: null, until: draft.now + 60_000 })
    for (let i = 0; i < 3; i++) {
      const life = await stage.begin({ handle })
      await stage.soon(life.actor.command('speak', {}))
      life.crash()
    }
    const out = stage.stored('$out') as OutRow[]
    expect(out.map(({ letter }) => letter.number)).toEqual([1, 2, 3])
  })

  test('a double that comes while the first is being committed waits for its commit', async () => {
    const stage = new Stage()
    const life = await stage.begin({ handle: writer, syncMs: 500 })
    const answers: string[] = []
    for (const id of ['message-a', 'message-b'])
      void life.actor.receive(stage.letter(1, { id })).then((ack) => answers.push(ack.id))
    await stage.pass(400)
    expect(answers).toEqual([])
    await stage.pass(200)
    expect(answers.toSorted()).toEqual(['message-a', 'message-b'])
    expect(life.inputs.filter(({ kind }) => kind === 'message')).toHaveLength(1)
  })
})

describe('numbers are forgotten when no message can be good any more', () => {
  const retiring: typeof writer = (input, draft) => {
    writer(input, draft)
    if (input.kind !== 'command') return
    draft.send({ to: 'peer', kind: 'bye', subject: 'lease-1', body: null, until: draft.now + 1_000 })
    draft.retire('lease-1', draft.now + 5_000)
  }

  test('of a subject only heard of: once its last message has expired, by both clocks', async () => {
    const stage = new Stage()
    const life = await stage.begin({ handle: writer })
    const letter = stage.letter(3, { until: stage.now + 10_000 })
    await stage.soon(life.actor.receive(letter))
    await stage.pass(10_000 + SKEW_MS)
    expect(stage.stored('$link')).toHaveLength(1)
    expect(await stage.soon(life.actor.receive(letter))).toMatchObject({ code: 'message-expired' })
    await stage.pass(2 * SKEW_MS)
    expect(stage.stored('$link')).toEqual([])
    expect(await stage.soon(life.actor.receive(letter))).toMatchObject({ code: 'message-expired' })
    expect(texts(life)).toEqual(['word 3'])
  })

  test('of a retired subject: not before a message that is good for longer has expired', async () => {
    const stage = new Stage()
    const life = await stage.begin({ handle: retiring })
    const letter = stage.letter(1, { until: stage.now + 30_000 })
    await stage.soon(life.actor.receive(letter))
    await stage.soon(life.actor.command('end', {}))
    await stage.pass(20_000)
    expect((await stage.soon(life.actor.receive(letter))).outcome).toBe('received')
    expect(texts(life)).toEqual(['word 1', '[object Object]'])
    await stage.pass(20_000)
    expect(stage.stored('$link')).toEqual([])
    expect((await stage.soon(life.actor.receive(letter))).code).toBe('message-expired')
  })

  test('a late word on a retired subject does not keep its numbers for ever', async () => {
    const stage = new Stage()
    const life = await stage.begin({ handle: retiring })
    await stage.soon(life.actor.command('end', {}))
    await stage.soon(life.actor.receive(stage.letter(1, { until: stage.now + 2_000 })))
    await stage.pass(30_000)
    expect(stage.stored('$link')).toEqual([])
  })

  test('what is still spoken of is kept', async () => {
    const stage = new Stage()
    const life = await stage.begin({
      handle: (input, draft) =>
        input.kind === 'command' &&
        draft.send({ to: 'peer', kind: 'say', subject: 's', body: null, until: draft.now + 1_000 }),
    })
    await stage.soon(life.actor.command('go', {}))
    await stage.pass(3_600_000)
    expect(stage.stored('$link')).toHaveLength(1)
  })

  test('retiring one of many subjects touches its links only', async () => {
    const stage = new Stage()
    const life = await stage.begin({ handle: retiring })
    await stage.soon(
      Promise.all(
        Array.from({ length: 500 }, (_, i) =>
          life.actor.receive(stage.letter(1, { subject: `lease-${i}`, until: stage.now + 3_600_000 })),
        ),
      ),
    )
    let rows = 0
    const before = new Map(stage.disk.rows)
    await stage.soon(life.actor.command('end', {}))
    for (const [key, row] of stage.disk.rows) if (before.get(key) !== row && row.table === '$link') rows++
    expect(rows).toBe(1)
  })
})

describe('an actor that has no room', () => {
  test('says busy to the peer that floods it, and takes the messages of others', async () => {
    const stage = new Stage()
    const life = await stage.begin({ handle: writer, syncMs: 1_000 })
    void life.actor.command('first', 1)
    await stage.pass(10)
    const subjects = Array.from({ length: MAILBOX_PEER_MAX + 5 }, (_, i) => `lease-${i}`)
    const flood = subjects.map((subject) => life.actor.receive(stage.letter(1, { subject })))
    const other = life.actor.receive(stage.letter(1, { from: 'other' }))
    const acks = await stage.soon(Promise.all(flood))
    expect(acks.filter(({ outcome }) => outcome === 'busy')).toHaveLength(5)
    expect((await stage.soon(other)).outcome).toBe('received')
  })

  test('says busy when its mind cannot take a message now: nothing has come of it, and it may come again', async () => {
    const stage = new Stage()
    let isFull = true
    const life = await stage.begin({
      handle: (input, draft) => {
        if (input.kind === 'message') draft.note('read', input.envelope.subject, 'a word')
        if (input.kind === 'message' && isFull) throw new ComeAgain('too much waits')
        return writer(input, draft)
      },
    })
    for (let i = 0; i < 2; i++)
      expect(await stage.soon(life.actor.receive(stage.letter(1)))).toMatchObject({
        outcome: 'busy',
        reason: 'too much waits',
      })
    expect(stage.notes()).toEqual([])
    isFull = false
    expect((await stage.soon(life.actor.receive(stage.letter(1)))).outcome).toBe('received')
    expect(texts(life)).toEqual(['word 1'])
    expect(stage.notes()).toEqual(['read: a word'])
  })

  test('says busy when it is stopped: the sender comes again', async () => {
    const stage = new Stage()
    const life = await stage.begin({ handle: writer })
    await stage.soon(life.actor.stop())
    expect(await stage.soon(life.actor.receive(stage.letter(1)))).toMatchObject({
      outcome: 'busy',
      reason: 'actor is not running',
    })
  })

  test('takes no more commands than fit into its mailbox', async () => {
    const stage = new Stage()
    const life = await stage.begin({ handle: () => undefined, syncMs: 1_000 })
    const commands = Array.from({ length: 20_005 }, (_, i) => life.actor.command(`c${i}`, i))
    const settled = await stage.soon(Promise.allSettled(commands))
    const refused = settled.filter(({ status }) => status === 'rejected')
    expect(refused).toHaveLength(5)
    expect(refused[0]).toMatchObject({ reason: { code: 'overloaded' } })
  })
})

describe('a message that is not to be believed', () => {
  const keys = Object.fromEntries(NAMES.map((name) => [name, generateKeys()]))
  const trust = ed25519Trust(
    Object.fromEntries(Object.entries(keys).map(([name, { publicKey }]) => [name, publicKey])),
  )
  const identity = (name: string) => ed25519Identity(name, keys[name]!.privateKey)
  const begin = (stage: Stage): Promise<Life> =>
    stage.begin({ handle: writer, trust, identity: identity('actor') })

  /** Signed anew after it was changed. */
  const resealed = (envelope: Envelope, changes: Partial<Envelope>, signer = 'peer'): Envelope => {
    const { signature: _, body: __, ...head } = { ...envelope, ...changes }
    return { ...envelope, ...changes, signature: identity(signer).sign(signable('message', head)) }
  }

  const letterOf = (stage: Stage): Envelope => resealed(stage.letter(1), {})

  test.each([
    ['for somebody else', { to: 'other' }, 'message-misaddressed'],
    ['from a stranger', { from: 'mallory' }, 'message-unknown-peer'],
    ['of another protocol', { protocol: 3 }, 'message-malformed'],
    ['of protocol 2 without what belongs to it', { protocol: 2 }, 'message-malformed'],
    ['of protocol 1 with what does not', { seq: 1 }, 'message-malformed'],
    ['with number zero', { number: 0 }, 'message-malformed'],
    ['with half a number', { number: 1.5 }, 'message-malformed'],
    ['with a number beyond the exact ones', { number: 2 ** 53 }, 'message-malformed'],
    ['with a space in its subject', { subject: 'a lease-1' }, 'message-malformed'],
    ['without a subject', { subject: '' }, 'message-malformed'],
    ['with a subject that is too long', { subject: 'x'.repeat(81) }, 'message-malformed'],
    ['with a control character', { subject: 'lease\u00001' }, 'message-malformed'],
    ['with half a character', { subject: 'lease-\ud83d' }, 'message-malformed'],
    ['that would be good for a hundred years', { until: Date.UTC(2126, 0) }, 'message-malformed'],
    ['with a time that is none', { until: Number.NaN }, 'message-malformed'],
    ['that was good until before all dates', { until: -Number.MAX_SAFE_INTEGER }, 'message-malformed'],
    ['that was sent after all dates', { sentAt: Number.MAX_SAFE_INTEGER }, 'message-malformed'],
    ['with a body that was changed', { body: { text: 'else' } }, 'message-forged'],
    ['with a word that nobody knows', { extra: 1 }, 'message-malformed'],
  ] as [string, Partial<Envelope>, string][])('%s is refused with its reason', async (_, changes, code) => {
    const stage = new Stage()
    const life = await begin(stage)
    const rows = stage.disk.rows.size
    let letter: Envelope
    try {
      letter = resealed(letterOf(stage), changes)
    } catch {
      // What cannot even be signed is sent with the old signature.
      letter = { ...letterOf(stage), ...changes }
    }
    expect(await stage.soon(life.actor.receive(letter))).toMatchObject({ outcome: 'refused', code })
    expect([stage.disk.rows.size, texts(life), life.actor.running]).toEqual([rows, [], true])
  })

  test.each([
    ['that is too long', 'x'.repeat(BODY_CHARS_MAX)],
    ['that is too long by its escapes alone', '\u0001'.repeat(BODY_CHARS_MAX / 4)],
    ['of very many small parts', Array(BODY_CHARS_MAX).fill(0)],
    ['that is very deep', JSON.parse(`${'['.repeat(5_000)}${']'.repeat(5_000)}`)],
    ['that would change every object', JSON.parse('{"properties": {"__proto__": {"admin": "yes"}}}')],
    ['with half a character', { text: '\ud83d' }],
    ['with half a character in a key', { 'a\ud83d': 1 }],
    ['with a number that is none', { n: Number.NaN }],
    ['with a number that has no end', { n: Number.POSITIVE_INFINITY }],
    ['with a negative zero', { n: -0 }],
    ['with an integer that is not exact', { n: 2 ** 53 }],
    ['with a date', { at: new Date(0) }],
    ['with something left undefined', { text: undefined }],
    ['that is missing', undefined],
  ])('with a body %s is refused as malformed, though it is signed', async (_, body) => {
    const stage = new Stage()
    const life = await begin(stage)
    let bodyHash = 'x'
    try {
      bodyHash = digest(canonical(body))
    } catch {
      // It has no canonical form, and so no hash.
    }
    const letter = resealed(letterOf(stage), { body, bodyHash })
    expect(await stage.soon(life.actor.receive(letter))).toMatchObject({
      outcome: 'refused',
      code: 'message-malformed',
    })
    expect([texts(life), life.actor.running, ({} as { admin?: string }).admin]).toEqual([[], true, undefined])
  })

  test.each([
    ['of an unknown sender', { from: 'nobody' }, 'message-unknown-peer'],
    ['that its sender did not sign', { number: 7 }, 'message-forged'],
  ])('%s is refused without a look at its body', async (_, changes, code) => {
    const stage = new Stage()
    const life = await begin(stage)
    let looks = 0
    const look = (): number => ++looks
    const body = Object.defineProperty({}, 'text', { enumerable: true, get: look })
    const letter = { ...letterOf(stage), ...changes, body }
    expect(life.actor.refusal({ ...letter, body: null })).toMatchObject({ outcome: 'refused', code })
    expect(await stage.soon(life.actor.receive(letter))).toMatchObject({ outcome: 'refused', code })
    expect(looks).toBe(0)
    // Of one that is believed, the body counts.
    expect(life.actor.refusal({ ...letterOf(stage), body: null })).toBeUndefined()
  })

  test.each([
    [undefined],
    [null],
    [7],
    ['text'],
    [[]],
    [{}],
    [{ from: '\ud83d', id: '🙂'.repeat(50) }],
  ])('and is no message at all (%j) is refused, not thrown', async (message) => {
    const stage = new Stage()
    const life = await begin(stage)
    expect(await stage.soon(life.actor.receive(message as unknown as Envelope))).toMatchObject({
      outcome: 'refused',
      code: 'message-malformed',
    })
  })

  test('is refused once its time has passed, by more than two clocks may differ', async () => {
    const stage = new Stage()
    const life = await begin(stage)
    const letter = resealed(stage.letter(1, { until: stage.now + 1_000 }), {})
    await stage.pass(1_000 + SKEW_MS)
    expect((await stage.soon(life.actor.receive(letter))).outcome).toBe('received')
    const later = resealed(stage.letter(2, { until: stage.now - SKEW_MS - 1 }), {})
    expect((await stage.soon(life.actor.receive(later))).code).toBe('message-expired')
  })

  test('is refused under any other spelling of its signature', async () => {
    const stage = new Stage()
    const life = await begin(stage)
    const letter = letterOf(stage)
    const { signature } = letter
    // The last of 86 letters carries two bits that stand for nothing.
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const last = alphabet[alphabet.indexOf(signature.at(-1)!) ^ 1]!
    for (const spelling of [
      `${signature}==`,
      `${signature}=`,
      `.${signature}`,
      signature.slice(0, -1) + last,
    ])
      expect((await stage.soon(life.actor.receive({ ...letter, signature: spelling }))).code).toBe(
        'message-forged',
      )
    expect((await stage.soon(life.actor.receive(letter))).outcome).toBe('received')
  })

  test('is not believed however it is made from a good one: flipped, swapped, or signed by another', async () => {
    const stage = new Stage()
    const life = await begin(stage)
    const good = letterOf(stage)
    const spare = resealed(stage.letter(9, { subject: 'lease-9', kind: 'close' }), {})
    const fields = Object.keys(good) as (keyof Envelope)[]
    const flipped = fc
      .tuple(fc.constantFrom(...fields), fc.nat(), fc.integer({ min: 1, max: 127 }))
      .map(([field, at, mask]): Envelope => {
        const value = good[field]
        if (typeof value === 'number') return { ...good, [field]: value + mask }
        if (typeof value !== 'string') return { ...good, [field]: { text: `word ${mask}!` } }
        const place = at % value.length
        const letter = String.fromCharCode(value.charCodeAt(place) ^ mask)
        return { ...good, [field]: value.slice(0, place) + letter + value.slice(place + 1) }
      })
    const swapped = fc
      .subarray(fields, { minLength: 1, maxLength: fields.length - 1 })
      .map(
        (some): Envelope => ({ ...good, ...Object.fromEntries(some.map((field) => [field, spare[field]])) }),
      )
      .filter((made) => canonical(made) !== canonical(good) && canonical(made) !== canonical(spare))
    const foreign = fc
      .constantFrom('other', 'actor')
      .map((signer) => resealed(good, { from: 'peer' }, signer))
    const before = stage.disk.commits
    await fc.assert(
      fc.asyncProperty(fc.oneof(flipped, swapped, foreign), async (made) => {
        const ack = await life.actor.receive(made)
        expect(ack.outcome).toBe('refused')
        const malformed = ack.code === 'message-malformed'
        expect(malformed || isAckOf(ack, { ...made, to: 'actor' }, trust)).toBe(true)
      }),
      { numRuns: 300 },
    )
    expect([stage.disk.commits, texts(life)]).toEqual([before, []])
    expect((await stage.soon(life.actor.receive(good))).outcome).toBe('received')
  })
})

describe('an acknowledgement', () => {
  test('is believed only from the receiver, about this message, in the form of one', async () => {
    const stage = new Stage()
    const life = await stage.begin({ handle: writer })
    const letter = stage.letter(1)
    const ack = await stage.soon(life.actor.receive(letter))
    const trust = cheapTrust(NAMES)
    expect(isAckOf(ack, letter, trust)).toBe(true)
    const { signature: _, ...unsigned } = ack
    const forged = {
      ...unsigned,
      signature: cheapIdentity('other').sign(signable('acknowledgement', unsigned)),
    }
    const ackAt = (at: number): Ack => {
      const said = { ...unsigned, at }
      return { ...said, signature: cheapIdentity(ack.from).sign(signable('acknowledgement', said)) }
    }
    expect(isAckOf(ackAt(ack.at + 1), letter, trust)).toBe(true)
    const wrong: unknown[] = [
      ...[forged, null, undefined, 'received', [], {}],
      { ...ack, outcome: 'noted' },
      { ...ack, at: ack.at + 1 },
      { ...ack, extra: true },
      { ...ack, at: Number.NaN },
      ackAt(Number.MAX_SAFE_INTEGER),
    ]
    for (const candidate of wrong) expect(isAckOf(candidate, letter, trust)).toBe(false)
    expect(isAckOf(ack, stage.letter(1, { id: 'message-x' }), trust)).toBe(false)
    expect(isAckOf(ack, { ...letter, to: 'other' }, trust)).toBe(false)
    expect(isAckOf(ack, { ...letter, from: 'other' }, trust)).toBe(false)
  })

  test('carries a reason of bounded length, never cut in the middle of a character', async () => {
    const stage = new Stage()
    const life = await stage.begin({
      handle(input) {
        if (input.kind === 'message') throw new Error('🙂'.repeat(400))
      },
    })
    const ack = await stage.soon(life.actor.receive(stage.letter(1)))
    expect(ack.reason.length).toBeLessThanOrEqual(500)
    expect(ack.reason.isWellFormed()).toBe(true)
    expect(isAckOf(ack, stage.letter(1), cheapTrust(NAMES))).toBe(true)
  })
})
