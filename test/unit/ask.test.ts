import { describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import type { QueryRow, ServiceManagerTables } from '../../actors/service-manager/rows.ts'
import { answerText, ask } from '../../deploy/ask.ts'
import type { ActorView } from '../../deploy/site-view.ts'

const answer = { types: [], earliest: null, unitsNow: 2, profile: [], refused: null }
const question = { about: 'types' as const, withinMs: 1_000 }
const { signal } = new AbortController()

/** A service manager of which only the row of one question is there. */
const manager = (row: Partial<QueryRow>): ActorView<ServiceManagerTables> => ({
  ...{ name: 'manager', running: true, head: { seq: 0, hash: '' } },
  rows: () => [{ id: 'query-1', to: 'broker', askedAt: 0, ...row }] as never[],
  command: () => Promise.resolve({ queryId: 'query-1' }),
})

describe('a question that is put by hand', () => {
  test('comes back with its answer', async () =>
    expect(await ask(manager({ answer }), question, systemClock, signal)).toEqual(answer))

  test.each([
    ['is refused', manager({ answer: { ...answer, refused: 'no such type' } }), 'usage'],
    ['is not answered', manager({ failed: 'broker did not answer in time' }), 'deadline-missed'],
    ['is put where no service manager runs', undefined, 'usage'],
  ])('that %s says so with a code', async (_, asked, code) => {
    await expect(ask(asked, question, systemClock, signal)).rejects.toMatchObject({ code })
  })
})

test('what is lent, and when, is said in a line each', () => {
  const conditions = { recallable: true, noticeMs: 600_000, graceMs: 0 }
  const type = { site: 'duke', type: 'small', vector: {}, units: 4, free: 1, conditions, until: null }
  expect(answerText('types', { ...answer, types: [type] })).toBe(
    'small at duke: 1 of 4 units free, recallable with 10 min',
  )
  expect(answerText('types', answer)).toBe('nothing is lent')
  expect(answerText('availability', { ...answer, earliest: 0, profile: [{ from: 0, free: 2 }] })).toBe(
    'the earliest start that works: 1970-01-01T00:00:00Z; 2 units now\n  from 1970-01-01T00:00:00Z: 2 units free',
  )
})
