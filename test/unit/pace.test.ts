import { expect, test } from 'vitest'
import { seededRandom } from '../../actors/runtime/random.ts'
import { BURST, TOKEN_MS, tokensAt, VAIN_MS } from '../../actors/service-manager/pace.ts'
import type { GuestController, GuestIntent, GuestView } from '../../controllers/controller.ts'
import { request } from '../scenarios/scene.ts'
import { Stage } from '../scenarios/stage.ts'

type Wishes = (view: GuestView<unknown>) => readonly GuestIntent[]

/** A guest whose controller wishes this at every look. */
function stageOf(wishes: Wishes): Stage {
  const figures = { backlogJobs: 0, unitsWanted: 0, unitsJoined: 0, unitsComing: 0, oldestWaitMs: 0 }
  const controller: GuestController<unknown, unknown, unknown> = {
    name: 'stubborn',
    firstMemory: null,
    decide: (view) => ({ intents: wishes(view), memory: null, reason: 'so it is', figures, againMs: 10_000 }),
    explainJob: () => undefined,
  }
  return new Stage({ manager: { guests: { grid: { controller, config: {}, properties: {} } } } })
}

const LOOK = { guest: 'grid', observation: {}, failure: undefined, traces: undefined }
const written = (stage: Stage, kind: string): readonly { readonly at: number; readonly reason: string }[] =>
  stage.ledger('manager').filter((entry) => entry.kind === kind)

/** The watcher looks again at once after each commit. */
async function looks(stage: Stage, times: number, everySeconds: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    await stage.command('manager', 'look', LOOK)
    await stage.runs(everySeconds)
  }
}

test('what has to leave cannot be resumed: that is asked for once a minute, and told once', async () => {
  let resumed: string | undefined
  const stage = stageOf((view) => {
    if (view.leases.length === 0) return [request({ durationMs: 3_000_000 })]
    return resumed === undefined
      ? []
      : [{ kind: 'resume', unitId: resumed, reason: 'only 0 of at least 1 serve' }]
  })
  await stage.begins()
  await stage.command('manager', 'look', LOOK)
  await stage.runs(10)
  resumed = stage.leases()[0]!.held[0]!.id
  const before = written(stage, 'decided').length
  await looks(stage, 200, 0.5)
  expect(written(stage, 'decided').length - before).toBe(2)
  expect(written(stage, 'changed nothing').map(({ reason }) => reason)).toEqual([
    expect.stringMatching(
      /^it wished to resume \S+ \(only 0 of at least 1 serve\), and that changed nothing; not tried again for 60 s$/,
    ),
  ])
})

test('one that is set aside is carried out as soon as its unit stands otherwise', async () => {
  let next: 'drain' | 'resume' | undefined
  const stage = stageOf((view) => {
    const unitId = view.leases[0]?.held[0]?.id
    if (unitId === undefined) return [request({ durationMs: 3_000_000 })]
    return next === undefined ? [] : [{ kind: next, unitId, reason: 'so be it' }]
  })
  await stage.begins()
  await stage.command('manager', 'look', LOOK)
  await stage.runs(10)
  for (const [kind, state] of [
    ['resume', 'joined'],
    ['drain', 'draining'],
    ['resume', 'joined'],
  ] as const) {
    next = kind
    await looks(stage, 1, 1)
    expect(stage.leases()[0]!.held[0]!.state).toBe(state)
  }
})

test.each([
  1, 2, 3,
])('whatever a controller says, its decisions a minute are bounded (seed %i)', async (seed) => {
  const random = seededRandom(`pace ${seed}`)
  const among = <T>(all: readonly T[]): T | undefined => all[Math.floor(random.next() * all.length)]
  const stage = stageOf((view) => {
    const lease = among(view.leases)
    const unit = lease && among(lease.held)
    const kind = among(['request', 'drain', 'resume', 'leave', 'extend', 'release'] as const)!
    if (lease === undefined || kind === 'request') return [request({ units: 1, durationMs: 600_000 })]
    if (kind === 'extend')
      return [{ kind, leaseId: lease.id, durationMs: 60_000, victims: [], reason: 'more' }]
    if (kind === 'release') return [{ kind, leaseId: lease.id, reason: 'less' }]
    return unit === undefined ? [] : [{ kind, unitId: unit.id, reason: 'otherwise' }]
  })
  await stage.begins()
  await looks(stage, 1_000, 0.05)
  const times = written(stage, 'decided').map(({ at }) => at)
  expect(times.length).toBeGreaterThan(BURST)
  const most = Math.max(...times.map((from) => times.filter((at) => at >= from && at < from + 60_000).length))
  expect(most).toBeLessThanOrEqual(BURST + 60_000 / TOKEN_MS)
  expect(written(stage, 'paced')).toHaveLength(1)
})

test('tokens come back with time, and a clock that was set back takes none away', () => {
  expect(tokensAt(undefined, 0)).toEqual({ left: BURST, at: 0 })
  expect(tokensAt({ left: 0, at: 0, told: true }, 3 * TOKEN_MS + 1)).toEqual({
    left: 3,
    at: 3 * TOKEN_MS,
    told: true,
  })
  expect(tokensAt({ left: 0, at: 0, told: true }, VAIN_MS * 10)).toEqual({ left: BURST, at: VAIN_MS * 10 })
  expect(tokensAt({ left: 0, at: VAIN_MS }, 1)).toEqual({ left: BURST, at: 1 })
})
