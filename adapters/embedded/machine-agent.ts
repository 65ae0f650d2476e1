import { type Clock, sleep } from '../../actors/runtime/clock.ts'
import { inOneLine } from '../../actors/runtime/errors.ts'
import type { NodeMark } from '../batch-system.ts'
import type { PartOrder, PartReport } from './batch-records.ts'
import { count, type Fields, optional, text, textRecord, texts, yesNo } from './fields.ts'
import type { MachineParts } from './machine-parts.ts'
import { type Channel, dial } from './wire.ts'

const DIAL_MS = 3_000
const ASK_MS = 10_000
const BEAT_MS = 2_000
const REDIAL_MS_MIN = 50
const REDIAL_MS_MAX = 1_000
/** A machine that ends does not wait long for a batch system that is away. */
const BYE_MS = 1_000

/** Where the node daemon registers, and as what. */
export interface Attachment {
  readonly socket: string
  readonly name: string
  /** Null: a node of the admin's own. */
  readonly mark: NodeMark | null
  readonly cpus: number
  readonly memoryMiB: number
}

export interface MachineAgent {
  readonly attachment: Attachment
  report(report: PartReport): void
  /** Tells the batch system that the machine ends, and with what left undone. */
  bye(): Promise<void>
  stop(): void
}

/**
 * The node daemon inside a machine: keeps a line to the batch system, tells what runs, takes orders.
 * Whenever the line is new, everything is told, so a message that was lost with the old one is no loss.
 */
export function machineAgent(deps: {
  readonly attachment: Attachment
  readonly parts: MachineParts
  readonly clock: Clock
  /** The batch system removed the node. */
  readonly onRemoved: () => void
  readonly log: (sentence: string) => void
}): MachineAgent {
  const { attachment, parts, clock, log } = deps
  const stopping = new AbortController()
  let line: Channel | undefined

  function onEvent(event: string, body: Fields): void {
    if (stopping.signal.aborted) return
    if (event === 'start') parts.start(readOrder(body))
    else if (event === 'end') parts.end(text(body, 'jobId'), count(body, 'attempt'), text(body, 'reason'))
    else if (event === 'forget') parts.forget(text(body, 'jobId'), count(body, 'attempt'))
    else if (event === 'removed') {
      stop()
      deps.onRemoved()
    } else log(`the batch system sent “${event}”, which is not known here`)
  }

  async function stay(): Promise<void> {
    let delayMs = REDIAL_MS_MIN
    let lastFault = ''
    while (!stopping.signal.aborted) {
      try {
        const channel = await dial(attachment.socket, {
          clock,
          who: 'The batch system',
          code: 'middleware-unreachable',
          timeoutMs: DIAL_MS,
          signal: stopping.signal,
          onEvent,
        })
        try {
          const { socket: _, ...self } = attachment
          const reports = parts.reports()
          const registered = channel.ask(
            'register',
            { ...self, address: '127.0.0.1', parts: reports },
            { timeoutMs: ASK_MS },
          )
          // Orders may come before the answer, and what they lead to follows the registration on this line.
          line = channel
          await registered
          for (const each of reports)
            if (each.state === 'done' || each.state === 'killed') parts.forget(each.jobId, each.attempt)
          delayMs = REDIAL_MS_MIN
          lastFault = ''
          while (!channel.gone.aborted) {
            await sleep(clock, BEAT_MS, AbortSignal.any([channel.gone, stopping.signal]))
            await channel.ask('beat', {}, { timeoutMs: ASK_MS })
          }
        } finally {
          line = undefined
          channel.hangUp()
        }
      } catch (error) {
        if (stopping.signal.aborted) return
        // The same fault again and again is one line.
        const fault = error instanceof Error ? inOneLine(error) : 'The line to the batch system broke.'
        if (fault !== lastFault) log(fault)
        lastFault = fault
        await sleep(clock, delayMs)
        delayMs = Math.min(delayMs * 2, REDIAL_MS_MAX)
      }
    }
  }

  async function tell(report: PartReport): Promise<void> {
    const channel = line
    if (channel === undefined) return
    try {
      await channel.ask('report', { ...report }, { timeoutMs: ASK_MS })
      if (report.state === 'done' || report.state === 'killed') parts.forget(report.jobId, report.attempt)
    } catch (error) {
      // Everything is told again when the next line is up.
      log(inOneLine(error))
      channel.hangUp()
    }
  }

  function stop(): void {
    stopping.abort(new Error('the node daemon stops'))
    line?.hangUp()
  }

  void stay()
  return {
    attachment,
    report: (report) => void tell(report),
    async bye() {
      const channel = line
      stopping.abort(new Error('the machine ends'))
      try {
        await channel?.ask('bye', { parts: parts.reports() }, { timeoutMs: BYE_MS })
      } catch (error) {
        log(`the batch system could not be told of the end: ${inOneLine(error)}`)
      }
      channel?.hangUp()
    },
    stop,
  }
}

const readOrder = (from: Fields): PartOrder => ({
  jobId: text(from, 'jobId'),
  attempt: count(from, 'attempt'),
  first: yesNo(from, 'first'),
  command: text(from, 'command'),
  environment: textRecord(from, 'environment'),
  output: optional(from, 'output', text) ?? null,
  nodes: texts(from, 'nodes'),
  walltimeMs: optional(from, 'walltimeMs', count) ?? null,
  epilog: optional(from, 'epilog', text) ?? null,
  epilogMsMax: count(from, 'epilogMsMax'),
})
