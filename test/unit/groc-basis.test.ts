import { expect, test } from 'vitest'
import { groc } from '../../controllers/guests/groc/groc.ts'
import {
  configOf,
  decideOn,
  inShort,
  jobOf,
  leaseOf,
  MINUTE,
  nodeOf,
  T0,
  unitOf,
  viewOf,
} from './groc-world.ts'

/** What a decision leaves in the ledger of what it rested on. */

test('an order says what each threshold for growth was held against', () => {
  const jobs = [jobOf('1', { submittedAt: T0 - MINUTE, walltimeMs: 20 * MINUTE })]
  const config = configOf({
    ...{
      max: 5,
      startsPerMinute: 3,
      budget: { nodeHours: 8, per: '24h' },
      ramp: { share: 0.5, every: '1m' },
    },
    grow: { wait: '30s', backlog: '10m' },
  })
  const view = viewOf([leaseOf('l1', [unitOf('u1', { state: 'leaving' })])], { jobs })
  const { basis, intents } = decideOn(view, config)
  expect(inShort(intents)).toContain('request 1-1')
  expect(basis?.look).toEqual({ startedAt: T0, jobs: 1, nodes: 0 })
  expect(basis?.compared).toEqual({
    'grow.wait': [MINUTE, MINUTE / 2],
    // Without a processor, any work is beyond all bounds; the ledger takes no infinite figure.
    'grow.backlog': [expect.toSatisfy((ms: number) => Number.isSafeInteger(ms) && ms > 1e11), 10 * MINUTE],
    max: [1, 5],
    budget: [7.5, 8],
    startsPerMinute: [0, 3],
    ramp: [0, 0.5],
    keep: [0, 0],
  })
})

test('a drain for being idle says for how long, and how many are there and to be kept', () => {
  const view = viewOf([leaseOf('l1', [unitOf('u1')]), leaseOf('l2', [unitOf('u2')])], {
    nodes: [nodeOf('u1'), nodeOf('u2')],
  })
  const config = configOf({ min: 1, shrink: { idle: '5m', backlog: '10m' } })
  const memory = { ...groc.firstMemory, idleSince: { u1: T0 - 6 * MINUTE, u2: T0 - 7 * MINUTE } }
  const { basis, intents } = decideOn(view, config, memory)
  expect(inShort(intents).filter((one) => one.startsWith('drain'))).toHaveLength(1)
  expect(basis?.compared).toEqual({
    keep: [2, 1],
    'shrink.idle': [expect.toSatisfy((ms: number) => ms >= 6 * MINUTE && ms <= 7 * MINUTE), 5 * MINUTE],
    'shrink.backlog': [0, 10 * MINUTE],
  })
})

test('what compares nothing leaves no figures: lines are kept for ever', () => {
  const extended = leaseOf('l1', [unitOf('u1')], {
    extendBy: T0 + MINUTE,
    term: { start: T0 - 60 * MINUTE, end: T0 + 2 * MINUTE },
  })
  const busy = nodeOf('u1', { empty: false, cpusInUse: 4, jobs: ['r'] })
  const running = jobOf('r', { state: 'running', startedAt: T0 - MINUTE, nodeNames: ['node-u1'] })
  const { basis, intents } = decideOn(viewOf([extended], { nodes: [busy], jobs: [running] }))
  expect(inShort(intents)).toEqual(['extend l1'])
  expect(basis).toEqual({ look: { startedAt: T0, jobs: 1, nodes: 1 }, compared: {} })
})
