import type { FoundMachine } from '../../adapters/handler.ts'
import { noteCut, RETIRE_MS, tell } from '../leases/correspondence.ts'
import type { Body } from '../leases/messages.ts'
import { afterPage } from '../leases/pages.ts'
import type { Ticket } from '../leases/ticket.ts'
import { CLAIMED, dueAfterPage, mayHold, patience, UNKNOWN, witnessesOf } from '../leases/witnesses.ts'
import { spokenBy } from '../leases/words.ts'
import type { Instant } from '../runtime/clock.ts'
import { type OutRow, outRowOf } from '../runtime/courier.ts'
import type { Envelope } from '../runtime/envelope.ts'
import { ComeAgain, coded, type ErrorCode } from '../runtime/errors.ts'
import type { Trust } from '../runtime/identity.ts'
import type { Restored } from '../runtime/peers.ts'
import { own } from '../runtime/plain.ts'
import { indexOf } from '../runtime/views.ts'
import type { Adoption } from './adoption.ts'
import { HEARD_CHARS_MAX, noteUnknown, SILENT, unknownWith, unprovenOf, unprovenWith } from './amounts.ts'
import type { RootClaims } from './claims.ts'
import { type AuthorityConfig, brokerOf } from './config.ts'
import { evidence } from './evidence.ts'
import type { Amount, Asked, AuthorityDraft, HeardRow, HeldBack, HeldBackRow, RecoveryRow } from './rows.ts'
import { isLive, isRecovering } from './standing.ts'
import type { Holding } from './words.ts'

const ID = 'recovery'
const FIRST = { page: 0 }
/** Messages of one peer that wait for the end; further ones it has to say again. */
export const HELD_BACK_MAX = 2_000
/** Characters of them: one message may have as many as a body. */
export const HELD_BACK_CHARS_MAX = 8_388_608

/**
 * This site runs on an older store than it had. Until it knows what has happened since, it assigns nothing, tears down
 * nothing but what a lease let go of before, and says nothing of leases; what is given back is taken.
 *
 *   restored ──holdings-query to all──▶ asking ──all have answered, or recoverMs is over──▶ listing
 *                                          ▲───one who was not asked speaks in that time──────┤
 *                                                                                             │ the machines are listed
 *   as ever ◀── what was held back is read, one by one ◀── leases reported, offers told ◀── adopted ◀┘
 *
 * A list of the machines is waited for as long as it takes: without it a name could be given twice.
 */
