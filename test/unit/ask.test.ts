import { describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import type { QueryRow } from '../../actors/service-manager/rows.ts'
import { answerText, ask } from '../../deploy/control/ask.ts'

const answer = { types: [], earliest: null, unitsNow: 2, profile: [], refused: null }
const question = { about: 'types' as const, withinMs: 1_000 }
const { signal } = new AbortController()
type Asked = Parameters<typeof ask>[0]
const nobody: Asked = { serviceManager: undefined, broker: undefined, authority: undefined }

/** An actor that answers for itself. */
const answering = (name: string, given: object): never =>
  ({
    ...{ name, running: true, head: { seq: 0, hash: '' }, rows: () => [] },
    command: (command: string, args: unknown) => Promise.resolve({ ...answer, ...given, command, args }),
  }) as never

/** A service manager of which only the row of one question is there. */
const manager = (row: Partial<QueryRow>): Asked => ({
  ...nobody,
  serviceManager: {
    ...{ name: 'manager', running: true, head: { seq: 0, hash: '' } },
    rows: () => [{ id: 'query-1', to: 'broker', askedAt: 0, ...row }] as never[],
    command: () => Promise.resolve({ queryId: 'query-1' }),
  },
})

describe('a question that is put by hand', () => {
  test('comes back with its answer', async () =>
    expect(await ask(manager({ answer }), question, systemClock, signal)).toEqual(answer))

  test.each([
    ['is refused', manager({ answer: { ...answer, refused: 'no such type' } }), 'usage'],
    ['is not answered', manager({ failed: 'broker did not answer in time' }), 'deadline-missed'],
    ['is refused by a broker', { ...nobody, broker: answering('b', { refused: 'no such type' }) }, 'usage'],
  ])('that %s says so with a code', async (_, asked, code) => {
    await expect(ask(asked, question, systemClock, signal)).rejects.toMatchObject({ code })
  })
})

describe('a question to somebody elsewhere', () => {
  const failed = { failed: 'broker did not acknowledge query in time' }
  const silent = { peer: 'broker', silentSince: 0, lastError: 'connect ECONNREFUSED 127.0.0.1:7711' }
  const asked = (heard: object): Asked => {
    const { serviceManager } = manager(failed)
    const federation = { peers: () => [{ name: 'broker' }] } as never
    const settings = { serviceManager: { broker: 'broker' } } as never
    const peers = (): never => [{ peer: 'duke' }, { peer: 'broker', ...heard }] as never
    return { ...nobody, serviceManager: { ...serviceManager!, peers }, federation, settings }
  }

  test('who is silent will not answer later either, and it is said why', async () => {
    await expect(ask(asked(silent), question, systemClock, signal)).rejects.toMatchObject({
      code: 'peer-silent',
      message: expect.stringMatching(/nothing came back from broker since .*: connect ECONNREFUSED/),
      cure: expect.stringContaining('sublet check peers'),
    })
    await expect(ask(asked({}), question, systemClock, signal)).rejects.toMatchObject({
      code: 'deadline-missed',
    })
  })

  test('whom nobody knows is not even asked', async () => {
    const put = (to: string) => ask(asked({}), { ...question, to }, systemClock, signal)
    await expect(put('brokr')).rejects.toMatchObject({
      ...{ code: 'peer-unknown', message: 'nobody named brokr is known here. Did you mean broker?' },
      cure: expect.stringContaining('sublet peer add'),
    })
    await expect(put('broker')).rejects.toMatchObject({ code: 'deadline-missed' })
    const { federation: _, ...whole } = asked({})
    await expect(ask(whole, { ...question, to: 'manager' }, systemClock, signal)).rejects.toMatchObject({
      code: 'deadline-missed',
    })
  })
})

describe('where no service manager runs', () => {
  const here = {
    ...nobody,
    broker: answering('b', { unitsNow: 1 }),
    authority: answering('s', { unitsNow: 3 }),
  }
  const put = (to?: string) => ask(here, { ...question, to }, systemClock, signal)

  test('the broker or the site answers for itself', async () => {
    const asked = { command: 'query', args: { about: 'types' } }
    expect(await put()).toMatchObject({ unitsNow: 1, ...asked })
    expect(await put('s')).toMatchObject({ unitsNow: 3, ...asked })
    const site = { ...nobody, authority: here.authority }
    expect(await ask(site, question, systemClock, signal)).toMatchObject({ unitsNow: 3 })
  })

  test('nobody else can be asked', async () =>
    expect(put('elsewhere')).rejects.toMatchObject({
      code: 'usage',
      message: 'no service manager runs here that could ask elsewhere; only b and s can be asked',
    }))
})

test('what is lent, and when, is said in a line each', () => {
  const conditions = { recallable: true, noticeMs: 600_000, graceMs: 0 }
  const type = { site: 'duke', type: 'small', vector: {}, units: 4, free: 1, conditions, until: null }
  expect(answerText({ about: 'types' }, { ...answer, types: [type] })).toBe(
    'small at duke: 1 of 4 units free, recallable with 10 min of notice',
  )
  expect(answerText({ about: 'types' }, answer)).toBe('nothing is lent')
  expect(
    answerText({ about: 'availability' }, { ...answer, earliest: 0, profile: [{ from: 0, free: 2 }] }),
  ).toBe(
    'the earliest start that works: 1970-01-01T00:00:00Z; 2 units now\n  from 1970-01-01T00:00:00Z: 2 units free',
  )
})

test.each([
  [
    { units: 1, durationMs: 3_600_000 },
    ': it is lent for at most 30 min at a time; ask for so long, and extend the lease later',
  ],
  [{ units: 5, durationMs: 60_000 }, ': no site lends more than 4 units of it'],
  [{ units: 4, durationMs: 60_000 }, ''],
])('of %j it is said why no start would work', (wanted, why) => {
  const conditions = { recallable: true, noticeMs: 600_000, graceMs: 0 }
  const type = { site: 'duke', type: 'small', vector: {}, units: 4, free: 1, conditions, until: null }
  const types = [{ ...type, termMsMax: 1_800_000 }]
  const said = (given: typeof types) =>
    answerText({ about: 'availability', ...wanted }, { ...answer, types: given })
  expect(said(types)).toBe(`no start would work${why}; 2 units now`)
  expect(said([{ ...types[0]!, units: 0 }])).toMatch(/: no site that has it lends any of it now; /)
})
