import { beforeEach, describe, expect, test, vi } from 'vitest'
import type { Allocation, BrokerPolicy } from '../../controllers/controller.ts'
import { BrokerDesk, HOUR, inShort, MINUTE } from './broker-desk.ts'

const counted = vi.hoisted(() => ({ books: 0 }))

/** How often all that is open and promised is looked through. */
vi.mock('../../actors/broker/book.ts', async (original) => {
  const book = await original<typeof import('../../actors/broker/book.ts')>()
  const bookOf: typeof book.bookOf = (draft) => {
    counted.books++
    return book.bookOf(draft)
  }
  return { ...book, bookOf }
})

beforeEach(() => {
  counted.books = 0
})

const inGroup = (size: number) => ({ 'group.id': 'g', 'group.size': String(size) })

describe('to refuse many costs no more looks at what is promised than to refuse one', () => {
  test('of a group that fails as a whole', () => {
    const desk = new BrokerDesk()
    desk.offer(4)
    const big = { units: 1, durationMs: HOUR, start: desk.now + HOUR, properties: inGroup(41) }
    for (let i = 0; i < 40; i++) desk.ask(`lease-${i}`, { ...big, durationMs: HOUR + i })
    counted.books = 0
    const said = desk.tell('manager', 'relinquish', 'lease-0', { reason: 'not needed' })
    expect(inShort(said).filter((line) => line.endsWith('refused'))).toHaveLength(39)
    expect(said.filter(({ body }) => (body as { unitsNow?: number }).unitsNow === 4)).toHaveLength(39)
    expect(counted.books).toBe(1)
  })

  test('of a round in which a policy refuses all, after others were granted some', () => {
    const policy: BrokerPolicy = (requests, _, now) =>
      requests.map(({ leaseId, units, durationMs }) =>
        leaseId === 'lease-0'
          ? {
              kind: 'grant',
              leaseId,
              site: 'site',
              units,
              term: { start: now, end: now + durationMs },
              reason: 'yes',
            }
          : // It may say nothing of what would work.
            ({ kind: 'refuse', leaseId, reason: 'no' } as Allocation),
      )
    const desk = new BrokerDesk({ policy })
    desk.offer(4)
    for (let i = 0; i < 40; i++) desk.ask(`lease-${i}`, { units: 3, durationMs: MINUTE })
    counted.books = 0
    const said = desk.decide()
    expect(inShort(said).filter((line) => line.endsWith('refused'))).toHaveLength(39)
    // One is left beside what was just granted.
    expect(said.filter(({ body }) => (body as { unitsNow?: number }).unitsNow === 1)).toHaveLength(39)
    expect(counted.books).toBe(1)
  })

  test('of a round after the ends of tickets that were to be extended', () => {
    const desk = new BrokerDesk()
    desk.offer(40)
    for (let i = 0; i < 40; i++) desk.ask(`lease-${i}`, { units: 1, durationMs: MINUTE })
    desk.decide()
    for (let i = 0; i < 40; i++) desk.extend(`lease-${i}`, { units: 1, durationMs: MINUTE })
    desk.now += 2 * MINUTE
    counted.books = 0
    expect(inShort(desk.decide())).toHaveLength(40)
    expect(counted.books).toBe(1)
  })
})
