import type { AuthorityTables, LeaseRow, OfferRow, SiteRow, UnitRow } from '../../actors/authority/rows.ts'
import type { DelegationRow, TicketRow } from '../../actors/broker/rows.ts'
import type { Body } from '../../actors/leases/messages.ts'
import type { Draft } from '../../actors/runtime/draft.ts'
import type { Input, Mind } from '../../actors/runtime/mind.ts'
import { decodeRow, encodeRow, type Row, type StoredRow, type Tables } from '../../actors/runtime/rows.ts'
import type { LeaseRow as HeldLease } from '../../actors/service-manager/rows.ts'
import { resealed } from './forger.ts'
import type { Plants } from './plants.ts'

/** `before` may change the input, or answer for it (undefined); `after` may change what the mind wrote. */
function worse<T extends Tables>(
  mind: Mind<T>,
  { before = (input) => input, after = () => undefined }: Worse<T>,
): Mind<T> {
  return {
    handle(input, draft) {
      const sent = draft.outgoing.length
      const changed = before(input, draft)
      if (changed === undefined) return undefined
      const value = mind.handle(changed, draft)
      after(draft, sent, changed)
      return value
    },
  }
}

interface Worse<T extends Tables> {
  readonly before?: (input: Input, draft: Draft<T>) => Input | undefined
  readonly after?: (draft: Draft<T>, sentBefore: number, input: Input) => void
}

/** The mind is not told that its store was put back. */
const unaware = <T extends Tables>(mind: Mind<T>): Mind<T> =>
  worse(mind, {
    before: (input) =>
      input.kind === 'started'
        ? { ...input, restored: undefined }
        : input.kind === 'restored'
          ? undefined
          : input,
  })

