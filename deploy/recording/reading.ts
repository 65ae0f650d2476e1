import { existsSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { SubletError } from '../../actors/runtime/errors.ts'
import { flawOf, JOBS_MAX, limitWithin, nearEachOther, refuseMore } from '../replay/bounds.ts'
import { linesOf } from '../replay/lines.ts'
import type { Trace, TraceJob } from '../replay/trace.ts'
import { eventSchema, type RecordedEvent } from './events.ts'
import { filesIn } from './parts.ts'

const WARNINGS_MAX = 20
/** The longest names the nodes that a job runs on. */
const LINE_LENGTH_MAX = 4 * 1024 * 1024

/** A recording as a trace: the jobs that ended, as they came. A line that cannot be read is a warning. */
export async function readRecording(folder: string): Promise<Trace> {
  if (!existsSync(folder)) throw new SubletError('usage', `there is no recording ${folder}`)
  const files = filesIn(folder)
  if (files.length === 0)
    throw new SubletError('usage', `${folder} holds no recording: no day of it is there`)
  const reader = new RecordingReader()
  for (const name of files) {
    let number = 0
    for await (const text of linesOf(join(folder, name), 'utf8', { lengthMax: LINE_LENGTH_MAX }))
      reader.take(text, `${name}:${++number}`)
  }
  return reader.trace(basename(resolve(folder)))
}

type Submitted = RecordedEvent & { readonly e: 'submitted' }

export class RecordingReader {
  readonly #open = new Map<string, Submitted & { readonly place: number }>()
  readonly #jobs: { readonly place: number; readonly job: TraceJob }[] = []
  readonly #warnings: string[] = []
  #warningCount = 0
  #places = 0
  #gone = 0
  readonly #jobsMax: number

  constructor(jobsMax = JOBS_MAX) {
    this.#jobsMax = jobsMax
  }

  take(text: string, place: string): void {
    const event = eventOf(text)
    if (event === undefined) {
      if (text !== '') this.#warn(`${place}: is no event, and was left out`)
      return
    }
    if (event.e === 'submitted') {
      refuseMore(this.#jobs.length + this.#open.size, this.#jobsMax)
      this.#open.set(event.job, { ...event, place: this.#places++ })
    }
    if (event.e === 'eligible') this.#eligible(event.job, event.at)
    if (event.e === 'gone' && this.#open.delete(event.job)) this.#gone += 1
    if (event.e === 'ended') this.#ended(event.job, event.ranMs, place)
  }

  trace(name: string): Trace {
    // Of one instant, in the order in which the batch system lists them.
    const inOrder = this.#jobs.toSorted((a, b) => a.job.submittedAt - b.job.submittedAt || a.place - b.place)
    const { jobs, far, warning } = nearEachOther(inOrder.map(({ job }) => job))
    if (far > 0) this.#warn(warning)
    return {
      name,
      jobs,
      header: new Map(),
      warnings: this.#warnings,
      warningCount: this.#warningCount,
      leftOut: this.#gone + this.#open.size,
    }
  }

  /** What held it no machine would have cured: it comes when that is over. */
  #eligible(id: string, at: number): void {
    const event = this.#open.get(id)
    if (event !== undefined && at > event.at) this.#open.set(id, { ...event, at })
  }

  #ended(id: string, runMs: number, line: string): void {
    const event = this.#open.get(id)
    if (event === undefined) return
    this.#open.delete(id)
    const job: TraceJob = {
      id,
      submittedAt: event.at,
      runMs,
      walltimeMs: limitWithin(event.walltimeMs),
      processors: event.nodes * event.cpus,
      spread: event.nodes > 1 ? { nodes: event.nodes, cpusPerNode: event.cpus } : undefined,
      memoryMiBPerProcessor: 0,
      memoryMiBPerNode: event.memoryMiB,
      queue: event.queue,
      user: String(event.user),
      ...extrasOf(event),
    }
    const flaw = flawOf(job)
    if (flaw === undefined) this.#jobs.push({ place: event.place, job })
    else this.#warn(`${line}: job ${id.slice(0, 40)} was left out, for ${flaw}`)
  }

  #warn(sentence: string): void {
    this.#warningCount += 1
    if (this.#warnings.length < WARNINGS_MAX) this.#warnings.push(sentence)
  }
}

/** Nothing for most, which share nodes and ask for no more than processors and memory. */
function extrasOf({
  consumables = {},
  features = [],
  exclusive = false,
}: Submitted): Pick<TraceJob, 'extras'> {
  const counted = Object.entries(consumables).filter(([, amount]) => amount !== 0)
  if (counted.length === 0 && features.length === 0 && !exclusive) return {}
  return { extras: { consumables: Object.fromEntries(counted), features, exclusive } }
}

function eventOf(text: string): RecordedEvent | undefined {
  try {
    return eventSchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}
