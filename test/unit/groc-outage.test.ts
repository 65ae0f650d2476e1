import { expect, test } from 'vitest'
import { groc } from '../../controllers/guests/groc/groc.ts'
import type { GrocMemory } from '../../controllers/guests/groc/memory.ts'
import {
  configOf,
  inShort,
  jobOf,
  leaseOf,
  MINUTE,
  nodeOf,
  refusalOf,
  T0,
  unitOf,
  viewOf,
} from './groc-world.ts'

const ids = ['u1', 'u2', 'u3', 'u4', 'u5', 'u6', 'u7']
const config = configOf({ max: 10, min: 7, missing: '2m', outage: '30m' })

/** Three of seven nodes are dead; what else is silent, or that the look failed, is told by the half minute. */
function outOver(hours: number, flaps: (half: number) => 'silent' | 'blind' | undefined, of = ids.length) {
  const own = ids.slice(0, of)
  const out = new Map<number, readonly string[]>()
  let memory = groc.firstMemory
  for (let half = 0; half < hours * 120; half += 1) {
    const now = T0 + (half * MINUTE) / 2
    const what = flaps(half)
    const view = viewOf(
      [
        leaseOf(
          'l1',
          own.map((id) => unitOf(id)),
          { term: { start: T0 - MINUTE, end: T0 + 6000 * MINUTE }, extendBy: T0 + 5900 * MINUTE },
        ),
      ],
      {
        startedAt: now,
        at: now,
        nodes: own.map((id, i) => {
          const responding = i >= 3 && !(i === 3 && what === 'silent')
          return nodeOf(id, { responding, vendorState: responding ? 'idle' : 'down*' })
        }),
      },
      what === 'blind' ? { blind: { since: now, reason: 'slow head' } } : {},
    )
    const decision = groc.decide(view, memory, config, now)
    memory = JSON.parse(JSON.stringify(decision.memory)) as GrocMemory
    const drains = inShort(decision.intents).filter((one) => one.startsWith('drain'))
    if (drains.length > 0) out.set(half, drains)
  }
  return [...out.values()].flat()
}

test('dead nodes are given up though another one is silent now and then, so that half of them seem to be', () => {
  expect(outOver(6, (half) => (half % 4 < 2 ? 'silent' : undefined))).toEqual(
    expect.arrayContaining(['drain u1', 'drain u2', 'drain u3']),
  )
})

test('dead nodes are given up though a look fails now and then', () => {
  expect(outOver(6, (half) => (half % 40 === 39 ? 'blind' : undefined), 6)).toEqual(
    expect.arrayContaining(['drain u1', 'drain u2', 'drain u3']),
  )
})

test('what one type’s machines do is no reason not to ask for another’s', () => {
  const two = configOf({
    max: 10,
    type: undefined,
    unit: undefined,
    types: [
      { type: 'a', unit: { cpus: 4, memoryMiB: 4096 } },
      { type: 'b', unit: { cpus: 4, memoryMiB: 4096 } },
    ],
  })
  const held = ids.slice(0, 3)
  const view = viewOf(
    [
      leaseOf(
        'l1',
        held.map((id) => unitOf(id)),
        { type: 'a', term: { start: T0 - MINUTE, end: T0 + 600 * MINUTE } },
      ),
    ],
    {
      jobs: [jobOf('1'), jobOf('2')],
      nodes: held.map((id) => nodeOf(id, { responding: false, vendorState: 'down*' })),
    },
    {
      refusals: [refusalOf('x', T0 - 1000, { type: 'a' })],
    },
  )
  const decision = groc.decide(view, groc.firstMemory, two, T0)
  expect(decision.reason).not.toContain('Nothing is asked for')
  expect(inShort(decision.intents).join()).toContain('request')
})

test('neither what its site doubts, too, nor what no look can speak of yet makes an outage', () => {
  const told = (over: Parameters<typeof unitOf>[1]): string => {
    const held = ids.slice(0, 4).map((id, i) => unitOf(id, i < 3 ? over : {}))
    const nodes = held.map(({ id }, i) => nodeOf(id, { responding: i === 3, vendorState: 'down*' }))
    return groc.decide(viewOf([leaseOf('l1', held)], { nodes }), groc.firstMemory, config, T0).reason
  }
  expect(told({})).toContain('3 of 4 units do not answer the batch system')
  expect(told({ suspect: 'it does not answer' })).not.toContain('do not answer the batch system, since')
  expect(told({ since: T0 })).not.toContain('do not answer the batch system, since')
})

test('of a lease that its site sets up again after a power cut nothing is drained, released or ordered anew', () => {
  const held = ids.map((id, i) =>
    i < 4
      ? unitOf(id, { state: 'lost', since: T0 - MINUTE })
      : unitOf(id, { suspect: 'the machine no longer runs', since: T0 - 30 * MINUTE }),
  )
  const jobs = ids.map((id) => jobOf(id))
  /** The intents of each minute in which there are any. */
  const over = (minutes: number, restoring: { since: number; until: number } | undefined, end = 600) => {
    const done: (readonly [number, readonly string[]])[] = []
    let memory = groc.firstMemory
    let reason = ''
    for (let minute = 0; minute < minutes; minute += 1) {
      const now = T0 + minute * MINUTE
      const term = { start: T0 - MINUTE, end: T0 + end * MINUTE }
      const view = viewOf([leaseOf('l1', held, { term, extendBy: T0 + (end - 10) * MINUTE, restoring })], {
        ...{ startedAt: now, at: now, jobs },
        nodes: ids.slice(4).map((id) => nodeOf(id, { responding: false, vendorState: 'down*' })),
      })
      const decision = groc.decide(view, memory, config, now)
      memory = JSON.parse(JSON.stringify(decision.memory)) as GrocMemory
      if (minute === 0) reason = decision.reason
      if (decision.intents.length > 0) done.push([minute, inShort(decision.intents)])
    }
    return { done, reason }
  }
  // Without that word it gives the doubtful ones up at once, and orders others.
  expect(over(1, undefined).done[0]?.[1]).toEqual(
    expect.arrayContaining([...ids.slice(4).map((id) => `drain ${id}`), expect.stringMatching(/^request/)]),
  )
  const { done, reason } = over(40, { since: T0 - MINUTE, until: T0 + 20 * MINUTE })
  expect(done[0]?.[0]).toBe(20)
  expect(reason).toContain(
    'Their sites take it for a power cut that 7 units of l1 are gone, and set them up again: none is ordered in their place before 2026-03-02T08:20',
  )
  // A site that says so for ever is not waited for longer than `outage`.
  expect(over(40, { since: T0 - MINUTE, until: T0 + 6000 * MINUTE }).done[0]?.[0]).toBe(29)
  // The term ends meanwhile: it goes on, whole.
  expect(over(20, { since: T0 - MINUTE, until: T0 + 20 * MINUTE }, 30).done[0]?.[1]).toEqual(['extend l1'])
})