export function recovery(config: AuthorityConfig, trust: Trust, claims: RootClaims, adoption: Adoption) {
  const { isSigned, unknownKeyOf } = evidence(config, trust, claims)
  return { begin, notice, told, undelivered, due, hasToWait, holdBack, heldBack, isListed, conclude }

  function begin(restored: Restored, isStart: boolean, draft: AuthorityDraft): void {
    const { reason } = restored
    const site = draft.get('site', 'site')!
    draft.put('site', { ...site, restoredAt: draft.now })
    // The answers that a copy holds are as old as it is. In one life a second sign changes nothing.
    if (!isStart && isRecovering(draft)) return again(restored, draft)
    for (const { id } of draft.all('heard')) draft.remove('heard', id)
    draft.note(
      'recovering',
      draft.self,
      `${reason}: nothing is assigned until others have said what they hold`,
    )
    const waits = patience(restored, draft.now, config.recoverMs)
    const row: RecoveryRow = { id: ID, since: draft.now, phase: 'asking', phaseSince: draft.now, asked: {} }
    draft.put('recovery', { ...row, ...waits, lastWords: lastWordsIn(draft) })
    freeze(draft)
    for (const peer of witnesses(draft)) ask(peer, FIRST, draft)
    listIfAll(draft)
  }

  /** Others say so, too: whoever said it first is waited for as everybody. */
  function again({ reason, by }: Restored, draft: AuthorityDraft): void {
    const row = draft.get('recovery', ID)!
    if (row.claimant !== undefined && row.claimant !== by)
      draft.put('recovery', {
        ...row,
        claimant: undefined,
        due: row.phase === 'asking' ? row.until : undefined,
      })
    draft.note('restored again', draft.self, reason)
  }

  /** What an old store would do next to a machine that has another end since, or another lease, is not done. */
  function freeze(draft: AuthorityDraft): void {
    for (const unit of draft.all('unit')) {
      // Taken for an orphan since the start: whose it is may be known in the end.
      if (unit.holder === '' && unit.state !== 'ended') {
        draft.endEffect(unit.id)
        draft.remove('unit', unit.id)
      }
      if (!isLive(unit)) continue
      if (unit.doing !== undefined) draft.endEffect(unit.id)
      draft.put('unit', { ...unit, doing: undefined, due: undefined })
    }
  }

  function witnesses(draft: AuthorityDraft): ReadonlySet<string> {
    const offered = draft.all('offer').flatMap(({ broker }) => broker ?? [])
    const leases = draft.all('lease').flatMap(({ holder, ticket }) => [holder, ticket.broker])
    const met = [...draft.committed.all('$peer')].map(({ id }) => id)
    const named = [...brokers(), ...(config.peers ?? []), ...offered, ...leases]
    return witnessesOf({ self: draft.self, named, met, able: able() }, trust)
  }

  function brokers(): readonly string[] {
    return [config.broker, ...Object.keys(config.types).map((type) => brokerOf(config, type))]
  }

  /** Brokers and holders; undefined: every peer may be one. */
  function able(): ReadonlySet<string> | undefined {
    return config.peers === undefined ? undefined : new Set([...brokers(), ...config.peers])
  }

  function notice(peer: string, draft: AuthorityDraft): void {
    if (mayHold(peer, able())) consider(peer, draft)
  }

  /**
   * Whoever speaks and was not known any more is asked, too; and so are the holders that a broker names. Of one who
   * first speaks while the machines are listed they would be taken for nobody's: they are listed anew after his word.
   */
  function consider(peer: string, draft: AuthorityDraft): void {
    const row = draft.get('recovery', ID)
    if (row === undefined) return
    const { state } = own(row.asked, peer) ?? {}
    if (state !== undefined && (state !== 'unknown' || !trust.knows(peer))) return
    if (row.phase === 'asking' || !trust.knows(peer)) return ask(peer, FIRST, draft)
    const { until = draft.now } = row
    if (draft.now >= until) return
    draft.put('recovery', { ...row, phase: 'asking', phaseSince: draft.now, due: until })
    ask(peer, FIRST, draft)
  }

  function ask(peer: string, query: Body<'holdings-query'>, draft: AuthorityDraft, unsure?: boolean): void {
    const row = draft.get('recovery', ID)!
    const subject = own(row.asked, peer)?.subject ?? draft.newId('holdings')
    if (!trust.knows(peer)) {
      unheard(peer, UNKNOWN, draft)
      return settle(peer, { subject, ...query, state: 'unknown' }, draft)
    }
    const until = row.until ?? row.due ?? draft.now
    tell(draft, peer, 'holdings-query', subject, query, until)
    draft.retire(subject, until + RETIRE_MS)
    settle(peer, { subject, ...query, state: 'asked', unsure }, draft)
  }

  function unheard(peer: string, reason: string, draft: AuthorityDraft): void {
    draft.note('holdings unknown', peer, `${reason}; what the store says of it counts until its end`)
  }

  function settle(peer: string, asked: Asked, draft: AuthorityDraft): void {
    const row = draft.get('recovery', ID)!
    draft.put('recovery', { ...row, asked: { ...row.asked, [peer]: asked } })
  }

  function told({ from, subject }: Envelope, body: Body<'holdings'>, draft: AuthorityDraft): void {
    const asked = own(draft.get('recovery', ID)?.asked, from)
    if (asked?.subject !== subject || asked.page !== body.page || asked.state !== 'asked')
      return draft.note('message noted', subject, `holdings of ${from} that nobody asks for (any more)`)
    const isFull = listen(from, body, draft)
    const { page, pages, holdings } = body
    draft.note('holdings heard', subject, `${from} tells ${holdings.length}, page ${page + 1} of ${pages}`)
    const { next, unsure } = afterPage(asked, body)
    if (next !== undefined && !isFull) {
      const now = draft.get('recovery', ID)!
      draft.put('recovery', { ...now, due: dueAfterPage(now, from, body, draft.now) })
      return ask(from, next, draft, unsure)
    }
    const isCut = next === undefined ? noteCut(from, body, draft) : noteFull(from, draft)
    settle(from, { ...asked, state: 'answered', unsure: isCut || unsure }, draft)
    listIfAll(draft)
  }

  /** Keeps what is said of tickets of this site; whether it is as much as is kept of one peer. */
  function listen(from: string, { holdings }: Body<'holdings'>, draft: AuthorityDraft): boolean {
    const isLent = claims.lendTo(from, draft)
    let amount = own(draft.get('recovery', ID)!.amounts, from) ?? SILENT
    const keep = (holding: Holding): void => {
      amount = { ...amount, chars: amount.chars + JSON.stringify(holding).length }
      draft.put('heard', { id: `${holding.leaseId} ${from}`, from, holding })
    }
    for (const holding of holdings) {
      const { leaseId, ticket, next, closed } = holding
      // Of one that was given back its broker has no ticket to show; whether it is his is seen by those of others.
      if (ticket === null && closed && isLent) keep({ ...holding, properties: {}, units: [] })
      if (ticket === null || ticket.site !== draft.self) continue
      if (ticket.holder !== from && ticket.broker !== from) continue
      for (const one of [ticket, next]) if (one !== null) claims.adopt(one, draft)
      // Of one who is no peer nothing can be asked; there may be as many names as somebody likes.
      if (trust.knows(ticket.holder)) consider(ticket.holder, draft)
      if (isBelieved(leaseId, ticket, draft)) {
        keep(holding)
        continue
      }
      // Whose key is not known yet may be approved before the end.
      const key = unknownKeyOf(ticket, draft)
      const unknown = key === undefined ? undefined : unknownWith(key, holding, amount)
      if (unknown !== undefined) {
        keep(holding)
        amount = { ...amount, unknown }
        continue
      }
      if (key !== undefined) amount = noteUnknown(from, amount, draft)
      amount = unprovenWith(leaseId, amount)
    }
    const row = draft.get('recovery', ID)!
    draft.put('recovery', { ...row, amounts: { ...row.amounts, [from]: amount } })
    return amount.chars > HEARD_CHARS_MAX
  }

  /** Anybody may invent leases: one that is not known here is believed by its ticket alone. */
  function isBelieved(leaseId: string, ticket: Ticket, draft: AuthorityDraft): boolean {
    return draft.get('lease', leaseId) !== undefined || isSigned(ticket, draft.now)
  }

  /** What was kept for a key that was not known, and is not known now, is as what was not kept. */
  function believed(
    heard: readonly HeardRow[],
    amounts: Map<string, Amount>,
    draft: AuthorityDraft,
  ): readonly HeardRow[] {
    return heard.filter(({ from, holding: { leaseId, ticket, next } }) => {
      if (ticket === null) return true
      if (!isBelieved(leaseId, ticket, draft)) {
        amounts.set(from, unprovenWith(leaseId, amounts.get(from) ?? SILENT))
        return false
      }
      for (const one of [ticket, next]) if (one !== null) claims.adopt(one, draft)
      return true
    })
  }

  function noteFull(from: string, draft: AuthorityDraft): true {
    const code: ErrorCode = 'too-many-holdings'
    const most = `it is listened to for ${HEARD_CHARS_MAX} characters, and has more to say`
    draft.note('holdings refused', from, coded(code, most), { code })
    return true
  }

  /** What a recovery asked that was begun before this one is over, though a copy may have it in its outbox. */
  function undelivered(peer: string, subject: string, reason: string, draft: AuthorityDraft): void {
    const asked = own(draft.get('recovery', ID)?.asked, peer)
    if (asked?.subject === subject) silent(peer, reason, draft)
  }

  function silent(peer: string, reason: string, draft: AuthorityDraft): void {
    const asked = own(draft.get('recovery', ID)?.asked, peer)
    if (asked?.state !== 'asked') return
    unheard(peer, reason, draft)
    settle(peer, { ...asked, state: 'silent' }, draft)
    listIfAll(draft)
  }

  function listIfAll(draft: AuthorityDraft): void {
    const row = draft.get('recovery', ID)!
    if (row.phase === 'asking' && Object.values(row.asked).every(({ state }) => state !== 'asked'))
      list(row, draft)
  }

  /** The next list that is begun counts; one that is under way may have missed a machine. */
  function list(row: RecoveryRow, draft: AuthorityDraft): void {
    draft.put('recovery', { ...row, phase: 'listing', phaseSince: draft.now, due: undefined })
    const site = draft.get('site', 'site')!
    draft.put('site', site.sweeping ? { ...site, again: true } : { ...site, due: draft.now })
  }

  /** Nobody is waited for any more. */
  function due(draft: AuthorityDraft): void {
    const row = draft.get('recovery', ID)
    if (row?.phase !== 'asking') return
    const { claimant, until = draft.now } = row
    if (claimant === undefined || draft.now >= until) return list(row, draft)
    draft.put('recovery', { ...row, claimant: undefined, due: until })
    silent(claimant, CLAIMED, draft)
  }

  /** Also when it is known what is held, it is not read before what came before it on the same subject. */
  function hasToWait(envelope: Envelope, draft: AuthorityDraft): boolean {
    return isRecovering(draft) || draft.having(heldBackOn, conversationOf(envelope)).length > 0
  }

  /** Of a lease that may be known better soon, or may not be known yet. */
  function holdBack(envelope: Envelope, draft: AuthorityDraft): void {
    const { kind, from, subject } = envelope
    const row = draft.get('recovery', ID)
    const { waiting } = row ?? {}
    const { places, of, chars = {} } = waiting?.chars === undefined ? heldBackIn(draft) : waiting
    const rows = own(of, from) ?? 0
    // One that comes once more says no more than the one before; of tickets that were given back each names others.
    const id = `${from} ${subject} ${kind}${kind === 'tickets-returned' ? ` ${envelope.number}` : ''}`
    const before = draft.get('heldBack', id)
    const isNew = before === undefined
    if (isNew && rows >= HELD_BACK_MAX)
      throw new ComeAgain(`it is not known yet what is held, and ${rows} messages of ${from} wait for that`)
    const length = lengthOf(envelope)
    const grown = length - (isNew ? 0 : charsOf(before))
    const waits = (own(chars, from) ?? 0) + grown
    if (grown > 0 && waits > HELD_BACK_CHARS_MAX)
      throw new ComeAgain(
        `it is not known yet what is held, and what waits of ${from} for that would be ${waits} characters long, at most ${HELD_BACK_CHARS_MAX} may be`,
      )
    const place = places + 1
    draft.put('heldBack', { id, place, envelope, chars: length, due: row === undefined ? place : undefined })
    const counted: HeldBack = {
      ...{ places: place, of: { ...of, [from]: isNew ? rows + 1 : rows } },
      chars: { ...chars, [from]: waits },
    }
    if (row !== undefined) draft.put('recovery', { ...row, waiting: counted })
    const when = row === undefined ? 'what came before it is read' : 'it is known what is held'
    draft.note('held back', subject, `${kind} of ${from}, until ${when}`)
  }

  /** One that is due: it is to be read now, unless another one of its subject has to be before it, or all wait once more. */
  function heldBack(id: string, draft: AuthorityDraft): Envelope | undefined {
    const row = draft.get('heldBack', id)!
    const { place, envelope } = row
    if (isRecovering(draft)) {
      draft.put('heldBack', { ...row, due: undefined })
      return undefined
    }
    if (draft.having(heldBackOn, conversationOf(envelope)).some((one) => one.place < place)) return undefined
    draft.remove('heldBack', id)
    return envelope
  }

  /** Whether a list of the machines that was begun then is the one that is waited for. */
  function isListed(startedAt: Instant, draft: AuthorityDraft): boolean {
    const row = draft.get('recovery', ID)
    return row?.phase === 'listing' && startedAt >= row.phaseSince
  }

  /** What was held back is read afterwards, each message by itself: one at which this site fails is set aside alone. */
  function conclude(found: readonly FoundMachine[], draft: AuthorityDraft): void {
    const row = draft.get('recovery', ID)!
    const heard = draft.all('heard')
    const waiting = draft.all('heldBack').sort((a, b) => a.place - b.place)
    draft.remove('recovery', ID)
    for (const { id } of heard) draft.remove('heard', id)
    for (const one of waiting) draft.put('heldBack', { ...one, due: one.place })
    const hasAnswered = (peer: string): boolean => own(row.asked, peer)?.state === 'answered'
    const isSure = (peer: string): boolean => hasAnswered(peer) && own(row.asked, peer)!.unsure !== true
    const amounts = new Map(Object.entries(row.amounts ?? {}))
    const words = believed(heard, amounts, draft)
    adoption.adopt(words, found, { isSure, since: row.since, lastWords: new Set(row.lastWords) }, draft)
    for (const [peer, { unproven, names }] of amounts)
      if (unproven > 0) draft.note('not adopted', peer, unprovenOf(peer, unproven, names))
    const silent = Object.keys(row.asked).filter((peer) => !hasAnswered(peer))
    const unsure = Object.keys(row.asked).filter((peer) => hasAnswered(peer) && !isSure(peer))
    draft.note('recovered', draft.self, `${spokenBy(silent, unsure)}; units are assigned again`)
  }
}

