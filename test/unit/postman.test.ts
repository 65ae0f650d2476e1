import { describe, expect, test } from 'vitest'
import type { Millis } from '../../actors/runtime/clock.ts'
import { Courier, type OutRow } from '../../actors/runtime/courier.ts'
import { type Ack, type Envelope, letterOf, sealAck } from '../../actors/runtime/envelope.ts'
import { idSource } from '../../actors/runtime/ids.ts'
import { betterOffset, type Offset } from '../../actors/runtime/offset.ts'
import { Peers, type PeerView, SLOW_MS } from '../../actors/runtime/peers.ts'
import {
  BACKOFF_MS_MAX,
  Postman,
  REST_MS_MAX,
  TRY_MS_MAX,
  UNDER_WAY_MAX,
  UNDER_WAY_SILENT_MAX,
} from '../../actors/runtime/postman.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { RowSet } from '../../actors/runtime/row-set.ts'
import { cheapIdentity, cheapTrust } from '../simulation/identities.ts'
import { World } from '../simulation/world.ts'

type Answer = Ack['outcome'] | 'silence' | 'no way' | 'forged'

/** A postman, and a peer that answers as it is told to. */
class Route {
  readonly world = new World()
  readonly sent: { readonly at: Millis; readonly envelope: Envelope }[] = []
  readonly delivered: string[] = []
  readonly failed: string[] = []
  answer: (envelope: Envelope) => Answer = () => 'received'
  answerMs: Millis = 0
  restMs: Millis = 0
  refusal = 'message-set-aside'
  busyCode = ''
  peerAheadMs: Millis = 0
  underWay = 0
  underWayMost = 0
  readonly postman: Postman
  readonly peers: Peers
  #seq = 0

