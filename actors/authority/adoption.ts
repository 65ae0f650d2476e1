import type { FoundMachine } from '../../adapters/handler.ts'
import { RETIRE_MS } from '../leases/correspondence.ts'
import { readRequest } from '../leases/properties.ts'
import { type Ticket, withoutChain } from '../leases/ticket.ts'
import { canonical } from '../runtime/canonical.ts'
import type { Instant } from '../runtime/clock.ts'
import type { Trust } from '../runtime/identity.ts'
import type { RootClaims } from './claims.ts'
import type { AuthorityConfig } from './config.ts'
import { Doubted, evidence, type Shows } from './evidence.ts'
import type { LeaseLife } from './leases.ts'
import { readopting } from './readopt.ts'
import { rememberReturned } from './returned.ts'
import type { AuthorityDraft, HeardRow, LeaseRow } from './rows.ts'
import type { Reports } from './statement.ts'
import {
  chainsOf,
  claimantsOf,
  type Heard,
  type Holding,
  NOTHING,
  type Shown,
  toldOf,
  type Words,
  wordsOf,
} from './words.ts'

/** What is known besides of the time that is forgotten. */
interface Known {
  /** Whether somebody has spoken, and for certain. */
  readonly isSure: (peer: string) => boolean
  readonly since: Instant
  /** Leases of whose end their holders are being told. */
  readonly lastWords: ReadonlySet<string>
}

export type Adoption = ReturnType<typeof adopting>

/**
 * Makes the rows of an old store agree with what is: with the tickets that holders and brokers have shown, and with
 * the machines that were found. A ticket is believed by its signatures, a machine because it is there.
 *
 *   in the rows │ said by its holder        │ machines │ becomes
 *   ────────────┼───────────────────────────┼──────────┼─────────────────────────────────────────────
 *   yes         │ stands                    │ any      │ goes on with the latest ticket that is proven
 *   yes         │ closed, or not known      │ any      │ shut
 *   yes         │ nothing, he was silent    │ any      │ goes on as the rows and its broker say
 *   any         │ its broker proves it back │ any      │ shut, or not adopted
 *   no          │ stands, on a proven ticket│ any      │ adopted
 *   no          │ nothing, but its broker   │ some     │ adopted
 *   no          │ nobody says anything      │ some     │ nothing: the next sweep ends orphans
 */
