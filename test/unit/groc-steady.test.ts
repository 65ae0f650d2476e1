import { describe, expect, test } from 'vitest'
import {
  busyNode,
  configOf,
  decideOn,
  leaseOf,
  MINUTE,
  runningOn,
  SECOND,
  T0,
  unitOf,
  viewOf,
} from './groc-world.ts'

/** Until when a decision says that nothing changes by itself: each instant too many is a decision for nothing. */
describe('a decision holds', () => {
  const term = { start: T0 - 59 * MINUTE, end: T0 + 20 * MINUTE }
  const work = (over: Parameters<typeof leaseOf>[2]) =>
    decideOn(
      viewOf([leaseOf('l1', [unitOf('u1')], { term, extendBy: term.end - MINUTE, ...over })], {
        nodes: [busyNode('u1', '1')],
        jobs: [runningOn('1', 'u1')],
      }),
      configOf(),
    )

  test('for good where all works and the next term is agreed', () =>
    expect(work({ extending: true }).steadyUntil).toBe(Number.POSITIVE_INFINITY))

  test('to the last chance for an extension where none is agreed', () =>
    expect(work({ extending: false }).steadyUntil).toBe(term.end - MINUTE))

  test.each([
    ['joined', T0 + SECOND],
    ['draining', T0 + SECOND],
    ['awaited', Number.POSITIVE_INFINITY],
    ['left', Number.POSITIVE_INFINITY],
  ] as const)('of a unit that has just become %s as long as a look cannot tell, if it is in the batch system', (state, at) => {
    const lease = leaseOf('l1', [unitOf('u1', { state, since: T0 })], { extending: true })
    expect(decideOn(viewOf([lease]), configOf()).steadyUntil).toBe(at)
  })
})
