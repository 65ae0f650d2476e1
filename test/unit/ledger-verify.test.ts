import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LedgerCheck, verifyChain, verifyHolds, verifyLedger } from '../../actors/ledger/verify.ts'
import { chain, type LedgerEntry, type LedgerHead, type LedgerNote } from '../../actors/runtime/commit.ts'

const NO_LINE: LedgerHead = { seq: 0, hash: '' }

function ledgerOf(notes: readonly LedgerNote[]): LedgerEntry[] {
  const entries: LedgerEntry[] = []
  for (const [i, note] of notes.entries())
    entries.push(chain(note, 1_000 + i, 'site', entries.at(-1) ?? NO_LINE))
  return entries
}

const headOf = (entries: readonly LedgerEntry[]): LedgerHead => {
  const { seq, hash } = entries.at(-1) ?? NO_LINE
  return { seq, hash }
}

const started: LedgerNote = {
  ...{ kind: 'started', subject: 'site', reason: 'the site begins epoch 1' },
  data: { hosts: [{ name: 'a', capacity: { cpu: 2 } }] },
}
const assigned = (unit: string, slot: number, leaseId = 'lease-1', host = 'a'): LedgerNote => ({
  ...{ kind: 'unit assigned', subject: unit, reason: 'best fit' },
  data: { leaseId, host, slot, vector: { cpu: 1 } },
})
const ended = (unit: string): LedgerNote => ({ kind: 'unit ended', subject: unit, reason: 'torn down' })
const plain = (n: number): LedgerNote => ({ kind: 'said', subject: `s-${n}`, reason: `word ${n}` })

const sentences = (entries: readonly LedgerEntry[], head = headOf(entries)): string[] =>
  verifyLedger(entries, head).map(({ sentence }) => sentence)

describe('a ledger in which every line follows the one before', () => {
  const entries = ledgerOf(Array.from({ length: 20 }, (_, i) => plain(i)))

  test('has no fault, also an empty one, and also page by page', () => {
    expect(verifyLedger(entries, headOf(entries))).toEqual([])
    expect(verifyLedger([], NO_LINE)).toEqual([])
    const check = new LedgerCheck()
    for (let i = 0; i < entries.length; i += 7) check.read(entries.slice(i, i + 7))
    expect(check.end(headOf(entries))).toEqual([])
    expect(verifyChain(entries.slice(10), headOf(entries.slice(0, 10)))).toEqual([])
  })

  test('and of which one is altered shows where, whichever part it is', () => {
    const changes: Partial<LedgerEntry>[] = [
      ...[{ kind: 'sold' }, { subject: 's-0' }, { reason: 'because' }, { at: 1 }, { actor: 'other' }],
      ...[{ data: { x: 1 } }, { prev: 'x' }, { data: { half: '\ud83d' } }],
    ]
    for (const change of changes) {
      const forged = entries.with(9, { ...entries[9]!, ...change })
      expect(sentences(forged)).toContain('line 10 was altered')
    }
  })

  test('and of which one is altered and hashed anew shows the break behind it', () => {
    const { hash: _, ...line } = entries[9]!
    const again = chain({ ...line, reason: 'because' }, line.at, line.actor, headOf(entries.slice(0, 9)))
    expect(sentences(entries.with(9, again))).toEqual(['line 11 does not continue the chain'])
  })

  test('and of which one is removed shows the gap', () => {
    expect(sentences(entries.toSpliced(9, 1))).toEqual([
      'line 11 follows line 9: lines are missing or swapped',
      'line 11 does not continue the chain',
    ])
  })

  test('and of which two are swapped shows both', () => {
    const swapped = entries.with(9, entries[10]!).with(10, entries[9]!)
    expect(verifyLedger(swapped, headOf(entries)).map(({ seq }) => seq)).toEqual([11, 11, 10, 10, 12, 12])
  })

  test('and of which one is doubled shows it', () => {
    expect(sentences(entries.toSpliced(9, 0, entries[9]!))).toContain(
      'line 10 follows line 10: lines are missing or swapped',
    )
  })

  test('and that is cut off at the end shows how far it went', () => {
    expect(sentences(entries.slice(0, 15), headOf(entries))).toEqual([
      'the ledger ends at line 15, and line 20 was the last one written',
    ])
    expect(sentences([], headOf(entries))).toEqual([
      'the ledger ends at line 0, and line 20 was the last one written',
    ])
  })

  test('and of which the end was written anew shows that it is another', () => {
    const other = [...entries.slice(0, 19), chain(plain(99), 1, 'site', headOf(entries.slice(0, 19)))]
    expect(sentences(other, headOf(entries))).toEqual(['the last line is not the one that was written'])
  })

  test('no removal, swap or change of any line goes unseen', () => {
    const tamper = fc.record({
      what: fc.constantFrom('remove', 'swap', 'alter'),
      at: fc.nat(18),
      by: fc.nat(18),
    })
    fc.assert(
      fc.property(tamper, ({ what, at, by }) => {
        const forged = [...entries]
        if (what === 'remove') forged.splice(at, 1)
        if (what === 'alter') forged[at] = { ...forged[at]!, reason: 'else' }
        if (what === 'swap') [forged[at], forged[by]] = [forged[by]!, forged[at]!]
        if (what === 'swap' && at === by) return
        expect(verifyLedger(forged, headOf(entries))).not.toEqual([])
      }),
    )
  })

  test('a ledger that is wrong throughout is told of in so many sentences and no more', () => {
    const wrong = ledgerOf(Array.from({ length: 3_000 }, (_, i) => plain(i))).map((entry) => ({
      ...entry,
      at: 0,
    }))
    const faults = verifyLedger(wrong, headOf(wrong))
    expect(faults).toHaveLength(1_001)
    expect(faults.at(-1)?.sentence).toBe('and 2000 more')
  })
})

