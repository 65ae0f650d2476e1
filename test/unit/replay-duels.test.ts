import { expect, test } from 'vitest'
import { duels } from '../../bench/replay/dominance.ts'
import type { Outcome } from '../../bench/replay/frontier.ts'
import { measure } from '../../deploy/replay/measure.ts'
import { replay } from '../../deploy/replay/replay.ts'
import { optionsOf, traceJob } from './replay-stage.ts'

const always = replay([traceJob('1', 0, 60)], optionsOf({ policy: undefined }))
const measured = measure(always, always)

const outcome = (
  policy: string,
  [addedS, paid, boots]: readonly [number, number, number],
  over = {},
): Outcome => ({
  ...{ policy, cpuS: 0, memoryMiB: 0 },
  measured: {
    ...{ ...measured, wait: { ...measured.wait, meanMs: 1000_000 } },
    ...{ added: { ...measured.added, meanMs: addedS * 1000 }, nodeHoursPaid: paid, boots, ...over },
  },
})
const told = (outcomes: readonly Outcome[]) =>
  duels(outcomes).map(({ rival, groc, isBeaten }) => `${groc.policy} ${isBeaten ? '>' : '<'} ${rival.policy}`)

test('a setting is matched by one that is worse in nothing and better in something', () => {
  const rival = outcome('slurm', [100, 1000, 50])
  expect(told([outcome('groc, a', [100, 1000, 49]), rival])).toEqual(['groc, a > slurm'])
  expect(told([outcome('groc, a', [100, 1000, 50]), rival])).toEqual(['groc, a < slurm'])
  for (const worse of [
    [101, 900, 40],
    [90, 1001, 40],
    [90, 900, 51],
  ] as const)
    expect(told([outcome('groc, a', worse), rival])).toEqual(['groc, a < slurm'])
})

test('of several settings the one that matches is told, or the one that comes nearest', () => {
  const rival = outcome('slurm', [100, 1000, 50])
  const far = outcome('groc, far', [0, 2000, 0])
  const near = outcome('groc, near', [100, 1001, 50])
  const better = outcome('groc, better', [100, 1000, 49])
  expect(told([far, near, rival])).toEqual(['groc, near < slurm'])
  expect(told([near, better, far, rival])).toEqual(['groc, better > slurm'])
})

test('nobody who leaves jobs waiting for ever is matched by figures, and always on is no rival', () => {
  const idle = outcome('cobald', [0, 0, 0], { neverStarted: 3 })
  expect(told([outcome('groc, a', [100, 1000, 50]), idle, outcome('always on', [0, 0, 0])])).toEqual([
    'groc, a > cobald',
  ])
  expect(duels([idle])).toEqual([])
})
