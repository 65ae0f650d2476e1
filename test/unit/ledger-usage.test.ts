import { describe, expect, test } from 'vitest'
import { UsageCount } from '../../actors/ledger/usage.ts'
import { chain, type LedgerEntry, type LedgerHead, type LedgerNote } from '../../actors/runtime/commit.ts'

const NO_LINE: LedgerHead = { seq: 0, hash: '' }
const HOUR = 3_600_000
const MIDNIGHT = Date.UTC(2026, 10, 25)

function linesOf(actor: string, notes: readonly (readonly [at: number, note: LedgerNote])[]): LedgerEntry[] {
  const entries: LedgerEntry[] = []
  for (const [at, note] of notes) entries.push(chain(note, at, actor, entries.at(-1) ?? NO_LINE))
  return entries
}
const note = (kind: string, subject: string, data?: unknown): LedgerNote => ({
  kind,
  subject,
  reason: kind,
  data,
})

test('what no ledger tells of is not known', () => {
  const count = new UsageCount()
  const term = { start: MIDNIGHT, end: MIDNIGHT + HOUR }
  const granted = note('ticket granted', 'lease-1', { units: 1, site: 'rack', term })
  count.read(linesOf('broker', [[MIDNIGHT, granted]]))
  expect([...count.told]).toEqual(['granted'])
  expect([...read().told].toSorted()).toEqual(['granted', 'held', 'joined'])
})

/** One lease of two units from 23:00 to 01:00; one of its machines came at 23:10 and went at 00:30. */
function read(): UsageCount {
  const count = new UsageCount()
  const term = { start: MIDNIGHT - HOUR, end: MIDNIGHT + HOUR }
  count.read(
    linesOf('manager', [
      [MIDNIGHT - HOUR, note('requested', 'lease-1', { guest: 'duke', queue: 'long' })],
      [MIDNIGHT - HOUR / 2, note('unit joined', 'unit-1', { leaseId: 'lease-1' })],
      [MIDNIGHT + HOUR / 4, note('unit left', 'unit-1', { leaseId: 'lease-1' })],
    ]),
  )
  count.read(
    linesOf('broker', [
      [MIDNIGHT - HOUR, note('ticket granted', 'lease-1', { units: 2, site: 'rack', term })],
    ]),
  )
  count.read(
    linesOf('rack', [
      [MIDNIGHT - (5 * HOUR) / 6, note('unit assigned', 'unit-1', { leaseId: 'lease-1' })],
      [MIDNIGHT + HOUR / 2, note('unit ended', 'unit-1')],
    ]),
  )
  return count
}

test('a lease over midnight is split between the days, to the second', () => {
  const count = read()
  const day = (from: number): object[] => [
    ...count.sum('guest', { from, to: from + 24 * HOUR }, MIDNIGHT + 9 * HOUR),
  ]
  expect(day(MIDNIGHT - 24 * HOUR)).toEqual([
    { name: 'duke', grantedS: 7_200, toComeS: 0, heldS: 3_000, joinedS: 1_800 },
  ])
  expect(day(MIDNIGHT)).toEqual([{ name: 'duke', grantedS: 7_200, toComeS: 0, heldS: 1_800, joinedS: 900 }])
  expect(day(MIDNIGHT + 24 * HOUR)).toEqual([])
})

test('the days add up to the whole, wherever they are cut', () => {
  const count = read()
  const total = (from: number, to: number): number =>
    count
      .sum('site', { from, to }, MIDNIGHT + 9 * HOUR)
      .reduce((sum, { grantedS, heldS, joinedS }) => sum + grantedS + heldS + joinedS, 0)
  const [from, to] = [MIDNIGHT - 3 * HOUR, MIDNIGHT + 3 * HOUR]
  for (let cut = from; cut <= to; cut += 7 * 60_000 + 1)
    expect(total(from, cut) + total(cut, to)).toBeCloseTo(total(from, to), 6)
})

test('it is counted by guest, queue and site', () => {
  const count = read()
  const span = { from: 0, to: MIDNIGHT * 2 }
  expect(count.sum('queue', span, MIDNIGHT * 2).map(({ name }) => name)).toEqual(['long'])
  expect(count.sum('site', span, MIDNIGHT * 2).map(({ name }) => name)).toEqual(['rack'])
})