/** A holder who says that he holds it may not have heard yet that it has ended, or was refused. */
function lastWordsIn(draft: AuthorityDraft): string[] {
  const waiting = [...draft.committed.all('$out')].map((row) => outRowOf(row as OutRow).letter)
  const said = [...waiting, ...draft.outgoing].filter(
    ({ kind, body }) => kind === 'lease-update' && (body as Body<'lease-update'>).state === 'closed',
  )
  return [...(draft.get('recovery', ID)?.lastWords ?? []), ...said.map(({ subject }) => subject)]
}

const conversationOf = ({ from, subject }: Envelope): string => `${from} ${subject}`
const heldBackOn = indexOf<HeldBackRow>('heldBack', ({ envelope }) => conversationOf(envelope))

const lengthOf = (envelope: Envelope): number => JSON.stringify(envelope).length
const charsOf = ({ envelope, chars = lengthOf(envelope) }: HeldBackRow): number => chars

/** As counted by a store of a program that kept no count, or only that of messages. */
function heldBackIn(draft: AuthorityDraft): HeldBack {
  const all = draft.all('heldBack')
  const places = all.reduce((most, { place }) => Math.max(most, place), 0)
  const of = new Map<string, number>()
  const chars = new Map<string, number>()
  for (const row of all) {
    const { from } = row.envelope
    of.set(from, (of.get(from) ?? 0) + 1)
    chars.set(from, (chars.get(from) ?? 0) + charsOf(row))
  }
  return { places, of: Object.fromEntries(of), chars: Object.fromEntries(chars) }
}