export function adopting(
  config: AuthorityConfig,
  trust: Trust,
  claims: RootClaims,
  reports: Reports,
  life: LeaseLife,
) {
  const { shut, shutAt, unitsLeft } = life
  const { place, settle, shrink } = readopting(config, life.units)
  const { provenOf, isSigned, isRelinquished } = evidence(config, trust, claims)
  return { adopt }

  function adopt(
    heard: readonly HeardRow[],
    found: readonly FoundMachine[],
    { isSure, since, lastWords }: Known,
    draft: AuthorityDraft,
  ): void {
    const marks = new Map(found.map(({ unitId, leaseId }) => [unitId, leaseId]))
    const words = wordsOf(heard, {
      holderOf: (id) => draft.get('lease', id)?.holder,
      leaseOf: (id) => marks.get(id) ?? draft.get('unit', id)?.leaseId,
      isSigned: (ticket) => isSigned(ticket, draft.now),
    })
    const shows: Shows = { chains: chainsOf(heard), doubted: new Doubted() }
    settle(toldOf(words), found, draft)
    const machines = Map.groupBy(found, ({ leaseId }) => leaseId)
    for (const lease of draft.all('lease')) {
      if (lease.state !== 'pending' && lease.state !== 'active') continue
      const { holders, brokers, returned } = words.get(lease.id) ?? NOTHING
      const broker = brokers.find(({ ticket }) => ticket.broker === lease.ticket.broker)
      const said = { holder: holders[0], broker, isSure: isSure(lease.holder), returned }
      goOn(lease, said, machines.get(lease.id) ?? [], shows, draft)
    }
    for (const [leaseId, all] of words) {
      if (draft.get('lease', leaseId) !== undefined) continue
      const there = machines.get(leaseId) ?? []
      const said = standing(leaseId, all, there, shows, isSure, draft)
      if (said === undefined) continue
      if (there.length > 0 || !lastWords.has(leaseId)) begin(leaseId, said, there, shows, draft)
      else draft.note('not adopted', leaseId, 'its holder is being told that it has ended')
    }
    shows.doubted.conclude(draft)
    for (const lease of draft.all('lease')) {
      const isOver = lease.state === 'closed'
      if (isOver && (lease.due ?? 0) < since + RETIRE_MS) continue
      reports.report(lease, draft)
      if (!isOver) draft.put('lease', { ...draft.get('lease', lease.id)!, due: draft.now })
    }
  }

  /** A lease that the old store has. */
  function goOn(
    stored: LeaseRow,
    said: Words,
    machines: readonly FoundMachine[],
    shows: Shows,
    draft: AuthorityDraft,
  ): void {
    const { holder, isSure } = said
    const lease = withShown(stored, said, draft)
    const end = lastOf(draft.now, said, machines)
    if (isSure && holder === undefined)
      return shutAt(lease, end, 'its holder does not know it (any more)', draft)
    if (holder?.closed === true)
      return shut({ ...lease, vacated: true }, 'close', draft.now, 'its holder has closed it', draft)
    // What he has forgotten, or cannot say now, he may have said to his broker.
    if ((holder === undefined || !isSure) && isGivenBack(lease.ticket, said, draft)) {
      claims.release(lease.id, draft)
      return shutAt(lease, end, 'its broker shows that it was given back', draft)
    }
    const own = [lease.ticket, lease.next].filter((one) => one !== undefined)
    const { shown, others } = ticketsOf(said, lease.holder, shows, draft)
    const agreed = agreedOn([...own, ...shown])
    const on = standingOn(agreed, [...own, ...shown, ...others], draft.now)
    // Those that were to go when the ticket began that it stands on now are gone with its beginning.
    const isSame = (on.next ?? on.ticket).id === lease.next?.id
    const victims = holder?.victims ?? (isSame ? lease.victims : [])
    const went = on.ticket.id !== lease.ticket.id
    const current: LeaseRow = {
      ...lease,
      ...{ ticket: withoutChain(on.ticket), next: on.next && withoutChain(on.next) },
      ...{ victims: on.next === undefined ? [] : victims, growing: undefined },
      term: { start: lease.term.start, end: lastOf(agreed.term.end, said, machines) },
      state: holder !== undefined && isRunning(holder) ? 'active' : lease.state,
      ...(went ? { failures: 0, repairs: undefined, repairNotBefore: undefined, incomplete: undefined } : {}),
      ...changedProperties(lease, holder, draft),
    }
    draft.put('lease', current)
    noteKept(current, agreed, draft)
    if (agreed.id !== (lease.next ?? lease.ticket).id)
      draft.note('extended', lease.id, 'its holder shows the ticket, which is proven', {
        ...{ ticketId: agreed.id, predecessor: agreed.predecessor, term: agreed.term, units: agreed.units },
        ...{ ticket: withoutChain(agreed), victims: current.victims },
      })
    finish(current, on, said, machines, victims, draft)
  }

  /** An extension that its holder, who has forgotten nothing, shows no more was refused to him, or given back. */
  function withShown(lease: LeaseRow, { holder, isSure }: Words, draft: AuthorityDraft): LeaseRow {
    const { next } = lease
    const isShown = holder?.ticket?.id === next?.id || holder?.next?.id === next?.id
    if (next === undefined || holder === undefined || holder.closed || !isSure || isShown) return lease
    const term = { ...lease.term, end: lease.ticket.term.end }
    draft.remove('drawn', next.id)
    draft.note('extension undone', lease.id, `${lease.holder} shows ${next.id} no more`, { term })
    return { ...lease, next: undefined, nextSeq: undefined, victims: [], term }
  }

  /** Of one that we have not: what was said by whose it may be, and about him; undefined if it is nobody's. */
  function standing(
    id: string,
    { returned, ...all }: Heard,
    machines: readonly FoundMachine[],
    shows: Shows,
    isSure: (peer: string) => boolean,
    draft: AuthorityDraft,
  ): Words | undefined {
    const isProven = (shown: Shown): boolean => provenOf(shown, shown.ticket.holder, shows, draft).length > 0
    const over = all.holders.filter(({ closed }) => closed)
    for (const { ticket, next } of over)
      for (const one of [ticket, next])
        if (one?.holder === ticket.holder && isSigned(one, draft.now)) rememberReturned(one, draft)
    const isOpen = ({ closed, ticket: { holder } }: Shown): boolean =>
      !closed && !over.some(({ ticket }) => ticket.holder === holder)
    const holders = all.holders.filter(isOpen)
    const brokers = all.brokers.filter(isOpen)
    const [name, ...others] = claimantsOf({ holders, brokers }, machines, isProven)
    if (others.length > 0) {
      const claimants = [name, ...others].join(' and ')
      draft.note('not adopted', id, `${claimants} both have a ticket for it, and it is not known whose it is`)
      return undefined
    }
    if (name === undefined) return undefined
    const holder = holders.find(({ ticket }) => ticket.holder === name)
    const his = brokers.filter(
      ({ ticket }) => ticket.holder === name && ticket.broker === (holder?.ticket ?? ticket).broker,
    )
    const broker = his.length > 1 ? his.find(isProven) : his[0]
    return { holder, broker, isSure: isSure(name), returned }
  }

  /** One that began after the old store was written. */
  function begin(
    id: string,
    said: Words,
    machines: readonly FoundMachine[],
    shows: Shows,
    draft: AuthorityDraft,
  ): void {
    const { holder: held, broker, isSure } = said
    const holding = held ?? broker
    // Also if it is said not to run: that may be wrong, or it has died since.
    const isThere = machines.length > 0
    if (holding?.ticket == null) return
    // He may have forgotten that, too.
    if ((held === undefined || !isSure) && isGivenBack(holding.ticket, said, draft))
      return draft.note('not adopted', id, 'its broker shows that its ticket was given back')
    if (held === undefined && !isThere) return
    // He has the ticket and has not come with it; or he comes again.
    if (held !== undefined && /lease closed/.test(held.state)) return
    const mayHaveCome = !isSure && isThere
    if (held !== undefined && /lease (none|blocked)/.test(held.state) && !mayHaveCome) return
    const name = holding.ticket.holder
    const { shown, others } = ticketsOf(said, name, shows, draft)
    if (shown.length === 0) return
    const agreed = agreedOn(shown)
    const on = standingOn(agreed, [...shown, ...others], draft.now)
    const { unitsMin, image } = wishesOf(holding, on.ticket)
    const victims = held?.victims ?? []
    if (!isThere && agreed.term.end + agreed.conditions.graceMs <= draft.now) return
    const lease: LeaseRow = {
      ...{ id, holder: name, state: held === undefined || isRunning(held) ? 'active' : 'pending' },
      ...{ ticket: withoutChain(on.ticket), next: on.next && withoutChain(on.next) },
      ...{ victims: on.next === undefined ? [] : victims, unitsMin },
      term: {
        start: Math.min(on.ticket.term.start, draft.now),
        end: lastOf(agreed.term.end, said, machines),
      },
      ...{ image: image ?? config.types[on.ticket.type]?.image ?? '', properties: holding.properties },
      ...{ units: [], failures: 0, closeReason: '', vacated: false },
    }
    draft.put('lease', lease)
    draft.note(
      'redeemed',
      id,
      `${name}: ${on.ticket.units} of ${on.ticket.type}, before the store was restored`,
      {
        ...{ ticketId: on.ticket.id, term: on.ticket.term, units: on.ticket.units, ticket: lease.ticket },
        ...{ unitsMin, image: lease.image },
      },
    )
    noteKept(lease, agreed, draft)
    finish(lease, on, said, machines, victims, draft)
  }

  /** By the word of its broker alone no lease ends: who may give units to others could end any. */
  function isGivenBack(
    { holder, broker, leaseId }: Ticket,
    { returned }: Words,
    draft: AuthorityDraft,
  ): boolean {
    const said = returned.find(({ to }) => to === broker)
    if (said === undefined) return false
    if (isRelinquished(said.proof, { holder, broker, leaseId })) return true
    const reason = `${broker} says that it was given back, and does not show that ${holder} said so: it goes on to its end`
    draft.note('message refused', leaseId, reason)
    return false
  }

  function noteKept({ id, term }: LeaseRow, agreed: Ticket, draft: AuthorityDraft): void {
    if (term.end > agreed.term.end)
      draft.note(
        'end kept',
        id,
        `its machines were told ${new Date(term.end).toISOString()}, and nobody says why`,
      )
  }

  function finish(
    lease: LeaseRow,
    on: Standing,
    said: Words,
    machines: readonly FoundMachine[],
    victims: readonly string[],
    draft: AuthorityDraft,
  ): void {
    const { holder } = said
    place(lease, said, machines, draft)
    shrink(lease.id, holder, victims, draft)
    const current = draft.get('lease', lease.id)!
    draw(current, on, draft)
    if (holder !== undefined && /lease closing/.test(holder.state))
      shut({ ...current, vacated: true }, 'close', draft.now, 'its holder closes it', draft)
  }

  /** What was given back for a recall is not drawn once more: its broker may have promised it to others. */
  function draw(lease: LeaseRow, { ticket, next }: Standing, draft: AuthorityDraft): void {
    const left = unitsLeft(lease, draft)
    claims.redraw(ticket, left.ticket, draft)
    if (next !== undefined) claims.redraw(next, left.next, draft)
  }

  /** A ticket that its holder does not show has not reached him, unless he may have forgotten it. */
  function ticketsOf(
    { holder, broker, isSure }: Words,
    name: string,
    shows: Shows,
    draft: AuthorityDraft,
  ): { readonly shown: readonly Ticket[]; readonly others: readonly Ticket[] } {
    const his = provenOf(holder, name, shows, draft)
    const others = provenOf(broker, name, shows, draft)
    return { shown: holder !== undefined && isSure ? his : [...his, ...others], others }
  }

  /** Its holder knows what was agreed since; the machines are told once more. */
  function changedProperties(
    lease: LeaseRow,
    holder: Holding | undefined,
    draft: AuthorityDraft,
  ): Partial<LeaseRow> {
    if (holder === undefined || canonical(holder.properties) === canonical(lease.properties)) return {}
    return { properties: holder.properties, modificationId: draft.newId('modification') }
  }
}