export const PLANTED: Readonly<Record<string, Plants>> = {
  'the broker counts one unit more than the site lends': {
    broker: (mind) =>
      worse(mind, {
        after: (draft, _, input) => {
          if (input.kind !== 'message' || input.envelope.kind !== 'delegation') return
          for (const row of changedRows<DelegationRow>(draft, 'delegation'))
            if (row.units > 0) draft.put('delegation', { ...row, units: row.units + 1 })
        },
      }),
  },
  'the ticket goes back together with the close, before the site’s final word': {
    serviceManager: (mind) =>
      worse(mind, {
        after: (draft, before) => {
          for (const message of draft.outgoing.slice(before))
            if (message.kind === 'close') draft.send({ ...message, to: 'broker', kind: 'relinquish' })
        },
      }),
  },
  'an actor that begins anew believes a clock that had jumped': { believesClock: true },
  'a unit’s place is free before its teardown is complete': {
    authority: (mind) =>
      worse(mind, {
        after: (draft) => {
          for (const unit of draft.all('unit'))
            if (unit.state === 'teardown' && unit.type !== '')
              draft.put('unit', { ...unit, type: '', vector: {}, slot: 0 })
        },
      }),
  },
  'what is due at the holder is skipped': {
    serviceManager: (mind) =>
      worse(mind, {
        before: (input, draft) => {
          if (input.kind !== 'due' || (input.table !== 'unit' && input.table !== 'lease')) return input
          const row = draft.get(input.table, input.row.id)
          if (row !== undefined) draft.put(input.table, { ...row, due: undefined } as never)
          return undefined
        },
      }),
  },
  'the site reads one unit more into a ticket': {
    authority: (mind) =>
      worse(mind, {
        after: (draft) => {
          for (const lease of draft.changed.get('lease')?.values() ?? []) {
            const row = lease as LeaseRow | undefined
            if (row?.state === 'pending' && row.units.length === 0)
              draft.put('lease', {
                ...row,
                due: draft.now,
                ticket: { ...row.ticket, units: row.ticket.units + 1 },
              })
          }
        },
      }),
  },
  'the outbox is lost at a restart': { restart: (rows) => rows.filter(({ table }) => table !== '$out') },
  'the numbers of conversations are lost at a restart': {
    restart: (rows) => rows.filter(({ table }) => table !== '$link'),
  },
  'what was under way is lost at a restart': {
    restart: (rows) => rows.filter(({ table }) => table !== '$effect'),
  },
  'a machine is torn down whatever runs there': {
    handler: (handler) => ({
      ...handler,
      teardown: (unit, _options, signal) => handler.teardown(unit, { force: true }, signal),
    }),
  },
  'messages go out before the commit they follow from is on disk': { spoils: { hasty: true } },
  'what was heard is not marked in the commit that it led to': {
    spoils: {
      commit: (commit) => ({
        ...commit,
        rows: commit.rows.map((row) =>
          row.table === '$link' && row.json !== undefined ? changed(row, { in: 0, inHash: '' }) : row,
        ),
      }),
    },
  },
  'an extension that is refused ends the lease': {
    serviceManager: (mind) =>
      worse(mind, {
        after: (draft) => {
          for (const row of changedRows<HeldLease>(draft, 'lease'))
            if (row.leaseState === 'active' && row.extendRefused !== undefined)
              draft.put('lease', { ...row, leaseState: 'closed', ticketState: 'closed' })
        },
      }),
  },
  'an update that is late shortens the lease again': {
    serviceManager: (mind) =>
      worse(mind, {
        after: (draft) => {
          for (const row of changedRows<HeldLease>(draft, 'lease'))
            if (row.leaseState === 'active' && row.term !== undefined && row.ticket !== undefined)
              if (row.ticket.predecessor !== null)
                draft.put('lease', { ...row, term: { ...row.term, end: row.ticket.term.start } })
        },
      }),
  },
  'an actor forgets at a restart when it has to do what': {
    restart: (rows) =>
      rows.map((row) =>
        ['unit', 'lease', 'ticket'].includes(row.table) ? changed(row, { due: undefined }) : row,
      ),
  },
  'another message under a used number is taken': {
    receive: async (envelope, receive) => {
      const ack = await receive(envelope)
      if (ack.code !== 'message-conflict') return ack
      return { ...(await receive(resealed({ ...envelope, number: envelope.number + 1 }))), id: envelope.id }
    },
  },
  'a row that is corrupt is passed over': { skipsCorrupt: true },
  'signatures are made and not looked at': {
    trust: (trust) => ({ ...trust, verify: () => true, verifyBy: () => true }),
  },
  'the broker takes a ticket back when it refuses to extend it': {
    broker: (mind) =>
      worse(mind, {
        after: (draft) => {
          const refused = draft.outgoing.filter(
            ({ body }) => (body as { outcome?: string }).outcome === 'extension-refused',
          )
          for (const { subject } of refused) {
            const row = draft.get('ticket', subject) as TicketRow | undefined
            if (row?.state === 'granted') draft.put('ticket', { ...row, state: 'closed', tickets: [] })
          }
        },
      }),
  },
  'a broker that was put back to an older store does not ask': { restores: 2, broker: unaware },
  'a site that was put back to an older store does not ask': { restores: 6, authority: unaware },
  'a holder that was put back to an older store does not ask': { restores: 2, serviceManager: unaware },
  'a broker grants before it knows what others hold': {
    restores: 2,
    broker: (mind) =>
      worse(mind, {
        after: (draft) => {
          if (draft.get('recovery', 'recovery') !== undefined) draft.remove('recovery', 'recovery')
        },
      }),
  },
  'what a holder does not name who has forgotten, too, is over': {
    restores: 10,
    authority: (mind) =>
      worse(mind, {
        before: (input) => {
          if (input.kind !== 'message' || input.envelope.kind !== 'holdings') return input
          const { unsure: _, ...body } = input.envelope.body as { unsure?: boolean }
          return { ...input, envelope: { ...input.envelope, body } }
        },
      }),
  },
  'a page of what is held passes over one lease': {
    restores: 2,
    serviceManager: (mind) =>
      worse(mind, {
        after: (draft, before) => {
          for (const { kind, body } of draft.outgoing.slice(before))
            if (kind === 'holdings') (body as Body<'holdings'>).holdings.shift()
        },
      }),
  },
  'a machine that would not go counts as gone': {
    authority: (mind) =>
      worse(mind, {
        before: (input) =>
          input.kind === 'effect' && input.verb === 'teardown' && input.outcome.kind === 'failed'
            ? { ...input, outcome: { kind: 'done', value: { kind: 'gone' } } }
            : input,
      }),
  },
  'after a binding recall every machine is torn down whatever runs there': {
    authority: (mind) =>
      worse(mind, {
        after: (draft, _, input) => {
          if (input.kind === 'command' && input.name === 'recall') harden(input.args as { by: number }, draft)
          const { tearsFrom = Number.POSITIVE_INFINITY } = (draft.get('site', 'site') ?? {}) as Hardened
          if (draft.now < tearsFrom) return
          for (const [key, effect] of draft.intended)
            if (effect?.verb === 'teardown')
              draft.intended.set(key, { ...effect, args: { ...(effect.args as object), force: true } })
        },
      }),
  },
  'what is on a host that is worked on is ended at once, with whatever notice and work': {
    authority: (mind) =>
      worse(mind, {
        before: (input, draft) => {
          const row = input.kind === 'due' ? draft.get('host', input.row.id) : undefined
          if (row !== undefined) draft.put('host', { ...row, orderedAt: 0 })
          return input
        },
        after: (draft, _, input) => {
          if (input.kind !== 'due' || input.table !== 'host') return
          for (const row of changedRows<UnitRow>(draft, 'unit'))
            if (row.lost === 'moved') draft.put('unit', { ...row, forceFrom: draft.now })
        },
      }),
  },
  'the site keeps withheld what was stuck': {
    authority: (mind) =>
      worse(mind, {
        after: (draft) => {
          for (const row of changedRows<OfferRow>(draft, 'offer')) {
            const { withheld = 0 } = (draft.committed.get('offer', row.id) ?? {}) as Partial<OfferRow>
            if (row.withheld < withheld) draft.put('offer', { ...row, withheld })
          }
        },
      }),
  },
  'the broker takes one unit more back than its holder gives': {
    broker: (mind) =>
      worse(mind, {
        after: (draft, _, input) => {
          if (input.kind !== 'message' || input.envelope.kind !== 'recall-plan') return
          const row = draft.get('ticket', input.envelope.subject)
          if (row?.reduced === undefined) return
          const more = Object.entries(row.reduced.off ?? {}).map(([id, units]) => [id, units + 1])
          draft.put('ticket', { ...row, reduced: { ...row.reduced, off: Object.fromEntries(more) } })
        },
      }),
  },
  'the broker ignores what sites recall': {
    broker: (mind) =>
      worse(mind, {
        before: (input) =>
          input.kind === 'message' && input.envelope.kind === 'recall-units' ? undefined : input,
      }),
  },
  'the broker never forgets a recall': {
    broker: (mind) =>
      worse(mind, {
        before: (input) => {
          if (input.kind !== 'message' || input.envelope.kind !== 'delegation') return input
          const body = { ...(input.envelope.body as object), settledRecalls: [] }
          return { ...input, envelope: { ...input.envelope, body } }
        },
      }),
  },
}

type Hardened = Partial<SiteRow> & { readonly tearsFrom?: number }

/** The site remembers the end of the grace of the first recall that binds. */
function harden({ by }: { readonly by: number }, draft: Draft<AuthorityTables>): void {
  const conditions = draft.all('lease')[0]?.ticket.conditions
  const site = draft.get('site', 'site')
  if (conditions?.recallable !== true || by - draft.now < conditions.noticeMs || site === undefined) return
  const { tearsFrom = Number.POSITIVE_INFINITY } = site as Hardened
  draft.put('site', { ...site, tearsFrom: Math.min(tearsFrom, by + conditions.graceMs) } as SiteRow)
}

const changedRows = <R extends Row>(
  draft: { readonly changed: Draft<Tables>['changed'] },
  table: string,
): R[] =>
  [...(draft.changed.get(table)?.values() ?? [])].flatMap((row) => (row === undefined ? [] : [row as R]))

const changed = (row: StoredRow, change: object): StoredRow =>
  encodeRow(row.table, row.id, { ...decodeRow(row), ...change })
