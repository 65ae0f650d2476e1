import type { Holding } from '../../controllers/controller.ts'
import { lend, type Pool, type Promised, poolKey, type Supply, supply, take } from '../leases/calendar.ts'
import { levelAlways, nextRise, type Profile, stepsFrom } from '../leases/profile.ts'
import { ALWAYS } from '../leases/term.ts'
import type { Instant } from '../runtime/clock.ts'
import type { RowSet } from '../runtime/row-set.ts'
import { guestOf, offersOf, promisesOf, recallOf } from './promises.ts'
import type { BrokerDraft, BrokerTables, DelegationRow, TicketRow } from './rows.ts'
import { uncounted } from './uncounted.ts'

/**
 * All that is asked for and promised, as the draft has it. It is kept from round to round and follows what the
 * commits change, so that a round costs what changed and what is open, not what is promised.
 *
 *   rows of the last commit ──what changed since──▶ kept ──with what the draft changes──▶ Book
 */
export interface Book {
  /** Rows with an open question; they may be very many. */
  open(): readonly TicketRow[]
  readonly supply: Supply
  /** What is free of one type at a site, below nothing where more is promised than lent. */
  profile(site: string, type: string): Profile
  /** ... and with what is held back of it until its site counts it no more. */
  promised(site: string, type: string): Profile
  holdings(now: Instant): Holding[]
  /** When more of a type comes free anywhere. */
  nextRise(type: string, after: Instant): Instant | undefined
}

/** As of a commit. */
interface Kept {
  readonly number: number
  /** Promises of each row, by the row's id. */
  readonly rows: Map<string, { readonly row: TicketRow; readonly promises: readonly Promised[] }>
  readonly open: Map<string, TicketRow>
  /** What is promised, off nothing. */
  readonly pools: Map<string, Pool>
}

const kept = new WeakMap<RowSet, Kept>()

export function bookOf(draft: BrokerDraft): Book {
  const { rows, open, pools } = follow(draft.committed)
  const drafted = (draft.changed.get('ticket') ?? new Map()) as ReadonlyMap<string, TicketRow | undefined>
  const poolsNow = new Map(pools)
  for (const [id, row] of drafted) replace(poolsNow, rows.get(id)?.promises ?? [], row)
  for (const offer of offersOf(draft)) lend(poolsNow, offer)
  for (const recall of draft.all('recall')) take(poolsNow, recallOf(recall))
  const promised = new Map(poolsNow)
  for (const row of draft.all('delegation')) holdBack(poolsNow, row, draft)
  return {
    open: () => openWith(open, drafted),
    supply: supply(poolsNow),
    profile: (site, type) => poolsNow.get(poolKey(site, type))?.free ?? levelAlways(0),
    promised: (site, type) => promised.get(poolKey(site, type))?.free ?? levelAlways(0),
    holdings: (now) => [
      ...holdingsOf(rows, now, drafted),
      ...[...drafted.values()].flatMap((row) => (row === undefined ? [] : holdingsIn(row, now))),
    ],
    nextRise(type, after) {
      let next: Instant | undefined
      for (const { site } of poolsNow.values()) {
        const free = poolsNow.get(poolKey(site, type))?.free
        const rise = free === undefined ? undefined : nextRise(free, after)
        if (rise !== undefined && (next === undefined || rise < next)) next = rise
      }
      return next
    },
  }
}

function holdBack(pools: Map<string, Pool>, row: DelegationRow, draft: BrokerDraft): void {
  const { site, type } = row
  let held: { readonly at: Instant; readonly level: number } | undefined
  for (const step of stepsFrom(uncounted(row, draft), ALWAYS.start)) {
    if (held !== undefined && held.level > 0)
      take(pools, { site, type, units: held.level, term: { start: held.at, end: step.at } })
    held = step
  }
}

function follow(committed: RowSet): Kept {
  const before = kept.get(committed)
  const { number, ids } = committed.changes('ticket' satisfies keyof BrokerTables, before?.number ?? -1)
  const current: Kept =
    before === undefined || ids === undefined
      ? { number, rows: new Map(), open: new Map(), pools: new Map() }
      : { ...before, number }
  const changed =
    before === undefined || ids === undefined ? [...committed.all('ticket')].map(({ id }) => id) : ids
  for (const id of changed) {
    const row = committed.get('ticket', id) as TicketRow | undefined
    const known = current.rows.get(id)
    if (known?.row === row) continue
    const promises = replace(current.pools, known?.promises ?? [], row)
    follows(current.open, id, row)
    if (row === undefined) current.rows.delete(id)
    else current.rows.set(id, { row, promises })
  }
  kept.set(committed, current)
  return current
}

/** Takes what one row promised out of the pools, and puts in what it promises now. */
function replace(
  pools: Map<string, Pool>,
  before: readonly Promised[],
  row: TicketRow | undefined,
): readonly Promised[] {
  const promises = row === undefined ? [] : promisesOf(row)
  for (const promise of before) take(pools, { ...promise, units: -promise.units })
  for (const promise of promises) take(pools, promise)
  return promises
}

function openWith(
  open: ReadonlyMap<string, TicketRow>,
  drafted: ReadonlyMap<string, TicketRow | undefined>,
): TicketRow[] {
  const now = new Map(open)
  for (const [id, row] of drafted) follows(now, id, row)
  return [...now.values()]
}

function follows(open: Map<string, TicketRow>, id: string, row: TicketRow | undefined): void {
  if (row?.asked === undefined) open.delete(id)
  else open.set(id, row)
}

function holdingsOf(rows: Kept['rows'], now: Instant, except: ReadonlyMap<string, unknown>): Holding[] {
  const holdings: Holding[] = []
  for (const [id, { row }] of rows)
    if (row.tickets.length > 0 && !except.has(id)) holdings.push(...holdingsIn(row, now))
  return holdings
}

function holdingsIn(row: TicketRow, now: Instant): Holding[] {
  const { id: leaseId, holder, tickets } = row
  const properties = guestOf(row)
  return tickets
    .filter(({ term }) => term.end > now)
    .map(({ site, type, units, term }) => ({ leaseId, holder, site, type, units, term, properties }))
}
