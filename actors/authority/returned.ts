import { guardMs, RETIRE_MS } from '../leases/correspondence.ts'
import { RETURNED_ENDED_MAX, RETURNED_KEPT_MAX } from '../leases/given-back.ts'
import type { Body } from '../leases/messages.ts'
import type { Ticket } from '../leases/ticket.ts'
import { canonical, digest } from '../runtime/canonical.ts'
import type { Instant, Millis } from '../runtime/clock.ts'
import type { Trust } from '../runtime/identity.ts'
import { verifyProof } from '../runtime/proof.ts'
import { indexOf } from '../runtime/views.ts'
import type { RootClaims } from './claims.ts'
import type { LeaseLife } from './leases.ts'
import type { AuthorityDraft, LeaseRow, ReturnedRow } from './rows.ts'
import { unitsOf } from './standing.ts'
import type { Reports } from './statement.ts'

/** The clock of a broker is ahead by no more, if nothing better is known of it. */
const CLOCKS_MS_MAX: Millis = 60_000

type Returned = Body<'tickets-returned'>['tickets'][number]

const returnedTo = indexOf<ReturnedRow>('returned', ({ broker, ended }) => (ended ? undefined : broker))
const endedOf = indexOf<ReturnedRow>('returned', ({ broker, ended }) => (ended ? broker : undefined))

/** Only its own broker says so of a ticket. */
const idOf = (broker: string, ticketId: string): string => `${broker} ${ticketId}`
/** The row of those that are too many to be remembered one by one; no ticket has such an id. */
const othersOf = (broker: string): string => idOf(broker, '*')

/** Why the ticket is honoured no more, if its broker says that its holder gave it back. */
export function whyReturned({ broker, id, issuedAt }: Ticket, draft: AuthorityDraft): string | undefined {
  if (draft.get('returned', idOf(broker, id)) !== undefined) return `it was given back to ${broker}`
  const others = draft.get('returned', othersOf(broker))
  if (others?.before === undefined || issuedAt > others.before) return undefined
  return `${broker} has more of its tickets back than are remembered here, and this may be one of them`
}

/** Its holder says that he is through with it: should his old `redeem` come once more, it is late. */
export function rememberReturned({ broker, id, term }: Ticket, draft: AuthorityDraft): void {
  if (term.end > draft.now) draft.put('returned', { id: idOf(broker, id), broker, due: term.end })
}

/**
 * Who asks for another extension says that he does not have the one before. That he asked for that one says nothing, nor
 * what he asked until he had it agreed here: his messages on a lease are numbered, and have a place in all that he says.
 */
function isAnew({ next, nextSeq }: LeaseRow, proof: Returned['proof']): boolean {
  if (next === undefined || proof === undefined) return false
  const { request } = next.proof ?? {}
  // Protocol 1 shows no request: there the clocks of the two have to do.
  const isLater =
    request === undefined
      ? Number(proof.sentAt) > next.issuedAt
      : Number(proof.number) > Number(request.number)
  return isLater && (nextSeq === undefined || proof.seq === undefined || Number(proof.seq) > nextSeq)
}

/**
 * What a broker tells of tickets that were given back to it: their units are somebody else's now. What is signed is that
 * all of a lease was (`relinquish`), or which extension (`return-extension`), or that another one was asked for in its
 * place (`extend-ticket`).
 *
 *   of a lease, and its holder has not signed that ──▶ refused: the lease goes on
 *   of a lease that stands on it       ──▶ off the account of its claim, and closed; work may end within the grace
 *   of a lease that is to go on with it ──▶ the lease ends where it would have without
 *   any other                          ──▶ remembered until the ticket ends: it is not honoured
 *   of a lease that is closed, or a ticket that has ended ──▶ so it should be, and nothing comes of it
 *   what is known already              ──▶ noted
 */
