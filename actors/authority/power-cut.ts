import type { Instant, Millis } from '../runtime/clock.ts'
import { period, written } from '../runtime/sentence.ts'
import type { AuthorityConfig } from './config.ts'
import type { AuthorityDraft, PowerCut, SiteRow, Starts, UnitRow } from './rows.ts'

/**
 * Many machines dead at one time, as after the power of a room was cut: it is hardly each of them, or its image, and what
 * they need to start (LDAP, DNS, NFS) comes back last.
 *
 *   lists of machines   ── all there ──┬── most are gone ─────────────────┬── all are back, or the time is over ──
 *   replaced            at once        │ `startsPerMinute` of the site    │ at once
 *   what fails          counts         │ counts against no lease for      │ counts
 *                                      │ `patienceMs`                     │
 *
 * The same holds from a start to the first list, and while no list can be had: nothing is known of any machine then.
 */

const SITE_KEY = 'site'
const MINUTE_MS: Millis = 60_000
/** Fewer may die together by chance. */
const GONE_MIN = 3
/** A list that is under way may see a part of them die, the next one the others. */
const TOGETHER_MS: Millis = 2 * MINUTE_MS
/** A machine that was assigned so long ago is no longer one that hardly came up. */
const SETTLED_MS: Millis = 10 * MINUTE_MS
/** Power that comes back goes again now and then; machines that die soon after each start are no power cut each time. */
const IN_ROW_MAX = 3
/** Nothing is gained by waiting longer for an image that may work at any moment. */
const PATIENT_BACKOFF_MS_MAX: Millis = MINUTE_MS

const siteOf = (draft: AuthorityDraft): SiteRow | undefined => draft.get('site', SITE_KEY)

/** That goes on at this instant. */
export function powerCutOf(now: Instant, site: SiteRow | undefined): PowerCut | undefined {
  const cut = site?.powerCut
  return cut === undefined || cut.over === true || now >= cut.until ? undefined : cut
}

/** It is not the machine, its image or its lease that is to blame for what fails now. */
export function isPatient({ powerCut }: AuthorityConfig, draft: AuthorityDraft): boolean {
  if (powerCut === undefined) return false
  const site = siteOf(draft)
  const { unlistedSince } = site ?? {}
  if (unlistedSince !== undefined && draft.now < unlistedSince + powerCut.patienceMs) return true
  return powerCutOf(draft.now, site) !== undefined
}

/** The next attempt with an image: it may be worth it as soon as what all machines wait for is back. */
export const backoffMs = (ordinaryMs: Millis, config: AuthorityConfig, draft: AuthorityDraft): Millis =>
  isPatient(config, draft) ? Math.min(ordinaryMs, PATIENT_BACKOFF_MS_MAX) : ordinaryMs

/** How many machines may be started now, and when further ones may. */
export interface Leave {
  readonly units: number
  readonly again: Instant
}

/** Undefined: as many as there is room for. */
export function leaveToStart({ powerCut }: AuthorityConfig, draft: AuthorityDraft): Leave | undefined {
  const site = siteOf(draft)
  if (powerCut === undefined || !isPaced(powerCut.patienceMs, site, draft.now)) return undefined
  const { batch, everyMs } = paceOf(powerCut.startsPerMinute)
  const { from, count } = stretchAt(site?.starts, everyMs, draft.now)
  return { units: Math.max(0, batch - count), again: from + everyMs }
}

export function noteStarts({ powerCut }: AuthorityConfig, units: number, draft: AuthorityDraft): void {
  const site = siteOf(draft)
  if (powerCut === undefined || site === undefined || units === 0) return
  if (!isPaced(powerCut.patienceMs, site, draft.now)) return
  const { from, count } = stretchAt(site.starts, paceOf(powerCut.startsPerMinute).everyMs, draft.now)
  draft.put('site', { ...site, starts: { from, count: count + units } })
}

function isPaced(patienceMs: Millis, site: SiteRow | undefined, now: Instant): boolean {
  const { unlistedSince, powerCut: cut } = site ?? {}
  if (unlistedSince !== undefined && now < unlistedSince + patienceMs) return true
  return cut !== undefined && cut.over !== true && now < cut.pacedUntil
}

/** Evenly, a few at a time where there are many in a minute. */
function paceOf(startsPerMinute: number): { readonly batch: number; readonly everyMs: Millis } {
  const batch = Math.max(1, Math.round(startsPerMinute / 60))
  return { batch, everyMs: Math.ceil((batch * MINUTE_MS) / startsPerMinute) }
}

