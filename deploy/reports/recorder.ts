import type { Clock, Instant, Millis } from '../../actors/runtime/clock.ts'
import type { Sample, Wave } from './chart.ts'
import type { MachineStory } from './report.ts'
import type { SiteView } from './site-view.ts'
import { jobTally } from './status.ts'

/** Writes down how queue and nodes change over time, for the chart, the report and the live view. */
export interface Recorder {
  readonly startedAt: Instant
  readonly samples: readonly Sample[]
  readonly waves: readonly Wave[]
  readonly peak: number
  machines(): readonly MachineStory[]
  markWave(name: string): void
  stop(): void
}

const EVERY_MS: Millis = 100
/** Beyond this every other sample is dropped, and they are taken half as often. */
const SAMPLES_MAX = 6_000

export function recorder(site: SiteView, clock: Clock): Recorder {
  const startedAt = clock.now()
  const waves: Wave[] = []
  const stories = new Map<string, MachineStory>()
  let samples: Sample[] = []
  let everyMs = EVERY_MS
  let peak = 0

  const take = (): void => {
    for (const story of storiesOf(site))
      stories.set(story.unitId, { ...story, endedAt: story.endedAt ?? stories.get(story.unitId)?.endedAt })
    const sample = sampleOf(site, clock.now())
    peak = Math.max(peak, sample.joined)
    const [before, last] = samples.slice(-2)
    // Of a stretch in which nothing changes only both ends are kept.
    if (before !== undefined && last !== undefined && same(before, last) && same(last, sample))
      samples[samples.length - 1] = sample
    else samples.push(sample)
    if (samples.length > SAMPLES_MAX) {
      samples = samples.filter((_, i) => i % 2 === 0)
      everyMs *= 2
    }
  }
  const again = (): (() => void) =>
    clock.after(everyMs, () => {
      take()
      cancel = again()
    })
  take()
  let cancel = again()
  const forget = site.onChange(take)

  return {
    startedAt,
    get samples() {
      return samples
    },
    waves,
    get peak() {
      return peak
    },
    machines: () => [...stories.values()],
    markWave: (name) => void waves.push({ name, at: clock.now() }),
    stop() {
      take()
      cancel()
      forget()
    },
  }
}

function sampleOf(site: SiteView, at: Instant): Sample {
  const sample = { at, waiting: 0, running: 0, joined: 0, coming: 0, leaving: 0 }
  for (const { lastPicture } of Object.values(site.guests)) {
    const picture = lastPicture()
    if (picture === undefined) continue
    const { pending, running, completing } = jobTally(picture)
    sample.waiting += pending
    sample.running += running + completing
  }
  for (const { state } of site.serviceManager?.rows('unit') ?? [])
    if (state === 'joined') sample.joined += 1
    else if (state === 'awaited' || state === 'joining') sample.coming += 1
    else if (state === 'draining' || state === 'leaving') sample.leaving += 1
  for (const lease of site.serviceManager?.rows('lease') ?? [])
    if (lease.units.length === 0 && (lease.ticketState === 'asked' || lease.leaseState === 'redeeming'))
      sample.coming += lease.ticket?.units ?? lease.unitsAsked
  return sample
}

const same = (a: Sample, b: Sample): boolean =>
  a.waiting === b.waiting &&
  a.running === b.running &&
  a.joined === b.joined &&
  a.coming === b.coming &&
  a.leaving === b.leaving

function storiesOf(site: SiteView): readonly MachineStory[] {
  const asked = new Map(
    (site.serviceManager?.rows('lease') ?? []).map(({ id, requestedAt }) => [id, requestedAt]),
  )
  return (site.authority?.rows('unit') ?? []).flatMap(({ id, name, leaseId, assignedAt, state, since }) => {
    const requestedAt = asked.get(leaseId)
    if (requestedAt === undefined) return []
    return [
      { unitId: id, name, leaseId, requestedAt, assignedAt, endedAt: state === 'ended' ? since : undefined },
    ]
  })
}
