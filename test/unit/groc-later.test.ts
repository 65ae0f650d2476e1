import { describe, expect, test } from 'vitest'
import type { HeldLease } from '../../controllers/controller.ts'
import { firstMemory, type GrocMemory } from '../../controllers/guests/groc/memory.ts'
import {
  configOf,
  decideOn,
  inShort,
  jobOf,
  jobsOf,
  leaseOf,
  MINUTE,
  type Request,
  requestsIn,
  SECOND,
  T0,
  unitOf,
  unitsAsked,
  viewOf,
} from './groc-world.ts'

const HOUR = 60 * MINUTE
const boots = { tookMs: [60, 70, 80, 90].map((s) => s * SECOND), lastAt: T0 - HOUR }
const seasoned: GrocMemory = { ...firstMemory, boots }
/** What a request becomes, before a ticket and after. */
const leaseFor = (request: Request, over: Partial<HeldLease> = {}): HeldLease =>
  leaseOf('l1', [], {
    ...{ state: 'requested', units: request.units, term: undefined, extendBy: undefined },
    ...{ requestedAt: T0, label: request.label, ...over },
  })

describe('machines that may begin later', () => {
  const config = configOf({ grow: { wait: '0s', target: '20m' } })
  const jobs = jobsOf(3, { submittedAt: T0 - 5 * MINUTE })

  test('are asked for with the latest begin that keeps the wait target', () => {
    const [request] = requestsIn(decideOn(viewOf([], { jobs }), config, seasoned).intents)
    expect(request?.startBy).toBe(T0 + 15 * MINUTE - 90 * SECOND)
    const [wide] = requestsIn(
      decideOn(viewOf([], { jobs: [jobOf('1', { nodes: 3 })] }), config, seasoned).intents,
    )
    expect([wide?.startBy, wide?.unitsMin]).toEqual([T0 + 20 * MINUTE - 90 * SECOND, 3])
  })

  test('are asked for at once when half of the time is over, for min, or without a target', () => {
    const late = jobsOf(3, { submittedAt: T0 - 10 * MINUTE })
    const askedAt = (view: ReturnType<typeof viewOf>, with_ = config) =>
      requestsIn(decideOn(view, with_, seasoned).intents).map(({ startBy }) => startBy)
    expect(askedAt(viewOf([], { jobs: late }))).toEqual([undefined])
    expect(askedAt(viewOf([], { jobs }), configOf())).toEqual([undefined])
    expect(askedAt(viewOf([]), configOf({ min: 2, grow: { target: '20m' } }))).toEqual([undefined])
  })

  test('count as coming, before and after the ticket, however late it begins', () => {
    const [request] = requestsIn(decideOn(viewOf([], { jobs }), config, seasoned).intents)
    const term = { start: T0 + 12 * MINUTE, end: T0 + 72 * MINUTE }
    for (const lease of [leaseFor(request!), leaseFor(request!, { state: 'ticketed', term })]) {
      const { intents, figures } = decideOn(viewOf([lease], { jobs }), config, seasoned)
      expect(intents).toEqual([])
      expect(figures.unitsComing).toBe(3)
    }
    // The same begin, reserved by hand, serves nobody who waits now.
    const byHand = leaseFor(request!, { state: 'ticketed', term, label: undefined })
    expect(unitsAsked(decideOn(viewOf([byHand], { jobs }), config, seasoned).intents)).toBe(3)
  })

  test('are not waited for any more when no job needs them: granted later, they booted for nothing', () => {
    const [request] = requestsIn(decideOn(viewOf([], { jobs }), config, seasoned).intents)
    const waiting = leaseFor(request!)
    const released = (lease: HeldLease, kept = config) =>
      inShort(decideOn(viewOf([lease]), kept, seasoned).intents)
    expect(released(waiting)).toEqual(['release l1'])
    expect(released(waiting, configOf({ min: 3, grow: { target: '20m' } }))).toEqual([])
    // One that began at once, or has its ticket, comes, and goes when it is idle.
    expect(released({ ...waiting, label: undefined })).toEqual([])
    const term = { start: T0 + 12 * MINUTE, end: T0 + 72 * MINUTE }
    expect(released(leaseFor(request!, { state: 'ticketed', term }))).toEqual([])
  })

  test('are waited for as long as a job needs one of them, though it needs the others no more', () => {
    const [request] = requestsIn(decideOn(viewOf([], { jobs }), config, seasoned).intents)
    expect(request?.units).toBe(3)
    const [one] = jobs
    expect(
      inShort(decideOn(viewOf([leaseFor(request!)], { jobs: [one!] }), config, seasoned).intents),
    ).toEqual([])
  })
})

