import { z } from 'zod'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { written } from '../../actors/runtime/sentence.ts'
import type { GuestIntent } from '../../controllers/controller.ts'
import { some, span } from '../../controllers/sentence.ts'
import type { NamedLedger } from '../reports/ledgers.ts'
import { intentText } from './plan.ts'

const PAGE = 500
const KINDS: ReadonlySet<string> = new Set(['decided', 'would decide'])

const shape = z.object({
  figures: z.object({
    backlogJobs: z.number(),
    unitsWanted: z.number(),
    unitsJoined: z.number(),
    unitsComing: z.number(),
    oldestWaitMs: z.number(),
  }),
  intents: z.array(z.looseObject({ kind: z.string(), reason: z.string() })),
  // Earlier programs wrote none of these, and controllers of others may have no thresholds.
  look: z.object({ startedAt: z.number(), jobs: z.number(), nodes: z.number() }).optional(),
  compared: z.record(z.string(), z.tuple([z.number(), z.number()])).optional(),
  config: z.string().optional(),
})

/**
 * A decision by the number of its line in the ledger of the service manager, or `last`: what was seen, what was made of
 * it, and what was written down in the same step.
 */
export async function explainDecision(
  ledgers: readonly NamedLedger[],
  id: string,
): Promise<readonly string[]> {
  for (const ledger of ledgers) {
    const lines = id === 'last' ? await lastOf(ledger) : await from(ledger, Number(id))
    const [line, ...after] = lines
    if (line !== undefined && KINDS.has(line.kind)) return sentencesOf(line, after)
  }
  throw new SubletError('unknown-id', `no decision has the number ${id} here`, {
    cure: 'Give the number of a line `decided` that `sublet ledger` shows, or `last`; single looks that change nothing are not written down.',
  })
}

function sentencesOf(line: LedgerEntry, after: readonly LedgerEntry[]): readonly string[] {
  const { seq, at, subject, kind, reason, data } = line
  const read = shape.safeParse(data)
  const together = after.filter((one) => one.at === at && !KINDS.has(one.kind))
  return [
    `Decision ${seq} of ${subject} at ${written(at)}${kind === 'decided' ? '' : ', which is only observed: nothing was done'}.`,
    ...(read.data?.look === undefined ? [] : [lookText(read.data.look)]),
    `It saw: ${reason}`,
    ...(read.success ? [figuresText(read.data.figures)] : []),
    ...comparedText(read.data?.compared ?? {}),
    ...(read.data?.config === undefined ? [] : [configText(read.data.config)]),
    ...(read.data?.intents ?? []).map(
      (intent) =>
        `It ${kind === 'decided' ? 'chose' : 'would have chosen'} to ${intentText(intent as unknown as GuestIntent)}, for: ${intent.reason}.`,
    ),
    ...together
      .slice(0, 20)
      .map((one) => `In the same step, line ${one.seq}: ${one.kind} ${one.subject}: ${one.reason}`),
  ]
}

type Read = z.output<typeof shape>

const lookText = ({ startedAt, jobs, nodes }: NonNullable<Read['look']>): string =>
  `It went by the look at the batch system that began at ${written(startedAt)}: ${some(jobs, 'job')} and ${some(nodes, 'node')} were listed.`

/** What each threshold is held against, in words; of another controller's as they stand there. */
const COMPARED: Readonly<Record<string, (found: number, bound: number) => string>> = {
  'grow.wait': (found, bound) =>
    `the longest wait without room was ${span(found)}, and units are asked for from ${span(bound)} on (grow.wait)`,
  'grow.backlog': (found, bound) =>
    `the work that waits was ${beyondYears(found)} for each processor, and units are asked for above ${span(bound)} (grow.backlog)`,
  'grow.sustain': (found, bound) =>
    `one of the two had held for ${span(found)}, and has to for ${span(bound)} (grow.sustain)`,
  max: (found, bound) =>
    `${some(found, 'unit')} ${found === 1 ? 'was' : 'were'} held or asked for, and max is ${bound}: room for ${Math.max(0, bound - found)}`,
  budget: (found, bound) => `${found} of the ${bound} node-hours of the budget were left`,
  startsPerMinute: (found, bound) =>
    `${some(found, 'unit')} had been asked for within a minute, and startsPerMinute is ${bound}`,
  ramp: (found, bound) =>
    found === 0
      ? `nothing was put off by the share of ramp (${bound})`
      : `${some(found, 'unit')} more ${found === 1 ? 'was' : 'were'} put off to the next share of ramp (${bound})`,
  keep: (found, bound) =>
    `${some(found, 'unit')} ${found === 1 ? 'was' : 'were'} there or coming, of which ${bound} are to be kept (min, reserve)`,
  'shrink.idle': (found, bound) =>
    `what is drained for that was empty and unneeded for ${span(found)} at least, and goes from ${span(bound)} on (shrink.idle)`,
  'shrink.backlog': (found, bound) =>
    `the work that waits was ${beyondYears(found)} for each processor, and nothing goes above ${span(bound)} (shrink.backlog)`,
}

const YEAR_MS = 365 * 24 * 3_600_000
/** Where no processor is there. */
const beyondYears = (ms: number): string => (ms > YEAR_MS ? 'without end' : span(ms))

function comparedText(compared: NonNullable<Read['compared']>): readonly string[] {
  const all = Object.entries(compared).map(([name, [found, bound]]) => {
    const [, queue, ofQueue] = /^queues\.(.+)\.(grow\.\w+)$/.exec(name) ?? []
    const words = COMPARED[ofQueue ?? name]?.(found, bound)
    if (words === undefined) return `${name}: ${found}, held against ${bound}`
    return queue === undefined ? words : `in queue ${queue} ${words}`
  })
  return all.length === 0 ? [] : [`It compared: ${all.join('; ')}.`]
}

const configText = (config: string): string =>
  `The settings of its controller then have the digest ${config}: decisions with another one went by others, and lines \`configured\` of \`sublet ledger\` tell what was changed.`

const figuresText = ({
  backlogJobs,
  oldestWaitMs,
  unitsJoined,
  unitsComing,
  unitsWanted,
}: z.output<typeof shape>['figures']): string =>
  `It counted ${some(backlogJobs, 'job')} that a machine would help${backlogJobs > 0 ? `, the longest waiting for ${span(oldestWaitMs)}` : ''}; ${some(unitsJoined, 'unit')} joined, ${unitsComing} coming, ${unitsWanted} would serve all at once.`

async function from({ ledger }: NamedLedger, seq: number): Promise<readonly LedgerEntry[]> {
  if (!Number.isSafeInteger(seq) || seq < 1) return []
  const lines = await ledger.entries({ afterSeq: seq - 1, limit: 100 })
  return lines[0]?.seq === seq ? lines : []
}

async function lastOf(named: NamedLedger): Promise<readonly LedgerEntry[]> {
  for (let end = named.head.seq; end > 0; end -= PAGE) {
    const lines = await named.ledger.entries({ afterSeq: Math.max(0, end - PAGE), limit: PAGE })
    const at = lines.findLastIndex(({ kind }) => KINDS.has(kind))
    if (at >= 0) return from(named, lines[at]!.seq)
  }
  return []
}
