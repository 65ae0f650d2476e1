import { expect, test } from 'vitest'
import { explain } from '../../actors/ledger/explain.ts'
import { moment } from '../../actors/ledger/story-words.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import { csvCell, onOneLine, printable } from '../../deploy/reports/printable.ts'
import { showEntry, table } from '../../deploy/reports/show.ts'

const NAUGHTY = 'vm\u001b[2J\u009b31m\n2026-11-25T05:26:17.012Z broker 9 granted\r\u202e\u0007'

test('what a terminal would obey is shown instead', () => {
  expect(printable(NAUGHTY)).toBe(
    'vm\\u001b[2J\\u009b31m\n2026-11-25T05:26:17.012Z broker 9 granted\\u000d\\u202e\\u0007',
  )
  expect(onOneLine('a\nb\u2028c')).toBe('a\\u000ab\\u2028c')
  expect(printable('größer als 3 “vm”, 漢字, 👍')).toBe('größer als 3 “vm”, 漢字, 👍')
})

test('in JSON it stays the same value', () => {
  expect(JSON.parse(printable(JSON.stringify({ NAUGHTY })))).toEqual({ NAUGHTY })
})

test('a reason or a name cannot look like another line of the ledger, or another row', () => {
  const entry = { seq: 8, at: 0, actor: 'broker', kind: 'asked', subject: NAUGHTY, reason: NAUGHTY }
  expect(showEntry(entry as unknown as LedgerEntry).split('\n')).toHaveLength(1)
  expect(table(['NAME', 'UNITS'], [[NAUGHTY, '1']]).split('\n')).toHaveLength(2)
})

test('a line whose time cannot be written as a date is shown, and told of, like any other', () => {
  const entry = { seq: 8, at: 9e15, actor: 'broker', kind: 'asked', subject: 'lease-1', reason: 'why' }
  const shown = [entry as unknown as LedgerEntry]
  expect(shown.map(showEntry)).toEqual(['(no date: 9000000000000000) broker 8 asked lease-1: why'])
  expect(explain(shown, new Set(['lease-1']))).toEqual(['(no date: 9000000000000000) broker: asked: why'])
  expect([moment(9e15, 0), moment(61_000, 9e15), moment(61_000, 0)]).toEqual([
    '(no date: 9000000000000000)',
    '1970-01-01 00:01:01Z',
    '00:01:01Z',
  ])
})

test.each([
  ['plain', 'plain'],
  ['a "b", c', '"a ""b"", c"'],
  ['=HYPERLINK("http://x")', `"'=HYPERLINK(""http://x"")"`],
  ['@SUM(A1)', "'@SUM(A1)"],
  ['-1+1', "'-1+1"],
])('a spreadsheet reckons nothing of %s', (name, cell) => {
  expect(csvCell(name)).toBe(cell)
})
