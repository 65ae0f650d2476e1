import { bodies, isMessageKind } from '../leases/messages.ts'
import { putOff } from '../leases/paused.ts'
import { stopWords } from '../leases/words.ts'
import type { Envelope } from '../runtime/envelope.ts'
import type { Identity, Trust } from '../runtime/identity.ts'
import type { Input, Mind } from '../runtime/mind.ts'
import { span } from '../runtime/sentence.ts'
import { answer, closeRow, refuseMessage, scheduleRound, withBody } from './answers.ts'
import { approvals, unapproved } from './approvals.ts'
import type { BrokerConfig } from './config.ts'
import { delegations } from './delegations.ts'
import { grants } from './grants.ts'
import { groups } from './groups.ts'
import { queries, wouldWork } from './queries.ts'
import { dateRecalls, planned, recallDue, recalled } from './recalls.ts'
import { recovery } from './recovery.ts'
import { requests } from './requests.ts'
import { noteReturned, retell, tellReturned } from './returns.ts'
import { rounds } from './rounds.ts'
import type {
  AskerRow,
  BrokerDraft,
  BrokerTables,
  GroupRow,
  RecallRow,
  TellingRow,
  TicketRow,
} from './rows.ts'

/**
 * Provisions: how much, when, from which site. Sites tell it what they lend; it promises no more than
 * that at any instant, and signs each promise as a ticket. It does not know whether a lease is active.
 */
