import { RETIRE_MS, tell } from '../leases/correspondence.ts'
import type { Body } from '../leases/messages.ts'
import { thatFit } from '../leases/pages.ts'
import { stepsFrom } from '../leases/profile.ts'
import { type Instant, LATEST, type Millis } from '../runtime/clock.ts'
import type { Envelope } from '../runtime/envelope.ts'
import { type Book, bookOf } from './book.ts'
import type { BrokerParts } from './config.ts'
import type { Alternative } from './grants.ts'
import type { AskerRow, BrokerDraft, DelegationRow, TicketRow } from './rows.ts'

type Query = Body<'query'>
type QueryAnswer = Body<'query-answer'>

/** As many as fit into one answer. */
const TYPES_MAX = 1_000
const STEPS_MAX = 500
const DURATION_MS: Millis = 3_600_000
/** Questions of one peer that are written down one by one within a minute; further ones are counted. */
export const QUERIES_NOTED_MAX = 10
const QUERIES_NOTED_MS: Millis = 60_000

/**
 * What there is, for anybody who is trusted to speak at all. An answer promises nothing: requests that wait are not
 * in it, and it is old when it arrives.
 */
export function queries({ config }: BrokerParts) {
  return { answered, asked: answerOf, counted }

  function answered({ from, subject }: Envelope, query: Query, draft: BrokerDraft): void {
    const until = draft.now + config.answerMs
    tell(draft, from, 'query-answer', subject, answerOf(query, draft), until)
    draft.retire(subject, draft.now + RETIRE_MS, from)
    const { times, due = draft.now + QUERIES_NOTED_MS } = draft.get('asker', from) ?? { times: 0 }
    draft.put('asker', { id: from, times: times + 1, due })
    if (times >= QUERIES_NOTED_MAX) return
    draft.note(
      'query answered',
      subject,
      `${from} asks about ${query.about}${query.type ? ` of ${query.type}` : ''}`,
    )
  }

  /** The ledger is kept for ever: whoever asks all the time gets one line for it in a minute. */
  function counted({ id: from, times }: AskerRow, draft: BrokerDraft): void {
    draft.remove('asker', from)
    const more = times - QUERIES_NOTED_MAX
    if (more > 0) draft.note('query answered', from, `${from} asked ${more} times more within a minute`)
  }
}

/** What would work instead of a request whose time is over. */
export function wouldWork({ type, asked }: TicketRow, draft: BrokerDraft): Alternative {
  const { unitsMin: units, durationMs } = asked!
  const { earliest, unitsNow } = answerOf({ about: 'availability', type, units, durationMs }, draft)
  return { earliest: earliest ?? undefined, unitsNow }
}

function answerOf(query: Query, draft: BrokerDraft): QueryAnswer {
  const book = bookOf(draft)
  const rows = draft.all('delegation').filter(({ type }) => query.type === undefined || type === query.type)
  const types = thatFit(
    inTurn(rows)
      .slice(0, TYPES_MAX)
      .map((row) => typeOf(row, book, draft.now)),
  ).sort((a, b) => (`${a.site}/${a.type}` < `${b.site}/${b.type}` ? -1 : 1))
  const nothing = { earliest: null, unitsNow: 0, profile: [] }
  if (query.about === 'types') return { types, ...nothing, refused: null }
  const { type, units = 1, latest = LATEST } = query
  // Nothing is free for longer than it is lent for.
  const longest = Math.max(...rows.map(({ termMsMax = DURATION_MS }) => termMsMax))
  const { durationMs = Math.min(DURATION_MS, longest) } = query
  if (type === undefined) return { types, ...nothing, refused: 'availability is asked of one type: name it' }
  if (rows.length === 0) return { types, ...nothing, refused: `no site lends units of type ${type}` }
  const after = Math.max(query.after ?? draft.now, draft.now)
  const { supply } = book
  const starts = rows.flatMap(
    ({ site }) => supply.earliest(site, type, units, durationMs, after, latest) ?? [],
  )
  const term = { start: after, end: after + Math.max(1, durationMs) }
  return {
    types,
    earliest: starts.length === 0 ? null : Math.min(...starts),
    unitsNow: Math.max(...rows.map(({ site }) => supply.free(site, type, term))),
    profile: profileOf(rows, book, after, latest),
    refused: null,
  }
}

/** The first type of each site, then the second of each: one that offers very many hides none of the others'. */
function inTurn(rows: readonly DelegationRow[]): DelegationRow[] {
  const ofSite = new Map<string, number>()
  return rows
    .toSorted((a, b) => (a.id < b.id ? -1 : 1))
    .map((row) => {
      const turn = ofSite.get(row.site) ?? 0
      ofSite.set(row.site, turn + 1)
      return { row, turn }
    })
    .sort((a, b) => a.turn - b.turn)
    .map(({ row }) => row)
}

function typeOf(row: DelegationRow, { supply }: Book, now: Instant): QueryAnswer['types'][number] {
  const { site, type, vector, units, conditions, claim, termMsMax } = row
  const free = supply.free(site, type, { start: now, end: now + 1 })
  const longest = termMsMax === undefined ? {} : { termMsMax }
  return { site, type, vector, units, free, conditions, until: claim?.claim.term.end ?? null, ...longest }
}

/** Of all sites together, from `after` until `latest`; the first steps, if there are too many. */
function profileOf(
  rows: readonly DelegationRow[],
  book: Book,
  after: Instant,
  latest: Instant,
): QueryAnswer['profile'] {
  const changes = new Map<Instant, number>()
  for (const { site, type } of rows) {
    let level = 0
    let count = 0
    for (const step of stepsFrom(book.profile(site, type), after)) {
      if (step.at > latest || ++count > STEPS_MAX) break
      const free = Math.max(0, step.level)
      changes.set(step.at, (changes.get(step.at) ?? 0) + free - level)
      level = free
    }
  }
  let free = 0
  return [...changes]
    .sort(([a], [b]) => a - b)
    .slice(0, STEPS_MAX)
    .map(([from, change]) => {
      free += change
      return { from, free }
    })
}
