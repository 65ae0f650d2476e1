import { type GrocConfig, grocConfig } from '../../controllers/guests/groc/config.ts'
import { grocPolicy } from '../../deploy/replay/groc-policy.ts'
import type { Policy } from '../../deploy/replay/replay.ts'
import type { SchedulerKind } from '../../deploy/replay/scheduler.ts'
import { MEMORY_MIB } from './courses.ts'
import { clues, cobald, parallelCluster, type Size, slurmPowerSaving } from './rivals.ts'

export interface Contestant {
  readonly name: string
  make(): Policy
}

const MINUTE = 60_000
/** One lease a unit, in short terms: what idles is given back at once, at the price of many messages. */
const FINE = { step: 1, term: '20m', extendMargin: 0.3 }

/** GROC and its rivals, each swept over settings of its own. */
export function contestants(size: Size, scheduler: SchedulerKind): readonly Contestant[] {
  return [...grocs(size, scheduler), ...rivals(size)]
}

function grocs({ cpus, max }: Size, scheduler: SchedulerKind): readonly Contestant[] {
  const groc = (name: string, over: object): Contestant => {
    const config: GrocConfig = grocConfig.parse({
      ...{ type: 'node', unit: { cpus, memoryMiB: MEMORY_MIB }, max, ...over },
    })
    return { name: `groc, ${name}`, make: () => grocPolicy(config) }
  }
  const grow = { wait: '0s' }
  const idles = [1, 2, 3, 4, 5, 7, 10, 15, 30]
  const kept = idles.map((idle) => groc(`idle ${idle} min`, { grow, shrink: { idle: `${idle}m` } }))
  const released = idles.map((idle) =>
    groc(`release, idle ${idle} min`, {
      ...{ grow, collect: 'release', ...FINE, ...(idle < 20 ? {} : { term: '40m' }) },
      shrink: { idle: `${idle}m` },
    }),
  )
  const inOrder = ['keep', 'release'].flatMap((collect) =>
    [0, 1, 2, 3, 4].flatMap((ahead) =>
      [1, 5, 10, 30].map((idle) =>
        groc(`in order, ahead ${ahead}, ${collect}, idle ${idle} min`, {
          ...{ grow, starts: 'in-order', lookahead: ahead * max, collect, ...FINE },
          ...(idle < 20 ? {} : { term: '40m' }),
          shrink: { idle: `${idle}m` },
        }),
      ),
    ),
  )
  return [
    groc('defaults', {}),
    ...(scheduler === 'fifo' ? [groc('defaults in order', { starts: 'in-order' })] : []),
    ...kept,
    ...released,
    ...(scheduler === 'fifo' ? inOrder : []),
  ]
}

function rivals(size: Size): readonly Contestant[] {
  const named = (make: () => Policy): Contestant => ({ name: make().name, make })
  return [
    ...[1, 5, 10, 30].map((idle) => named(() => clues(idle * MINUTE, size))),
    ...[5, 10, 30].map((idle) => named(() => parallelCluster(idle * MINUTE, size))),
    ...[1, 5, 10, 30].map((idle) => named(() => slurmPowerSaving(idle * MINUTE, size))),
    ...[
      { rate: 1 / 30, low: 0.5, high: 0.5 },
      { rate: 0.1, low: 0.8, high: 0.8 },
      { rate: 1, low: 0.5, high: 0.5 },
    ].map((linear) => named(() => cobald(linear, size))),
  ]
}