test('a ticket that is closed counts until then; what is held still, until now', () => {
  const count = read()
  count.read(linesOf('broker', [[MIDNIGHT, note('ticket closed', 'lease-1')]]))
  count.read(linesOf('rack', [[MIDNIGHT, note('unit assigned', 'unit-2', { leaseId: 'lease-1' })]]))
  const [all] = count.sum('guest', { from: 0, to: MIDNIGHT * 2 }, MIDNIGHT + HOUR)
  expect(all).toEqual({ name: 'duke', grantedS: 7_200, toComeS: 0, heldS: 4_800 + 3_600, joinedS: 2_700 })
})

test('where the ledger of the holder is not there, the holder stands for its guests', () => {
  const count = new UsageCount()
  const term = { start: MIDNIGHT - HOUR, end: MIDNIGHT }
  const ticket = { id: 'ticket-1', holder: 'manager', units: 2, site: 'rack', term }
  const grant = { ticketId: 'ticket-1', units: 2, site: 'rack', term, ticket }
  count.read(linesOf('broker', [[MIDNIGHT - HOUR, note('ticket granted', 'lease-1', grant)]]))
  count.read(linesOf('broker', [[MIDNIGHT - HOUR, note('ticket adopted', 'lease-2', { ticket })]]))
  const held = { leaseId: 'lease-3', holder: 'other' }
  count.read(linesOf('rack', [[MIDNIGHT - HOUR, note('unit assigned', 'unit-1', held)]]))
  const sums = (by: 'guest' | 'queue') =>
    count
      .sum(by, { from: 0, to: MIDNIGHT }, MIDNIGHT)
      .map(({ name, grantedS, heldS }) => [name, grantedS, heldS])
  expect(sums('guest')).toEqual([
    ['manager', 14_400, 0],
    ['other', 0, 3_600],
  ])
  expect(sums('queue')).toEqual([['(unknown)', 14_400, 3_600]])
})

test('what of a term is still to come is told apart', () => {
  const sum = (from: number, to: number, now: number) => {
    const [all] = read().sum('guest', { from, to }, now)
    return [all?.grantedS, all?.toComeS]
  }
  const [begin, end] = [MIDNIGHT - HOUR, MIDNIGHT + HOUR]
  expect(sum(0, MIDNIGHT * 2, MIDNIGHT)).toEqual([7_200, 7_200])
  expect(sum(0, end - HOUR / 2, MIDNIGHT)).toEqual([7_200, 3_600])
  expect(sum(MIDNIGHT + HOUR / 2, end, MIDNIGHT)).toEqual([0, 3_600])
  expect(sum(0, end, begin)).toEqual([0, 14_400])
  expect(sum(0, MIDNIGHT, MIDNIGHT)).toEqual([7_200, 0])
})

test('an extension is granted from the old end on, and nothing is counted twice', () => {
  const count = read()
  const term = { start: MIDNIGHT + HOUR, end: MIDNIGHT + 2 * HOUR }
  count.read(
    linesOf('broker', [[MIDNIGHT, note('ticket granted', 'lease-1', { units: 1, site: 'rack', term })]]),
  )
  const [all] = count.sum('guest', { from: 0, to: MIDNIGHT * 2 }, MIDNIGHT * 2)
  expect(all?.grantedS).toBe(2 * 7_200 + 3_600)
})

