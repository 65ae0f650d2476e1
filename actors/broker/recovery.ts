import { noteCut, RETIRE_MS, tell } from '../leases/correspondence.ts'
import type { Body } from '../leases/messages.ts'
import { afterPage, pageOf } from '../leases/pages.ts'
import type { Properties } from '../leases/properties.ts'
import { doubtTicket, type Ticket, withoutChain } from '../leases/ticket.ts'
import { CLAIMED, dueAfterPage, mayHold, patience, UNKNOWN, witnessesOf } from '../leases/witnesses.ts'
import { spokenBy } from '../leases/words.ts'
import type { Millis } from '../runtime/clock.ts'
import { type OutRow, outRowOf } from '../runtime/courier.ts'
import type { Envelope } from '../runtime/envelope.ts'
import type { Restored } from '../runtime/peers.ts'
import { own } from '../runtime/plain.ts'
import { closeRow, scheduleRound } from './answers.ts'
import type { BrokerParts } from './config.ts'
import { delegations } from './delegations.ts'
import { groups } from './groups.ts'
import type { requests } from './requests.ts'
import { isReturned, noteReturned, returnedHolding, returnedLeases, tellAllReturned } from './returns.ts'
import type { BrokerDraft, RecoveryRow, TicketRow } from './rows.ts'

/** How long others are waited for, unless it is configured. */
const RECOVER_MS: Millis = 600_000
const ID = 'recovery'
const FIRST = { page: 0 }

/**
 * The store is older than what was promised. Nothing is granted until those who hold tickets have shown them:
 *
 *   restored ──holdings-query to each site and holder──▶ recovering ──all have answered, or recoverMs is over──▶ as before
 *                                                          │
 *                a ticket of a holder or its site, which is signed by us ──▶ adopted
 *                a ticket that its holder has given back           ──▶ free, and its site is told
 *                a ticket that neither knows, and both have answered     ──▶ the same, a quarantine later, unless it
 *                                                                            was on its way when they were asked
 *                whoever does not answer holds what the old rows say, until its end
 */
