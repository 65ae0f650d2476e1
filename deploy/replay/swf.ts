import { basename } from 'node:path'
import { inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import { flawOf, INSTANT_MAX, JOBS_MAX, limitWithin, nearEachOther, refuseMore } from './bounds.ts'
import { linesOf } from './lines.ts'
import type { Trace, TraceJob } from './trace.ts'

/**
 * The Standard Workload Format: a job a line, 18 numbers, -1 for unknown; `;` begins a comment, `; Name: value` in the
 * header says something of the machine. A trace of Torque (MetaCentrum) has three columns more.
 *
 *   1 id · 2 submitted (s) · 3 waited · 4 ran (s) · 5 processors · 6 cpu time · 7 memory used · 8 processors asked for ·
 *   9 time asked for (s) · 10 memory asked for (KiB per processor) · 11 status · 12 user · 13 group · 14 program ·
 *   15 queue · 16 partition · 17, 18 think time    19 {nodes} · 20 queue's name · 21 `1:ppn=12:property`
 *
 * With the columns of Torque, 10 is bytes per node. A line that cannot be read is a warning with its number.
 */
const WARNINGS_MAX = 20
/** No line is longer that is meant to be one; what comes without an end of line is not kept. */
const LINE_LENGTH_MAX = 64 * 1024
const COLUMNS = 15
/** The status of a job that ran to its end. */
const COMPLETED = 1
/** Of a header; further ones say nothing that is read. */
const HEADERS_MAX = 1_000
const QUEUES_MAX = 10_000

export async function readSwf(file: string): Promise<Trace> {
  const reader = new SwfReader()
  try {
    for await (const line of linesOf(file, 'latin1', { lengthMax: LINE_LENGTH_MAX })) reader.take(line)
  } catch (error) {
    if (error instanceof SubletError) throw error
    throw new SubletError('usage', `the trace ${file} cannot be read: ${inOneLine(error)}`)
  }
  return reader.trace(
    basename(file)
      .replace(/\.gz$/, '')
      .replace(/\.swf$/, ''),
  )
}

export class SwfReader {
  readonly #jobs: TraceJob[] = []
  readonly #header = new Map<string, string>()
  readonly #warnings: string[] = []
  readonly #queueNames = new Map<string, string>()
  #warningCount = 0
  #leftOut = 0
  #line = 0
  #startMs = 0
  readonly #jobsMax: number

  constructor(jobsMax = JOBS_MAX) {
    this.#jobsMax = jobsMax
  }

  take(text: string): void {
    this.#line += 1
    const line = text.trim()
    if (line === '') return
    if (line.startsWith(';')) this.#comment(line.slice(1).trim())
    else this.#job(line)
  }

  trace(name: string): Trace {
    const inOrder = this.#jobs.every((job, i) => i === 0 || job.submittedAt >= this.#jobs[i - 1]!.submittedAt)
    if (!inOrder) this.#warn('jobs are not in order of submission, and were sorted')
    const { jobs, far, warning } = nearEachOther(
      inOrder ? this.#jobs : this.#jobs.toSorted((a, b) => a.submittedAt - b.submittedAt),
    )
    if (far > 0) this.#warn(warning)
    return {
      name,
      jobs,
      header: this.#header,
      warnings: this.#warnings,
      warningCount: this.#warningCount,
      leftOut: this.#leftOut,
    }
  }

  #comment(text: string): void {
    const [, key, value] = /^([A-Za-z]+)\s*:\s*(.*)$/.exec(text) ?? []
    if (key === undefined || value === undefined) return
    if (key === 'Queue') {
      const [, number, named] = /^(\d+)\s+(\S+)/.exec(value) ?? []
      if (number !== undefined && named !== undefined && this.#queueNames.size < QUEUES_MAX)
        this.#queueNames.set(number, named)
      return
    }
    if (!this.#header.has(key) && this.#header.size < HEADERS_MAX) this.#header.set(key, value)
    if (key !== 'UnixStartTime' || !/^\d+$/.test(value)) return
    const startMs = Number(value) * 1000
    if (startMs <= INSTANT_MAX) this.#startMs = startMs
    else this.#warn(`line ${this.#line}: UnixStartTime is no instant there is, and was not used`)
  }

  #job(line: string): void {
    const words = line.split(/\s+/)
    const numbers = words.slice(0, COLUMNS).map(Number)
    if (words.length < COLUMNS || numbers.some((value) => !Number.isFinite(value))) {
      this.#warn(`line ${this.#line}: not a job of ${COLUMNS} numbers or more`)
      return
    }
    const at = (column: number): number => numbers[column - 1]!
    const torque = words.length >= 21 ? spreadOf(words[20]!) : undefined
    const processors = torque === undefined ? wanted(at(8), at(5)) : torque.nodes * torque.cpusPerNode
    if (at(2) < 0 || at(4) < 0 || processors < 1) {
      this.#leftOut += 1
      return
    }
    const memory = Math.max(0, at(10))
    const queue = String(at(15))
    const job: TraceJob = {
      id: words[0]!,
      submittedAt: this.#startMs + at(2) * 1000,
      // A job that ended within its first second ran for part of it.
      runMs: Math.max(1000, at(4) * 1000),
      walltimeMs: limitWithin(at(9) * 1000),
      processors,
      spread: torque,
      memoryMiBPerProcessor: torque === undefined ? Math.ceil(memory / 1024) : 0,
      memoryMiBPerNode: torque === undefined ? 0 : Math.ceil(memory / 1024 ** 2),
      queue: torque === undefined ? (this.#queueNames.get(queue) ?? queue) : words[19]!,
      user: words[11]!,
      ...(at(11) === COMPLETED && { succeeded: true }),
    }
    const flaw = flawOf(job)
    if (flaw !== undefined) return this.#warn(`line ${this.#line}: the job was left out, for ${flaw}`)
    refuseMore(this.#jobs.length, this.#jobsMax)
    this.#jobs.push(job)
  }

  #warn(sentence: string): void {
    this.#warningCount += 1
    if (this.#warnings.length < WARNINGS_MAX) this.#warnings.push(sentence)
  }
}

const wanted = (askedFor: number, given: number): number => Math.ceil(askedFor > 0 ? askedFor : given)

/** `2:ppn=12:property#excl`; processors are whole, and some ask for one and a half. */
function spreadOf(text: string): { nodes: number; cpusPerNode: number } | undefined {
  const [, nodes, ppn] = /^(\d+):ppn=(\d+(?:\.\d+)?)/.exec(text) ?? []
  if (nodes === undefined || ppn === undefined) return undefined
  return { nodes: Math.max(1, Number(nodes)), cpusPerNode: Math.max(1, Math.ceil(Number(ppn))) }
}
