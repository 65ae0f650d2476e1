import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { sqliteStore } from '../adapters/sqlite/store.ts'
import { extend, request } from '../test/scenarios/scene.ts'
import { Stage } from '../test/scenarios/stage.ts'
import { isQuick, report } from './report.ts'
import { markdownTable } from './table.ts'

/**
 * Bytes of ledger and rows for each node and day: production actors live through hours of leases on virtual time, and
 * what they wrote is put into SQLite files and, as archives are, gzipped.
 *
 *   four nodes, leases of an hour that are extended at each end ──▶ lines, rows ──▶ ACTOR.db, JSON, gzip
 */
const { values } = parseArgs({
  options: { hours: { type: 'string', default: isQuick ? '6' : '24' }, quick: { type: 'boolean' } },
})
const hours = Number(values.hours)
const NODES = 4
const HOUR_S = 3_600

const stage = new Stage({ units: NODES })
await stage.begins()
await stage.wishes([
  request({ units: 2, durationMs: HOUR_S * 1_000 }),
  request({ units: 2, durationMs: HOUR_S * 1_000 }),
])
for (let hour = 0; hour < hours; hour++) {
  await stage.runs(HOUR_S / 2)
  await stage.wishes(stage.leases().map(({ id }) => extend(id, { durationMs: HOUR_S * 1_000 })))
  await stage.runs(HOUR_S / 2)
}

const dir = mkdtempSync(join(tmpdir(), 'sublet-bytes-'))
const nodeDays = (NODES * hours) / 24
const rows: string[][] = []
const sum = { json: 0, database: 0, archived: 0 }
try {
  for (const name of stage.names) {
    const { rows: kept, ledger } = stage.disks[name]!.copy()
    const text = ledger.map((entry) => `${JSON.stringify(entry)}\n`).join('')
    const rowBytes = [...kept.values()].reduce((sum, row) => sum + (row.json?.length ?? 0), 0)
    const file = join(dir, `${name}.db`)
    const store = sqliteStore(file)
    await store.open()
    await store.commit({ rows: [...kept.values()], ledger: [...ledger] })
    await store.close()
    const database = statSync(file).size
    const archived = gzipSync(text).length
    const cells = [ledger.length, text.length, database, archived].map((each) => each / nodeDays)
    rows.push([name, ...cells.map((each) => each.toFixed(0)), String(rowBytes)])
    sum.json += text.length
    sum.database += database
    sum.archived += archived
  }
} finally {
  rmSync(dir, { recursive: true, force: true })
}

const perNodeDay = (bytes: number): string => `${(bytes / nodeDays / 1_000).toFixed(0)} KB`
report(
  'bytes',
  `# Bytes

${markdownTable(
  [
    'a node and day',
    'lines',
    'ledger, JSON',
    'in the database',
    'archived (gzip)',
    'rows at the end, in all',
  ],
  rows,
)}

In bytes. Four nodes for ${hours} h of virtual time, two leases of an hour, extended every hour; first-come, one manager,
broker and site in their production form. Signatures of the simulation are half as long as real ones, and the guest’s
controller wrote nothing between the extensions: a real one writes a line for each decision that differs from the one
before. The empty tables of three files are in the databases.

Together ${perNodeDay(sum.json)} of lines, ${perNodeDay(sum.database)} of databases, or ${perNodeDay(sum.archived)} in archives.
`,
  [
    {
      what: 'bytes of three ledgers a node and day',
      measured: `${perNodeDay(sum.json)}, archived ${perNodeDay(sum.archived)}`,
      floor: '',
    },
  ],
)
