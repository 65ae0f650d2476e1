import { describe, expect, test } from 'vitest'
import type { Job } from '../../adapters/batch-system.ts'
import type { HeldUnit } from '../../controllers/controller.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import type { GrocMemory } from '../../controllers/guests/groc/memory.ts'
import { busyNode, configOf, inShort, leaseOf, MINUTE, runningOn, T0, unitOf, viewOf } from './groc-world.ts'

const config = configOf({ completing: '15m', shrink: { idle: '50m' }, term: '60m' })

interface Scene {
  /** Jobs on u1, by minute. */
  readonly on: (minute: number) => readonly Job[]
  readonly others?: number
  readonly unit?: Partial<HeldUnit>
  readonly end?: number
}

/** One unit, minute by minute, in a lease with others that work. */
function over(minutes: number, { on, others = 0, unit = {}, end = 45 }: Scene) {
  const said: string[] = []
  let memory: GrocMemory = groc.firstMemory
  let state: HeldUnit['state'] = 'joined'
  let since = T0 - 30 * MINUTE
  let reason = ''
  for (let minute = 0; minute <= minutes; minute += 1) {
    const now = T0 + minute * MINUTE
    const jobs = on(minute)
    const rest = Array.from({ length: others }, (_, i) => `o${i + 1}`)
    const node = busyNode('u1', '', {
      jobs: jobs.map(({ id }) => id),
      empty: jobs.length === 0,
      cpusInUse: jobs.length,
      accepting: state === 'joined',
      drained: state === 'draining' ? 'ours' : 'no',
    })
    const view = viewOf(
      [
        leaseOf('l1', [unitOf('u1', { ...unit, state, since }), ...rest.map((id) => unitOf(id))], {
          term: { start: T0 - MINUTE, end: T0 + end * MINUTE },
          extendBy: T0 + (end - 1) * MINUTE,
        }),
      ],
      {
        ...{ startedAt: now, at: now },
        jobs: [...jobs, ...rest.map((id) => runningOn(`of-${id}`, id))],
        nodes: [node, ...rest.map((id) => busyNode(id, `of-${id}`))],
      },
    )
    const decision = groc.decide(view, memory, config, now)
    memory = JSON.parse(JSON.stringify(decision.memory)) as GrocMemory
    reason = decision.reason
    for (const intent of decision.intents) {
      said.push(`${minute} ${inShort([intent])[0]}`)
      if (intent.kind === 'drain') state = 'draining'
      if (intent.kind === 'resume') state = 'joined'
      if (intent.kind === 'leave') state = 'left'
      if (intent.kind !== 'extend') since = now
    }
  }
  return { said, reason, memory }
}

const completing = (over: Partial<Job> = {}): Job => runningOn('c1', 'u1', { state: 'completing', ...over })
const drains = (said: readonly string[]): readonly string[] => said.filter((one) => !one.includes('extend'))

describe('a job that has ended and holds its node', () => {
  test('is waited for until the deadline; then it is named, its node is drained, and its lease ends', () => {
    const before = over(14, { on: () => [completing()] })
    expect(drains(before.said)).toEqual([])
    const { said, reason } = over(44, { on: () => [completing()] })
    expect(said[0]).toBe('15 drain u1')
    expect(said.some((one) => one.includes('extend'))).toBe(false)
    expect(reason).toContain(
      '1 job ended and does not let go of a node (completing allows 15 min): c1 of ada on node-u1 for 44 min',
    )
  })

  test('beside others that run it keeps the lease no shorter, and its node goes when they have ended', () => {
    const running = runningOn('r1', 'u1')
    const { said } = over(44, { on: () => [completing(), running] })
    expect(said[0]).toBe('15 drain u1')
    expect(said.filter((one) => one.includes('extend'))[0]).toMatch(/ extend l1$/)
  })

  test('is left out of the extension of a lease in which others work', () => {
    const { said } = over(44, { on: () => [completing()], others: 1 })
    expect(said.filter((one) => one.includes('extend'))[0]).toMatch(/ extend l1 without u1$/)
  })

  test('its node works again as soon as it has let go, and does not leave', () => {
    const { said } = over(25, { on: (minute) => (minute < 20 ? [completing()] : []), end: 600 })
    expect(said).toEqual(['15 drain u1', '20 resume u1'])
  })

  test('each job has its own time: epilogs one after another are no stuck one', () => {
    const { said } = over(40, {
      on: (minute) => [completing({ id: `c${Math.floor(minute / 10)}` })],
      end: 600,
    })
    expect(said).toEqual([])
  })

  test('one that was started again since has its time anew', () => {
    const on = (minute: number) => [completing({ startedAt: minute < 10 ? T0 - MINUTE : T0 + 9 * MINUTE })]
    expect(over(24, { on, end: 600 }).said).toEqual([])
    expect(over(25, { on, end: 600 }).said).toEqual(['25 drain u1'])
  })

  test('a person who keeps the node is respected, and told', () => {
    const pinned = { until: T0 + 900 * MINUTE, reason: 'looked at', by: 'eve' }
    const { said, reason } = over(30, { on: () => [completing()], unit: { pinned }, end: 600 })
    expect(said).toEqual([])
    expect(reason).toContain('does not let go of a node')
  })

  test('only jobs on nodes of ours are remembered, and none that has ended', () => {
    const elsewhere = { ...completing({ id: 'x' }), nodeNames: ['old-1'] }
    const { memory } = over(3, { on: () => [completing(), elsewhere] })
    expect(Object.keys(memory.completingSince ?? {})).toEqual(['c1'])
    expect(
      over(3, { on: (minute) => (minute < 3 ? [completing()] : []) }).memory.completingSince,
    ).toBeUndefined()
  })

  test('explain job says until when it is waited for', () => {
    const view = viewOf([leaseOf('l1', [unitOf('u1')])], {
      nodes: [busyNode('u1', 'c1')],
      jobs: [completing()],
    })
    const memory = { ...groc.firstMemory, completingSince: { c1: T0 } }
    expect(groc.explainJob('c1', view, memory, config, T0 + MINUTE)?.at(-1)).toBe(
      'It has been completing since 2026-03-02T08:00:00Z: if it still is at 2026-03-02T08:15:00Z, its node takes no more work, and no lease is extended for it.',
    )
  })
})