describe('tickets that change', () => {
  const grant = (ticketId: string, units: number, from: number, to: number) =>
    note('ticket granted', 'lease-1', {
      ...{ ticketId, units, site: 'rack' },
      term: { start: MIDNIGHT + from * HOUR, end: MIDNIGHT + to * HOUR },
    })
  const grantedS = (...notes: LedgerNote[]): number => {
    const count = new UsageCount()
    count.read(
      linesOf(
        'broker',
        notes.map((one) => [MIDNIGHT, one] as const),
      ),
    )
    return count.sum('site', { from: 0, to: MIDNIGHT * 2 }, MIDNIGHT * 2)[0]?.grantedS ?? 0
  }
  const first = grant('ticket-1', 4, 0, 1)

  test('an extension counts from the old end with its own units', () => {
    expect(grantedS(first, grant('ticket-2', 2, 1, 3))).toBe(4 * 3_600 + 2 * 7_200)
  })

  test('one that its holder did not get to use does not count beside the one in its place', () => {
    const unused = note('extension unused', 'lease-1')
    expect(grantedS(first, grant('ticket-2', 4, 1, 2), unused, grant('ticket-3', 2, 1, 2))).toBe(6 * 3_600)
  })

  test('one that came back counts no more, and the one before it and the one after do', () => {
    const unused = note('extension unused', 'lease-1', { ticketId: 'ticket-2' })
    expect(grantedS(first, grant('ticket-2', 4, 1, 2), unused)).toBe(4 * 3_600)
    // Told again of one that is not counted, as after a restore.
    expect(grantedS(first, unused, grant('ticket-3', 2, 1, 2), unused)).toBe(6 * 3_600)
  })

  test('what was promised back counts until then, in the tickets that there were', () => {
    const back = note('recall planned', 'lease-1', { units: 3, from: MIDNIGHT + HOUR / 2 })
    expect(grantedS(first, back)).toBe(4 * 1_800 + 1_800)
    expect(grantedS(first, back, grant('ticket-2', 1, 1, 2))).toBe(4 * 1_800 + 1_800 + 3_600)
    expect(grantedS(first, note('recall planned', 'lease-1'))).toBe(4 * 3_600)
  })

  test('what leaves where an extension begins with fewer is not given back besides', () => {
    const back = note('recall planned', 'lease-1', { units: 3, from: MIDNIGHT + HOUR / 2, of: 4 })
    const less = grant('ticket-2', 2, 1, 2)
    expect(grantedS(first, less, back)).toBe(4 * 1_800 + 1_800 + 3_600)
  })

  test('of each ticket as many are given back as the broker counts fewer of it', () => {
    const from = MIDNIGHT + HOUR / 2
    const back = note('recall planned', 'lease-1', {
      units: 2,
      from,
      of: 4,
      off: { 'ticket-1': 2, 'ticket-2': 1 },
    })
    const [next, last] = [grant('ticket-2', 4, 1, 2), grant('ticket-3', 4, 2, 3)]
    expect(grantedS(first, next, last, back)).toBe(4 * 1_800 + 2 * 1_800 + 3 * 3_600 + 4 * 3_600)
  })

  test('what was gone when more was promised back for later counts no longer than before', () => {
    const from = MIDNIGHT + HOUR / 2
    const since = { from: MIDNIGHT + HOUR / 4, off: { 'ticket-1': 1 } }
    const back = note('recall planned', 'lease-1', { units: 3, from, of: 4, off: { 'ticket-1': 3 }, since })
    expect(grantedS(first, back)).toBe(4 * 900 + 3 * 900 + 1_800)
  })

  test('one that a restored broker adopts counts, once', () => {
    const term = { start: MIDNIGHT, end: MIDNIGHT + HOUR }
    const adopted = note('ticket adopted', 'lease-1', {
      ticket: { id: 'ticket-1', units: 4, site: 'rack', term },
    })
    expect(grantedS(adopted)).toBe(4 * 3_600)
    expect(grantedS(first, adopted)).toBe(4 * 3_600)
  })
})

test('a machine that is drained and resumed has joined once, and has left when it leaves', () => {
  const count = new UsageCount()
  const of = { leaseId: 'lease-1' }
  count.read(
    linesOf('manager', [
      [MIDNIGHT, note('unit joined', 'unit-1', of)],
      [MIDNIGHT + HOUR / 4, note('unit draining', 'unit-1', of)],
      [MIDNIGHT + HOUR / 3, note('unit resuming', 'unit-1', of)],
      [MIDNIGHT + HOUR / 2, note('unit joined', 'unit-1', of)],
      [MIDNIGHT + HOUR, note('unit left', 'unit-1', of)],
      [MIDNIGHT + 2 * HOUR, note('unit joined', 'unit-1', of)],
      [MIDNIGHT + 3 * HOUR, note('unit left', 'unit-1', of)],
    ]),
  )
  const span = { from: MIDNIGHT - HOUR, to: MIDNIGHT + 9 * HOUR }
  expect(count.sum('site', span, MIDNIGHT + 8 * HOUR)[0]?.joinedS).toBe(7_200)
})
