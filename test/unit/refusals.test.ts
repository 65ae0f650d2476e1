import { expect, test } from 'vitest'
import { PROPERTIES_CHARS_MAX, readRequest } from '../../actors/leases/properties.ts'
import { REFUSED_MAX, REFUSED_MS } from '../../actors/runtime/refusals.ts'
import { type Handle, Stage } from './actor-stage.ts'

/** Refuses all that is wrong, and writes it down. */
const strict: Handle = (input, draft) => {
  if (input.kind !== 'message' || (input.envelope.body as { text: string }).text === 'right') return
  draft.turnDown()
  draft.note('message refused', input.envelope.subject, 'it is wrong')
}

test('a peer of whose requests too many are refused is put off, nobody else is, and in time it is heard again', async () => {
  const stage = new Stage()
  const { actor } = await stage.begin({ handle: strict })
  const says = (from: string, number: number, text = 'wrong') =>
    stage.soon(
      actor.receive(
        stage.letter(number, { from, id: `m-${from}-${number}`, subject: `s-${number}`, body: { text } }),
      ),
    )
  const lines = (): number => stage.disk.ledger.filter(({ kind }) => kind === 'message refused').length
  for (let i = 0; i < REFUSED_MAX; i += 100)
    await stage.soon(
      Promise.all(
        Array.from({ length: 100 }, (_, j) =>
          actor.receive(
            stage.letter(i + j, {
              id: `m-${i + j}`,
              subject: `s-${i + j}`,
              body: { text: 'wrong' },
              number: 1,
            }),
          ),
        ),
      ),
    )
  expect(lines()).toBeGreaterThan(REFUSED_MAX - 50)
  while ((await says('peer', lines() + 10_000)).outcome !== 'busy')
    expect(lines()).toBeLessThan(REFUSED_MAX + 100)
  const before = lines()
  for (let i = 0; i < 5; i++)
    expect(
      await actor.receive(
        stage.letter(1, { id: `late-${i}`, subject: `late-${i}`, body: { text: 'right' } }),
      ),
    ).toMatchObject({
      ...{ outcome: 'busy', reason: expect.stringContaining('of peer were refused lately') },
    })
  expect(lines()).toBe(before)
  expect((await says('other', 1, 'right')).outcome).toBe('received')
  await stage.pass(2 * REFUSED_MS)
  expect((await says('peer', 50_000, 'right')).outcome).toBe('received')
})

test('what changes nothing and is written down counts as what is refused', async () => {
  const stage = new Stage()
  const { actor } = await stage.begin({
    handle: (input, draft) => {
      if (input.kind === 'message') draft.note('message noted', input.envelope.subject, 'it changes nothing')
    },
  })
  const says = (i: number) =>
    actor.receive(stage.letter(1, { id: `m-${i}`, subject: `s-${i}` }, { generation: 0, seq: i + 1 }))
  for (let i = 0; i < REFUSED_MAX + 200; i += 100)
    await stage.soon(Promise.all(Array.from({ length: 100 }, (_, j) => says(i + j))))
  const { outcome, reason } = await stage.soon(says(9_999))
  expect([outcome, reason]).toEqual(['busy', expect.stringContaining('of peer were refused lately')])
})

test('what is taken back with its input counts for nothing', async () => {
  const stage = new Stage()
  let thrown = 0
  const { actor } = await stage.begin({
    handle: (input, draft) => {
      if (input.kind !== 'message') return
      draft.turnDown()
      thrown++
      throw new Error('it stumbles')
    },
  })
  for (let i = 0; i < 3; i++)
    await stage.soon(actor.receive(stage.letter(1, { id: `m-${i}`, subject: `s-${i}` })))
  expect(thrown).toBe(6)
  expect((await stage.soon(actor.receive(stage.letter(1, { id: 'm-9', subject: 's-9' })))).outcome).toBe(
    'refused',
  )
})

test('properties that are too long together are refused by their length', () => {
  const half = 'x'.repeat(PROPERTIES_CHARS_MAX / 2)
  expect(() => readRequest({ a: half, b: half }, 1)).toThrow(
    /32770 characters long together, expected at most 32768/,
  )
  expect(readRequest({ a: half }, 1)).toMatchObject({ elastic: false })
})

test('of an input that is set aside the ledger keeps what it was, and of property lists only the keys', async () => {
  const stage = new Stage()
  const { actor } = await stage.begin({
    handle: (input) => {
      if (input.kind === 'message') throw new Error('it stumbles')
    },
  })
  const body = {
    type: 'small',
    properties: { password: 'hunter2' },
    units: [{ facts: { token: 'hunter2' } }],
  }
  await stage.soon(actor.receive(stage.letter(1, { body })))
  const kept = JSON.stringify(stage.disk.ledger)
  expect(kept).toContain('password')
  expect(kept).toContain('small')
  expect(kept).not.toContain('hunter2')
})
