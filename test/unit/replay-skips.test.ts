import fc from 'fast-check'
import { expect, test } from 'vitest'
import { type GrocConfig, grocConfig } from '../../controllers/guests/groc/config.ts'
import { grocPolicy } from '../../deploy/replay/groc-policy.ts'
import { type Policy, replay } from '../../deploy/replay/replay.ts'
import { optionsOf, traceJob } from './replay-stage.ts'

/**
 * What a decision keeps from the look before, and what is skipped between two decisions, changes nothing: on small workloads and
 * settings by chance.
 */
const jobsArbitrary = fc
  .array(
    fc.record({
      at: fc.integer({ min: 0, max: 1200 }),
      run: fc.integer({ min: 1, max: 900 }),
      asked: fc.constantFrom(1, 1, 2, 5),
      processors: fc.constantFrom(1, 1, 1, 2, 3, 6, 9),
    }),
    { minLength: 1, maxLength: 10 },
  )
  .map((drawn) =>
    drawn
      .sort((a, b) => a.at - b.at)
      .map(({ at, run, asked, processors }, i) =>
        traceJob(`${i}`, at, run, processors, {
          walltimeMs: run * asked * 1000,
          user: i % 3 ? 'ada' : 'bob',
        }),
      ),
  )

const settingsArbitrary = fc.record({
  scheduler: fc.constantFrom('fifo', 'easy'),
  cpus: fc.constantFrom(1, 3),
  min: fc.constantFrom(0, 0, 1, 3),
  reserve: fc.constantFrom(0, 0, 2),
  term: fc.constantFrom('15m', '1h'),
  termMin: fc.constantFrom('5m', '10m'),
  wait: fc.constantFrom('0s', '5s', '40s'),
  sustain: fc.constantFrom('0s', '7s'),
  idle: fc.constantFrom('20s', '1m', '5m'),
  share: fc.constantFrom(1, 1, 0.4),
  startsPerMinute: fc.constantFrom(undefined, undefined, 3),
  userMax: fc.constantFrom(undefined, undefined, 9),
  nodeHours: fc.constantFrom(undefined, undefined, 30),
})

const courseArbitrary = fc
  .record({ jobs: jobsArbitrary, settings: settingsArbitrary })
  .map(({ jobs, settings }) => {
    const { scheduler, cpus, wait, sustain, idle, share, nodeHours, ...others } = settings
    const unit = { cpus, memoryMiB: 1024 }
    const config = grocConfig.parse({
      ...{ type: 'node', unit, max: 9, ...others, grow: { wait, sustain }, shrink: { idle } },
      ...{ ramp: { share, every: '30s' } },
      ...(nodeHours === undefined ? {} : { budget: { nodeHours, per: '1h' } }),
    })
    return {
      jobs,
      config,
      options: optionsOf({ units: 9, unit, scheduler, bootMs: { least: 50_000, most: 70_000 } }),
    }
  })

type Course = typeof courseArbitrary extends fc.Arbitrary<infer C> ? C : never

/** Each job's start and end, and each decision that was told. */
function run({ jobs, config, options }: Course, change: (policy: Policy, config: GrocConfig) => Policy) {
  const replayed = replay(jobs, { ...options, policy: change(grocPolicy(config), config) })
  return {
    jobs: replayed.jobs.map(({ startedAt, endedAt, slots, cut }) => ({ startedAt, endedAt, slots, cut })),
    ...{ paidMs: replayed.paidMs, boots: replayed.boots, taken: replayed.takenWhileWanted },
  }
}

test(
  'a replay that skips to where the answer may change comes to what one does that decides every second',
  () =>
    fc.assert(
      fc.property(courseArbitrary, (course) => {
        const skipping = run(course, (policy) => ({ ...policy, periodMs: 1000 }))
        const plain = run(course, (policy) => ({
          ...policy,
          periodMs: 1000,
          decide: (view, now) => ({ intents: policy.decide(view, now).intents, againMs: 1000 }),
        }))
        expect(skipping).toEqual(plain)
      }),
      { numRuns: 6 },
    ),
  120_000,
)

test(
  'decisions on the very objects of the look before are those on fresh copies of all',
  () =>
    fc.assert(
      fc.property(courseArbitrary, (course) => {
        const told = (copy: boolean): readonly string[] => {
          const lines: string[] = []
          run(course, (policy) => ({
            ...policy,
            decide(view, now) {
              const decided = policy.decide(copy ? structuredClone(view) : view, now)
              lines.push(JSON.stringify([now, decided]))
              return decided
            },
          }))
          return lines
        }
        expect(told(false)).toEqual(told(true))
      }),
      { numRuns: 15 },
    ),
  120_000,
)
