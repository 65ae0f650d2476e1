import { tell } from '../leases/correspondence.ts'
import type { Body } from '../leases/messages.ts'
import { pageOf } from '../leases/pages.ts'
import type { ServiceManagerConfig } from './config.ts'
import { brokerOf } from './leases.ts'
import { isOut } from './members.ts'
import type { LeaseRow, ServiceManagerDraft, UnitRow } from './rows.ts'
import { isFinished, unitsOf } from './steps.ts'

const UNITS_TOLD_MAX = 1_000

type Holding = Body<'holdings'>['holdings'][number]

/** Tells a broker or a site that was restored what is held here that concerns it, a page at a time. */
export function tellHoldings(
  to: string,
  subject: string,
  query: Body<'holdings-query'>,
  { config, isUnsure }: { readonly config: ServiceManagerConfig; readonly isUnsure: boolean },
  draft: ServiceManagerDraft,
): void {
  const mine = draft
    .all('lease')
    .filter((lease) => brokerOf(lease, config) === to || lease.ticket?.site === to)
  const placeOf = (lease: LeaseRow) => ({
    leaseId: lease.id,
    isOver: isFinished(lease) && lease.ticket === undefined,
  })
  const holding = (lease: LeaseRow) => holdingOf(lease, draft)
  const page = pageOf(mine, placeOf, holding, { ...query, isUnsure, most: config.holdingsMax })
  // Whoever asks for page after page gets one line for them. He begins seldom: it counts as what is refused.
  if (page.page === 0) {
    draft.turnDown()
    draft.note('holdings told', subject, `${to}: ${mine.length} leases, page 1 of ${page.pages}`)
  }
  tell(draft, to, 'holdings', subject, page, draft.now + config.answerMs)
  draft.retire(subject, draft.now + config.answerMs, to)
}

function holdingOf(lease: LeaseRow, draft: ServiceManagerDraft): Holding {
  const { id, ticketState, leaseState, ticket, next, properties } = lease
  const units = unitsOf(lease, draft)
  // Of those that have to go with a boundary some may still be on their way when it is behind us.
  const without = units
    .filter((unit) => unit.withoutFrom !== undefined && !isOut(unit))
    .map((unit) => unit.id)
  // Those that are to go with an extension that is only asked for are in use as ever.
  const victims = [...new Set([...(next === undefined ? [] : lease.victims), ...without])]
  return {
    leaseId: id,
    state: `ticket ${ticketState}, lease ${leaseState}`,
    closed: isFinished(lease),
    ticket: ticket ?? null,
    next: next ?? null,
    properties: { ...properties },
    ...(victims.length === 0 ? {} : { victims: victims.slice(0, UNITS_TOLD_MAX) }),
    units: telling(units).map(({ id: unitId, name, state, suspect, facts }) => ({
      ...{ id: unitId, name, facts: { ...facts } },
      report: reportOf(state, suspect),
    })),
  }
}

/** As many as a message may have; those that are there come first. */
const telling = (units: readonly UnitRow[]): readonly UnitRow[] =>
  units.length <= UNITS_TOLD_MAX
    ? units
    : [...units.filter((unit) => !isOut(unit)), ...units.filter(isOut)].slice(0, UNITS_TOLD_MAX)

function reportOf(state: UnitRow['state'], suspect: string | undefined): Holding['units'][number]['report'] {
  if (state === 'left' || state === 'lost') return 'ended'
  if (state === 'awaited') return 'coming'
  return suspect === undefined ? 'active' : 'suspect'
}
