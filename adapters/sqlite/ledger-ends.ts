import type { DatabaseSync } from 'node:sqlite'
import { canonical, digest } from '../../actors/runtime/canonical.ts'
import type { LedgerEntry, LedgerHead } from '../../actors/runtime/commit.ts'
import { damaged } from './failures.ts'

/**
 * Where a ledger begins and ends in its database:
 *
 *   1 ── only in archives ── base │ base+1 ── lines that are here ── head
 */
const NO_LINE: LedgerHead = { seq: 0, hash: '' }

/** The last line that was written, as the database says. */
export function headOf(database: DatabaseSync): LedgerHead {
  const head = database.prepare('SELECT seq, hash FROM head').get()
  if (typeof head?.seq !== 'number' || typeof head.hash !== 'string')
    throw damaged('it does not say how long its ledger is')
  return { seq: head.seq, hash: head.hash }
}

/** The last line before those that are here. */
export function baseOf(database: DatabaseSync): LedgerHead {
  const base = database.prepare('SELECT seq, hash FROM base').get()
  if (typeof base?.seq !== 'number' || typeof base.hash !== 'string')
    throw damaged('it does not say where its ledger begins')
  return { seq: base.seq, hash: base.hash }
}

/** The last line that is here. */
export function lastLine(database: DatabaseSync): LedgerHead {
  const last = database.prepare('SELECT seq, json FROM ledger ORDER BY seq DESC LIMIT 1').get()
  if (last === undefined) return NO_LINE
  const { hash, ...line } = lineOf(last.json)
  if (line.seq !== last.seq || digest(canonical(line)) !== hash)
    throw damaged(`line ${last.seq}, the last of its ledger, was altered`)
  return { seq: line.seq, hash }
}

export function lineOf(json: unknown): LedgerEntry {
  try {
    return JSON.parse(String(json)) as LedgerEntry
  } catch (error) {
    throw damaged(`a line of its ledger is no JSON: ${String(json).slice(0, 80)}`, error)
  }
}
