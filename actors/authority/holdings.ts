import { tell } from '../leases/correspondence.ts'
import type { Body } from '../leases/messages.ts'
import { pageOf } from '../leases/pages.ts'
import { indexOf } from '../runtime/views.ts'
import type { AuthorityConfig } from './config.ts'
import type { AuthorityDraft, LeaseRow } from './rows.ts'
import { unitsOf } from './standing.ts'
import { reportOf, wantedOf } from './statement.ts'

const byHolder = indexOf<LeaseRow>('lease', ({ holder }) => holder)
const byBroker = indexOf<LeaseRow>('lease', ({ ticket }) => ticket.broker)

/**
 * Somebody was restored from an older store and asks what is held here that concerns him: as the holder of leases, or
 * as the broker of their tickets. The site says what it knows for certain; tickets come with their signatures.
 */
export function tellHoldings(
  config: AuthorityConfig,
  { from, subject }: { from: string; subject: string },
  query: Body<'holdings-query'>,
  draft: AuthorityDraft,
): void {
  const concerned = new Map<string, LeaseRow>()
  for (const index of [byHolder, byBroker])
    for (const lease of draft.having(index, from)) concerned.set(lease.id, lease)
  const placeOf = ({ id: leaseId }: LeaseRow) => ({ leaseId, isOver: false })
  const all = [...concerned.values()]
  const holding = (lease: LeaseRow) => holdingOf(lease, draft)
  const body = pageOf(all, placeOf, holding, { ...query, most: config.holdingsMax })
  // Whoever asks for page after page gets one line for them. He begins seldom: it counts as what is refused.
  if (query.page === 0) {
    draft.turnDown()
    draft.note('holdings told', subject, `${from} asks: ${all.length} leases, page 1 of ${body.pages}`)
  }
  tell(draft, from, 'holdings', subject, body, draft.now + config.answerMs)
  draft.retire(subject, draft.now + config.answerMs, from)
}

const holdingOf = (lease: LeaseRow, draft: AuthorityDraft): Body<'holdings'>['holdings'][number] => ({
  ...{ leaseId: lease.id, state: lease.state, closed: lease.state === 'closed' },
  ...{ ticket: lease.ticket, next: lease.next ?? null, properties: { ...lease.properties } },
  // What is there comes first: what is not named has ended, for whoever asks.
  units: unitsOf(lease, draft)
    .toSorted((a, b) => Number(a.state === 'ended') - Number(b.state === 'ended'))
    .slice(0, 1_000)
    .map((unit) => ({
      ...{ id: unit.id, name: unit.name, report: reportOf(unit), facts: { ...unit.facts } },
      ...wantedOf(unit, draft),
    })),
})
