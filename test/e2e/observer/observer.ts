import { tell } from '../../../actors/leases/correspondence.ts'
import { type Body, readBody } from '../../../actors/leases/messages.ts'
import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import type { Draft } from '../../../actors/runtime/draft.ts'
import type { Envelope } from '../../../actors/runtime/envelope.ts'
import type { Mind } from '../../../actors/runtime/mind.ts'
import type { Row } from '../../../actors/runtime/rows.ts'

/** A broker or a site; `due`: when it is asked again. */
type ServerRow = Row
/** A question that is out; `due`: when it counts as unanswered. */
interface QuestionRow extends Row {
  readonly server: string
  readonly askedAt: Instant
}
/** What a server said last. */
interface AnswerRow extends Row {
  readonly at: Instant
  readonly said: Body<'query-answer'>
}
export type ObserverTables = { server: ServerRow; question: QuestionRow; answer: AnswerRow }
type ObserverDraft = Draft<ObserverTables>

export interface ObserverConfig {
  readonly servers: readonly string[]
  readonly everyMs: Millis
  readonly askMs: Millis
}

/**
 * A fourth actor, as an example of one: it asks brokers and sites from time to time what there is, and keeps what they
 * said. `actors/README.md` says what it relies on.
 *
 *   server due ──query──▶ question ──query-answer──▶ answer
 *                            └──due, undelivered──▶ a line in the ledger
 */
export function observer(config: ObserverConfig): Mind<ObserverTables> {
  return {
    handle(input, draft): unknown {
      switch (input.kind) {
        case 'started':
          for (const id of config.servers) draft.put('server', { id, due: draft.now })
          return
        case 'due':
          return input.table === 'server'
            ? ask(input.row.id, draft)
            : unanswered(input.row.id, 'no answer', draft)
        case 'message':
          return receive(input.envelope, draft)
        case 'undelivered':
          return unanswered(input.envelope.subject, input.reason, draft)
        case 'command':
          return draft.all('answer')
      }
    },
  }

  function ask(server: string, draft: ObserverDraft): void {
    // Whoever is not asked any more is forgotten; the others come again.
    if (!config.servers.includes(server)) return draft.remove('server', server)
    draft.put('server', { id: server, due: draft.now + config.everyMs })
    const id = draft.newId('query')
    const until = draft.now + config.askMs
    // Later than the message is good: so it is undelivered first, if it is.
    draft.put('question', { id, server, askedAt: draft.now, due: until + 1_000 })
    tell(draft, server, 'query', id, { about: 'types' }, until)
    draft.retire(id, until + config.askMs)
  }

  function unanswered(id: string, reason: string, draft: ObserverDraft): void {
    const question = draft.get('question', id)
    if (question === undefined) return
    draft.remove('question', id)
    draft.note('unanswered', question.server, reason)
  }

  function receive({ from, kind, subject, body }: Envelope, draft: ObserverDraft): void {
    const question = draft.get('question', subject)
    if (kind !== 'query-answer' || question?.server !== from)
      return draft.note('message refused', subject, `${from} says ${kind}, and was not asked that`)
    // The runtime knows no bodies: each mind reads its own.
    const read = readBody('query-answer', body)
    if (!read.ok) return draft.note('message refused', subject, `${from}: ${read.reason}`)
    draft.remove('question', subject)
    draft.put('answer', { id: from, at: draft.now, said: read.body })
    const lent = read.body.types.map(
      ({ type, site, free, units }) => `${free} of ${units} ${type} at ${site}`,
    )
    draft.note('observed', from, `free: ${lent.join(', ') || 'nothing is lent'}`)
  }
}
