import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import { largest } from '../../../actors/runtime/extremes.ts'
import type { Job } from '../../../adapters/batch-system.ts'
import { hour } from '../../sentence.ts'
import type { Demand, Shape } from './demand.ts'
import type { Bin } from './lots.ts'
import type { Machine } from './machine.ts'
import { fits, partsOf, type Room } from './needs.ts'
import type { Packing } from './packing.ts'
import { type Expectation, expectedRun, SAFETY } from './runs.ts'
import type { Drain } from './shrink.ts'
import type { Survey } from './survey.ts'
import type { Tally } from './tally.ts'
import type { Spans } from './variants.ts'

/**
 * Machines that go by a time for good. The batch system does not know that, and may start there whatever waits:
 *
 *   serving, spare, coming   their host is to be worked on after the lease ends. Only what is expected to end before is packed
 *                            there; while something that lasts longer waits, and has a place elsewhere, they are drained
 *   ending                   the lease is not extended, or the host is to be worked on before it ends. They are drained, and
 *                            take work only while all that waits, and could start there, ends before by its own time limit
 */
export interface Ends extends Spans {
  /** Where there is room, without the ending ones that something might outlast. */
  readonly bins: readonly Bin[]
}

/** Undefined if no machine goes: then nothing here costs anything. */
export function endsOf(
  ground: Survey,
  demand: Demand,
  jobs: Tally,
  expectedIn: (queue: string) => Expectation,
  now: Instant,
): Ends | undefined {
  if (!ground.ends) return undefined
  const runs = new Map<Shape, Millis>()
  const outlasts = outlasting(demand, jobs)
  const sizes = new Map(
    ground.crews.flatMap(({ lease, ending }) =>
      ending.map((machine) => [machine.unit.id, sizeOf(machine, ground.units.get(lease.type))] as const),
    ),
  )
  return {
    now,
    bins: ground.bins.filter(
      ({ id, kind, until }) => kind !== 'ending' || !outlasts((until ?? now) - now, sizes.get(id)),
    ),
    runMs(shape) {
      let run = runs.get(shape)
      if (run === undefined) {
        run = runOf(shape, expectedIn(shape.queue))
        runs.set(shape, run)
      }
      return run
    },
  }
}

function runOf({ jobs }: Shape, expected: Expectation): Millis {
  return largest(
    jobs.map(({ walltimeMs }) =>
      walltimeMs === undefined && !expected.isObserved
        ? Number.POSITIVE_INFINITY
        : expectedRun(expected, walltimeMs) * SAFETY,
    ),
    0,
  )
}

/** With nothing on it. */
const sizeOf = ({ node }: Machine, type: Room | undefined): Room | undefined =>
  node === undefined
    ? type
    : {
        cpus: node.cpus,
        memoryMiB: node.memoryMiB,
        consumables: node.consumables ?? type?.consumables ?? {},
        features: node.features ?? type?.features ?? [],
      }

/** For one of its nodes at least. */
export const mayUse = (shape: Shape, room: Room): boolean => partsOf(shape).some((part) => fits(part, room))

/** Whether something that waits, and could start on a machine of that size, may last longer by its time limit. */
function outlasting(
  { shapes, misfits }: Demand,
  { pending }: Tally,
): (leftMs: Millis, size: Room | undefined) => boolean {
  const all = [...shapes, ...misfits]
  const limitsOf = () => ({
    ofShapes: all.map((shape) => ({ shape, limitMs: longestLimit(shape.jobs) })),
    ofOthersMs: longestLimit(othersThan(all, pending)),
  })
  let limits: ReturnType<typeof limitsOf> | undefined
  return (leftMs, size) => {
    limits ??= limitsOf()
    if (size === undefined || limits.ofOthersMs > leftMs) return true
    return limits.ofShapes.some(({ shape, limitMs }) => limitMs > leftMs && mayUse(shape, size))
  }
}

/** What is not counted waits all the same: of other queues, or turned back at the turnstile. */
function othersThan(shapes: readonly Shape[], pending: readonly Job[]): readonly Job[] {
  if (shapes.reduce((sum, { jobs }) => sum + jobs.length, 0) === pending.length) return []
  const counted = new Set(shapes.flatMap(({ jobs }) => jobs))
  return pending.filter((job) => !counted.has(job))
}

const longestLimit = (jobs: readonly Job[]): Millis =>
  largest(
    jobs.map(({ walltimeMs }) => walltimeMs ?? Number.POSITIVE_INFINITY),
    0,
  )

/** Machines that are to take nothing just now, though their hosts are needed only later. */
export interface Guarded {
  readonly drains: readonly Drain[]
  /** Of these, and of those that are drained already: no resume. */
  readonly ids: ReadonlySet<string>
}

const NOBODY: Guarded = { drains: [], ids: new Set() }

/** While something waits that may last longer than they are there, and has a place elsewhere, ordered or better. */
export function guard(ground: Survey, packing: Packing, ends: Ends | undefined): Guarded {
  if (ends === undefined) return NOBODY
  const elsewhere = [...packing.places].flatMap(([shape, places]) =>
    places.length === 0 || packing.tooWide.has(shape) || places.some(({ bin }) => bin.kind === 'fresh')
      ? []
      : [shape],
  )
  const ids = new Set<string>()
  const drains: Drain[] = []
  for (const { lease, ending } of ground.crews)
    for (const machine of ending) {
      const { unit, standing, until, node } = machine
      if (until === undefined || unit.pinned !== undefined) continue
      if (standing !== 'serving' && standing !== 'spare') continue
      const size = sizeOf(machine, ground.units.get(lease.type))
      const longer = elsewhere.find(
        (shape) => ends.now + ends.runMs(shape) > until && size !== undefined && mayUse(shape, size),
      )
      if (longer === undefined) continue
      ids.add(unit.id)
      if (standing === 'spare' || node === undefined) continue
      const reason = `${unit.name} takes no more work: its site wants its host empty by ${hour(until)}, and job ${longer.jobs[0]?.id ?? ''}, which is to run elsewhere, may last longer`
      const intent = { kind: 'drain', unitId: unit.id, reason } as const
      drains.push({ unitId: unit.id, cause: 'maintenance', intent })
    }
  return { drains, ids }
}
