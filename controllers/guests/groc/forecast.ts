import type { Instant } from '../../../actors/runtime/clock.ts'
import type { Job } from '../../../adapters/batch-system.ts'
import type { HeldLease, HeldUnit } from '../../controller.ts'
import { hour, span } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import type { Shape } from './demand.ts'
import { type BootTimes, bootTimes, latestOf } from './later.ts'
import type { Place } from './packing.ts'
import type { Rehearsal } from './rehearsal.ts'
import type { Survey } from './survey.ts'

/**
 * When a job that has its places can start, or why nobody can say:
 *
 *   order, or begin of the lease ──── boot, as machines here took ────▶ its machine is there
 *                                                                      the last of them, for a wide job
 */
export function startSentence(
  job: Job,
  shape: Shape,
  places: readonly Place[],
  /** What is still to be asked for: when, if anybody knows. */
  asking: { readonly at: Instant | undefined } | undefined,
  { ground, noticed }: Rehearsal,
  config: GrocConfig,
  now: Instant,
): string {
  const boots = bootTimes(noticed.boots)
  const machines = places.flatMap(({ bin }) => (bin.kind === 'coming' ? [comingOf(bin.id, ground)] : []))
  const orders = [
    ...machines.map((machine) => orderedAt(machine, boots)),
    ...(asking?.at === undefined ? [] : [asking.at]),
  ]
  if (asking !== undefined && asking.at === undefined && (shape.nodes > 1 || orders.length === 0))
    return unknownSentence(shape, ground, boots, config, now)
  const isSpare = places.some(({ bin }) => bin.kind === 'spare')
  if (orders.length === 0)
    return isSpare
      ? `It can start once that is done: with the next decision, within ${span(config.every)}.`
      : 'It can start with the next round of the batch system’s scheduler; if it does not, the batch system has a reason of its own, which it tells.'
  const [first, last] = [Math.min(...orders), Math.max(...orders)]
  const answers = machines.some(({ lease }) => lease?.state === 'requested')
    ? ', if the broker grants it'
    : ''
  const later = latestOf(machines.flatMap(({ lease }) => (lease?.state === 'requested' ? [lease] : [])))
  return [
    whenSentence(job, shape, first, last, boots, answers, now),
    ...(later === undefined
      ? []
      : [
          `The broker may let its machine begin as late as ${hour(later)}, as its wait allows that (grow.target).`,
        ]),
  ].join(' ')
}

function whenSentence(
  job: Job,
  { nodes }: Shape,
  first: Instant,
  last: Instant,
  boots: BootTimes,
  condition: string,
  now: Instant,
): string {
  const { medianMs, mostMs, seen } = boots
  const what =
    seen === 0
      ? `taking ${span(medianMs)} from the order to joining, for too few machines were seen to come here yet`
      : `as machines here took ${span(medianMs)} from the order to joining at the median, ${span(mostMs)} for nine of ten`
  const likely = last + medianMs
  const nearly = last + mostMs
  const until = nodes > 1 ? ', when the last of its machines is to be there' : ''
  if (likely > now) {
    const isSpread = job.tasks > 1 && nodes === 1 && last > first
    if (isSpread)
      return `Its tasks can start from about ${hour(Math.max(now, first + medianMs))} on, and the last machine for them is to be there about ${hour(likely)}${condition}, ${what}.`
    return `It can start about ${hour(likely)}${until}${condition}, ${what}.`
  }
  if (nearly > now)
    return `It can start any moment, and by ${hour(nearly)} in nine of ten cases${until}${condition}, ${what}.`
  return `Its machine is late, and nobody can say when it comes: ${what}, and this one has taken ${span(now - last)}; \`sublet nodes\` and \`sublet explain node NAME\` tell how far it is.`
}

interface Coming {
  readonly lease: HeldLease | undefined
  readonly unit: HeldUnit | undefined
}

/** A bin is a unit, or one of those of a lease that nobody has named yet. */
function comingOf(binId: string, ground: Survey): Coming {
  for (const { lease, machines } of ground.crews)
    for (const { unit } of machines) if (unit.id === binId) return { lease, unit }
  const leaseId = binId.split('#')[0]
  return { lease: ground.crews.find((crew) => crew.lease.id === leaseId)?.lease, unit: undefined }
}

/** From when on a boot is counted, as `observeBoots` does; one that came in the place of another, since it is known. */
function orderedAt({ lease, unit }: Coming, { mostMs }: BootTimes): Instant {
  const ordered = Math.max(lease?.requestedAt ?? 0, lease?.term?.start ?? 0)
  return unit !== undefined && unit.since - ordered > mostMs ? unit.since : ordered
}

/** It waits for machines that others have, or for a person. What runs says at most how long it may go on. */
function unknownSentence(
  shape: Shape,
  ground: Survey,
  boots: BootTimes,
  config: GrocConfig,
  now: Instant,
): string {
  const missing = Math.max(1, shape.nodes - Math.max(0, config.max - ground.total))
  const ends = endsOf(shape, ground, boots, now)
  const free = ends.length < missing ? undefined : ends[missing - 1]
  if (free === undefined) return 'When that is, nobody can say.'
  if (free === Number.POSITIVE_INFINITY)
    return 'When that is, nobody can say, for not enough of what runs has a time limit.'
  const what = missing === 1 ? 'a machine is free' : `${missing} machines are free`
  return `When that is, nobody can say; by the time limits of what runs, ${what} ${free <= now ? 'any moment' : `by ${hour(free)} at the latest`}, if no other job takes ${missing === 1 ? 'it' : 'them'}.`
}

/** When each machine of ours that is large enough will be there and empty at the latest, the soonest first. */
function endsOf({ cpus }: Shape, ground: Survey, boots: BootTimes, now: Instant): readonly Instant[] {
  const ends: Instant[] = []
  for (const { lease, machines } of ground.crews)
    for (const { unit, node, standing } of machines) {
      if (standing === 'blocked' || standing === 'gone') continue
      if ((node ?? ground.units.get(lease.type) ?? { cpus: 0 }).cpus < cpus) continue
      ends.push(
        node === undefined
          ? Math.max(now, orderedAt({ lease, unit }, boots) + boots.mostMs)
          : node.jobs.reduce((latest, id) => Math.max(latest, endOf(ground.running.get(id))), now),
      )
    }
  return ends.sort((a, b) => a - b)
}

const endOf = (job: Job | undefined): Instant =>
  job?.startedAt === undefined || job.walltimeMs === undefined
    ? Number.POSITIVE_INFINITY
    : job.startedAt + job.walltimeMs
