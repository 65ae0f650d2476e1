import { describe, expect, test } from 'vitest'
import type { Job } from '../../adapters/batch-system.ts'
import { withHeterogeneous } from '../../adapters/slurm/heterogeneous.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import { Differences } from '../../deploy/recording/events.ts'
import { configOf, decideOn, jobOf, pictureOf, requestsIn, T0, viewOf } from './groc-world.ts'

const components = (over: Partial<Job> = {}): readonly Job[] => [
  jobOf('20+0', { cpusPerNode: 16, memoryMiBPerNode: 1000, features: ['bigmem'], walltimeMs: 60_000 }),
  jobOf('20+1', { nodes: 4, cpusPerNode: 2, walltimeMs: 120_000, ...over }),
]
const LARGE = { type: 'large', unit: { cpus: 16, memoryMiB: 4096, features: ['bigmem'] } }
const SMALL = { type: 'small', unit: { cpus: 4, memoryMiB: 4096 } }
const config = configOf({ type: undefined, unit: undefined, types: [SMALL, LARGE] })

describe('a heterogeneous job of Slurm', () => {
  test('is one job of unlike parts, and each further component a part of it', () => {
    expect(withHeterogeneous([...components(), jobOf('21')])).toMatchObject([
      {
        ...{ id: '20+0', nodes: 5, cpusPerNode: 16, features: ['bigmem'], walltimeMs: 120_000 },
        parts: [
          { nodes: 1, cpusPerNode: 16, memoryMiBPerNode: 1000, features: ['bigmem'] },
          { nodes: 4, cpusPerNode: 2, memoryMiBPerNode: 0 },
        ],
      },
      { id: '20+1', nodes: 4, partOf: '20+0' },
      { id: '21' },
    ])
    const plain = [jobOf('1'), jobOf('2_3')]
    expect(withHeterogeneous(plain)).toBe(plain)
  })

  test('is asked for whole, once, and each component is told of it', () => {
    const view = viewOf([], { jobs: withHeterogeneous(components()) })
    const asked = requestsIn(decideOn(view, config).intents)
    expect(asked.map(({ type, units, unitsMin }) => `${type} ${unitsMin}-${units}`)).toEqual([
      'large 1-1',
      'small 4-4',
    ])
    expect(new Set(asked.map(({ group }) => group?.id)).size).toBe(1)
    const told = groc.explainJob('20+1', view, groc.firstMemory, config, T0)?.join(' ')
    expect(told).toContain(
      'Job 20+1 starts together with job 20+0, or not at all. Job 20+0 of ada is counted',
    )
    expect(told).toContain('asks for 5 nodes: 1 node with 16 cpus')
  })

  test('of which one component is held is held, whichever that is', () => {
    const held = { state: 'held', heldBy: 'dependency', vendorReason: 'Dependency' } as const
    const jobs = withHeterogeneous(components(held))
    expect(jobs.map(({ state, heldBy, vendorReason }) => [state, heldBy, vendorReason])).toEqual([
      ['held', 'dependency', 'Dependency'],
      ['held', 'dependency', 'Dependency'],
    ])
    expect(requestsIn(decideOn(viewOf([], { jobs }), config).intents)).toEqual([])
  })

  test('whose other components wait elsewhere has only its own parts here', () => {
    const [first, other] = withHeterogeneous(components({ queue: 'other' }))
    expect([first?.nodes, first?.parts, other?.partOf]).toEqual([1, undefined, undefined])
  })

  test('is recorded once', () => {
    const jobs = withHeterogeneous(components())
    const events = new Differences().take(pictureOf({ jobs }))
    expect(events).toMatchObject([{ e: 'submitted', job: '20+0', nodes: 5 }])
  })
})