const isRunning = ({ state }: Holding): boolean => /lease (active|extending|leaving)/.test(state)

/** What machines were told last was agreed, also if nobody who speaks for certain remembers it. */
const lastOf = (end: Instant, { isSure }: Words, machines: readonly FoundMachine[]): Instant =>
  isSure ? end : Math.max(end, ...machines.map(({ running, endsAt }) => (running ? (endsAt ?? end) : end)))

/** The last that counts: the one that ends latest. */
const agreedOn = (tickets: readonly Ticket[]): Ticket =>
  tickets.reduce((last, one) => (one.term.end > last.term.end ? one : last))

/** What it stands on now, and what follows. */
interface Standing {
  readonly ticket: Ticket
  readonly next: Ticket | undefined
}

function standingOn(agreed: Ticket, known: readonly Ticket[], now: Instant): Standing {
  if (agreed.term.start <= now) return { ticket: agreed, next: undefined }
  const before = known.find(({ id }) => id === agreed.predecessor)
  return before === undefined ? { ticket: agreed, next: undefined } : { ticket: before, next: agreed }
}

function wishesOf(
  { properties }: Holding,
  { units }: Ticket,
): { readonly unitsMin: number; readonly image: string | undefined } {
  try {
    return readRequest(properties, units)
  } catch {
    return { unitsMin: units, image: undefined }
  }
}
