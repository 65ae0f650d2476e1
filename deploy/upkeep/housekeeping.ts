import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { schedule } from 'node-cron'
import type { Log } from '../../actors/runtime/actor.ts'
import type { Clock } from '../../actors/runtime/clock.ts'
import { inOneLine } from '../../actors/runtime/errors.ts'
import type { LedgerArchive } from '../../adapters/sqlite/archive.ts'
import type { KeptStore } from '../../adapters/store.ts'
import { type NamedLedger, verifyAll } from '../reports/ledgers.ts'
import type { Settings } from '../settings/config.ts'
import { archiveLedger } from './archiving.ts'

/**
 * What is done once a day, at a time of the wall clock:
 *
 *   ledgers   verified; a fault is an error in the log, and of that ledger nothing leaves
 *             archived up to the last checkpoint; what is old enough leaves the database
 *   sublet.log ──too large──▶ sublet.log.1 ──▶ … ──▶ sublet.log.N ──▶ removed
 *   charts/   the oldest beyond a number are removed
 */
export interface HousekeepingParts {
  readonly settings: Settings['housekeeping']
  readonly logFile: string
  readonly charts: string
  readonly log: Log
  readonly clock: Clock
  readonly ledgers: () => readonly NamedLedger[]
  readonly stores: readonly {
    readonly name: string
    readonly store: KeptStore
    readonly archive: LedgerArchive
  }[]
  /** Goes on in a new log file. */
  readonly reopenLog: () => void
}

export interface HousekeepingOutcome {
  readonly entries: number
  readonly faults: number
  readonly rotated: boolean
  readonly chartsRemoved: number
  readonly linesArchived: number
}

export async function keepHouse(parts: HousekeepingParts): Promise<HousekeepingOutcome> {
  const { settings, log } = parts
  const verdicts = await verifyAll(parts.ledgers())
  for (const { actor, faults } of verdicts)
    for (const { seq, sentence } of faults)
      log.error({ actor, seq, fault: sentence }, 'the ledger has a fault')
  let linesArchived = 0
  for (const { name, store, archive } of parts.stores) {
    if (verdicts.some(({ actor, faults }) => actor === name && faults.length > 0)) continue
    const policy = { now: parts.clock.now(), keptMs: settings.ledgerKept }
    const { ranges, base } = await archiveLedger(store, archive, policy)
    for (const { file, first, last } of ranges) {
      linesArchived += last - first + 1
      log.info({ actor: name, file, first, last, base }, 'ledger archived')
    }
  }
  const rotated = rotate(parts.logFile, settings.logMiBMax * 1024 * 1024, settings.logsKept)
  if (rotated) parts.reopenLog()
  const outcome: HousekeepingOutcome = {
    entries: verdicts.reduce((sum, { entries }) => sum + entries, 0),
    faults: verdicts.reduce((sum, { faults }) => sum + faults.length, 0),
    rotated,
    chartsRemoved: prune(parts.charts, settings.chartsKept),
    linesArchived,
  }
  log.info(outcome, 'housekeeping done')
  return outcome
}

/** Returns how to end it. A run that fails is told in the log, and the next one comes all the same. */
export function scheduleHousekeeping(parts: HousekeepingParts): () => Promise<void> {
  const task = schedule(
    parts.settings.at,
    async () => {
      try {
        await keepHouse(parts)
      } catch (error) {
        parts.log.error({ reason: inOneLine(error) }, 'housekeeping failed')
      }
    },
    { name: 'housekeeping', noOverlap: true, unref: true },
  )
  return async () => {
    await task.destroy()
  }
}

/** False if the file is not too large yet. */
function rotate(file: string, bytesMax: number, kept: number): boolean {
  if ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) <= bytesMax) return false
  rmSync(`${file}.${kept}`, { force: true })
  for (let i = kept - 1; i >= 1; i--)
    if (existsSync(`${file}.${i}`)) renameSync(`${file}.${i}`, `${file}.${i + 1}`)
  renameSync(file, `${file}.1`)
  return true
}

function prune(dir: string, kept: number): number {
  if (!existsSync(dir)) return 0
  const charts = readdirSync(dir)
    .filter((name) => name.endsWith('.svg'))
    .map((name) => ({ path: join(dir, name), at: statSync(join(dir, name)).mtimeMs }))
    .toSorted((a, b) => b.at - a.at)
  const old = charts.slice(kept)
  for (const { path } of old) rmSync(path, { force: true })
  return old.length
}
