import { type Instant, type Millis, sleep, systemClock } from '../../../actors/runtime/clock.ts'
import { areDone, figuresOf, type NotedJob, type WaveFigures, waitingOf } from './figures.ts'
import type { ShareLab } from './lab.ts'
import { SIDES, type SideName } from './outside.ts'
import type { Overload } from './report.ts'

type BySide<T> = Readonly<Record<SideName, T>>

const WAVE_JOBS: BySide<number> = { slurm: 20, gridengine: 16 }
/** GridEngine takes a second and a half from the end of a job to the start of the next one, Slurm a quarter of one. */
const JOB_SECONDS: BySide<number> = { slurm: 3, gridengine: 2 }
const WAVE_MS_MAX = 120_000
const CALM_MS_MAX = 30_000
const RECORD_MS_MAX = 20_000
/** While both are to be overloaded, so many jobs of each wait at least: more than what it could have besides. */
const WAITING_MIN: BySide<number> = { slurm: 6, gridengine: 4 }
const WINDOW_MS: Millis = 8_000
const FEED_MS: Millis = 200
/** From the end of a term until the machines that changed hands work: leave, tear down, set up, join. */
const HANDOVER_MS = 8_000

async function submitAll(lab: ShareLab, side: SideName, count: number): Promise<readonly string[]> {
  const ids: string[] = []
  for (let i = 0; i < count; i++) ids.push((await lab.sides[side].submit(JOB_SECONDS[side], lab.signal)).id)
  return ids
}

const jobsOf = (lab: ShareLab, side: SideName, ids: readonly string[]): readonly NotedJob[] => {
  const wanted = new Set(ids)
  return lab.sides[side].jobs().filter(({ id }) => wanted.has(id))
}

/** By the jobs' own notes, then by the middleware's record, which it writes a moment later. */
async function done(lab: ShareLab, side: SideName, ids: readonly string[]): Promise<void> {
  await lab.until(`${side} is done with its jobs`, () => areDone(jobsOf(lab, side, ids)), WAVE_MS_MAX)
  const areRecorded = (): boolean => {
    const recorded = new Set(lab.sides[side].ends().map(({ jobId }) => jobId))
    return ids.every((id) => recorded.has(id))
  }
  await lab.until(`${side} has recorded its jobs`, areRecorded, RECORD_MS_MAX)
}

async function wave(lab: ShareLab, side: SideName): Promise<WaveFigures> {
  const ids = await submitAll(lab, side, WAVE_JOBS[side])
  await done(lab, side, ids)
  return figuresOf(jobsOf(lab, side, ids))
}

/** Half of the machines are Slurm's for good, half GridEngine's: their waves cannot meet, so both come at once. */
export async function fixedSplit(lab: ShareLab): Promise<BySide<WaveFigures>> {
  let figures: BySide<WaveFigures> | undefined
  await lab.withFixedSplit(async () => {
    const [slurm, gridengine] = await Promise.all([wave(lab, 'slurm'), wave(lab, 'gridengine')])
    figures = { slurm, gridengine }
  })
  return figures!
}

/** The waves one after the other, each from no machine at all: as when one has its work by day and the other by night. */
export async function oppositeLoad(lab: ShareLab): Promise<BySide<WaveFigures>> {
  const slurm = await wave(lab, 'slurm')
  await lab.until('the machines are given back', () => lab.machinesLeft() === 0, CALM_MS_MAX)
  return { slurm, gridengine: await wave(lab, 'gridengine') }
}

/**
 * GridEngine, whose weight is the smaller, has the machines when both come with more than fits. What goes beyond its
 * share comes back at the end of a term. When those machines have changed hands the window begins; as long as it
 * lasts, both have jobs waiting.
 */
export async function bothOverloaded(
  lab: ShareLab,
  { weights, termSeconds }: { readonly weights: BySide<number>; readonly termSeconds: number },
): Promise<Overload> {
  const from = systemClock.now() + termSeconds * 1000 + HANDOVER_MS
  const to = from + WINDOW_MS
  const [slurm, gridengine] = await Promise.all(SIDES.map((side) => feed(lab, side, from, to)))
  const held = lab.count.between(from, to)
  await Promise.all([done(lab, 'slurm', slurm!.ids), done(lab, 'gridengine', gridengine!.ids)])
  const together = held.slurm.held + held.gridengine.held
  return {
    windowMs: WINDOW_MS,
    weights,
    share: { slurm: held.slurm.held / together, gridengine: held.gridengine.held / together },
    least: { slurm: held.slurm.least, gridengine: held.gridengine.least },
    jobs: { slurm: slurm!.ids.length, gridengine: gridengine!.ids.length },
    waitingLeast: { slurm: slurm!.waitingLeast, gridengine: gridengine!.waitingLeast },
  }
}

/** Submits whenever too few wait, until `to`; and how few waited from `from` on. */
async function feed(
  lab: ShareLab,
  side: SideName,
  from: Instant,
  to: Instant,
): Promise<{ readonly ids: readonly string[]; readonly waitingLeast: number }> {
  const ids: string[] = []
  let waitingLeast = Number.POSITIVE_INFINITY
  for (let now = systemClock.now(); now < to; now = systemClock.now()) {
    const waiting = waitingOf(jobsOf(lab, side, ids))
    if (now >= from) waitingLeast = Math.min(waitingLeast, waiting)
    if (waiting < WAITING_MIN[side])
      ids.push(...(await submitAll(lab, side, WAITING_MIN[side] - waiting + 1)))
    else await sleep(systemClock, FEED_MS, lab.signal)
  }
  return { ids, waitingLeast }
}