export function broker(config: BrokerConfig, identity: Identity, trust: Trust): Mind<BrokerTables> {
  const parts = { config, identity, trust }
  const { offered } = delegations(parts)
  const { asked, extensionAsked, extensionReturned, relinquished, givenBack } = requests(parts)
  const { refuse } = grants(parts)
  const { decide, pause } = rounds(parts)
  const restore = recovery(parts, { givenBack })
  const { begin, isRecovering } = restore
  const { memberEnded, onDue: onGroupDue } = groups(parts)
  const { approve, disapprove } = approvals(parts)
  const { answered, asked: queried, counted } = queries(parts)
  return {
    looksAtAll: ['ticket'],
    handle(input: Input, draft: BrokerDraft): unknown {
      switch (input.kind) {
        case 'started':
          draft.note('started', draft.self, `the broker begins epoch ${input.epoch}`)
          dateRecalls(draft)
          if (input.restored !== undefined) begin(input.restored, true, draft)
          return scheduleRound(draft, 0)
        case 'restored':
          return begin(input.restored, false, draft)
        case 'message':
          putOff(input.envelope.kind, draft.get('round', 'round')?.paused)
          restore.notice(input.envelope.from, draft)
          return receive(input.envelope, draft)
        case 'due':
          if (input.table === 'recovery') return restore.onDue(draft)
          if (input.table === 'waiting') return restore.onWaitingDue(input.row.id, draft)
          if (input.table === 'retelling') return retell(input.row.id, draft)
          if (input.table === 'round') return isRecovering(draft) ? noRound(draft) : decide(draft)
          if (input.table === 'ticket') return onDue(input.row as TicketRow, draft)
          if (input.table === 'group') return groupDue(input.row as GroupRow, draft)
          if (input.table === 'telling') return tellReturned(input.row as TellingRow, draft)
          if (input.table === 'asker') return counted(input.row as AskerRow, draft)
          if (input.table === 'recall') return recallDue(input.row as RecallRow, draft)
          if (input.table === 'claim' || input.table === 'returned')
            return draft.remove(input.table, input.row.id)
          return undefined
        case 'set-aside':
          return input.table === 'waiting' ? draft.remove('waiting', input.row.id) : undefined
        case 'undelivered':
          if (input.envelope.kind === 'holdings-query')
            return restore.undelivered(input.envelope.to, input.envelope.subject, input.reason, draft)
          return draft.note(
            'undelivered',
            input.envelope.subject,
            `${input.envelope.kind} to ${input.envelope.to}: ${input.reason}`,
          )
        case 'clock-step':
          return draft.note(
            'clock stepped',
            draft.self,
            `the wall clock jumped by ${span(input.byMs)} and is not believed`,
          )
        case 'command':
          return command(input.name, input.args, draft)
        case 'effect':
          throw new Error('a broker has no effects')
      }
    },
  }

  function command(name: string, args: unknown, draft: BrokerDraft): unknown {
    if (name === 'pause') return pause(args as string | undefined, draft)
    if (name === 'approve') return approve(args, draft)
    if (name === 'disapprove') return disapprove(args, draft)
    if (name === 'stopping') return draft.note('stopping', draft.self, stopWords(args))
    if (name === 'query') return queried(bodies.query.parse(args), draft)
    throw new Error(`a broker knows no command ${name}`)
  }

  function receive(envelope: Envelope, draft: BrokerDraft): void {
    const { kind, from, subject } = envelope
    if (!isMessageKind(kind)) return refuseMessage(draft, envelope, `a broker knows no ${kind}`)
    switch (kind) {
      case 'delegation':
        if (!isSite(from)) return refuseMessage(draft, envelope, `${from} is not a site that lends here`)
        return withBody(kind, envelope, draft, (body) => offered(from, body, draft))
      case 'recall-units':
        if (!isSite(from)) return refuseMessage(draft, envelope, `${from} is not a site that lends here`)
        return withBody(kind, envelope, draft, (body) => recalled(envelope, body, draft))
      case 'ticket':
        return withBody(kind, envelope, draft, (body) => asked(envelope, body, draft))
      case 'extend-ticket':
        return withBody(kind, envelope, draft, (body) => extensionAsked(envelope, body, draft))
      case 'relinquish':
        return withBody(kind, envelope, draft, (body) => relinquished(envelope, body, draft))
      case 'return-extension':
        return withBody(kind, envelope, draft, (body) => extensionReturned(envelope, body, draft))
      case 'recall-plan':
        return withBody(kind, envelope, draft, (body) => planned(from, subject, body, draft))
      case 'holdings-query':
        return withBody(kind, envelope, draft, (body) => restore.isAsked(envelope, body, draft))
      case 'holdings':
        return withBody(kind, envelope, draft, (body) => restore.told(envelope, body, draft))
      case 'query':
        return withBody(kind, envelope, draft, (body) => answered(envelope, body, draft))
      default:
        return refuseMessage(draft, envelope, `a broker is not told ${kind}`)
    }
  }

  /** One comes with the end of the recovery. */
  function noRound(draft: BrokerDraft): void {
    draft.put('round', { ...draft.get('round', 'round'), id: 'round', due: undefined })
  }

  function isSite(name: string): boolean {
    return config.sites === undefined || config.sites.includes(name)
  }

  function groupDue(row: GroupRow, draft: BrokerDraft): void {
    if (isRecovering(draft)) return draft.put('group', { ...row, due: draft.now + config.quarantineMs })
    onGroupDue(row, draft)
  }

  function onDue(row: TicketRow, draft: BrokerDraft): void {
    // What was granted after the old store was written is still to be heard of.
    if (isRecovering(draft)) return draft.put('ticket', { ...row, due: draft.now + config.quarantineMs })
    if (row.state === 'closed') return draft.remove('ticket', row.id)
    const approval = row.asked?.approval
    const undecided = approval === undefined ? undefined : unapproved(approval)
    if (row.state === 'asked') {
      const reason = undecided ?? `no ${row.type} came free before the deadline`
      refuse(row, reason, draft, wouldWork(row, draft))
      return memberEnded(row, reason, draft)
    }
    if (row.state === 'extending') return refuse(row, undecided ?? 'it was not decided on in time', draft)
    const why = row.waitReason
    // After a restore one may be taken for lost before its end.
    noteReturned(row.tickets, draft)
    closeRow(row, draft, why || 'the term is over and the holder has not extended it')
    answer(
      draft,
      row.holder,
      row.id,
      { outcome: 'closed', reason: why || 'the term is over' },
      config.answerMs,
    )
    scheduleRound(draft, 0)
  }
}