export function recovery(parts: BrokerParts, { givenBack }: Pick<ReturnType<typeof requests>, 'givenBack'>) {
  const { config, trust } = parts
  const { chainOf } = delegations(parts)
  const { memberEnded } = groups(parts)
  return { begin, isRecovering, notice, told, undelivered, onDue, isAsked, onWaitingDue }

  function begin(restored: Restored, isStart: boolean, draft: BrokerDraft): void {
    const { reason } = restored
    // The answers that a copy holds are as old as it is. In one life a second sign changes nothing, least of all
    // how long others are waited for.
    if (!isStart && isRecovering(draft)) return again(restored, draft)
    const waits = patience(restored, draft.now, config.recoverMs ?? RECOVER_MS)
    draft.put('recovery', { id: ID, since: draft.now, peers: {}, ...waits })
    draft.note(
      'recovering',
      draft.self,
      `${reason}: nothing is granted until others have said what they hold`,
    )
    keepUnsaid(draft)
    const sites = draft.all('delegation').map(({ site }) => site)
    const holders = draft.all('ticket').map(({ holder }) => holder)
    const configured = [...(config.sites ?? []), ...(config.peers ?? [])]
    // One of whom the copy has no ticket may hold one all the same.
    const met = [...draft.committed.all('$peer')].map(({ id }) => id)
    const known = { self: draft.self, named: [...configured, ...sites, ...holders], met, able: able() }
    for (const peer of witnessesOf(known, trust)) ask(peer, FIRST, draft)
    finishIfAll(draft)
  }

  /** Others say so, too: whoever said it first is waited for as everybody. */
  function again({ reason, by }: Restored, draft: BrokerDraft): void {
    const row = draft.get('recovery', ID)!
    if (row.claimant !== undefined && row.claimant !== by)
      draft.put('recovery', { ...row, claimant: undefined, due: row.until })
    draft.note('restored again', draft.self, reason)
  }

  /** A ticket that is still on its way is not lost because its holder, when asked, has not seen it. */
  function keepUnsaid(draft: BrokerDraft): void {
    const waiting = [...draft.committed.all('$out')].map((row) => outRowOf(row as OutRow).letter)
    for (const { kind, subject } of [...waiting, ...draft.outgoing]) {
      const row = draft.get('ticket', subject)
      if (kind === 'ticket-update' && row !== undefined) draft.put('ticket', { ...row, heardAt: draft.now })
    }
  }

  function isRecovering(draft: BrokerDraft): boolean {
    return draft.get('recovery', ID) !== undefined
  }

  /** Whoever lends and whoever is given tickets; undefined: every peer may. */
  function able(): ReadonlySet<string> | undefined {
    const { sites, holders = config.peers } = config
    if (sites === undefined || holders === undefined) return undefined
    return new Set([...sites, ...holders, ...(config.peers ?? [])])
  }

  /** Whoever speaks and was not known any more is asked, too. */
  function notice(peer: string, draft: BrokerDraft): void {
    const known = draft.get('recovery', ID)?.peers
    if (known === undefined) return
    const { state } = own(known, peer) ?? {}
    if (state === 'unknown' || (state === undefined && mayHold(peer, able()))) ask(peer, FIRST, draft)
  }

  function ask(peer: string, query: Body<'holdings-query'>, draft: BrokerDraft, unsure?: boolean): void {
    const row = draft.get('recovery', ID)!
    const subject = own(row.peers, peer)?.subject ?? `holdings-${draft.newId('query')}`
    const until = row.until ?? row.due ?? draft.now
    const state = trust.knows(peer) ? 'asked' : 'unknown'
    draft.put('recovery', { ...row, peers: { ...row.peers, [peer]: { subject, ...query, unsure, state } } })
    if (state === 'unknown') return unheard(peer, UNKNOWN, draft)
    tell(draft, peer, 'holdings-query', subject, query, until)
    draft.retire(subject, until + RETIRE_MS)
  }

  function unheard(peer: string, reason: string, draft: BrokerDraft): void {
    draft.note('holdings unknown', peer, `${reason}; what the store says of it counts until its end`)
  }

  function told({ from, subject }: Envelope, body: Body<'holdings'>, draft: BrokerDraft): void {
    const asked = own(draft.get('recovery', ID)?.peers, from)
    if (asked?.subject !== subject || asked.page !== body.page || asked.state !== 'asked')
      return draft.note('message noted', subject, `holdings of ${from} that nobody asks for (any more)`)
    // He waits for an answer: that it came back here before may be forgotten.
    for (const { leaseId, state, closed, ticket, next, properties } of body.holdings)
      if (closed) over(from, leaseId, draft)
      else {
        // Of one that comes back, too: its site is told of the tickets that are shown.
        for (const one of [ticket, next]) if (one !== null) adopt(from, leaseId, one, properties, draft)
        if (/^ticket returning/.test(state)) givenBack(from, leaseId, 'it had come back before', draft)
      }
    draft.note(
      'holdings heard',
      subject,
      `${from} tells ${body.holdings.length}, page ${body.page + 1} of ${body.pages}`,
    )
    const { next, unsure } = afterPage(asked, body)
    if (next !== undefined) {
      const now = draft.get('recovery', ID)!
      draft.put('recovery', { ...now, due: dueAfterPage(now, from, body, draft.now) })
      return ask(from, next, draft, unsure)
    }
    // What one does not name who was restored, too, he may have forgotten.
    settle(from, noteCut(from, body, draft) || unsure ? 'unsure' : 'answered', draft)
  }

  /** For its holder it was over when we had said so: it is free. */
  function over(from: string, leaseId: string, draft: BrokerDraft): void {
    const row = draft.get('ticket', leaseId)
    if (row === undefined || row.holder !== from || row.state === 'closed') return
    const reason = `${from} had given it back before`
    noteReturned(row.tickets, draft)
    closeRow(row, draft, reason)
    memberEnded(row, reason, draft)
  }

  /** A ticket is what its signature says, whoever shows it; only its holder and its site have a reason to. */
  function adopt(from: string, leaseId: string, ticket: Ticket, told: Properties, draft: BrokerDraft): void {
    const { holder, site, type, term } = ticket
    if (term.end <= draft.now) return
    // With a key of ours that has ended since we promised it all the same.
    const expected = { holder, site, broker: draft.self, now: Math.min(draft.now, ticket.issuedAt) }
    const doubt =
      from !== holder && from !== site
        ? `${from} is neither its holder nor its site`
        : ticket.leaseId !== leaseId
          ? `it is for ${ticket.leaseId}`
          : doubtTicket(ticket, expected, trust)
    const noted = draft.get('ticket', leaseId)
    // Who gave back in the recovery what was never his has no say in it.
    const row = noted?.holder !== holder && noted?.type === '' ? undefined : noted
    if (doubt !== undefined || (row !== undefined && row.holder !== holder))
      return draft.note('ticket not adopted', leaseId, doubt ?? `the lease is of ${row?.holder}`)
    if (row?.state === 'closed' || isReturned(ticket, draft)) {
      // What was over then, or was given back since, stays so, also where it is still held.
      noteReturned([ticket], draft)
      return draft.note('ticket not adopted', leaseId, `${from} shows ${ticket.id}, which was given back`)
    }
    const known = row?.tickets ?? []
    const isNew = !known.some(({ id }) => id === ticket.id)
    const shown = withoutChain(ticket)
    const tickets = isNew ? withTicket(known, shown) : known
    const isAdopted = tickets.includes(shown)
    // Its units are not counted here: it was not used, as far as its holder knew.
    noteReturned(
      [...known, shown].filter(({ id }) => !tickets.some((one) => one.id === id)),
      draft,
    )
    const end = Math.max(...tickets.map((one) => one.term.end))
    const fresh: TicketRow = {
      ...{ id: leaseId, holder, state: 'granted', type, arrivedAt: ticket.issuedAt },
      ...{ asked: undefined, waitReason: '', tickets: [], reduced: undefined },
    }
    // A question that was open in the old store has its answer.
    const current: TicketRow =
      isAdopted && row !== undefined ? { ...row, state: 'granted', asked: undefined } : (row ?? fresh)
    // Whom a holder asks for, and how urgently, is only his to say, as it was when he asked.
    const asked = from === holder ? told : {}
    const { guest = asked.guest, priority = asked.priority } = current
    draft.put('ticket', {
      ...current,
      guest,
      priority,
      tickets,
      heardAt: draft.now,
      due: end + config.quarantineMs,
    })
    if (isAdopted)
      draft.note('ticket adopted', leaseId, `${from} shows a ticket that we signed`, { ticket: shown })
  }

  /** What a recovery asked that was begun before this one is over, though a copy may have it in its outbox. */
  function undelivered(peer: string, subject: string, reason: string, draft: BrokerDraft): void {
    const asked = own(draft.get('recovery', ID)?.peers, peer)
    if (asked?.subject === subject) silent(peer, reason, draft)
  }

  function silent(peer: string, reason: string, draft: BrokerDraft): void {
    if (own(draft.get('recovery', ID)?.peers, peer)?.state !== 'asked') return
    unheard(peer, reason, draft)
    settle(peer, 'silent', draft)
  }

  function settle(peer: string, state: 'answered' | 'unsure' | 'silent', draft: BrokerDraft): void {
    const row = draft.get('recovery', ID)
    const asked = own(row?.peers, peer)
    if (row === undefined || asked === undefined) return
    draft.put('recovery', { ...row, peers: { ...row.peers, [peer]: { ...asked, state } } })
    finishIfAll(draft)
  }

  function finishIfAll(draft: BrokerDraft): void {
    const row = draft.get('recovery', ID)
    if (row !== undefined && Object.values(row.peers).every(({ state }) => state !== 'asked'))
      finish(row, draft)
  }

  function onDue(draft: BrokerDraft): void {
    const row = draft.get('recovery', ID)
    if (row === undefined) return
    const { claimant, until = draft.now } = row
    if (claimant === undefined || draft.now >= until) return finish(row, draft)
    draft.put('recovery', { ...row, claimant: undefined, due: until })
    silent(claimant, CLAIMED, draft)
  }

  function finish(row: RecoveryRow, draft: BrokerDraft): void {
    const hasAnswered = (name: string): boolean => own(row.peers, name)?.state === 'answered'
    for (const one of draft.all('ticket')) {
      const last = one.tickets.at(-1)
      if (last === undefined || one.state === 'closed') continue
      const heard = one.heardAt !== undefined && one.heardAt >= row.since
      const isLost = !heard && hasAnswered(one.holder) && hasAnswered(last.site)
      const reason = 'neither its holder nor its site knows it any more'
      if (isLost) draft.put('ticket', { ...one, waitReason: reason, due: draft.now + config.quarantineMs })
      else if ((one.due ?? 0) <= draft.now)
        draft.put('ticket', { ...one, due: Math.max(draft.now, last.term.end) + config.quarantineMs })
    }
    const unsure = Object.entries(row.peers).flatMap(([name, { state }]) =>
      state === 'unsure' ? [name] : [],
    )
    const silent = Object.keys(row.peers).filter((name) => !hasAnswered(name) && !unsure.includes(name))
    draft.remove('recovery', ID)
    draft.note('recovered', draft.self, `${spokenBy(silent, unsure)}; tickets are granted again`)
    // Not in this commit: it would be undone with an answer at which this broker fails.
    for (const [holder, { subject, ...query }] of Object.entries(row.waiting ?? {}))
      draft.put('waiting', { id: holder, subject, query, due: draft.now })
    scheduleRound(draft, 0)
  }

  // ── for others that were restored ──────────────────────────────────────────────────────────────────

  /**
   * A site is told at once, for its word is waited for here, and it concludes nothing from what is not named. A holder
   * is told when it is known: what its site remembers of it is not lost then.
   */
  function isAsked({ from, subject }: Envelope, query: Body<'holdings-query'>, draft: BrokerDraft): void {
    const row = draft.get('recovery', ID)
    draft.remove('waiting', from)
    if (row === undefined || isSite(from, draft)) return answered(from, subject, query, draft)
    draft.put('recovery', { ...row, waiting: { ...row.waiting, [from]: { subject, ...query } } })
    draft.note('held back', subject, `holdings-query of ${from}, until it is known what is held`)
  }

  function onWaitingDue(holder: string, draft: BrokerDraft): void {
    const { subject, query } = draft.get('waiting', holder)!
    draft.remove('waiting', holder)
    const row = draft.get('recovery', ID)
    if (row === undefined) return answered(holder, subject, query, draft)
    // Put back once more: he waits for the end of that.
    draft.put('recovery', { ...row, waiting: { [holder]: { subject, ...query }, ...row.waiting } })
  }

  function isSite(name: string, draft: BrokerDraft): boolean {
    return config.sites?.includes(name) === true || draft.all('delegation').some(({ site }) => site === name)
  }

  /** What the one who asks holds of us, or what is held at it. */
  function answered(from: string, subject: string, query: Body<'holdings-query'>, draft: BrokerDraft): void {
    const mine = draft
      .all('ticket')
      .filter(({ holder, tickets }) => holder === from || tickets.some(({ site }) => site === from))
    const held = mine.map((row) => ({ leaseId: row.id, row }))
    const returned = returnedLeases(from, draft).map((leaseId) => ({ leaseId, row: undefined }))
    // What was given back comes after all that is held: only so many pages are read.
    const page = pageOf<{ leaseId: string; row: TicketRow | undefined }>(
      [...held, ...returned],
      ({ leaseId, row }) => ({
        leaseId,
        isOver: row === undefined || (row.state === 'closed' && row.tickets.length === 0),
      }),
      ({ leaseId, row }) => (row === undefined ? returnedHolding(leaseId, draft) : holdingOf(row, draft)),
      { ...query, most: config.holdingsMax },
    )
    tell(draft, from, 'holdings', subject, page, draft.now + config.answerMs)
    // Whoever asks for page after page gets one line for them. He begins seldom: it counts as what is refused.
    if (query.page === 0) {
      draft.turnDown()
      const count = mine.length + returned.length
      draft.note('holdings told', subject, `${from} asks: ${count}, page 1 of ${page.pages}`)
      tellAllReturned(from, draft)
    }
    draft.retire(subject, draft.now + RETIRE_MS, from)
  }

  function holdingOf(row: TicketRow, draft: BrokerDraft): Body<'holdings'>['holdings'][number] {
    const [ticket, next] = row.tickets.slice(-2).map((one) => {
      const chain = chainOf(one, draft)
      return chain === undefined ? one : { ...one, chain }
    })
    const { id: leaseId, state } = row
    const closed = state === 'closed'
    return { leaseId, state, closed, ticket: ticket ?? null, next: next ?? null, properties: {}, units: [] }
  }
}

/** In order of time; of two that follow the same one, the later was issued because the other was not used. */
function withTicket(known: readonly Ticket[], ticket: Ticket): readonly Ticket[] {
  const rivals = known.filter(({ predecessor }) => predecessor !== null && predecessor === ticket.predecessor)
  if (rivals.some(({ issuedAt }) => issuedAt > ticket.issuedAt)) return known
  return [...known.filter((one) => !rivals.includes(one)), ticket].sort((a, b) => a.term.start - b.term.start)
}
