import type { GuestIntent } from '../../controllers/controller.ts'
import type { Instant, Millis } from '../runtime/clock.ts'
import type { ServiceManagerDraft, Tokens, Vain } from './rows.ts'

/**
 * No controller spins, whatever it says: each decision that is carried out wakes the watcher, and a controller that
 * asks for the same again is asked again at once.
 *
 *   an intent that changed nothing ──▶ set aside for VAIN_MS, or until what it is about stands otherwise; told once
 *   a resume that failed           ──▶ set aside for a while that doubles each time, VAIN_MS at most
 *   a decision that does something ──▶ takes a token: BURST at most, and one more in each TOKEN_MS;
 *                                      without one the controller is not asked; told once, until there are all again
 */

/** For so long what changed nothing is not asked for again. */
export const VAIN_MS: Millis = 60_000
/** Decisions that do something in a row, and the time in which there may be one more: 360 in a minute, then 120. */
export const BURST = 240
export const TOKEN_MS: Millis = 500
/** Of each guest, those that are remembered: as many as a decision may well have, for what is forgotten is told again. */
const VAIN_MAX = 10_000

/** By what was asked for. */
export type VainWishes = ReadonlyMap<string, Vain>

export const byWish = (vain: readonly Vain[] = []): VainWishes => new Map(vain.map((one) => [one.what, one]))

/** Whether it is to be set aside. */
export function isVain(intent: GuestIntent, vain: VainWishes, draft: ServiceManagerDraft): boolean {
  if (intent.kind === 'resume' && isAhead(draft.get('unit', intent.unitId)?.resumeFrom, draft.now))
    return true
  if (vain.size === 0) return false
  const known = vain.get(whatOf(intent))
  return known !== undefined && known.stood === standOf(intent, draft) && isAhead(known.until, draft.now)
}

/** A clock that was set back is no reason to wait longer. */
const isAhead = (until: Instant | undefined, now: Instant): boolean =>
  until !== undefined && now < until && now >= until - VAIN_MS

/** From when on what has failed so many times may be tried again. */
export const againFrom = (failures: number, firstMs: Millis, now: Instant): Instant =>
  now + Math.min(VAIN_MS, firstMs * 2 ** (failures - 1))

/** Those that were told lately. */
export const toldLately = (vain: readonly Vain[] | undefined, now: Instant): readonly Vain[] =>
  vain?.filter(({ until }) => now < until + VAIN_MS) ?? []

export interface Attempt<T> {
  readonly outcome: T
  /** It changed nothing. */
  readonly vain: Vain | undefined
}

/** Carries an intent out, and sees whether that changed anything. */
export function attempt<T>(intent: GuestIntent, draft: ServiceManagerDraft, carryOut: () => T): Attempt<T> {
  const stood = standOf(intent, draft)
  const outcome = carryOut()
  if (stood === undefined || standOf(intent, draft) !== stood) return { outcome, vain: undefined }
  return { outcome, vain: { what: whatOf(intent), stood, until: draft.now + VAIN_MS } }
}

/** Those of before and the new ones; the oldest are forgotten first. */
export function remembered(before: readonly Vain[], added: readonly Vain[]): readonly Vain[] | undefined {
  const said = new Set(added.map(({ what }) => what))
  const old = before.filter(({ what }) => !said.has(what))
  const all = [...old, ...added].slice(-VAIN_MAX)
  return all.length === 0 ? undefined : all
}

/** A clock that was set back is no reason to wait. */
export function tokensAt(tokens: Tokens | undefined, now: Instant, burst = BURST): Tokens {
  if (tokens === undefined || tokens.at > now) return { left: burst, at: now }
  const more = Math.floor((now - tokens.at) / TOKEN_MS)
  const left = Math.min(burst, tokens.left + more)
  if (left === burst) return { left, at: now }
  return { ...tokens, left, at: tokens.at + more * TOKEN_MS }
}

const whatOf = (intent: GuestIntent): string => {
  const { reason: _, ...what } = intent
  return JSON.stringify(what)
}

/** What an intent is about, as far as one could change it; undefined of what is always something new. */
function standOf(intent: GuestIntent, draft: ServiceManagerDraft): string | undefined {
  switch (intent.kind) {
    case 'request':
    case 'requeue':
      return undefined
    case 'drain':
    case 'resume':
    case 'leave': {
      const unit = draft.get('unit', intent.unitId)
      if (unit === undefined) return ''
      const { state, since, doing, failures, mustLeave, requeueFrom } = unit
      return [state, since, doing, failures, mustLeave, requeueFrom].join(' ')
    }
    case 'extend':
    case 'modify':
    case 'release': {
      const lease = draft.get('lease', intent.leaseId)
      if (lease === undefined) return ''
      const { ticketState, leaseState, extendRefused, modification, term, units, next } = lease
      const asked = `${modification?.state} ${modification?.askedAt}`
      const named = `${units.length} ${next?.id}`
      return [ticketState, leaseState, extendRefused?.at, asked, term?.end, named].join(' ')
    }
  }
}
