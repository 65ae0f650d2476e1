import { nextState } from '../leases/machine.ts'
import type { Body } from '../leases/messages.ts'
import { readRequest } from '../leases/properties.ts'
import { fitsIn } from '../leases/resources.ts'
import { doubtTicket, type Ticket, withoutChain } from '../leases/ticket.ts'
import { someUnits } from '../leases/words.ts'
import type { Instant } from '../runtime/clock.ts'
import { coded, inOneLine } from '../runtime/errors.ts'
import type { Trust } from '../runtime/identity.ts'
import { period } from '../runtime/sentence.ts'
import type { RootClaims } from './claims.ts'
import { type AuthorityConfig, brokerOf } from './config.ts'
import { recalledOf } from './fill.ts'
import type { LeaseLife } from './leases.ts'
import { leaseMachine } from './machines.ts'
import { whyReturned } from './returned.ts'
import type { AuthorityDraft, LeaseRow } from './rows.ts'
import { isLive, unitsOf } from './standing.ts'
import type { Reports } from './statement.ts'
import { endingWith, orphansEnd } from './sweep.ts'

/** What is told of a lease with all its units has to fit into one message. */
export const LEASE_UNITS_MAX = 1_000

/** Who sends a request, and the key it is signed with and its place, if the protocol says so. */
export interface Asker {
  readonly holder: string
  readonly key: string | undefined
  readonly seq: number | undefined
}

/**
 * Tickets become leases, and leases go on with further tickets. A ticket is honoured if its broker signed it for its
 * holder and for this site and, where it rests on claims, if they say so and are not overdrawn.
 */
