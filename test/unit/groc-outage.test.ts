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
