import { TOLD_BY, type Told, type Usage } from '../../actors/ledger/usage.ts'
import type { UsageBy } from '../../actors/ledger/usage-by.ts'
import type { Clock, Instant } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { some } from '../../controllers/sentence.ts'
import { openLedgers, usageOf } from '../reports/ledgers.ts'
import { csvCell } from '../reports/printable.ts'
import { table } from '../reports/show.ts'
import { backUp } from '../upkeep/backup.ts'
import { planRepair, repairRows } from '../upkeep/repair.ts'
import { restore } from '../upkeep/restore.ts'
import { EXIT, print, printJson, tell } from './terminal.ts'

export async function backup(
  dir: string,
  to: string | undefined,
  json: boolean,
  clock: Clock,
): Promise<number> {
  const { folder, manifest } = await backUp(dir, to, clock)
  if (json) printJson({ ...manifest, to: folder })
  else {
    for (const { name, rows, head, bytes } of manifest.actors)
      print(`${name}: ${some(rows, 'row')}, ledger up to line ${head.seq}, ${bytes} bytes`)
    print(`backed up to ${folder}`)
  }
  return EXIT.done
}

export async function restoreBackup(
  dir: string,
  folder: string,
  { only, here }: { readonly only: string | undefined; readonly here: readonly string[] | undefined },
  json: boolean,
  clock: Clock,
): Promise<number> {
  const restored = await restore(dir, folder, { only, clock, ...(here && { here }) })
  if (json) printJson(restored)
  else {
    print(`${restored.actors.join(', ')} restored; what was there before is in ${restored.replaced}`)
    print('At the next start they ask their peers for what they have forgotten before they grant anything.')
  }
  return EXIT.done
}

export async function repair(dir: string, really: boolean, json: boolean, clock: Clock): Promise<number> {
  const plans = really ? await repairRows(dir, clock) : await planRepair(dir, clock)
  const hopeless = plans.some(({ rows }) => rows.some(({ how }) => how === 'impossible'))
  if (json) printJson({ done: really, actors: plans })
  else {
    for (const { actor, rows } of plans)
      for (const row of rows) print(`${actor}: ${row.table} ${row.id}: ${row.what}`)
    const count = plans.reduce((sum, { rows }) => sum + rows.length, 0)
    if (count === 0) print('every row fits its checksum; nothing is to be repaired')
    else if (!really) print('nothing was changed; `sublet repair --from-ledger --yes` does this')
  }
  return hopeless ? EXIT.failed : EXIT.done
}

/** Of what no ledger here tells it is not said that it was nothing. */
const known = ({ name, grantedS, toComeS, heldS, joinedS }: Usage, told: ReadonlySet<Told>) => ({
  name,
  ...(told.has('granted') ? { grantedS, toComeS } : { grantedS: null, toComeS: null }),
  heldS: told.has('held') ? heldS : null,
  joinedS: told.has('joined') ? joinedS : null,
})

export async function usage(
  dir: string,
  options: {
    readonly by: UsageBy
    readonly from?: Instant
    readonly to?: Instant
    readonly csv?: true
    readonly json?: true
  },
  clock: Clock,
): Promise<number> {
  const { by, from = 0, to = clock.now(), csv, json } = options
  if (from >= to)
    throw new SubletError('usage', '--from has to be before --to', {
      cure: 'Give an earlier --from, or a later --to; without --to it is now.',
    })
  if (csv === true && json === true)
    throw new SubletError('usage', 'give --csv or --json, not both', { cure: 'Leave one of the two out.' })
  const { ledgers, close } = await openLedgers(dir)
  try {
    const count = await usageOf(ledgers)
    const rows = count.sum(by, { from, to }, clock.now()).map((row) => known(row, count.told))
    const cells = rows.map(({ name, grantedS, heldS, joinedS, toComeS }) => [
      name,
      ...[grantedS, heldS, joinedS, toComeS].map((seconds) => seconds?.toFixed(3) ?? '-'),
    ])
    const missing = (Object.keys(TOLD_BY) as Told[]).filter((told) => !count.told.has(told))
    if (missing.length > 0 && rows.length > 0)
      tell(
        `the ledgers of ${ledgers.map(({ name }) => name).join(', ')} are here; ${missing.map((told) => `what was ${told} is in that of a ${TOLD_BY[told]}`).join(', ')}, and is not known here`,
      )
    const heads = [by.toUpperCase(), 'GRANTED S', 'HELD S', 'JOINED S', 'TO COME S']
    // Up to now nothing is still to come.
    const shown = to > clock.now() ? heads.length : heads.length - 1
    if (json) printJson({ by, from, to, usage: rows })
    else if (csv) {
      print(`${by},granted_s,held_s,joined_s,to_come_s`)
      for (const line of cells) print(line.map(csvCell).join(','))
    } else {
      const line = (cell: readonly string[]): readonly string[] => cell.slice(0, shown)
      print(table(line(heads), cells.map(line)))
    }
  } finally {
    await close()
  }
  return EXIT.done
}