export function redeeming(
  config: AuthorityConfig,
  trust: Trust,
  claims: RootClaims,
  reports: Reports,
  life: LeaseLife,
) {
  const { units, tend } = life
  return { redeem, extend }

  function redeem(asker: Asker, leaseId: string, body: Body<'redeem'>, draft: AuthorityDraft): void {
    const { holder } = asker
    const { ticket, properties } = body
    const held = draft.get('lease', leaseId)
    // Whichever of its tickets comes: the lease stands, and its holder is told how.
    if (held !== undefined && held.holder === holder) return reports.report(held, draft)
    const doubt =
      held !== undefined ? `the lease id ${leaseId} is in use` : doubtRedeem(asker, leaseId, body, draft)
    if (doubt !== undefined) {
      draft.turnDown()
      draft.note('redeem refused', leaseId, `${holder}: ${doubt}`)
      const end = orphansEnd(leaseId, draft)
      const said = end === undefined ? refusal(ticket, doubt) : endingWith(end, doubt, draft)
      return reports.lastWord(holder, leaseId, said, draft)
    }
    const { unitsMin, image } = readRequest(properties, ticket.units)
    const kept = withoutChain(ticket)
    const lease: LeaseRow = {
      ...{ id: leaseId, holder, state: 'pending', ticket: kept, next: undefined, victims: [] },
      ...{ term: ticket.term, unitsMin, image: image ?? config.types[ticket.type]!.image, properties },
      ...{ units: [], failures: 0, closeReason: '', vacated: false },
    }
    draft.put('lease', lease)
    claims.draw(ticket, draft)
    draft.note('redeemed', leaseId, `${holder}: ${ticket.units} of ${ticket.type}`, {
      ...{ ticketId: ticket.id, term: ticket.term, units: ticket.units, ticket: kept },
      ...{ unitsMin, image: lease.image },
    })
    tend(lease, draft)
  }

  function doubtRedeem(
    asker: Asker,
    leaseId: string,
    { ticket, properties }: Body<'redeem'>,
    draft: AuthorityDraft,
  ): string | undefined {
    if (ticket.leaseId !== leaseId) return `the ticket is for ${ticket.leaseId}`
    if (ticket.predecessor !== null) return 'the ticket extends another one, which was not redeemed here'
    try {
      const { image } = readRequest(properties, ticket.units)
      if (image !== undefined && !config.images.includes(image))
        return coded('bad-property', `this site has no image ${image}`)
    } catch (error) {
      return inOneLine(error)
    }
    return doubtTerms(ticket) ?? doubtRight(asker, ticket, draft)
  }

  /** Whether the site has what the ticket names. */
  function doubtTerms(ticket: Ticket): string | undefined {
    const type = config.types[ticket.type]
    if (type === undefined) return coded('unknown-type', `this site has no type ${ticket.type}`)
    if (ticket.units > LEASE_UNITS_MAX) return `a lease has at most ${LEASE_UNITS_MAX} units here`
    if (ticket.units > type.units) return `this site has only ${type.units} of ${ticket.type}`
    if (ticket.proof !== undefined && !fitsIn(ticket.proof.vector, type.vector))
      return `the ticket is for larger units than those of type ${ticket.type}`
    return doubtLength(ticket)
  }

  function doubtLength({ term }: Ticket): string | undefined {
    if (term.end - term.start <= config.termMsMax) return undefined
    return coded('term-too-long', `a term is at most ${period(config.termMsMax)} long here`)
  }

  /**
   * Whether its holder has a right to it. Looked at last: what was drawn too much is written down. `back` of its units were
   * given back before it came here.
   */
  function doubtRight(
    { holder, key }: Asker,
    ticket: Ticket,
    draft: AuthorityDraft,
    back = 0,
  ): string | undefined {
    const broker = ticket.proof === undefined ? brokerOf(config, ticket.type) : ticket.broker
    const doubt =
      whyReturned(ticket, draft) ??
      doubtTicket(ticket, { holder, site: draft.self, broker, now: draft.now }, trust) ??
      claims.doubt(ticket, key, draft, back)
    return doubt === undefined ? undefined : `the ticket is not honoured: ${doubt}`
  }

  function extend(asker: Asker, lease: LeaseRow, body: Body<'extend-lease'>, draft: AuthorityDraft): void {
    const { ticket } = body
    if (lease.next?.id === ticket.id || lease.ticket.id === ticket.id) return reports.report(lease, draft)
    const named = new Set(body.victims)
    // What ended long ago is forgotten here; its holder may remember it, and names all that are out.
    const victims = lease.units.filter((id) => named.has(id))
    const doubt = doubtVictims(lease, named, draft) ?? doubtExtension(asker, lease, ticket, victims, draft)
    if (doubt !== undefined) {
      draft.note('extension refused', lease.id, doubt)
      return reports.report(lease, draft, { extensionRefused: doubt })
    }
    const next = withoutChain(ticket)
    const extended: LeaseRow = {
      ...lease,
      next,
      nextSeq: asker.seq,
      victims,
      term: { start: lease.term.start, end: ticket.term.end },
    }
    draft.put('lease', extended)
    claims.draw(ticket, draft, recalledOf(ticket, victims, lease, draft))
    const less = victims.length > 0 ? `, without ${someUnits(victims.length)}` : ''
    const more = ticket.units > lease.ticket.units ? `, with ${ticket.units} then` : ''
    draft.note('extended', lease.id, `until ${iso(ticket.term.end)}${less}${more}`, {
      ...{ ticketId: ticket.id, predecessor: ticket.predecessor, term: ticket.term, units: ticket.units },
      ...{ ticket: next, victims },
    })
    for (const unit of unitsOf(extended, draft)) units.tend(unit, draft)
    reports.report(extended, draft)
  }

  /** One that is not known may be over, and takes nothing from those that would stay. */
  function doubtVictims(
    { id: leaseId }: LeaseRow,
    named: ReadonlySet<string>,
    draft: AuthorityDraft,
  ): string | undefined {
    const isOfAnother = [...named].some((id) => (draft.get('unit', id)?.leaseId ?? leaseId) !== leaseId)
    return isOfAnother ? 'a victim is not a unit of the lease' : undefined
  }

  function doubtExtension(
    asker: Asker,
    lease: LeaseRow,
    ticket: Ticket,
    victims: readonly string[],
    draft: AuthorityDraft,
  ): string | undefined {
    if (nextState(leaseMachine, lease.state, 'extend') === undefined)
      return `the lease is ${lease.state}: it has ended`
    if (lease.term.end <= draft.now) return 'the lease has ended'
    if (lease.next !== undefined) return 'an extension is already agreed'
    if (ticket.predecessor !== lease.ticket.id) return `the ticket does not follow ${lease.ticket.id}`
    if (ticket.leaseId !== lease.id || ticket.type !== lease.ticket.type)
      return 'the ticket is for another lease or type'
    if (ticket.term.start !== lease.ticket.term.end)
      return 'the ticket does not start at the end of the one before'
    const staying = unitsOf(lease, draft).filter((unit) => isLive(unit) && !victims.includes(unit.id)).length
    if (staying > ticket.units)
      return `${someUnits(staying)} would stay, but the ticket is for ${ticket.units}`
    // What it has it may keep, whatever the site says of the type since.
    const doubt = ticket.units > lease.ticket.units ? doubtTerms(ticket) : doubtLength(ticket)
    return doubt ?? doubtRight(asker, ticket, draft, recalledOf(ticket, victims, lease, draft))
  }
}

/** The final word on a ticket that became no lease. */
const refusal = (ticket: Ticket, reason: string): Body<'lease-update'> => ({
  ...{ state: 'closed', term: { ...ticket.term }, ticketId: ticket.id, units: [], image: '' },
  ...{ reason, extensionRefused: null },
})

const iso = (at: Instant): string => new Date(at).toISOString()
