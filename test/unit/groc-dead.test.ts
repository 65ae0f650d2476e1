import { describe, expect, test } from 'vitest'
import type { BatchNode, BatchPicture, Job } from '../../adapters/batch-system.ts'
import type { GuestView, HeldUnit } from '../../controllers/controller.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import type { GrocMemory } from '../../controllers/guests/groc/memory.ts'
import {
  busyNode,
  configOf,
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

const config = configOf({ missing: '2m', dead: '10m', retry: { first: '30s', most: '10m' } })

type View = GuestView<BatchPicture>

interface Scene {
  readonly jobs?: readonly Job[]
  /** Of u1, on top of being busy with `r1`. */
  readonly node?: Partial<BatchNode>
  readonly unit?: Partial<HeldUnit>
  /** Minutes at which it is silent. */
  readonly silent?: (minute: number) => boolean
  readonly shown?: (view: View, minute: number) => View
  readonly others?: number
  readonly end?: number
}

/** A unit with work whose node is silent, beside others that work; minute by minute, with what is decided about it. */
function over(minutes: number, scene: Scene = {}) {
  const { jobs = [runningOn('r1', 'u1')], silent = () => true, others = 1, end = 600 } = scene
  const said: string[] = []
  let memory: GrocMemory = groc.firstMemory
  let state: HeldUnit['state'] = scene.unit?.state ?? 'joined'
  let since = T0 - 30 * MINUTE
  let reason = ''
  let still = jobs
  const rest = Array.from({ length: others }, (_, i) => `o${i + 1}`)
  for (let minute = 0; minute <= minutes; minute += 1) {
    const now = T0 + minute * MINUTE
    const responding = !silent(minute)
    const ids = still.filter((job) => job.state === 'running').map(({ id }) => id)
    const node = busyNode('u1', 'r1', {
      responding,
      accepting: responding && state === 'joined',
      vendorState: responding ? 'busy' : 'down',
      drained: state === 'draining' ? 'ours' : 'no',
      jobs: ids,
      empty: ids.length === 0,
      cpusInUse: ids.length,
      ...scene.node,
    })
    const view = viewOf(
      [
        leaseOf('l1', [unitOf('u1', { ...scene.unit, state, since }), ...rest.map((id) => unitOf(id))], {
          term: { start: T0 - MINUTE, end: T0 + end * MINUTE },
          extendBy: T0 + (end - 1) * MINUTE,
        }),
      ],
      {
        ...{ startedAt: now, at: now },
        jobs: [...still, ...rest.map((id) => runningOn(`of-${id}`, id))],
        nodes: [node, ...rest.map((id) => busyNode(id, `of-${id}`))],
      },
    )
    const shown = scene.shown?.(view, minute) ?? view
    const decision = groc.decide(shown, memory, config, now)
    memory = JSON.parse(JSON.stringify(decision.memory)) as GrocMemory
    reason = decision.reason
    for (const word of inShort(decision.intents)) {
      // Nobody grants what is asked for, and it is asked for again.
      if (word.startsWith('request') && said.some((one) => one.includes('request'))) continue
      if (!word.startsWith('extend l1 with')) said.push(`${minute} ${word}`)
    }
    for (const intent of decision.intents) {
      if (intent.kind === 'drain' && intent.unitId === 'u1') state = 'draining'
      if (intent.kind === 'resume' && intent.unitId === 'u1') state = 'joined'
      if (intent.kind === 'leave' && intent.unitId === 'u1') state = 'left'
      if (['drain', 'resume', 'leave'].includes(intent.kind)) since = now
      if (intent.kind === 'requeue' && scene.node === undefined)
        still = still.map((job) => (intent.jobIds.includes(job.id) ? jobOf(job.id, { restarts: 1 }) : job))
    }
  }
  return { said, reason, memory }
}

describe('a silent node with work', () => {
  test('is drained after missing; after dead its jobs are put back, and it leaves; others are ordered for them', () => {
    const { said } = over(20)
    expect(said).toEqual([
      '2 drain u1',
      '12 requeue r1',
      '13 leave u1',
      expect.stringMatching(/^13 request 1-1$/),
    ])
  })

  test('is silent: one that answers is none, however short the patience is', () => {
    const hasty = { ...config, missing: 0, dead: 0 }
    const node = busyNode('u1', 'r1', { drained: 'ours', accepting: false })
    const view = viewOf([leaseOf('l1', [unitOf('u1', { state: 'draining' })])], {
      nodes: [node],
      jobs: [runningOn('r1', 'u1')],
    })
    expect(inShort(groc.decide(view, groc.firstMemory, hasty, T0).intents)).not.toContain('requeue r1')
  })

  test('is told beforehand, with the time', () => {
    expect(over(5).reason).toContain(
      'Unless it answers before, jobs that may start again are put back: of node-u1 at 2026-03-02T08:12:00Z.',
    )
  })

  test('works again as soon as it answers, and nothing was put back', () => {
    expect(over(30, { silent: (minute) => minute < 11 }).said).toEqual(['2 drain u1', '11 resume u1'])
  })

  test('works again also when its jobs were put back in vain', () => {
    const jobs = [runningOn('r1', 'u1', { requeueable: false }), runningOn('r2', 'u1')]
    const { said } = over(30, { jobs, silent: (minute) => minute < 20 })
    expect(said).toEqual(['2 drain u1', '12 requeue r2', expect.stringContaining('request'), '20 resume u1'])
  })

  test('a job that may not start again is named and left; it keeps the lease up to its limit, one without limit for good', () => {
    const held = (walltimeMs: number | undefined) => {
      const jobs = [runningOn('r1', 'u1', { requeueable: false, walltimeMs, startedAt: T0 })]
      return over(40, { jobs, others: 0, end: 45 })
    }
    const forGood = held(undefined)
    expect(forGood.said).toEqual(
      ['2 drain u1', expect.stringMatching(/^\d+ extend l1$/)].concat(forGood.said.slice(2)),
    )
    expect(forGood.said.join()).not.toContain('requeue')
    expect(forGood.reason).toContain(
      'not put back, for they may not start again: r1 of ada on node-u1; each is left',
    )
    expect(held(10 * MINUTE).said).toEqual(['2 drain u1'])
  })

  test('a lease whose only work is what was put back in vain is not extended', () => {
    // The batch system does not do it.
    const vain = over(40, { node: { jobs: ['r1'], empty: false }, others: 0, end: 45 })
    expect(vain.said.filter((one) => !one.includes('requeue'))).toEqual(['2 drain u1'])
    // Again after each retry.most, not with each look.
    expect(vain.said.filter((one) => one.includes('requeue'))).toEqual([
      '12 requeue r1',
      '22 requeue r1',
      '32 requeue r1',
    ])
  })

  test.each<[string, Scene]>([
    ['in an outage', { others: 3, shown: (view) => allSilent(view) }],
    [
      'on looks that may not be believed',
      { shown: (view, minute) => (minute % 5 === 4 ? altered(view, () => ({ trust: 'doubtful' })) : view) },
    ],
    [
      'when looks fail in between',
      {
        shown: (view, minute) =>
          minute % 5 === 4 ? { ...view, blind: { since: T0, reason: 'slow head' } } : view,
      },
    ],
    [
      'while its site sets up again what a power cut took',
      {
        shown: (view) => ({
          ...view,
          leases: view.leases.map((lease) => ({
            ...lease,
            restoring: { since: T0, until: T0 + 900 * MINUTE },
          })),
        }),
      },
    ],
    ['when frozen', { shown: (view) => ({ ...view, hold: 'frozen', still: 'frozen' }) }],
    ['when an administrator drained it', { node: { drained: 'theirs', jobs: ['r1'], empty: false } }],
    ['when our drain did not take hold', { node: { drained: 'no', jobs: ['r1'], empty: false } }],
    [
      'when a person keeps it',
      { unit: { pinned: { until: T0 + 900 * MINUTE, reason: 'looked at', by: 'eve' } } },
    ],
    [
      'when its job is not listed',
      {
        jobs: [jobOf('other', { state: 'running', nodeNames: ['node-u1'] })],
        node: { jobs: ['r1'], empty: false },
      },
    ],
    [
      'when its job completes',
      { jobs: [runningOn('r1', 'u1', { state: 'completing' })], node: { jobs: ['r1'], empty: false } },
    ],
  ])('nothing is put back %s', (_, scene) => {
    expect(over(25, scene).said.filter((one) => one.includes('requeue'))).toEqual([])
  })

  test('explain job tells what becomes of the job', () => {
    const told = (job: Job, before: Partial<GrocMemory> = {}) => {
      const node = busyNode('u1', 'r1', { responding: false })
      const view = viewOf([leaseOf('l1', [unitOf('u1')])], { nodes: [node], jobs: [job] })
      const memory = { ...groc.firstMemory, missingSince: { u1: T0 - MINUTE }, ...before }
      return groc.explainJob('r1', view, memory, config, T0)?.at(-1)
    }
    expect(told(runningOn('r1', 'u1'))).toBe(
      'node-u1 has not answered since 2026-03-02T07:59:00Z: unless it does by 2026-03-02T08:11:00Z, the job is put back into the queue.',
    )
    expect(told(runningOn('r1', 'u1', { requeueable: false }))).toContain(
      'left there until it ends or an admin acts',
    )
    const outage = { since: T0, last: T0, silent: 3, of: 3, mute: {} }
    expect(told(runningOn('r1', 'u1'), { outage })).toContain(
      'nothing is put back before 2026-03-02T08:30:00Z',
    )
  })

  test('a person who keeps the unit is respected: it is not even drained', () => {
    const pinned = { until: T0 + 900 * MINUTE, reason: 'looked at', by: 'eve' }
    expect(over(25, { unit: { pinned } }).said).toEqual([])
  })

  test('what was silent while many were is silent from then on when the others answer, and after a long time without looks', () => {
    const shown = (view: View, minute: number) => (minute < 20 ? allSilent(view) : view)
    expect(over(40, { others: 5, shown }).said).toEqual(
      expect.arrayContaining(['23 drain u1', '33 requeue r1']),
    )
    const view = viewOf([leaseOf('l1', [unitOf('u1'), unitOf('o1')])], {
      nodes: [busyNode('u1', 'r1', { responding: false }), busyNode('o1', 'r2')],
      jobs: [runningOn('r1', 'u1'), runningOn('r2', 'o1')],
    })
    const before = { ...groc.firstMemory, missingSince: { u1: T0 - 61 * MINUTE } }
    const seenAt = (minutes: number) =>
      inShort(groc.decide(view, { ...before, silentSeenAt: T0 - minutes * MINUTE }, config, T0).intents)
    expect(seenAt(60)).toEqual([])
    expect(seenAt(1)).toEqual(['drain u1'])
  })

  test('keeps its lease while nothing is put back from it', () => {
    const frozen = (view: View): View => ({ ...view, hold: 'frozen', still: 'frozen' })
    expect(over(40, { others: 0, end: 45, shown: frozen }).said).toContain('27 extend l1')
    const theirs = { node: { drained: 'theirs', jobs: ['r1'], empty: false } } as const
    expect(over(40, { others: 0, end: 45, ...theirs }).said.join()).toContain('extend l1')
  })

  test('a wide job on two dead nodes is put back once', () => {
    const wide = runningOn('w', 'u1', { nodes: 2, nodeNames: ['node-u1', 'node-u2'] })
    const units = ['u1', 'u2'].map((id) => unitOf(id, { state: 'draining' }))
    const nodes = ['u1', 'u2'].map((id) =>
      busyNode(id, 'w', { responding: false, accepting: false, drained: 'ours' }),
    )
    const alive = ['o1', 'o2', 'o3'].map((id) => unitOf(id))
    const view = viewOf([leaseOf('l1', [...units, ...alive])], {
      nodes: [...nodes, ...alive.map(({ id }) => nodeOf(id))],
      jobs: [wide],
    })
    const before = { ...groc.firstMemory, missingSince: { u1: T0 - 13 * MINUTE, u2: T0 - 13 * MINUTE } }
    const decision = groc.decide(view, before, config, T0 + SECOND)
    const putBack = (intents: typeof decision.intents) =>
      inShort(intents).filter((one) => one.startsWith('requeue'))
    expect(putBack(decision.intents)).toEqual(['requeue w'])
    expect(putBack(groc.decide(view, decision.memory, config, T0 + 9 * SECOND).intents)).toEqual([])
  })
})

const altered = (view: View, change: (picture: BatchPicture) => Partial<BatchPicture>): View => ({
  ...view,
  observation: view.observation && { ...view.observation, ...change(view.observation) },
})

const allSilent = (view: View): View =>
  altered(view, ({ nodes }) => ({ nodes: nodes.map((node) => ({ ...node, responding: false })) }))
