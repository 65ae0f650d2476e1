import { describe, expect, test } from 'vitest'
import type { Job } from '../../adapters/batch-system.ts'
import { bounded, MEMORY_MIB_MAX, NODES_MAX } from '../../adapters/job-bounds.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import { configOf, decideOn, jobOf, T0, viewOf } from './groc-world.ts'

const { NaN: none, POSITIVE_INFINITY: endless } = Number

const figuresOf = (job: Job): readonly number[] => [
  ...[job.nodes, job.cpusPerNode, job.memoryMiBPerNode, job.tasks, job.restarts, job.submittedAt],
  ...[job.walltimeMs, job.startedAt, job.endedAt, job.notBefore].filter((at) => at !== undefined),
  ...Object.values(job.consumablesPerNode ?? {}),
]

describe('a job that asks for what no cluster has', () => {
  const odd: readonly Partial<Job>[] = [
    ...[0, none, endless, NODES_MAX + 1, 1.5].map((nodes) => ({ nodes })),
    ...[none, endless, -1].map((cpusPerNode) => ({ cpusPerNode })),
    ...[none, endless, MEMORY_MIB_MAX + 1].map((memoryMiBPerNode) => ({ memoryMiBPerNode })),
    { consumablesPerNode: { gpu: endless } },
    { nodes: 2, parts: [none, 1].map((nodes) => ({ nodes, cpusPerNode: 1, memoryMiBPerNode: 0 })) },
  ]

  test.each(odd)('is held for ever, with figures that can be reckoned with: %o', (over) => {
    const job = bounded(jobOf('1', over))
    expect(job).toMatchObject({ state: 'held', heldBy: 'impossible' })
    expect(figuresOf(job).every(Number.isSafeInteger)).toBe(true)
    const runs = bounded(jobOf('1', { ...over, state: 'running' }))
    expect(runs.state).toBe('running')
    expect(figuresOf(runs).every(Number.isSafeInteger)).toBe(true)
  })

  test.each(odd)('costs no other job its machine, and its owner is told: %o', (over) => {
    const view = viewOf([], { jobs: [jobOf('odd', over), jobOf('2')] })
    const { intents, reason } = decideOn(view)
    expect(intents).toHaveLength(1)
    expect(reason).toContain('1 more is held: 1 for ever')
    const said = groc.explainJob!('odd', view, groc.firstMemory, configOf(), T0)
    expect(said?.join(' ')).toContain('As it is it can never start')
  })
})

test('times that are none are left out, and the job is served', () => {
  const job = bounded(jobOf('1', { walltimeMs: endless, notBefore: endless, restarts: none, tasks: none }))
  expect(job).toMatchObject({ state: 'pending', walltimeMs: undefined, restarts: 0, tasks: 1 })
  expect(job).not.toHaveProperty('notBefore')
  const { intents, figures } = decideOn(
    viewOf([], { jobs: [jobOf('1', { walltimeMs: endless, tasks: endless })] }),
  )
  expect(intents).not.toEqual([])
  expect(Object.values(figures).every(Number.isSafeInteger)).toBe(true)
})

test('all other jobs are left as they are', () => {
  const job = jobOf('1', {
    nodes: NODES_MAX,
    consumablesPerNode: { gpu: 2 },
    walltimeMs: 60_000,
    notBefore: T0,
  })
  expect(bounded(job)).toBe(job)
})
