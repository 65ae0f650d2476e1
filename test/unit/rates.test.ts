import { expect, test } from 'vitest'
import { LONG_MS } from '../../actors/runtime/links.ts'
import { RATE_PAUSE_MS_MIN, type Rate, Rates } from '../../actors/runtime/rates.ts'
import { Stage } from './actor-stage.ts'

const rate: Rate = { perSecond: 10, burst: 5 }

const ratesAt = (bounds: Rate = rate) => {
  const time = { ms: 1_000 }
  const told: string[] = []
  const clock = { monotonic: () => time.ms, now: () => time.ms }
  return { time, told, rates: new Rates(bounds, clock, (peer) => told.push(peer)) }
}

test('a peer may say so much at once, and then what a second brings; others lose nothing by it', () => {
  const { time, rates } = ratesAt()
  for (let i = 0; i < 5; i++) expect(rates.take('peer')).toBeUndefined()
  expect(rates.take('peer')).toBe(RATE_PAUSE_MS_MIN)
  expect(rates.take('other')).toBeUndefined()
  time.ms += 200
  expect([rates.take('peer'), rates.take('peer'), rates.take('peer')]).toEqual([
    ...[undefined, undefined],
    RATE_PAUSE_MS_MIN,
  ])
  time.ms += 60_000
  for (let i = 0; i < 5; i++) expect(rates.take('peer')).toBeUndefined()
  expect(rates.take('peer')).toBe(RATE_PAUSE_MS_MIN)
})

test('whoever is put off is counted, and told of once a minute', () => {
  const { time, told, rates } = ratesAt({ perSecond: 1, burst: 1 })
  expect(rates.tooFast('peer')).toBeUndefined()
  for (let i = 0; i < 4; i++) rates.take('peer')
  expect(rates.tooFast('peer')).toEqual({ times: 3, lastAt: 1_000 })
  expect(told).toEqual(['peer'])
  time.ms += 90_000
  for (let i = 0; i < 3; i++) rates.take('peer')
  expect(rates.tooFast('peer')).toEqual({ times: 5, lastAt: 91_000 })
  expect(told).toEqual(['peer', 'peer'])
})

test('an actor puts off who says too much with a code and a time, takes nothing of it, and shows it', async () => {
  const stage = new Stage()
  const { actor, inputs, logged } = await stage.begin({ rate: { perSecond: 1, burst: 3 } })
  const says = (i: number, from = 'peer') =>
    stage.soon(
      actor.receive(
        stage.letter(1, { from, id: `m-${from}-${i}`, subject: `s-${i}` }, { generation: 0, seq: i + 1 }),
      ),
    )
  const outcomes = []
  for (let i = 0; i < 5; i++) outcomes.push(await says(i))
  expect(outcomes.map(({ outcome, code }) => [outcome, code])).toEqual([
    ...Array(3).fill(['received', '']),
    ...Array(2).fill(['busy', 'too-fast']),
  ])
  expect(outcomes[4]).toMatchObject({ retryAfterMs: RATE_PAUSE_MS_MIN })
  expect(outcomes[4]?.reason).toMatch(/^peer says too much; it is to come again in 1 s/)
  // Said again it counts as nothing: what is known is answered.
  expect((await says(0)).outcome).toBe('received')
  expect((await says(0, 'other')).outcome).toBe('received')
  expect(inputs.filter(({ kind }) => kind === 'message')).toHaveLength(4)
  expect(actor.peers().find(({ peer }) => peer === 'peer')?.tooFast).toMatchObject({ times: 2 })
  expect(logged.filter((line) => line.includes('says more than it may'))).toHaveLength(1)
  await stage.pass(1_500)
  expect((await says(9)).outcome).toBe('received')
})

test('what a peer said once costs it nothing when somebody without a key says it again', async () => {
  const stage = new Stage()
  const { actor, inputs } = await stage.begin({ rate: { perSecond: 1, burst: 5 } })
  const letter = (number: number, seq: number, subject = 'lease-1', changes = {}) =>
    stage.letter(
      number,
      { id: `m-${seq}`, subject, until: stage.now + 3_600_000, ...changes },
      { generation: 0, seq },
    )
  const hello = letter(1, 1, 'hello', {
    kind: 'hello',
    body: { protocols: [1, 2] },
    until: stage.now + 60_000,
  })
  const [older, newer] = [letter(1, 2), letter(2, 3)]
  const conflict = letter(2, 4, 'lease-1', { body: { text: 'another' } })
  for (const said of [hello, older, newer, conflict]) await stage.soon(actor.receive(said))
  const notes = stage.notes()
  await stage.pass(10_000)
  const recorded = Array.from({ length: 200 }, () => [hello, older, newer, conflict]).flat()
  const acks = await stage.soon(Promise.all(recorded.map((said) => actor.receive(said))))
  expect(new Set(acks.map(({ outcome, code }) => `${outcome} ${code}`.trim()))).toEqual(
    new Set(['received', 'noted', 'refused message-conflict']),
  )
  for (let i = 5; i < 10; i++)
    expect(await stage.soon(actor.receive(letter(1, i, `lease-${i}`)))).toMatchObject({ outcome: 'received' })
  expect(inputs.filter(({ kind }) => kind === 'message')).toHaveLength(7)
  expect(stage.notes()).toEqual(notes)
  expect(actor.peers().find(({ peer }) => peer === 'peer')?.tooFast).toBeUndefined()
})

test('only a message that was never taken tells who is at the other end', async () => {
  const stage = new Stage()
  const { actor } = await stage.begin({ rate: { perSecond: 1, burst: 2 } })
  let news = 0
  const says = (i: number, times = 1) => {
    const letter = stage.letter(1, { id: `m-${i}`, subject: `s-${i}` }, { generation: 0, seq: i })
    return stage.soon(
      Promise.all(Array.from({ length: times }, () => actor.receive(letter, () => void news++))),
    )
  }
  await says(1, 3)
  expect(news).toBe(1)
  await says(1)
  expect(news).toBe(1)
  await says(2)
  expect(news).toBe(2)
  expect((await says(3))[0]?.code).toBe('too-fast')
  expect(news).toBe(2)
})

test('a peer speaks of so many subjects at a time, fewer of those that are good for long, and of more when some are over', async () => {
  const stage = new Stage()
  const { actor } = await stage.begin({ linkBounds: { max: 4, longMax: 2 } })
  const says = (i: number, forMs: number, from = 'peer', number = 1) =>
    stage.soon(
      actor.receive(
        stage.letter(number, {
          ...{ from, id: `m-${from}-${i}-${number}`, subject: `s-${i}` },
          until: stage.now + forMs,
        }),
      ),
    )
  const year = 365 * LONG_MS
  expect((await says(1, year)).outcome).toBe('received')
  expect((await says(2, year)).outcome).toBe('received')
  expect(await says(3, year)).toMatchObject({
    ...{ outcome: 'busy', reason: expect.stringMatching(/^peer speaks of 2 subjects/) },
  })
  expect((await says(3, 10_000)).outcome).toBe('received')
  expect((await says(4, 10_000)).outcome).toBe('received')
  expect((await says(5, 10_000)).outcome).toBe('busy')
  // On what is begun it goes on, and nobody else is put off.
  expect((await says(1, year, 'peer', 2)).outcome).toBe('received')
  expect((await says(5, year, 'other')).outcome).toBe('received')
  await stage.pass(20_000)
  expect((await says(6, 10_000)).outcome).toBe('received')
  expect((await says(7, year)).outcome).toBe('busy')
})
