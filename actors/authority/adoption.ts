import type { FoundMachine } from '../../adapters/handler.ts'
import { doubtChain } from '../leases/chain.ts'
import { RETIRE_MS } from '../leases/correspondence.ts'
import { readRequest } from '../leases/properties.ts'
import { doubtTicket, type Ticket, withoutChain } from '../leases/ticket.ts'
import { canonical } from '../runtime/canonical.ts'
import type { Instant } from '../runtime/clock.ts'
import type { Trust } from '../runtime/identity.ts'
import { period } from '../runtime/sentence.ts'
import type { RootClaims } from './claims.ts'
import { type AuthorityConfig, brokerOf } from './config.ts'
import type { LeaseLife } from './leases.ts'
import { readopting } from './readopt.ts'
import { rememberReturned, whyReturned } from './returned.ts'
import type { AuthorityDraft, HeardRow, LeaseRow } from './rows.ts'
import type { Reports } from './statement.ts'
import { type Chains, chainsOf, toldOf, type Words, wordsOf } from './words.ts'

type Holding = HeardRow['holding']

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
 *   any         │ its broker has it back    │ any      │ shut, or not adopted
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
  return { adopt }

  function adopt(
    heard: readonly HeardRow[],
    found: readonly FoundMachine[],
    { isSure, since, lastWords }: Known,
    draft: AuthorityDraft,
  ): void {
    const words = wordsOf(heard, {
      ...{ isSure, holderOf: (id) => draft.get('lease', id)?.holder },
      isSigned: (ticket) => doubtSignature(ticket, draft.now) === undefined,
    })
    const chains = chainsOf(heard)
    settle(toldOf(words), found, draft)
    const machines = Map.groupBy(found, ({ leaseId }) => leaseId)
    for (const lease of draft.all('lease')) {
      if (lease.state !== 'pending' && lease.state !== 'active') continue
      const said = { ...words.get(lease.id), isSure: isSure(lease.holder) }
      goOn(lease, said, machines.get(lease.id) ?? [], chains, draft)
    }
    for (const [leaseId, said] of words) {
      if (draft.get('lease', leaseId) !== undefined) continue
      const there = machines.get(leaseId) ?? []
      if (there.length > 0 || !lastWords.has(leaseId)) begin(leaseId, said, there, chains, draft)
      else draft.note('not adopted', leaseId, 'its holder is being told that it has ended')
    }
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
    chains: Chains,
    draft: AuthorityDraft,
  ): void {
    const { holder, isSure } = said
    const lease = withShown(stored, said, draft)
    const end = lastOf(draft.now, said, machines)
    if (isSure && holder === undefined)
      return shutAt(lease, end, 'its holder does not know it (any more)', draft)
    if (holder?.closed === true)
      return shut({ ...lease, vacated: true }, 'close', draft.now, 'its holder has closed it', draft)
    // By the word of a broker alone no lease ends that its holder, who has forgotten nothing, holds.
    if ((holder === undefined || !isSure) && said.returnedTo?.includes(lease.ticket.broker) === true) {
      claims.release(lease.id, draft)
      return shutAt(lease, end, 'its broker says that it was given back', draft)
    }
    const own = [lease.ticket, lease.next].filter((one) => one !== undefined)
    const { shown, others } = ticketsOf(said, lease.holder, chains, draft)
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
    if (next === undefined || holder === undefined || !isSure || isShown) return lease
    const term = { ...lease.term, end: lease.ticket.term.end }
    draft.remove('drawn', next.id)
    draft.note('extension undone', lease.id, `${lease.holder} shows ${next.id} no more`, { term })
    return { ...lease, next: undefined, nextSeq: undefined, victims: [], term }
  }

  /** One that began after the old store was written. */
  function begin(
    id: string,
    said: Words,
    machines: readonly FoundMachine[],
    chains: Chains,
    draft: AuthorityDraft,
  ): void {
    const { holder: held, broker, isSure } = said
    const holding = held ?? broker
    // Also if it is said not to run: that may be wrong, or it has died since.
    const isThere = machines.length > 0
    if (said.unproven !== undefined)
      draft.note(
        'not adopted',
        id,
        `${said.unproven} says that it is his, and shows no ticket that its broker signed`,
      )
    if (held?.closed === true)
      for (const one of [held.ticket, held.next]) if (one !== null) rememberReturned(one, draft)
    if (holding?.ticket == null || holding.closed) return
    // He may have forgotten that, too.
    if ((held === undefined || !isSure) && said.returnedTo?.includes(holding.ticket.broker) === true)
      return draft.note('not adopted', id, 'its broker says that its ticket was given back')
    if (held === undefined && !isThere) return
    // He has the ticket and has not come with it; or he comes again.
    if (held !== undefined && /lease closed/.test(held.state)) return
    const mayHaveCome = !isSure && isThere
    if (held !== undefined && /lease (none|blocked)/.test(held.state) && !mayHaveCome) return
    const name = holding.ticket.holder
    const { shown, others } = ticketsOf(said, name, chains, draft)
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
    chains: Chains,
    draft: AuthorityDraft,
  ): { readonly shown: readonly Ticket[]; readonly others: readonly Ticket[] } {
    const his = provenOf(holder, name, chains, draft)
    const others = provenOf(broker, name, chains, draft)
    return { shown: holder !== undefined && isSure ? his : [...his, ...others], others }
  }

  /** The tickets somebody shows of a lease, as far as they are proven; with their claims where these are known. */
  function provenOf(
    holding: Holding | undefined,
    holder: string,
    chains: Chains,
    draft: AuthorityDraft,
  ): Ticket[] {
    if (holding === undefined) return []
    return [holding.ticket, holding.next].flatMap((shown) => {
      if (shown === null) return []
      const parent = shown.proof?.parent ?? ''
      const chain = chains.get(parent) ?? claims.chainOf(shown, draft)
      const { ticket, doubt } = judged({ ...shown, chain: chain && [...chain] }, holder, draft)
      const isOther = ticket.leaseId !== holding.leaseId
      const why = isOther ? 'it is for another lease' : (doubt ?? whyReturned(ticket, draft))
      if (why === undefined) return [ticket]
      draft.note('not adopted', holding.leaseId, `ticket ${ticket.id}: ${why}`)
      return []
    })
  }

  /** Whoever it is for; it may be over. */
  function doubtSignature(ticket: Ticket, now: Instant): string | undefined {
    const { holder, broker, issuedAt } = ticket
    return doubtTicket(ticket, { holder, broker, now: Math.min(now, issuedAt) }, trust)
  }

  /** No claim says what it may be for: no more than this site gives by itself. */
  function doubtPlain(ticket: Ticket, draft: AuthorityDraft): string | undefined {
    const { term, type, units } = ticket
    if (term.end - term.start > config.termMsMax)
      return `a term is at most ${period(config.termMsMax)} long here`
    const there = config.types[type]?.units ?? 0
    if (units > there) return `this site has only ${there} of ${type}`
    return claims.foreignConditions(ticket, draft)
  }

  /**
   * It may be over: its lease is in its grace then. With claims that do not hold it is one without any, whoever shows
   * them.
   */
  function judged(
    shown: Ticket,
    holder: string,
    draft: AuthorityDraft,
  ): { readonly ticket: Ticket; readonly doubt: string | undefined } {
    // Its key was good when it was issued; that has to do, or what runs would be nobody's.
    const now = Math.min(draft.now, shown.issuedAt)
    const expected = { holder, site: draft.self, now }
    const doubtIn = (broker: string): string | undefined => doubtTicket(shown, { ...expected, broker }, trust)
    const [root] = shown.chain ?? []
    const unclaimed =
      root === undefined
        ? 'its claims are not known'
        : root.issuer === draft.self
          ? doubtChain(shown, now, trust)
          : 'its first claim is not ours'
    if (unclaimed === undefined) return { ticket: shown, doubt: doubtIn(shown.broker) }
    const ticket = withoutChain(shown)
    const doubt = doubtIn(brokerOf(config, shown.type)) ?? doubtPlain(ticket, draft)
    return { ticket, doubt: doubt && root !== undefined ? `${doubt}; ${unclaimed}` : doubt }
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
