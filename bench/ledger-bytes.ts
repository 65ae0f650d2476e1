import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { sqliteStore } from '../adapters/sqlite/store.ts'
import { extend, request } from '../test/scenarios/scene.ts'
import { Stage } from '../test/scenarios/stage.ts'

/**
 * Bytes of ledger and rows for each node and day: production actors live through hours of leases on virtual time, and
 * what they wrote is put into SQLite files and, as archives are, gzipped.
 *
 *   four nodes, leases of an hour that are extended at each end ──▶ lines, rows ──▶ ACTOR.db, JSON, gzip
 */
const { values } = parseArgs({ options: { hours: { type: 'string', default: '24' } } })
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
const perNodeDay = (bytes: number): string => String(Math.round(bytes / nodeDays))
console.log('| actor | lines | ledger, JSON | in the database | archived (gzip) | rows |')
console.log('|---|---|---|---|---|---|')
try {
  for (const name of stage.names) {
    const { rows, ledger } = stage.disks[name]!.copy()
    const text = ledger.map((entry) => `${JSON.stringify(entry)}\n`).join('')
    const rowBytes = [...rows.values()].reduce((sum, row) => sum + (row.json?.length ?? 0), 0)
    const file = join(dir, `${name}.db`)
    const store = sqliteStore(file)
    await store.open()
    await store.commit({ rows: [...rows.values()], ledger: [...ledger] })
    await store.close()
    const cells = [
      ledger.length / nodeDays,
      text.length / nodeDays,
      statSync(file).size / nodeDays,
      gzipSync(text).length / nodeDays,
    ]
    console.log(`| ${[name, ...cells.map(Math.round), `${rowBytes} B in all`].join(' | ')} |`)
  }
} finally {
  rmSync(dir, { recursive: true, force: true })
}
console.log(
  `\n${NODES} nodes, ${hours} h; ${perNodeDay(stage.names.reduce((sum, name) => sum + JSON.stringify(stage.disks[name]!.ledger).length, 0))} B of ledger a node and day in all.`,
)
