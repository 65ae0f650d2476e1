import type { LeaseRow as SiteLease } from '../../actors/authority/rows.ts'
import type { TicketRow } from '../../actors/broker/rows.ts'
import { isMessageKind, readBody } from '../../actors/leases/messages.ts'
import { type Ticket, withoutChain } from '../../actors/leases/ticket.ts'
import { canonical } from '../../actors/runtime/canonical.ts'
import { compose } from '../../actors/runtime/composition.ts'
import { Draft } from '../../actors/runtime/draft.ts'
import { BODY_CHARS_MAX, type Envelope } from '../../actors/runtime/envelope.ts'
import { idSource } from '../../actors/runtime/ids.ts'
import { Links } from '../../actors/runtime/links.ts'
import { flawOf } from '../../actors/runtime/plain.ts'
import { type Random, seededRandom } from '../../actors/runtime/random.ts'
import { RowSet } from '../../actors/runtime/row-set.ts'
import type { Row, Tables } from '../../actors/runtime/rows.ts'
import type { LeaseRow } from '../../actors/service-manager/rows.ts'
import { Stage } from '../scenarios/stage.ts'
import { cheapIdentity } from '../simulation/identities.ts'
import type { Moment } from './moments.ts'
import { mutate } from './mutate.ts'
import type { Tally } from './tally.ts'

/**
 * Messages with something changed in them that are signed anew, with the key of their sender: peers that lie. Nobody
 * can forbid a peer to ask for something else; but whatever it says
 *
 *   no actor stumbles over it, and none is silent (but for an update that tells nothing new);
 *   it changes nothing of leases that are not the sender’s;
 *   no ticket is kept that its broker did not sign, whole and for this lease;
 *   the broker promises nothing that it did not issue itself.
 */
export function liars(moment: Moment, to: string, count: number, random: Random, tally: Tally): void {
  const stage = new Stage({ managers: ['manager', 'neighbour'], units: 8 })
  const mind = stage.mindOf(to)
  const rows = rowsOf(moment, to)
  const mine = moment.history.filter((one) => one.to === to && one.kind !== 'hello')
  if (mine.length === 0) return
  const genuine = genuineTickets(moment.history)
  for (let i = 0; i < count; i++) {
    const base = mine[random.int(mine.length)]!
    const hasTicket =
      typeof (base.body as { ticket?: unknown }).ticket === 'object' &&
      (base.body as { ticket?: unknown }).ticket !== null
    const onlyTicket = hasTicket && random.next() < 0.6
    const mutant = mutate(base, random, onlyTicket ? ['body', 'ticket'] : ['body'])
    const way = `signed anew, ${onlyTicket ? 'a ticket changed' : 'a body changed'}`
    const envelope: Envelope = {
      ...mutant,
      subject:
        random.next() < 0.1 ? moment.history[random.int(moment.history.length)]!.subject : base.subject,
      number: 1_000_000 + i,
    }
    if (flawOf(envelope.body, BODY_CHARS_MAX) !== undefined) {
      // Such a body is refused where messages come in, whoever signed it.
      tally.count(way, 'message-malformed')
      continue
    }
    const draft = new Draft<Tables>(rows, to, moment.now, idSource(seededRandom(1)))
    try {
      mind.handle({ kind: 'message', envelope }, draft)
      compose({
        ...{ draft, rows, ids: idSource(seededRandom(2)), links: new Links(rows, 2_000).begin() },
        ...{ identity: cheapIdentity(to), delivered: [], peers: [], epoch: undefined, generation: undefined },
        head: { seq: 0, hash: '' },
      } as unknown as Parameters<typeof compose>[0])
    } catch (error) {
      tally.crash(`${moment.name}: ${to} stumbles over ${envelope.kind}: ${(error as Error).stack}`, envelope)
      continue
    }
    for (const fault of faultsOf(draft, rows, envelope, to, genuine))
      tally.wrong(`${moment.name}: ${to} at ${envelope.kind}: ${fault}`, envelope)
    tally.count(way, answerOf(draft, envelope))
  }
}

export function rowsOf(moment: Moment, actor: string): RowSet {
  const rows = new RowSet()
  for (const { table, id, json } of moment.disks[actor]!.rows.values())
    if (!table.startsWith('$') || table === '$meta' || table === '$peer')
      rows.set(table, id, JSON.parse(json!) as Row)
  return rows
}

export function genuineTickets(history: readonly Envelope[]): ReadonlySet<string> {
  const tickets = history
    .filter(({ kind }) => kind === 'ticket-update')
    .map(({ body }) => (body as { ticket: Ticket | null }).ticket)
    .filter((ticket) => ticket !== null)
  return new Set(tickets.map((ticket) => canonical(withoutChain(ticket))))
}

function* faultsOf(
  draft: Draft<Tables>,
  rows: RowSet,
  { from, subject, kind }: Envelope,
  to: string,
  genuine: ReadonlySet<string>,
): Generator<string> {
  const changes = [...draft.changed].flatMap(([table, drafted]) =>
    [...drafted]
      .map(([id, row]) => ({ table, id, row, before: rows.get(table, id) }))
      .filter(({ row, before }) => JSON.stringify(row) !== JSON.stringify(before)),
  )
  // An update that tells nothing new needs no word.
  const isUpdate = kind === 'lease-update'
  if (!isUpdate && changes.length === 0 && draft.outgoing.length === 0 && draft.notes.length === 0)
    yield 'it is silent'
  const isSite = from === 'site'
  for (const { table, id, row, before } of changes) {
    if (to === 'broker' && table === 'ticket') {
      const ticket = (row ?? before) as TicketRow
      if (!isSite && ticket.holder !== from) yield `${from} changed the ticket of ${ticket.holder}`
      if (ticket.tickets.some((one) => one.broker !== 'broker'))
        yield 'a ticket of another broker is promised'
    }
    if (to === 'site' && table === 'lease') {
      const lease = (row ?? before) as SiteLease
      if (lease.holder !== from) yield `${from} changed the lease ${id} of ${lease.holder}`
      for (const ticket of [lease.ticket, lease.next])
        if (ticket !== undefined && !genuine.has(canonical(withoutChain(ticket))))
          yield 'it stands on a ticket that was never issued'
    }
    if ((to === 'manager' || to === 'neighbour') && table === 'lease') {
      const lease = (row ?? before) as LeaseRow
      if (id !== subject) yield `a message on ${subject} changed ${id}`
      for (const ticket of [lease.ticket, lease.next])
        if (ticket !== undefined && !genuine.has(canonical(withoutChain(ticket))))
          yield 'it holds a ticket that was never issued'
    }
  }
}

/** How it was answered, in one word. */
function answerOf(draft: Draft<Tables>, { kind, body }: Envelope): string {
  if (draft.notes.some((note) => note.kind === 'message refused')) return 'refused'
  if (isMessageKind(kind) && !readBody(kind, body).ok) return 'refused by its form'
  if (draft.notes.some((note) => note.kind.includes('refused'))) return 'answered: refused'
  if (draft.notes.some((note) => note.kind === 'message noted')) return 'noted'
  return 'taken, as the sender may say so'
}
