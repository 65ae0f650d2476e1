import { type Body, isMessageKind, readBody } from '../leases/messages.ts'
import { stopWords } from '../leases/words.ts'
import type { Envelope, Letter } from '../runtime/envelope.ts'
import { isUnanswered, SubletError } from '../runtime/errors.ts'
import type { Trust } from '../runtime/identity.ts'
import type { Input, Mind } from '../runtime/mind.ts'
import { byName } from '../runtime/plain.ts'
import { span } from '../runtime/sentence.ts'
import { brakes, type Freeze, type Hurry, type Pin } from './brakes.ts'
import type { ServiceManagerConfig } from './config.ts'
import { guestDesk, type Look, type Wish } from './guests.ts'
import { tellHoldings } from './holdings.ts'
import { brokerOf, heldUntil, leaseLife, mostUnits } from './leases.ts'
import { type Question, queries } from './queries.ts'
import { recovery } from './recovery.ts'
import { reportDesk } from './reports.ts'
import type { RecalledRow, ServiceManagerDraft, ServiceManagerTables } from './rows.ts'
import { refusalOf, stepLease } from './steps.ts'
import { ticketDesk } from './tickets.ts'

const RECOVERING_LOOK_MS = 1_000

interface Configured {
  readonly by: string
  readonly reason?: string | undefined
  readonly guests: readonly { readonly name: string; readonly changes: readonly string[] }[]
}

/**
 * Holds leases for guests. Each guest's controller says what it wishes; this mind turns wishes into
 * tickets and leases, brings the units into the middleware and takes them out again, in time.
 */
