import { describe, expect, test } from 'vitest'
import { groc } from '../../controllers/guests/groc/groc.ts'
import {
  configOf,
  decideOn,
  inShort,
  jobOf,
  jobsOf,
  leaseOf,
  MINUTE,
  nodeOf,
  requestsIn,
  SECOND,
  T0,
  unitOf,
  unitsAsked,
  viewOf,
  world,
} from './groc-world.ts'

/** What users of other controllers complain of most, each as the check of its number. */
describe('acceptance', () => {
  test('check 2: a wide job keeps the idle units it will use until the others have come', () => {
    const pool = world(configOf({ max: 80, step: 8, shrink: { idle: '30s' } }), { bootMs: 5 * MINUTE })
    for (let i = 1; i <= 21; i += 1) pool.submit(jobOf(`${i}`), 60 * SECOND)
    pool.pass(6 * MINUTE)
    expect(pool.joined()).toBe(21)
    pool.submit(jobOf('wide', { nodes: 80, cpusPerNode: 4 }), 10 * MINUTE)
    const before = pool.log.length
    pool.pass(8 * MINUTE)
    const since = pool.log.slice(before).map(({ intent }) => intent)
    expect(requestsIn(since).map(({ units, unitsMin }) => [units, unitsMin])).toEqual([[59, 59]])
    expect(since.filter(({ kind }) => kind === 'drain' || kind === 'leave')).toEqual([])
    expect(pool.view().observation?.jobs.find(({ id }) => id === 'wide')?.state).toBe('running')
  })

  test('check 3: ten jobs, a boot of 120 s, a decision every 5 s: exactly ten units are ever ordered', () => {
    const pool = world(configOf({ shrink: { idle: '60s' } }), { bootMs: 120 * SECOND })
    for (let i = 1; i <= 10; i += 1) pool.submit(jobOf(`${i}`), 10 * MINUTE)
    pool.pass(9 * MINUTE)
    expect(pool.asked()).toBe(10)
    expect(pool.joined()).toBe(10)
    expect(pool.waiting()).toBe(0)
  })

  describe('check 4: twenty free units with 30 min left, and jobs of an hour', () => {
    const ids = Array.from({ length: 20 }, (_, i) => `u${i + 1}`)
    const hours = jobsOf(20, { walltimeMs: 60 * MINUTE })
    const decisionWith = (lease: Partial<Parameters<typeof leaseOf>[2]>) =>
      decideOn(
        viewOf(
          [
            leaseOf(
              'l1',
              ids.map((id) => unitOf(id)),
              { term: { start: T0 - 30 * MINUTE, end: T0 + 30 * MINUTE }, ...lease },
            ),
          ],
          { nodes: ids.map((id) => nodeOf(id)), jobs: hours },
        ),
        configOf({ max: 40, step: 20 }),
      )

    test('whose lease can be extended: no other is ordered', () => {
      expect(inShort(decisionWith({}).intents)).toEqual([])
    })

    test.each([
      ['was refused', { extendRefused: { at: T0 - MINUTE, reason: 'promised to others' } }],
      ['is too late', { extendBy: T0 - 1 }],
    ])('whose extension %s: twenty others are ordered, and the old ones start nothing', (_, lease) => {
      const { intents, reason } = decisionWith(lease)
      expect(unitsAsked(intents)).toBe(20)
      expect(requestsIn(intents)[0]?.durationMs).toBe(60 * MINUTE)
      expect(inShort(intents).filter((intent) => intent.startsWith('drain'))).toHaveLength(20)
      expect(reason).toContain('20 units take no work')
    })

    test('in a closed loop: the hour is worked on new units, and cut nowhere', () => {
      const pool = world(configOf({ max: 4, term: '80m', extendMargin: 0.5, grow: { wait: '5s' } }), {
        extensions: 'refused',
      })
      pool.submit(jobOf('first'), 45 * MINUTE)
      pool.pass(45 * MINUTE)
      pool.submit(jobOf('hour', { walltimeMs: 60 * MINUTE }), 60 * MINUTE)
      const before = pool.log.length
      pool.pass(65 * MINUTE)
      expect(requestsIn(pool.log.slice(before).map(({ intent }) => intent))).toHaveLength(1)
      expect([pool.ended(), pool.killed]).toEqual([2, []])
    })
  })

  describe('check 5: held, dependent, later, limited and closed jobs, and an array that may run five at once', () => {
    const held = (id: string, heldBy: Parameters<typeof jobOf>[1] = {}) =>
      jobOf(id, { state: 'held', ...heldBy })
    const jobs = [
      ...jobsOf(3, { cpusPerNode: 1 }),
      jobOf('array', { cpusPerNode: 2, tasks: 5 }),
      held('held', { heldBy: 'user' }),
      held('dependent', { heldBy: 'dependency', tasks: 4 }),
      held('later', { heldBy: 'start-time' }),
      held('limited', { heldBy: 'limit', tasks: 2 }),
      held('closed', { heldBy: 'queue' }),
      jobOf('elsewhere', { queue: 'debug' }),
      jobOf('done', { state: 'ended' }),
    ]
    const view = viewOf([], { jobs })
    const config = configOf({ queues: ['batch'] })

    test('the demand is what one computes by hand', () => {
      const { figures, intents } = decideOn(view, config)
      // Five tasks of two cpus take two and a half units of four; the three small jobs fill up to four units.
      expect([figures.backlogJobs, figures.unitsWanted, unitsAsked(intents)]).toEqual([8, 4, 4])
    })

    test('the reasons list each of the others', () => {
      expect(decideOn(view, config).reason).toContain(
        '(9 more are held: 1 by their owners, 4 by other jobs, 1 until later, 2 by a limit, 1 by a closed queue)',
      )
      const told = jobs.map(
        ({ id }) => groc.explainJob(id, view, groc.firstMemory, config, T0)?.join(' ') ?? '',
      )
      expect(told.filter((text) => text.includes('is counted:'))).toHaveLength(4)
      expect(told.filter((text) => text.includes('is not counted:'))).toHaveLength(6)
      const of = (id: string): string => told[jobs.findIndex((job) => job.id === id)] ?? ''
      expect(of('held')).toContain('Its owner holds it')
      expect(of('dependent')).toContain('Other jobs have to end first')
      expect(of('later')).toContain('The time it may begin at has not come')
      expect(of('limited')).toContain('A limit of its user, account, class or array is reached')
      expect(of('closed')).toContain('Its queue or partition is closed or stopped')
      expect(of('elsewhere')).toContain('queue debug is not one of those served here')
    })
  })

  test('check 10: 100,000 jobs in 300 shapes and 5,000 units are one decision (npm run bench:decision says how long it takes)', () => {
    const jobs = Array.from({ length: 100_000 }, (_, i) =>
      jobOf(`${i}`, {
        cpusPerNode: 1 + (i % 30),
        memoryMiBPerNode: 1000 * (1 + (((i / 30) % 5) | 0)),
        submittedAt: T0 - i,
        walltimeMs: (i % 300 < 150 ? 5 : 15) * MINUTE,
        ...(i % 300 < 150 ? {} : { consumablesPerNode: { gpu: 1 } }),
      }),
    )
    const ids = Array.from({ length: 5000 }, (_, i) => `u${i}`)
    const leases = Array.from({ length: 1250 }, (_, i) =>
      leaseOf(
        `l${i}`,
        ids.slice(i * 4, i * 4 + 4).map((id) => unitOf(id)),
      ),
    )
    const nodes = ids.map((id, i) =>
      nodeOf(id, { cpus: 32, cpusInUse: i % 32, memoryMiB: 131_072, empty: i % 32 === 0 }),
    )
    const unit = { cpus: 32, memoryMiB: 131_072, consumables: { gpu: 4 } }
    const once = decideOn(viewOf(leases, { jobs, nodes }), configOf({ unit, max: 6000, step: 500 }))
    expect(once.reason).toContain('100000 jobs wait in 300 shapes')
    expect(unitsAsked(once.intents)).toBe(1000)
    expect(once.figures.backlogJobs).toBe(100_000)
  })
})