describe('a ledger of a site', () => {
  const holds = (...notes: LedgerNote[]): string[] =>
    verifyHolds(ledgerOf([started, ...notes])).map(({ sentence }) => sentence)

  test('in which every unit is held once has no fault', () => {
    expect(
      holds(assigned('unit-1', 1), assigned('unit-2', 2), ended('unit-1'), assigned('unit-3', 1)),
    ).toEqual([])
  })

  test('check 12: shows a slot that is given away while another holds it', () => {
    expect(holds(assigned('unit-1', 1), assigned('unit-2', 1))).toEqual([
      'slot 1 is given to unit-2 while unit-1 holds it',
    ])
  })

  test('check 12: shows a unit that is in two leases, at once or one after the other', () => {
    const twice = 'unit-1 is given to lease-2; it was given to lease-1 before'
    expect(holds(assigned('unit-1', 1), assigned('unit-1', 2, 'lease-2'))).toEqual([twice])
    expect(holds(assigned('unit-1', 1), ended('unit-1'), assigned('unit-1', 1, 'lease-2'))).toEqual([twice])
  })

  test('shows a host that gives more than it has, and is content when a unit has ended', () => {
    const three = [assigned('unit-1', 1), assigned('unit-2', 2), assigned('unit-3', 3)]
    expect(holds(...three)).toEqual(['host a gives 3 cpu and has 2'])
    expect(holds(...three.slice(0, 2), ended('unit-1'), three[2]!)).toEqual([])
  })

  test('shows a host that the site does not have, or has no more', () => {
    expect(holds(assigned('unit-1', 1, 'lease-1', 'z'))).toEqual([
      'unit-1 is placed on z, which the site does not have',
    ])
    const moved = { ...started, data: { hosts: [{ name: 'b', capacity: { cpu: 2 } }] } }
    expect(holds(moved, assigned('unit-1', 1))).toEqual([
      'unit-1 is placed on a, which the site does not have',
    ])
  })

  test('holds a unit against no place of which a restored site does not know where it is', () => {
    const lost = [assigned('unit-1', 0, 'lease-1', ''), assigned('unit-2', 0, 'lease-1', '')]
    const back: LedgerNote = { kind: 'store restored', subject: 'site', reason: 'from a copy' }
    expect(holds(back, ...lost, ended('unit-1'))).toEqual([])
    expect(holds(...lost)).toEqual([
      'unit-1 is placed on , which the site does not have',
      'slot 0 is given to unit-2 while unit-1 holds it',
      'unit-2 is placed on , which the site does not have',
    ])
  })

  test('shows a line that does not say what was given', () => {
    for (const data of [null, {}, { leaseId: 1 }, 'x'])
      expect(holds({ ...assigned('unit-1', 1), data })).toEqual([
        'line 2 does not say what was given to unit-1',
      ])
  })

  test('is not confused by dimensions that are names of other things', () => {
    const odd = JSON.parse(
      '{"leaseId":"l","host":"a","slot":1,"vector":{"constructor":1,"toString":1}}',
    ) as unknown
    expect(holds({ ...assigned('unit-1', 1), data: odd })).toEqual([
      'host a gives 1 constructor and has 0',
      'host a gives 1 toString and has 0',
    ])
  })

  test('shows a double hold also when its lines are chained as they should be', () => {
    const entries = ledgerOf([started, assigned('unit-1', 1), assigned('unit-2', 1, 'lease-2')])
    expect(verifyLedger(entries, headOf(entries)).map(({ seq }) => seq)).toEqual([3])
  })
})