const stretchAt = (starts: Starts | undefined, everyMs: Millis, now: Instant): Starts =>
  starts !== undefined && now < starts.from + everyMs && now >= starts.from ? starts : { from: now, count: 0 }

/** Why starts are paced, in words. */
export function paceReason({ powerCut }: AuthorityConfig, draft: AuthorityDraft): string {
  const cut = siteOf(draft)?.powerCut
  const why =
    cut === undefined || cut.over === true
      ? 'its machines could not be listed yet'
      : `the power cut of ${written(cut.since)}`
  return `the site starts at most ${powerCut?.startsPerMinute} machines in a minute after ${why}`
}

/**
 * Called with what a list shows to be dead, before that is acted on. A machine whose term is over goes by itself, and is
 * no sign of anything.
 */
export function noticeGone(
  config: AuthorityConfig,
  gone: readonly UnitRow[],
  running: number,
  lastListedAt: Instant | undefined,
  draft: AuthorityDraft,
): void {
  const { powerCut } = config
  if (powerCut === undefined || gone.length === 0) return
  const site = siteOf(draft)!
  const { powerCut: before } = site
  if (powerCutOf(draft.now, site) !== undefined && before?.over !== true) return
  const inRow = before?.inRow ?? 1
  const isSettled = ({ assignedAt }: UnitRow): boolean => draft.now - assignedAt >= SETTLED_MS
  const isSign = (unit: UnitRow): boolean =>
    before === undefined || isSettled(unit) || (unit.wasActive && inRow < IN_ROW_MAX)
  const earlier = diedSince(draft.now - TOGETHER_MS, draft).filter(isSign)
  const signs = gone.filter(isSign)
  const count = signs.length + earlier.length
  if (count === 0) return
  const of = count + running
  // The first list after a start tells of all the time in which nobody looked.
  const isAll = site.unlistedSince !== undefined && running === 0
  if (!isAll && (count < GONE_MIN || count * 2 < of)) return
  const since = Math.min(lastListedAt ?? draft.now, ...earlier.map((unit) => unit.since))
  const until = draft.now + powerCut.patienceMs
  const neededMs = Math.ceil((2 * count * MINUTE_MS) / powerCut.startsPerMinute)
  const cut: PowerCut = {
    ...{ since, noticedAt: draft.now, gone: count, of, until },
    pacedUntil: Math.max(until, draft.now + neededMs),
    inRow: before === undefined || [...signs, ...earlier].some(isSettled) ? 1 : inRow + 1,
  }
  draft.put('site', { ...site, powerCut: cut })
  draft.note(
    'power cut',
    draft.self,
    `${count} of ${of} machines are gone since ${written(since)}: taken for a power cut, not for ${count === 1 ? 'a death' : `${count} deaths`}; at most ${powerCut.startsPerMinute} are started in a minute, and what fails until ${written(until)} counts against no lease`,
    { ...cut },
  )
  for (const leaseId of new Set(earlier.map((unit) => unit.leaseId))) {
    const lease = draft.get('lease', leaseId)
    if (lease !== undefined)
      draft.put('lease', { ...lease, repairs: undefined, repairNotBefore: undefined, due: draft.now })
  }
}

/** Not the first list in which it was seen: what is to be done about it is known in the next one. */
export function endPowerCut(config: AuthorityConfig, startedAt: Instant, draft: AuthorityDraft): void {
  const site = siteOf(draft)!
  const { powerCut: cut } = site
  if (config.powerCut === undefined || cut === undefined || cut.over === true) return
  if (startedAt <= cut.noticedAt) return
  const isTime = draft.now >= cut.pacedUntil
  if (!isTime && isSomethingToCome(draft)) return
  draft.put('site', { ...site, powerCut: { ...cut, over: true } })
  const runs = [...draft.all('unit')].some(({ state }) => state === 'active')
  const how = isTime
    ? 'the time for it is over'
    : runs
      ? 'what is lent runs again'
      : 'nothing of what was lost is set up again'
  draft.note(
    'power cut over',
    draft.self,
    `${how}, ${period(Math.max(0, draft.now - cut.noticedAt))} after the power cut of ${written(cut.since)} was noticed`,
  )
}

const isSomethingToCome = (draft: AuthorityDraft): boolean =>
  [...draft.all('lease')].some(({ state, waits }) => state !== 'closed' && waits !== undefined) ||
  [...draft.all('unit')].some(({ state }) => state === 'setup' || state === 'probing')

const diedSince = (since: Instant, draft: AuthorityDraft): readonly UnitRow[] =>
  [...draft.all('unit')].filter(
    (unit) =>
      unit.lost === 'died' && unit.since >= since && ['teardown', 'stuck', 'ended'].includes(unit.state),
  )
