import type { Instant, Millis } from '../runtime/clock.ts'
import type { Draft } from '../runtime/draft.ts'
import { coded, type ErrorCode } from '../runtime/errors.ts'
import type { Tables } from '../runtime/rows.ts'
import { type Body, HOLDINGS_MAX, HOLDINGS_PAGES_MAX, type MessageKind } from './messages.ts'

/**
 * What is given back does not wait behind older messages on its subject: those that it overtakes are noted
 * and nothing more. So a recall waits its turn, or the grant before it would be lost.
 */
const OVERTAKES: ReadonlySet<MessageKind> = new Set(['close', 'relinquish'])

/** Sends a message of the protocol; the type of the body is that of its kind. */
export function tell<K extends MessageKind, T extends Tables>(
  draft: Draft<T>,
  to: string,
  kind: K,
  subject: string,
  body: Body<K>,
  until: Instant,
): void {
  draft.send({ to, kind, subject, body, until, overtakes: OVERTAKES.has(kind), whole: isWhole(kind, body) })
}

/**
 * Updates of a lease and offers tell the whole state, so that of several that wait the last one will do; but the answer
 * to one question is said only once, and has to go out.
 */
function isWhole(kind: MessageKind, body: unknown): boolean {
  if (kind === 'delegation') return true
  if (kind !== 'lease-update') return false
  const { extensionRefused, modified } = body as Body<'lease-update'>
  return extensionRefused === null && (modified ?? null) === null
}

/**
 * How far the ends of a term may lie apart on two machines: the measured offset of the peer's clock and
 * its error, or the configured maximum while nothing was measured.
 */
export function guardMs<T extends Tables>(draft: Draft<T>, peer: string, skewMsMax: Millis): Millis {
  const { offsetMs, errorMs } = draft.peer(peer) ?? {}
  return offsetMs === undefined || errorMs === undefined
    ? skewMsMax
    : Math.min(skewMsMax, Math.abs(offsetMs) + errorMs)
}

/** Whether a peer has more pages to say than it is listened to, which is written down. What else it holds is not known. */
export function noteCut<T extends Tables>(
  from: string,
  { pages }: Pick<Body<'holdings'>, 'pages'>,
  draft: Draft<T>,
): boolean {
  if (pages <= HOLDINGS_PAGES_MAX) return false
  const code: ErrorCode = 'too-many-holdings'
  const most = `it is listened to for ${HOLDINGS_PAGES_MAX} pages of ${HOLDINGS_MAX} leases, and says that there are ${pages}`
  draft.note('holdings refused', from, coded(code, most), { code })
  return true
}

/** A message about a subject is never good for longer than this after the subject ended. */
export const RETIRE_MS: Millis = 3_600_000