  constructor() {
    const transport = { send: (envelope: Envelope, signal: AbortSignal) => this.#carry(envelope, signal) }
    const clock = this.world.clock()
    // Nothing is asked of a peer before it is written to: of that see below.
    const protocols = [1]
    this.peers = new Peers(new RowSet(), clock, 2_000, protocols)
    const courier = new Courier({
      ...{ clock, transport, protocols, peers: this.peers },
      ...{ identity: cheapIdentity('a'), trust: cheapTrust(['a', 'b', 'c']), ids: idSource(seededRandom(2)) },
      downgrade: (_, body) => body,
      place: () => ({ generation: 0, seq: this.#seq }),
      restored: () => undefined,
    })
    this.postman = new Postman({
      ...{ clock, courier, peers: this.peers, random: seededRandom(1), greets: false },
      knows: (peer) => peer !== 'nobody',
      delivered: (row) => this.delivered.push(row.id),
      failed: (row, code, reason) => this.failed.push(`${row.id} ${code}: ${reason}`),
      restored: () => undefined,
    })
  }

  view(): PeerView | undefined {
    return this.peers.views(this.postman.waiting(), () => ({ keyEndsAt: undefined, tooFast: undefined }))[0]
  }

  get kinds(): string[] {
    return this.sent.map(({ envelope }) => envelope.kind)
  }

  post(
    kind: string,
    options: {
      subject?: string
      to?: string
      forMs?: Millis
      overtakes?: boolean
      repeated?: boolean
      whole?: boolean
    } = {},
  ): void {
    const { subject = 'lease', to = 'b', forMs = 3_600_000, overtakes = false, repeated = false } = options
    const { whole = false } = options
    const seq = ++this.#seq
    const unsigned = { id: `message-${seq}`, from: 'a', to, kind, subject, number: seq, body: null }
    const letter = letterOf({ ...unsigned, sentAt: this.world.now, until: this.world.now + forMs })
    const id = whole ? `${kind} ${seq}` : kind
    const row: OutRow = { id, letter, overtakes, whole, seq, generation: 0 }
    this.postman.post(row, repeated)
  }

  async pass(ms: Millis): Promise<void> {
    await new Promise(setImmediate)
    await this.world.run(this.world.elapsed + ms, () => undefined)
  }

  async #carry(envelope: Envelope, signal: AbortSignal): Promise<Ack> {
    this.sent.push({ at: this.world.elapsed, envelope })
    this.underWay++
    this.underWayMost = Math.max(this.underWayMost, this.underWay)
    try {
      const answer = this.answer(envelope)
      if (answer === 'no way') throw new Error('connection refused')
      if (answer === 'silence') {
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
        throw new Error('unreachable')
      }
      if (this.answerMs > 0)
        await new Promise<void>((resolve) => void this.world.after(this.answerMs, resolve))
      const signer = cheapIdentity(answer === 'forged' ? 'c' : envelope.to)
      return sealAck(
        {
          id: envelope.id,
          from: envelope.to,
          to: envelope.from,
          outcome: answer === 'forged' ? 'received' : answer,
          code: answer === 'refused' ? this.refusal : answer === 'busy' ? this.busyCode : '',
          reason: answer === 'refused' ? 'it will not do' : '',
          at: this.world.now + this.peerAheadMs,
          ...(answer === 'busy' && this.restMs > 0 ? { retryAfterMs: this.restMs } : {}),
        },
        signer,
      )
    } finally {
      this.underWay--
    }
  }
}

describe('a peer that puts us off because we say too much', () => {
  test('is shown with since when, how often and when last; one that is busy for another reason is not', async () => {
    const stage = new Route()
    stage.answer = () => 'busy'
    stage.post('redeem')
    await stage.pass(3_000)
    expect(stage.view()?.putOff).toBeUndefined()
    stage.busyCode = 'too-fast'
    const since = stage.world.now
    await stage.pass(200_000)
    const first = stage.view()!.putOff!
    expect(first.since).toBeGreaterThanOrEqual(since)
    expect(first.lastAt).toBeGreaterThan(first.since)
    expect(first.times).toBeGreaterThan(2)
    stage.answer = () => 'received'
    await stage.pass(300_000)
    stage.answer = () => 'busy'
    stage.post('close')
    await stage.pass(100)
    expect(stage.view()!.putOff!.times).toBeLessThan(first.times)
    expect(stage.view()!.putOff!.since).toBeGreaterThan(first.lastAt)
  })
})

describe('a peer that says when it wants to hear of us again', () => {
  test('hears nothing before, of any subject; then all goes out, and others are not kept back', async () => {
    const route = new Route()
    route.restMs = 5_000
    route.answer = ({ to }) => (to === 'b' && route.world.elapsed < 4_000 ? 'busy' : 'received')
    route.post('first')
    await route.pass(100)
    for (let i = 0; i < 20; i++) route.post(`more-${i}`, { subject: `lease-${i}` })
    route.post('elsewhere', { to: 'c' })
    await route.pass(4_000)
    expect(route.kinds).toEqual(['first', 'elsewhere'])
    await route.pass(2_000)
    expect(route.delivered).toHaveLength(22)
  })

  test('is obeyed for a minute at most, and no message is kept beyond its time', async () => {
    const route = new Route()
    route.restMs = 1e12
    route.answer = () => 'busy'
    route.post('short', { forMs: 10_000 })
    await route.pass(30_000)
    expect(route.sent).toHaveLength(1)
    expect(route.failed).toEqual([expect.stringMatching(/^short peer-silent/)])
    route.post('long', { subject: 'other' })
    await route.pass(20_000)
    expect(route.kinds).toEqual(['short'])
    route.answer = () => 'received'
    await route.pass(REST_MS_MAX)
    expect(route.delivered).toEqual(['long'])
  })

  test('is told each minute what it has to hear, however often it says that it is later, and nobody else waits', async () => {
    const route = new Route()
    route.restMs = Number.MAX_SAFE_INTEGER
    route.answer = ({ to }) => (to === 'b' ? 'busy' : 'received')
    route.post('redeem', { forMs: 3_600_000 })
    await route.pass(1_000)
    route.post('close', { overtakes: true, forMs: 3_600_000 })
    route.post('relinquish', { subject: 'lease-2', forMs: 3_600_000 })
    route.post('relinquish-elsewhere', { to: 'c', forMs: 3_600_000 })
    await route.pass(100)
    expect(route.delivered).toEqual(['relinquish-elsewhere'])
    await route.pass(600_000)
    for (const kind of ['close', 'relinquish']) {
      const tries = [0, ...route.sent.filter(({ envelope }) => envelope.kind === kind).map(({ at }) => at)]
      expect(tries.length).toBeGreaterThanOrEqual(11)
      const gaps = tries.slice(1).map((at, i) => at - tries[i]!)
      expect(Math.max(...gaps)).toBeLessThanOrEqual(REST_MS_MAX + 100)
    }
    route.answer = () => 'received'
    await route.pass(REST_MS_MAX)
    expect(route.delivered).toEqual(expect.arrayContaining(['close', 'relinquish', 'redeem']))
  })
})

test('what is for somebody whom nobody knows is given up with a code of its own', async () => {
  const route = new Route()
  route.answer = () => 'no way'
  route.post('ask', { to: 'nobody', forMs: 1_000 })
  await route.pass(2_000)
  expect(route.failed).toEqual([
    'ask peer-unknown: no peer nobody is known here: nobody did not acknowledge ask in time',
  ])
})

describe('a message is repeated until its receiver says that it is durable there', () => {
  test('with growing, jittered waits between tries, at most half a minute', async () => {
    const route = new Route()
    route.answer = () => 'no way'
    route.post('ask')
    await route.pass(600_000)
    const waits = route.sent.slice(1).map(({ at }, i) => at - route.sent[i]!.at)
    const ceilings = waits.map((_, i) => Math.min(BACKOFF_MS_MAX, 100 * 2 ** i))
    waits.forEach((wait, i) => {
      expect(wait).toBeGreaterThanOrEqual(ceilings[i]! / 2)
      expect(wait).toBeLessThanOrEqual(ceilings[i]! + 1)
    })
    expect(new Set(waits.slice(-10)).size).toBeGreaterThan(5)
    route.answer = () => 'received'
    await route.pass(BACKOFF_MS_MAX)
    expect(route.delivered).toEqual(['ask'])
  })

  test.each(['busy', 'forged', 'no way'] as const)('after the answer “%s” too', async (answer) => {
    const route = new Route()
    route.answer = () => (route.sent.length < 4 ? answer : 'received')
    route.post('ask')
    await route.pass(5_000)
    expect(route.kinds).toEqual(Array(4).fill('ask'))
    expect(route.delivered).toEqual(['ask'])
  })

  test('a try without an answer ends after ten seconds', async () => {
    const route = new Route()
    route.answer = () => 'silence'
    route.post('ask')
    await route.pass(TRY_MS_MAX + 150)
    expect(route.sent).toHaveLength(2)
  })

  test('or until its deadline, to the moment; then the sender is told', async () => {
    for (const answer of ['silence', 'no way', 'busy'] as const) {
      const route = new Route()
      route.answer = () => answer
      route.post('ask', { forMs: 17_000 })
      await route.pass(16_990)
      expect(route.failed).toEqual([])
      await route.pass(20)
      expect(route.failed).toEqual(['ask peer-silent: b did not acknowledge ask in time'])
      expect(route.sent.length).toBeGreaterThan(1)
    }
  })

  test('unless the receiver refuses it: that is final', async () => {
    const route = new Route()
    route.answer = () => 'refused'
    route.post('ask')
    await route.pass(60_000)
    expect(route.failed).toEqual(['ask message-set-aside: it will not do'])
    expect(route.sent).toHaveLength(1)
  })

  test('a refusal for the key of the sender is not final: it may be trusted later', async () => {
    const route = new Route()
    route.answer = () => 'refused'
    route.refusal = 'message-key-expired'
    route.post('ask')
    await route.pass(5_000)
    expect(route.failed).toEqual([])
    route.answer = () => 'received'
    await route.pass(30_000)
    expect(route.delivered).toEqual(['ask'])
    route.answer = () => 'refused'
    route.post('late', { forMs: 2_000 })
    await route.pass(30_000)
    expect(route.failed).toEqual(['late peer-silent: b did not acknowledge late in time: it will not do'])
  })

  test('an older message that is noted is delivered', async () => {
    const route = new Route()
    route.answer = () => 'noted'
    route.post('ask')
    await route.pass(10)
    expect(route.delivered).toEqual(['ask'])
  })
})

describe('messages on one subject go out in order', () => {
  test('the next only when the one before is settled', async () => {
    const route = new Route()
    route.answerMs = 50
    for (const kind of ['first', 'second', 'third']) route.post(kind)
    await route.pass(60)
    expect(route.kinds).toEqual(['first', 'second'])
    await route.pass(100)
    expect(route.delivered).toEqual(['first', 'second', 'third'])
  })

  test('subjects and peers do not wait for each other', async () => {
    const route = new Route()
    route.answer = ({ subject, to }) => (subject === 'stuck' || to === 'c' ? 'silence' : 'received')
    route.post('first', { subject: 'stuck' })
    route.post('second', { subject: 'free' })
    route.post('third', { to: 'c' })
    await route.pass(1_000)
    expect(route.delivered).toEqual(['second'])
  })

  test('what overtakes goes before the ordinary ones that wait, in its own order', async () => {
    const route = new Route()
    route.answer = () => 'no way'
    route.post('ask')
    await route.pass(10_000)
    route.post('update')
    for (const kind of ['recall', 'close']) route.post(kind, { overtakes: true })
    route.answer = () => 'received'
    await route.pass(60_000)
    expect(route.delivered).toEqual(['recall', 'close', 'ask', 'update'])
  })

  test('what overtakes goes next although an ordinary one was under way when it came', async () => {
    const route = new Route()
    route.answer = ({ kind }) => (kind === 'ask' ? 'silence' : 'received')
    route.post('ask')
    await route.pass(1_000)
    for (const kind of ['recall', 'close']) route.post(kind, { overtakes: true })
    await route.pass(TRY_MS_MAX)
    expect(route.delivered).toEqual(['recall', 'close'])
  })
})

describe('what tells the whole state of its subject', () => {
  test('takes the place of older ones that wait, but of none that is under way or answers a question', async () => {
    const route = new Route()
    route.answerMs = 50
    for (let i = 0; i < 3; i++) route.post('update', { whole: true })
    route.post('answer')
    route.post('update', { whole: true })
    route.post('update', { subject: 'other', whole: true })
    await route.pass(1_000)
    expect(route.sent.map(({ envelope: { kind, number } }) => `${kind} ${number}`)).toEqual([
      'update 1',
      'update 6',
      'answer 4',
      'update 5',
    ])
    expect(route.delivered.toSorted()).toEqual(
      ['answer', ...[1, 2, 3, 5, 6].map((n) => `update ${n}`)].toSorted(),
    )
  })

  test('leaves the one under way alone, though another has overtaken it', async () => {
    const route = new Route()
    route.answerMs = 50
    route.post('update', { whole: true })
    await route.pass(10)
    route.post('close', { overtakes: true })
    route.post('update', { whole: true })
    await route.pass(1_000)
    expect(route.sent.map(({ envelope }) => envelope.number)).toEqual([1, 2, 3])
    expect(route.delivered).toEqual(['update 1', 'close', 'update 3'])
  })

  test('takes the place of one whose tries failed, at the time of the next try', async () => {
    const route = new Route()
    route.answer = () => 'no way'
    route.post('update', { whole: true })
    await route.pass(50)
    route.post('update', { whole: true })
    route.answer = () => 'received'
    await route.pass(1_000)
    expect(route.sent.map(({ envelope }) => envelope.number)).toEqual([1, 2])
  })
})

describe('a peer that does not answer', () => {
  test('is called silent, since when and why; its first answer ends that and wakes all that wait', async () => {
    const route = new Route()
    route.answer = () => 'no way'
    for (let i = 0; i < 20; i++) route.post(`ask ${i}`.replace(' ', '-'), { subject: `lease-${i}` })
    await route.pass(300_000)
    expect(route.view()).toMatchObject({
      ...{ peer: 'b', waiting: 20, silentSince: route.world.now - 300_000, lastError: 'connection refused' },
    })
    route.answer = () => 'received'
    route.post('hello', { subject: 'new' })
    await route.pass(10)
    expect(route.delivered).toHaveLength(21)
    expect(route.view()).toMatchObject({
      waiting: 0,
      silentSince: undefined,
      lastHeardAt: route.world.now - 10,
    })
  })

  test('is tried with few messages at once, and none of the others is kept beyond its deadline', async () => {
    const route = new Route()
    route.answer = () => 'silence'
    for (let i = 0; i < 500; i++) route.post(`ask-${i}`, { subject: `lease-${i}`, forMs: 60_000 })
    await route.pass(TRY_MS_MAX + 1)
    route.underWayMost = route.underWay
    await route.pass(49_000)
    expect(route.underWayMost).toBeLessThanOrEqual(UNDER_WAY_SILENT_MAX)
    await route.pass(2_000)
    expect(route.failed).toHaveLength(500)
  })

  test('is called slow while round trips take long, since the first that did', async () => {
    const route = new Route()
    route.answerMs = SLOW_MS + 500
    route.post('one')
    await route.pass(SLOW_MS + 500)
    const slowSince = route.world.now
    expect(route.view()).toMatchObject({ roundTripMs: SLOW_MS + 500, slowSince, silentSince: undefined })
    route.post('two')
    await route.pass(SLOW_MS + 500)
    expect(route.view()).toMatchObject({ slowSince })
    route.answerMs = 10
    route.post('three')
    await route.pass(10)
    expect(route.view()).toMatchObject({ roundTripMs: 10, slowSince: undefined })
  })

  test('is called skewed while its clock is certainly further off than is allowed', async () => {
    const route = new Route()
    route.answerMs = 1_000
    // The clock may be 1.5 s off, or 2.5 s: that is not held against it.
    route.peerAheadMs = 2_000
    route.post('one')
    await route.pass(1_000)
    expect(route.view()).toMatchObject({ skewedSince: undefined })
    route.answerMs = 100
    route.peerAheadMs = 5_000
    route.post('two')
    await route.pass(100)
    const skewedSince = route.world.now
    expect(route.view()).toMatchObject({ skewedSince })
    route.post('three')
    await route.pass(100)
    expect(route.view()).toMatchObject({ skewedSince })
    route.answerMs = 10
    route.peerAheadMs = 0
    route.post('four')
    await route.pass(10)
    expect(route.view()).toMatchObject({ skewedSince: undefined })
  })

  test('and one that is slow has no more than so many messages under way', async () => {
    const route = new Route()
    route.answerMs = 100
    for (let i = 0; i < 1_000; i++) route.post(`ask-${i}`, { subject: `lease-${i}` })
    await route.pass(3_000)
    expect(route.underWayMost).toBe(UNDER_WAY_MAX)
    expect(route.delivered).toHaveLength(1_000)
  })

  test('leaves nothing behind when the postman stops', async () => {
    const route = new Route()
    route.answer = () => 'silence'
    route.post('ask')
    await route.pass(1_000)
    route.postman.stop()
    const tries = route.sent.length
    route.post('more')
    await route.pass(600_000)
    expect([route.sent.length, route.failed]).toEqual([tries, []])
  })
})

describe('the clock of a peer', () => {
  test('is read from its acknowledgement, as exactly as the way there and back was quick', async () => {
    const route = new Route()
    route.answerMs = 400
    route.peerAheadMs = 1_500
    route.post('ask')
    await route.pass(1_000)
    // It was stamped at the end of the way: the middle is off by half of it, within the error.
    expect(route.view()).toMatchObject({ offsetMs: 1_700, errorMs: 221 })
  })

  test('is not read from the answer to a repeated message: that may be an old one, kept back', async () => {
    const route = new Route()
    route.answer = () => (route.sent.length < 2 ? 'no way' : 'received')
    route.post('ask')
    await route.pass(1_000)
    route.post('from the last life'.replaceAll(' ', '-'), { repeated: true })
    await route.pass(1_000)
    expect(route.delivered).toHaveLength(2)
    expect(route.view()?.offsetMs).toBeUndefined()
  })

  test('is not learned anew from a vague reading that may be just as true', () => {
    const at = 1
    const known: Offset = { offsetMs: 100, errorMs: 25, measuredAt: 0 }
    expect(betterOffset(undefined, { offsetMs: 100, errorMs: 5 }, at)).toEqual({
      ...known,
      measuredAt: at,
    })
    expect(betterOffset(known, { offsetMs: 900, errorMs: 3_000 }, at)).toBeUndefined()
    expect(betterOffset(known, { offsetMs: 110, errorMs: 5 }, at)).toBeUndefined()
    expect(betterOffset(known, { offsetMs: 200, errorMs: 5 }, at)).toMatchObject({ offsetMs: 200 })
    const vague: Offset = { ...known, errorMs: 3_000 }
    expect(betterOffset(vague, { offsetMs: 110, errorMs: 5 }, at)).toMatchObject({ errorMs: 25 })
  })
})
