import { RETIRE_MS, tell } from '../leases/correspondence.ts'
import type { Body } from '../leases/messages.ts'
import { someUnits } from '../leases/words.ts'
import type { Instant, Millis } from '../runtime/clock.ts'
import { SubletError } from '../runtime/errors.ts'
import type { ServiceManagerConfig } from './config.ts'
import type { QueryRow, ServiceManagerDraft } from './rows.ts'

/** What is asked of a broker, or of a site; see `sublet query`. */
export type Question = Body<'query'> & {
  /** Absent: the configured broker. */
  readonly to?: string | undefined
  /** How long an answer is waited for; absent: as for a ticket. */
  readonly withinMs?: Millis | undefined
}

const OPEN_MAX = 100
/** How long whoever asked may fetch the answer. */
const KEPT_MS: Millis = 60_000

/**
 * Questions on what there is, which change nothing anywhere.
 *
 *   asked ──answer, refusal, deadline──▶ answered ──kept──▶ forgotten
 */
export function queries(config: ServiceManagerConfig) {
  return { ask, outcome, answered, undelivered, due }

  function ask(
    { to = config.broker, withinMs = config.askMs, ...body }: Question,
    draft: ServiceManagerDraft,
  ) {
    if (draft.all('query').length >= OPEN_MAX)
      throw new SubletError('no-capacity', `${OPEN_MAX} questions are under way already`, {
        cure: 'Ask again in a minute.',
      })
    const id = draft.newId('query')
    const until: Instant = draft.now + withinMs
    draft.put('query', { id, to, askedAt: draft.now, due: until })
    draft.note('query asked', id, `${to}: ${body.about}`, body)
    tell(draft, to, 'query', id, body, until)
    return { queryId: id, until }
  }

  /** Undefined while it is waited for. */
  function outcome(id: string, draft: ServiceManagerDraft): Pick<QueryRow, 'answer' | 'failed'> | undefined {
    const row = draft.get('query', id)
    if (row === undefined) throw new SubletError('unknown-id', `no question ${id} is known (any more)`)
    const { answer, failed } = row
    return answer === undefined && failed === undefined ? undefined : { answer, failed }
  }

  function answered(
    row: QueryRow | undefined,
    from: string,
    id: string,
    answer: Body<'query-answer'>,
    draft: ServiceManagerDraft,
  ): void {
    if (row === undefined || row.to !== from || isOver(row))
      return draft.note('message noted', id, `${from} answers what it is not asked (any more)`)
    draft.put('query', { ...row, answer, due: draft.now + KEPT_MS })
    draft.note('query answered', id, answer.refused ?? summaryOf(answer))
  }

  function undelivered(id: string, reason: string, draft: ServiceManagerDraft): void {
    const row = draft.get('query', id)
    if (row !== undefined && !isOver(row)) fail(row, reason, draft)
  }

  function due(row: QueryRow | undefined, draft: ServiceManagerDraft): void {
    if (row === undefined) return
    if (!isOver(row)) return fail(row, `${row.to} did not answer in time`, draft)
    draft.remove('query', row.id)
    draft.retire(row.id, draft.now + RETIRE_MS)
  }

  function fail(row: QueryRow, failed: string, draft: ServiceManagerDraft): void {
    draft.put('query', { ...row, failed, due: draft.now + KEPT_MS })
    draft.note('query failed', row.id, failed)
  }
}

const isOver = ({ answer, failed }: QueryRow): boolean => answer !== undefined || failed !== undefined

function summaryOf({ types, profile, unitsNow }: Body<'query-answer'>): string {
  const kinds = types.length === 1 ? '1 type' : `${types.length} types`
  return profile.length === 0 ? kinds : `${kinds}, ${someUnits(unitsNow)} now`
}
