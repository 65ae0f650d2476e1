import { expect, test } from 'vitest'
import type { LeaseRow } from '../../actors/authority/rows.ts'
import { RECALL_KEPT_MS } from '../../actors/broker/recalls.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import { rebuild } from '../../deploy/upkeep/rebuild.ts'
import { givenBackBy, MINUTE, Stage } from './authority-stage.ts'
import { NOW } from './broker-desk.ts'

const linesOf = ({ notes, now }: Stage): LedgerEntry[] =>
  notes.map((note, seq) => ({ ...note, seq, at: now, actor: 'duke' })) as never

function leaseOf(stage: Stage): LeaseRow {
  const made = rebuild('site', 'lease', 'lease-1', linesOf(stage), stage.now)
  return (made as { row?: LeaseRow }).row!
}

test('a lease whose extension was undone is rebuilt from the ledger without it', () => {
  const stage = new Stage()
  stage.settle()
  const { ticket: first } = stage.lease()
  const { end } = first.term
  const next = stage.ticket({ predecessor: first.id, term: { start: end, end: end + 10 * MINUTE } })
  stage.tell('extend-lease', 'lease-1', { ticket: next, victims: [] })
  stage.settle()
  expect(leaseOf(stage).next?.id).toBe(next.id)
  const proof = givenBackBy('manager', 'lease-1', stage.now, 'return-extension', { ticketId: next.id })
  const tickets = [{ ticketId: next.id, leaseId: 'lease-1', until: next.term.end, proof }]
  stage.tell('tickets-returned', 'returned', { tickets }, 'broker')
  stage.settle()
  expect(stage.row().next).toBeUndefined()
  expect(leaseOf(stage)).toMatchObject({ ticket: { id: first.id }, next: undefined, term: stage.row().term })
})

test('a lease that was shut before its term is rebuilt with the end that it has since', () => {
  const stage = new Stage()
  stage.settle()
  const { ticket, term } = stage.lease()
  stage.world = () => undefined
  stage.pass(MINUTE)
  const proof = givenBackBy('manager', 'lease-1', stage.now)
  const tickets = [{ ticketId: ticket.id, leaseId: 'lease-1', until: term.end, proof }]
  stage.tell('tickets-returned', 'returned', { tickets }, 'broker')
  expect(stage.row()).toMatchObject({ state: 'closing', term: { end: stage.now } })
  expect(leaseOf(stage)).toMatchObject({ state: 'closing', term: stage.row().term })
})

test('a recall of a broker is rebuilt with the time at which it is forgotten', () => {
  const data = { site: 'site', type: 't', units: 1, by: NOW }
  const line = { seq: 1, at: NOW, actor: 'broker', kind: 'recalled', subject: 'r', reason: '', data }
  const made = rebuild('broker', 'recall', 'r', [line] as never, NOW)
  expect(made).toMatchObject({ how: 'rebuilt', row: { by: NOW, due: NOW + RECALL_KEPT_MS } })
})