export function serviceManager(given: ServiceManagerConfig, trust: Trust): Mind<ServiceManagerTables> {
  const config: ServiceManagerConfig = { ...given, guests: byName(given.guests) }
  const life = leaseLife(config)
  const { members, modified, put, resume, leaseDue, ended, askFailed } = life
  const desk = guestDesk(config, life)
  const tickets = ticketDesk(config, trust, life)
  const reports = reportDesk(life)
  const questions = queries(config)
  const restore = recovery(config, trust, life)
  const held = brakes(Object.keys(config.guests))
  return { handle }

  function handle(input: Input, draft: ServiceManagerDraft): unknown {
    switch (input.kind) {
      case 'started':
        draft.note('started', draft.self, `the service manager begins epoch ${input.epoch}`)
        for (const { id, due, text: openFor } of draft.glimpses('lease', 'openFor'))
          if (due === undefined || openFor === undefined) resume(draft.get('lease', id)!, draft)
        if (input.restored !== undefined) restore.begin(input.restored, true, draft)
        return
      case 'restored':
        return restore.begin(input.restored, false, draft)
      case 'message':
        return receive(input.envelope, draft)
      case 'undelivered':
        return undelivered(input.envelope, input.code, input.reason, draft)
      case 'due':
        if (input.table === 'lease') {
          const lease = draft.get('lease', input.row.id)
          return restore.wait(lease, draft) ? undefined : leaseDue(lease, draft)
        }
        if (input.table === 'recovery') return restore.due(draft)
        if (input.table === 'recalled') return tickets.recallsCounted(input.row as RecalledRow, draft)
        if (input.table === 'query') return questions.due(draft.get('query', input.row.id), draft)
        if (input.table === 'unit') return members.due(draft.get('unit', input.row.id)!, draft)
        return
      case 'effect':
        if (input.verb === 'requeue') return desk.requeued(input, draft)
        return members.answered(input.key, input.verb, input.outcome, draft)
      case 'command':
        return command(input.name, input.args, draft)
      case 'clock-step':
        return draft.note(
          'clock stepped',
          draft.self,
          `the wall clock jumped by ${span(input.byMs)} and is not believed`,
        )
    }
  }

  function command(name: string, args: unknown, draft: ServiceManagerDraft): unknown {
    if (name === 'look') return look(args as Look, draft)
    if (name === 'release all') return desk.releaseAll((args as { reason: string }).reason, draft)
    if (name === 'stopping') return draft.note('stopping', draft.self, stopWords(args))
    if (name === 'query') return questions.ask(args as Question, draft)
    if (name === 'query outcome') return questions.outcome((args as { queryId: string }).queryId, draft)
    if (name === 'freeze') return held.freeze(args as Freeze, draft)
    if (name === 'thaw') return held.thaw(args as Freeze, draft)
    if (name === 'hurry') return held.hurry(args as Hurry, draft)
    if (name === 'pin') return held.pin(args as Pin, draft)
    if (name === 'configured') return configured(args as Configured, draft)
    if (name === 'unpin') return held.unpin(args as Pin, draft)
    if (name === 'wish' && restore.isUnderWay(draft))
      throw new SubletError(
        'not-running',
        'after a restore nothing is asked for until all have said what they hold',
      )
    if (name === 'wish') return desk.wish(args as Wish, draft)
    throw new SubletError('usage', `a service manager knows no command ${name}`)
  }

  /** Controllers go by other settings from now on. */
  function configured({ by, reason, guests }: Configured, draft: ServiceManagerDraft): void {
    for (const { name, changes } of guests)
      draft.note(
        'configured',
        name,
        `${by}: ${reason === undefined ? '' : `${reason}: `}${changes.join(', ')}`,
        { changes },
      )
  }

  /** While it is not known what is held, no controller decides. */
  function look(told: Look, draft: ServiceManagerDraft): { againMs: number } {
    if (!restore.isUnderWay(draft)) return desk.look(told, draft)
    restore.seen(told.guest, told.traces, draft)
    return { againMs: RECOVERING_LOOK_MS }
  }

  function receive(envelope: Envelope, draft: ServiceManagerDraft): void {
    const { kind, from, subject } = envelope
    const lease = draft.get('lease', subject)
    restore.notice(from, draft)
    if (!isMessageKind(kind)) return note('message refused', `${from}: nobody knows ${kind}`)
    const read = readBody(kind, envelope.body)
    if (!read.ok) return note('message refused', `${from}: ${read.reason}`)
    if (kind === 'query-answer')
      return questions.answered(
        draft.get('query', subject),
        from,
        subject,
        read.body as Body<'query-answer'>,
        draft,
      )
    if (kind === 'holdings-query') {
      const query = read.body as Body<'holdings-query'>
      return tellHoldings(from, subject, query, { config, isUnsure: restore.isUnderWay(draft) }, draft)
    }
    if (kind === 'holdings') return restore.told(from, subject, read.body as Body<'holdings'>, draft)
    if (lease === undefined) {
      const isGrant = kind === 'ticket-update' && (read.body as Body<'ticket-update'>).outcome === 'granted'
      if (isGrant && isBroker(from) && !restore.isUnderWay(draft))
        return tickets.unasked(subject, from, draft)
      return note('message noted', `${kind} of ${from} for a lease that is not held (any more)`)
    }
    if (kind === 'lease-update') {
      if (lease.ticket?.site !== from) return note('message refused', `${from} is not the site of this lease`)
      return reports.updated(lease, read.body as Body<'lease-update'>, envelope.sentAt, draft)
    }
    if (from !== brokerOf(lease, config))
      return note('message refused', `${from} is not the broker of this lease`)
    if (kind === 'ticket-update') {
      tickets.updated(lease, read.body as Body<'ticket-update'>, draft)
      return restore.ticketed(subject, draft)
    }
    if (kind === 'recall') return tickets.recalled(lease, read.body as Body<'recall'>, draft)
    note('message refused', `a service manager is not told ${kind}`)

    function note(what: string, reason: string): void {
      draft.turnDown()
      draft.note(what, subject, reason)
    }
  }

  function isBroker(name: string): boolean {
    return name === config.broker || Object.values(config.guests).some(({ broker }) => broker === name)
  }

  function undelivered(envelope: Letter, code: string, reason: string, draft: ServiceManagerDraft): void {
    const { kind, subject, to } = envelope
    draft.note('undelivered', subject, `${kind} to ${to}: ${reason}`, { code })
    if (kind === 'holdings-query') return restore.undelivered(subject, reason, draft)
    if (kind === 'query') return questions.undelivered(subject, reason, draft)
    const lease = draft.get('lease', subject)
    if (lease === undefined) return
    const refusedBySite = !isUnanswered(code)
    if (kind === 'ticket' && lease.ticketState === 'asked' && lease.unsure === true)
      return tickets.unsure(lease, reason, draft)
    if (kind === 'ticket' && lease.ticketState === 'asked') return askFailed(lease, reason, draft)
    if (kind === 'extend-ticket') return tickets.extensionRefused(lease, reason, draft)
    if (kind === 'extend-lease' && lease.leaseState === 'extending') {
      if (refusedBySite && lease.next !== undefined) life.returnExtension(lease, lease.next, draft)
      return put(
        {
          ...stepLease(lease, 'refused'),
          // It was not heard that the site has it; it may have it all the same.
          heldTo: refusedBySite ? lease.heldTo : heldUntil(lease),
          heldUnits: refusedBySite ? lease.heldUnits : mostUnits(lease),
          next: undefined,
          victims: [],
          asking: undefined,
          extendRefused: refusalOf(lease, reason, draft.now),
        },
        draft,
      )
    }
    if (kind === 'modify-lease') return modified.undelivered(lease, reason, draft)
    if ((kind === 'redeem' || kind === 'close') && refusedBySite)
      return ended(lease, `the site does not take it: ${reason}`, draft)
    if (kind === 'relinquish')
      return tickets.ticketClosed(lease, `the broker does not take it: ${reason}`, draft)
  }
}
