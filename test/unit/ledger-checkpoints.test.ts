import { describe, expect, test } from 'vitest'
import { chainCheck, NO_LINE } from '../../actors/ledger/chain-check.ts'
import { CheckpointCheck } from '../../actors/ledger/checkpoint-check.ts'
import { LedgerCheck } from '../../actors/ledger/verify.ts'
import { CHECKPOINT_LINES, CHECKPOINT_MS, checkpointNote } from '../../actors/runtime/checkpoint.ts'
import { chain, type LedgerEntry, type LedgerNote } from '../../actors/runtime/commit.ts'
import {
  ed25519Identity,
  ed25519Trust,
  generateKeys,
  type Identity,
  type PublicKey,
} from '../../actors/runtime/identity.ts'

const site = ed25519Identity('site', generateKeys().privateKey)
const former = ed25519Identity('site', generateKeys().privateKey)
const stranger = ed25519Identity('site', generateKeys().privateKey)
const trust = ed25519Trust({})

interface Line {
  readonly by?: Identity
  readonly kind?: string
  /** After the first line. */
  readonly ms?: number
}

/** A checkpoint where somebody is named, else a word. */
function ledgerOf(lines: readonly Line[]): LedgerEntry[] {
  const entries: LedgerEntry[] = []
  for (const [i, { by, kind = 'said', ms = 0 }] of lines.entries()) {
    const head = entries.at(-1) ?? NO_LINE
    const note: LedgerNote = by ? checkpointNote(head, by) : { kind, subject: 's', reason: `word ${i}` }
    entries.push(chain(note, 1_000 + ms, 'site', head))
  }
  return entries
}

const words = (count: number): Line[] => Array.from({ length: count }, () => ({}))

function verdict(entries: readonly LedgerEntry[], known?: readonly PublicKey[]) {
  const checkpoints = new CheckpointCheck(trust.verifyBy, known && new Set(known))
  const check = new LedgerCheck([chainCheck(), checkpoints])
  check.read(entries)
  const faults = check.end(entries.at(-1) ?? NO_LINE).map(({ sentence }) => sentence)
  return { faults, ...checkpoints.seen }
}

describe('of a ledger', () => {
  test('is told up to which line it is signed, by whom, and how many lines are behind that', () => {
    const entries = ledgerOf([...words(3), { by: site }, ...words(2)])
    expect(verdict(entries, [site.key])).toMatchObject({
      ...{ faults: [], compared: true, signedTo: 3, signedBy: site.key, unsigned: 2 },
    })
    expect(verdict(entries)).toMatchObject({ faults: [], compared: false, signedTo: 3, signedBy: site.key })
    expect(verdict(ledgerOf(words(3)), [site.key])).toMatchObject({
      ...{ faults: [], signedTo: 0, signedBy: undefined, unsigned: 3 },
    })
    expect(verdict([], [site.key])).toMatchObject({ faults: [], signedTo: 0, unsigned: 0 })
  })

  test('of which all checkpoints were taken out and the chain was made anew is missed that it is not signed', () => {
    expect(verdict(ledgerOf(words(CHECKPOINT_LINES - 1))).faults).toEqual([])
    expect(verdict(ledgerOf(words(CHECKPOINT_LINES))).faults).toEqual([
      `no line of site is signed, up to line ${CHECKPOINT_LINES}: an actor signs every ${CHECKPOINT_LINES} lines and once a day`,
    ])
    expect(verdict(ledgerOf([{}, { ms: CHECKPOINT_MS }])).faults).toHaveLength(1)
  })

  test('of which only those since a day were taken out likewise', () => {
    const signed: Line[] = [{}, { by: site }]
    expect(verdict(ledgerOf([...signed, { ms: CHECKPOINT_MS - 1 }])).faults).toEqual([])
    expect(verdict(ledgerOf([...signed, { ms: CHECKPOINT_MS }])).faults).toEqual([
      `no line after line 1 is signed, up to line 3: an actor signs every ${CHECKPOINT_LINES} lines and once a day`,
    ])
  })

  test('that a repair has written to since is not missed that the actor, who does not run, did not sign', () => {
    const repaired = { kind: 'rows repaired', ms: 2 * CHECKPOINT_MS }
    expect(verdict(ledgerOf([{}, { by: site }, repaired])).faults).toEqual([])
    expect(verdict(ledgerOf([...words(CHECKPOINT_LINES), repaired])).faults).toHaveLength(1)
  })

  test('that a stranger signed anew the key is told', () => {
    const entries = ledgerOf([...words(3), { by: stranger }, {}])
    expect(verdict(entries, [site.key])).toMatchObject({
      faults: [
        `the checkpoint in line 4 is signed with the key ${stranger.key}, which site is not known to have`,
      ],
      ...{ signedTo: 0, signedBy: undefined, unsigned: 5 },
    })
  })

  test('of which the end is a stranger’s, what is proven ends before it', () => {
    const entries = ledgerOf([{}, { by: site }, {}, { by: stranger }, {}])
    expect(verdict(entries, [site.key])).toMatchObject({ signedTo: 1, unsigned: 3 })
    expect(verdict(entries, [site.key]).faults).toHaveLength(1)
  })

  test('that began with a key which is forgotten is proven by the one that followed it', () => {
    const entries = ledgerOf([...words(3), { by: former }, ...words(3), { by: site }])
    expect(verdict(entries, [site.key])).toMatchObject({ faults: [], signedTo: 7, unsigned: 0 })
  })
})
