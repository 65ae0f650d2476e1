import { describe, expect, test } from 'vitest'
import {
  busyNode,
  decideOn,
  inShort,
  jobOf,
  leaseOf,
  MINUTE,
  nodeOf,
  runningOn,
  SECOND,
  T0,
  unitOf,
  viewOf,
} from './groc-world.ts'

/** Nodes that swallow jobs, and short jobs that only look like it. */

interface Of {
  readonly user?: string
  readonly walltimeMs?: number
  readonly succeeded?: boolean
}

const quick = (id: string, unitId: string, second: number, of: Of = {}) =>
  jobOf(id, {
    state: 'ended',
    nodeNames: [`node-${unitId}`],
    startedAt: T0 - MINUTE + second * SECOND,
    endedAt: T0 - MINUTE + second * SECOND + 200,
    ...of,
  })
const leases = [leaseOf('l1', [unitOf('bad')]), leaseOf('l2', [unitOf('good')])]
const row = (of: (i: number) => Of = () => ({}), on = 'bad') =>
  Array.from({ length: 8 }, (_, i) => quick(`${on}${i}`, on, i, of(i)))
const long = { ...runningOn('long', 'good'), user: 'ana', walltimeMs: 10 * MINUTE }
const bySix = [nodeOf('bad'), busyNode('good', 'long')]

const decided = (jobs: readonly ReturnType<typeof jobOf>[], nodes = bySix) =>
  decideOn(viewOf(leases, { nodes, jobs }))
const isTaken = (jobs: readonly ReturnType<typeof jobOf>[], nodes = bySix) =>
  inShort(decided(jobs, nodes).intents).includes('drain bad')

const short = { user: 'ana', walltimeMs: MINUTE }
const alike = { user: 'ana', walltimeMs: 10 * MINUTE }

describe('a node on which job after job ends at once', () => {
  test('swallows them where jobs of the same user and limit last elsewhere', () => {
    expect(isTaken([...row(() => alike), long])).toBe(true)
  })

  test('does not where only others last longer: an array of short tasks', () => {
    expect(isTaken([...row(() => short), long])).toBe(false)
    expect(isTaken([...row(() => ({ ...alike, user: 'ben' })), long])).toBe(false)
  })

  test('does where jobs of three users end so, whatever lasts elsewhere', () => {
    const users = ['ben', 'cem', 'dora']
    expect(isTaken([...row((i) => ({ ...short, user: users[i % 3]! })), long])).toBe(true)
    expect(isTaken([...row((i) => ({ ...short, user: users[i % 2]! })), long])).toBe(false)
  })

  test('does not while something works that began there meanwhile', () => {
    const there = { ...runningOn('there', 'bad'), startedAt: T0 - MINUTE + 2 * SECOND }
    const nodes = [busyNode('bad', 'there'), busyNode('good', 'long')]
    expect(isTaken([...row(() => alike), long, there], nodes)).toBe(false)
    // What ran before says nothing of a disk that is full now.
    expect(isTaken([...row(() => alike), long, { ...there, startedAt: T0 - 9 * MINUTE }], nodes)).toBe(true)
  })

  test('does not where such jobs end at once elsewhere, too', () => {
    const two = [0, 1].map((i) => quick(`good${i}`, 'good', i, alike))
    expect(isTaken([...row(() => alike), ...two, long])).toBe(false)
    const ofOther = two.map((job) => ({ ...job, user: 'ben' }))
    expect(isTaken([...row(() => alike), ...ofOther, long])).toBe(true)
  })

  test('does not where they ended well', () => {
    expect(isTaken([...row(() => ({ ...alike, succeeded: true })), long])).toBe(false)
    const { memory } = decided([...row((i) => ({ ...alike, succeeded: i === 5 })), long])
    expect(memory.quickEnds.bad?.inRow).toBe(2)
  })
})
