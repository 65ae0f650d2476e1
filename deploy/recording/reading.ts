import { createReadStream, existsSync } from 'node:fs'
import { basename, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { Trace, TraceJob } from '../replay/trace.ts'
import { eventSchema, type RecordedEvent } from './events.ts'
import { filesIn } from './parts.ts'

const WARNINGS_MAX = 20

/** A recording as a trace: the jobs that ended, as they came. A line that cannot be read is a warning. */
export async function readRecording(folder: string): Promise<Trace> {
  if (!existsSync(folder)) throw new SubletError('usage', `there is no recording ${folder}`)
  const files = filesIn(folder)
  if (files.length === 0)
    throw new SubletError('usage', `${folder} holds no recording: no day of it is there`)
  const reader = new RecordingReader()
  for (const name of files) {
    let number = 0
    for await (const text of createInterface({ input: createReadStream(join(folder, name)) }))
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

  take(text: string, place: string): void {
    const event = eventOf(text)
    if (event === undefined) {
      if (text === '') return
      this.#warningCount += 1
      if (this.#warnings.length < WARNINGS_MAX) this.#warnings.push(`${place}: is no event, and was left out`)
      return
    }
    if (event.e === 'submitted') this.#open.set(event.job, { ...event, place: this.#places++ })
    if (event.e === 'gone' && this.#open.delete(event.job)) this.#gone += 1
    if (event.e === 'ended') this.#ended(event.job, event.ranMs)
  }

  trace(name: string): Trace {
    return {
      name,
      // Of one instant, in the order in which the batch system lists them.
      jobs: this.#jobs
        .toSorted((a, b) => a.job.submittedAt - b.job.submittedAt || a.place - b.place)
        .map(({ job }) => job),
      header: new Map(),
      warnings: this.#warnings,
      warningCount: this.#warningCount,
      leftOut: this.#gone + this.#open.size,
    }
  }

  #ended(id: string, runMs: number): void {
    const job = this.#open.get(id)
    if (job === undefined) return
    this.#open.delete(id)
    this.#jobs.push({
      place: job.place,
      job: {
        id,
        submittedAt: job.at,
        runMs,
        walltimeMs: job.walltimeMs,
        processors: job.nodes * job.cpus,
        spread: job.nodes > 1 ? { nodes: job.nodes, cpusPerNode: job.cpus } : undefined,
        memoryMiBPerProcessor: 0,
        memoryMiBPerNode: job.memoryMiB,
        queue: job.queue,
        user: String(job.user),
      },
    })
  }
}

function eventOf(text: string): RecordedEvent | undefined {
  try {
    return eventSchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}