export function returns(trust: Trust, claims: RootClaims, reports: Reports, { shutAt, units }: LeaseLife) {
  return { returned }

  function returned(from: string, { tickets }: Body<'tickets-returned'>, draft: AuthorityDraft): void {
    if (!claims.lendTo(from, draft)) {
      draft.turnDown()
      return draft.note(
        'message refused',
        from,
        `${from} is not a broker of this site: no ticket was given back to it`,
      )
    }
    let over = 0
    for (const one of tickets) if (!taken(from, one, draft)) over++
    if (over > 0)
      draft.note(
        'message noted',
        from,
        `of ${tickets.length} tickets that ${from} has back ${over} are known here as given back`,
      )
  }

  /** Whether it is news. */
  function taken(
    from: string,
    { ticketId, leaseId, until, proof }: Returned,
    draft: AuthorityDraft,
  ): boolean {
    const lease = draft.get('lease', leaseId)
    const isWhole = lease?.ticket.broker === from && lease.ticket.id === ticketId
    const isNext = lease?.ticket.broker === from && lease.next?.id === ticketId
    if (isWhole || isNext) {
      if (lease.state === 'closed') return expected(idOf(from, ticketId), from, until, draft)
      const kinds = isNext && isAnew(lease, proof) ? ['relinquish', 'extend-ticket'] : ['relinquish']
      const isSaid =
        isSaidBy(lease.holder, kinds, from, leaseId, proof) ||
        (isSaidBy(lease.holder, ['return-extension'], from, leaseId, proof) && isOf(ticketId, proof))
      if (!isSaid) {
        draft.turnDown()
        draft.note(
          'message refused',
          leaseId,
          `${from} says that it has ${ticketId} back, and does not show that ${lease.holder} said so: the lease goes on`,
        )
      } else if (isWhole) return letGo(lease, from, draft)
      else shorten(lease, from, draft)
    }
    const id = idOf(from, ticketId)
    if (until <= draft.now) return expected(id, from, until, draft)
    if (draft.get('returned', id) !== undefined) return false
    if (isFull(from, draft)) return overflow(from, until, draft)
    draft.put('returned', { id, broker: from, due: until })
    draft.note('ticket returned', leaseId, `${from} has it back: it is honoured no more`, { ticketId, until })
    return true
  }

  /**
   * Of a lease that is closed, or a ticket that ended while its broker could not be heard, it comes in the ordinary course:
   * once it is nothing to write down. As its broker does, it is remembered until the ticket ends, or there would be more of
   * short ones here than its broker ever has; what is said after that, without end maybe, is counted apart.
   */
  function expected(id: string, broker: string, until: Instant, draft: AuthorityDraft): boolean {
    if (draft.get('returned', id) !== undefined) return false
    const ended = until <= draft.now
    if (ended ? isPast(broker, draft) : isFull(broker, draft)) return false
    draft.put(
      'returned',
      ended ? { id, broker, ended, due: draft.now + RETIRE_MS } : { id, broker, due: until },
    )
    return true
  }

  /** Who may give units to others has to show that they were given back: it could end any lease otherwise. */
  function isSaidBy(
    holder: string,
    kinds: readonly unknown[],
    broker: string,
    leaseId: string,
    proof: Returned['proof'],
  ): boolean {
    if (proof?.from !== holder || proof.to !== broker || proof.subject !== leaseId) return false
    return kinds.includes(proof.kind) && verifyProof(proof, trust)
  }

  /** Of one and not of another that he may have given back before: the body is not shown, but its hash is signed. */
  function isOf(ticketId: string, proof: Returned['proof']): boolean {
    return proof?.bodyHash === digest(canonical({ ticketId } satisfies Body<'return-extension'>))
  }

  function isFull(broker: string, draft: AuthorityDraft): boolean {
    return (draft.view(returnedTo).get(broker)?.size ?? 0) >= RETURNED_KEPT_MAX
  }

  function isPast(broker: string, draft: AuthorityDraft): boolean {
    return (draft.view(endedOf).get(broker)?.size ?? 0) >= RETURNED_ENDED_MAX
  }

  /** Better none of its older tickets than one whose units are somebody else's. */
  function overflow(broker: string, until: number, draft: AuthorityDraft): true {
    const id = othersOf(broker)
    const due = Math.max(until, draft.get('returned', id)?.due ?? 0)
    // By its own clock it issued them, and that may be ahead.
    const before = draft.now + guardMs(draft, broker, CLOCKS_MS_MAX)
    draft.put('returned', { id, broker, before, due })
    draft.note(
      'ticket returned',
      broker,
      `${broker} has more tickets back than the ${RETURNED_KEPT_MAX} that are remembered: none that it has issued until now is redeemed any more`,
    )
    return true
  }

  function letGo(lease: LeaseRow, broker: string, draft: AuthorityDraft): true {
    claims.release(lease.id, draft)
    const reason = `its holder gave its ticket back to ${broker}, which may have given its units to others`
    shutAt(lease, draft.now, reason, draft)
    return true
  }

  function shorten(lease: LeaseRow, broker: string, draft: AuthorityDraft): void {
    if (lease.state !== 'pending' && lease.state !== 'active') return
    const reason = `its holder gave the ticket for its extension back to ${broker}`
    const { end } = lease.ticket.term
    draft.remove('drawn', lease.next!.id)
    const shorter: LeaseRow = {
      ...lease,
      next: undefined,
      nextSeq: undefined,
      victims: [],
      term: { ...lease.term, end },
      due: draft.now,
    }
    draft.put('lease', shorter)
    const { term } = shorter
    draft.note('extension undone', lease.id, `${reason}: it ends as its present ticket does`, { term })
    for (const unit of unitsOf(shorter, draft)) units.tend(unit, draft)
    reports.report(draft.get('lease', lease.id)!, draft, { extensionRefused: reason })
  }
}