describe('jobs that may not begin yet', () => {
  const config = configOf({ max: 6 })
  const NINE = T0 + HOUR
  const tonight = (count: number, over: object = {}) =>
    jobsOf(count, { state: 'held', heldBy: 'start-time', notBefore: NINE, walltimeMs: 20 * MINUTE, ...over })
  const decided = (
    jobs: ReturnType<typeof tonight>,
    leases: readonly HeldLease[] = [],
    memory = seasoned,
    now = T0,
    over: object = {},
  ) => decideOn(viewOf(leases, { jobs, startedAt: now, at: now }, over), config, memory, now)

  test('are asked for beforehand, from a boot before they may', () => {
    const [request, ...others] = requestsIn(decided(tonight(3)).intents)
    expect(request).toMatchObject({ units: 3, unitsMin: 1, startAt: NINE - 90 * SECOND })
    expect(request?.startBy).toBe(NINE - 30 * SECOND)
    // Twenty minutes by their limit, with some safety and the boot: forty by the classes of lengths.
    expect(request?.durationMs).toBe(40 * MINUTE)
    expect(others).toEqual([])
    expect(requestsIn(decided(tonight(1, { nodes: 5 })).intents)).toMatchObject([{ units: 5, unitsMin: 5 }])
  })

  test('once for each shape and time, also when it was refused or more of them come', () => {
    const first = decided(tonight(3))
    const memory = JSON.parse(JSON.stringify(first.memory))
    const lease = leaseFor(requestsIn(first.intents)[0]!)
    expect(decided(tonight(3), [lease], memory).intents).toEqual([])
    expect(decided(tonight(4), [], memory, T0 + MINUTE).intents).toEqual([])
    const atTen = tonight(1, { notBefore: NINE + HOUR }).map((job) => ({ ...job, id: '10' }))
    expect(unitsAsked(decided([...tonight(3), ...atTen], [lease], memory).intents)).toBe(1)
  })

  test('count against max, and serve nobody who waits now', () => {
    const first = decided(tonight(3))
    const lease = leaseFor(requestsIn(first.intents)[0]!)
    const waiting = jobsOf(5).map((job) => ({ ...job, id: `w${job.id}` }))
    const { intents, figures } = decided([...tonight(3), ...waiting], [lease], first.memory)
    expect(unitsAsked(intents)).toBe(3)
    expect(figures.unitsComing).toBe(0)
    expect(unitsAsked(decided([...tonight(4), ...waiting]).intents)).toBe(5)
  })

  test('are given up when they go away, not once it has begun', () => {
    const first = decided(tonight(3))
    const lease = leaseFor(requestsIn(first.intents)[0]!)
    const gone = decided([], [lease], first.memory)
    expect(inShort(gone.intents)).toEqual(['release l1'])
    expect(gone.memory.reservations).toBeUndefined()
    const begun = leaseOf('l1', [unitOf('u1', { state: 'awaited', since: NINE, joinedAt: undefined })], {
      ...{ state: 'ticketed', label: lease.label, term: { start: NINE - 90 * SECOND, end: NINE + HOUR } },
    })
    expect(inShort(decided([], [begun], first.memory, NINE).intents)).toEqual([])
  })

  test('serve their jobs when the time has come, and nothing else is asked for', () => {
    const first = decided(tonight(3))
    const lease = leaseFor(requestsIn(first.intents)[0]!, {
      state: 'ticketed',
      term: { start: NINE - 90 * SECOND, end: NINE + HOUR },
    })
    const now = jobsOf(3, { submittedAt: T0 })
    const { intents } = decideOn(
      viewOf([lease], { jobs: now, startedAt: NINE, at: NINE }),
      config,
      first.memory,
      NINE,
    )
    expect(intents).toEqual([])
  })

  test('are not asked for on hold, too far ahead, too late, or held for something else', () => {
    expect(decided(tonight(3), [], seasoned, T0, { hold: 'frozen' }).intents).toEqual([])
    expect(decided(tonight(3, { notBefore: T0 + 8 * 24 * HOUR })).intents).toEqual([])
    expect(decided(tonight(3, { notBefore: T0 + 2 * MINUTE })).intents).toEqual([])
    expect(decided(tonight(3, { heldBy: 'user' })).intents).toEqual([])
    expect(decided(tonight(3, { cpusPerNode: 99 })).intents).toEqual([])
  })
})

describe('how long machines take to come', () => {
  test('is remembered of the latest ones, each counted once', () => {
    const lease = (i: number) =>
      leaseOf(`l${i}`, [unitOf(`u${i}`, { joinedAt: T0 + i * SECOND })], {
        requestedAt: T0 + i * SECOND - 75 * SECOND,
      })
    const leases = Array.from({ length: 40 }, (_, i) => lease(i))
    const once = decideOn(viewOf(leases)).memory
    expect(once.boots?.tookMs).toEqual(Array(32).fill(75 * SECOND))
    expect(decideOn(viewOf(leases), configOf(), once).memory.boots).toEqual(once.boots)
  })
})
