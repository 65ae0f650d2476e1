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
    `It saw: ${reason}`,
    ...(read.success ? [figuresText(read.data.figures)] : []),
    ...(read.data?.intents ?? []).map(
      (intent) =>
        `It ${kind === 'decided' ? 'chose' : 'would have chosen'} to ${intentText(intent as unknown as GuestIntent)}, for: ${intent.reason}.`,
    ),
    ...together
      .slice(0, 20)
      .map((one) => `In the same step, line ${one.seq}: ${one.kind} ${one.subject}: ${one.reason}`),
  ]
}

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
