import { type GrocConfig, grocConfig } from '../../controllers/guests/groc/config.ts'
import { lublin } from '../../deploy/replay/lublin.ts'
import type { ReplayOptions } from '../../deploy/replay/replay.ts'
import type { TraceJob } from '../../deploy/replay/trace.ts'

/** What the tests of the replay speak about: jobs in seconds, and pools of nodes with one cpu. */

export const T0 = Date.parse('2026-03-02T00:00:00Z')
export const SECOND = 1000

export const traceJob = (
  id: string,
  at: number,
  run: number,
  processors = 1,
  over: Partial<TraceJob> = {},
): TraceJob => ({
  id,
  submittedAt: T0 + at * SECOND,
  runMs: run * SECOND,
  walltimeMs: run * SECOND,
  processors,
  spread: undefined,
  memoryMiBPerProcessor: 0,
  memoryMiBPerNode: 0,
  queue: 'batch',
  user: 'ada',
  ...over,
})

export const synthetic = (jobs: number, seed: string, processors = 16): readonly TraceJob[] =>
  lublin({ jobs, seed, processors, from: T0 }).jobs

export const unit = { cpus: 1, memoryMiB: 1024 }

export const optionsOf = (over: Partial<ReplayOptions> = {}): ReplayOptions => ({
  units: 16,
  unit,
  scheduler: 'easy',
  bootMs: { least: 90_000, most: 90_000 },
  seed: 'seed',
  policy: undefined,
  ...over,
})

export const configOf = (over: Record<string, unknown> = {}): GrocConfig =>
  grocConfig.parse({ type: 'node', unit, max: 16, ...over })
