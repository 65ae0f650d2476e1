import { tell } from '../leases/correspondence.ts'
import type { Body } from '../leases/messages.ts'
import { thatFit } from '../leases/pages.ts'
import { type Instant, LATEST } from '../runtime/clock.ts'
import type { View } from '../runtime/views.ts'
import { type AuthorityConfig, longestOf } from './config.ts'
import { Inventory } from './inventory.ts'
import { Levels } from './levels.ts'
import type { AuthorityDraft, LeaseRow } from './rows.ts'
import { offeredOf } from './standing.ts'

const TYPES_MAX = 1_000
const PROFILE_MAX = 500

/** Units that leases have a right to over time, by type. */
const leased: View<LeaseRow, Map<string, Levels>> = {
  table: 'lease',
  begin: () => new Map(),
  add: (view, lease) => count(view, lease, 1),
  remove: (view, lease) => count(view, lease, -1),
}

function count(view: Map<string, Levels>, { state, ticket, next }: LeaseRow, sign: 1 | -1): void {
  if (state === 'closed') return
  const levels = view.get(ticket.type) ?? new Levels()
  view.set(ticket.type, levels)
  levels.add(ticket.term, sign * ticket.units)
  if (next !== undefined) levels.add(next.term, sign * next.units)
}

/** Says what is lent and what of it is free. It promises nothing: tickets are the brokers’. */
export function answer(
  config: AuthorityConfig,
  { from, subject }: { from: string; subject: string },
  query: Body<'query'>,
  draft: AuthorityDraft,
): void {
  tell(draft, from, 'query-answer', subject, answerOf(config, query, draft), draft.now + config.answerMs)
  draft.retire(subject, draft.now + config.answerMs, from)
}

export function answerOf(
  config: AuthorityConfig,
  query: Body<'query'>,
  draft: AuthorityDraft,
): Body<'query-answer'> {
  const nothing = { types: [], earliest: null, unitsNow: 0, profile: [], refused: null }
  const { type, units = 1, durationMs = 1, after = draft.now, latest = LATEST } = query
  if (query.about === 'types') {
    const names = Object.keys(config.types).filter((name) => type === undefined || name === type)
    return {
      ...nothing,
      types: thatFit(names.slice(0, TYPES_MAX).map((name) => typeOf(config, name, draft))),
    }
  }
  if (type === undefined || config.types[type] === undefined)
    return { ...nothing, refused: `this site has no type ${type ?? '(none was named)'}` }
  const offer = draft.get('offer', type)
  const most = offer === undefined ? 0 : offeredOf(offer)
  const begin = Math.max(after, draft.now)
  const steps = draft.view(leased).get(type)?.from(begin) ?? [{ from: begin, units: 0 }]
  const profile = steps.map((step) => ({ from: step.from, free: Math.max(0, most - step.units) }))
  const lent = typeOf(config, type, draft)
  const isTooLong = durationMs > longestOf(config)
  return {
    ...nothing,
    types: [lent],
    earliest: isTooLong ? null : earliestOf(profile, units, durationMs, latest),
    unitsNow: isTooLong ? 0 : lent.free,
    profile: profile.slice(0, PROFILE_MAX),
  }
}

function typeOf(
  config: AuthorityConfig,
  type: string,
  draft: AuthorityDraft,
): Body<'query-answer'>['types'][number] {
  const offer = draft.get('offer', type)
  const units = offer === undefined ? 0 : offeredOf(offer)
  return {
    ...{ site: draft.self, type, vector: { ...config.types[type]!.vector }, units },
    free: Math.max(0, units - new Inventory(draft).ofType(type, config.types[type]!.vector)),
    ...{ conditions: config.conditions, until: null, termMsMax: longestOf(config) },
  }
}

/** The first start from which so many are free for the whole length; null if there is none. */
function earliestOf(
  profile: readonly { from: Instant; free: number }[],
  units: number,
  lengthMs: number,
  latest: Instant,
): Instant | null {
  let start: Instant | undefined
  for (const { from, free } of profile) {
    if (start !== undefined && from >= start + lengthMs) break
    if (free < units) start = undefined
    else start ??= from
  }
  return start !== undefined && start <= latest ? start : null
}
