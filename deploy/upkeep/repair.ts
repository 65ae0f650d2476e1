import { verifyChain } from '../../actors/ledger/verify.ts'
import type { Clock } from '../../actors/runtime/clock.ts'
import { chain, type LedgerEntry, type LedgerHead } from '../../actors/runtime/commit.ts'
import { metaOf } from '../../actors/runtime/composition.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { RowSet } from '../../actors/runtime/row-set.ts'
import { encodeRow, type Row, type StoredRow } from '../../actors/runtime/rows.ts'
import { ledgerArchive } from '../../adapters/sqlite/archive.ts'
import { type Damage, damageOf, mend } from '../../adapters/sqlite/mend.ts'
import { some } from '../../controllers/sentence.ts'
import { inDir } from '../settings/work-files.ts'
import { actorsIn } from './backup.ts'
import { type Rebuilt, type Role, rebuild } from './rebuild.ts'
import { refuseHalfRestored } from './restore.ts'
import { whileStopped } from './while-stopped.ts'

/** What was or would be done to one damaged row. */
export interface RowRepair {
  readonly table: string
  readonly id: string
  readonly how: Rebuilt['how']
  readonly what: string
}

export interface ActorRepair {
  readonly actor: string
  readonly rows: readonly RowRepair[]
}

interface Plan extends ActorRepair {
  readonly damage: Damage
  readonly rebuilt: readonly (Rebuilt & { readonly table: string; readonly id: string })[]
}

/** Only while nobody has the databases; changes nothing. */
export const planRepair = (dir: string, clock: Clock): Promise<readonly ActorRepair[]> =>
  repairing(dir, clock, () => undefined)

/** An actor of which one row cannot be rebuilt is left as it is. */
export const repairRows = (dir: string, clock: Clock): Promise<readonly ActorRepair[]> =>
  repairing(dir, clock, (plan, now) => {
    if (plan.rebuilt.some(({ how }) => how === 'impossible')) return
    const { actor, damage } = plan
    const rows = rowsOf(plan, now)
    const reason = `${some(rows.length, 'row')} that did not fit the checksum: rebuilt from the ledger or dropped`
    const data = { rows: plan.rows.map(({ table, id, how }) => ({ table, id, how })) }
    const note = { kind: 'rows repaired', subject: actor, reason, data }
    mend(inDir(dir).database(actor), rows, [chain(note, now, actor, damage.head)])
  })

async function repairing(
  dir: string,
  clock: Clock,
  act: (plan: Plan, now: number) => void,
): Promise<readonly ActorRepair[]> {
  refuseHalfRestored(dir)
  const names = actorsIn(dir)
  if (names.length === 0)
    throw new SubletError('not-running', `there is no Sublet in ${dir}, and no database of one`)
  return whileStopped(dir, names, async () => {
    const now = clock.now()
    const plans: ActorRepair[] = []
    for (const actor of names) {
      const plan = await planOf(dir, actor, now)
      if (plan.rebuilt.length > 0) act(plan, now)
      plans.push({ actor, rows: plan.rows })
    }
    return plans
  })
}

async function planOf(dir: string, actor: string, now: number): Promise<Plan> {
  const damage = damageOf(inDir(dir).database(actor))
  if (damage.rows.length === 0) return { actor, rows: [], damage, rebuilt: [] }
  const first = damage.lines[0]?.seq ?? 1
  const archived = await ledgerArchive(inDir(dir).archive, actor).entries({
    afterSeq: 0,
    limit: Number.POSITIVE_INFINITY,
  })
  const lines = [...archived.filter(({ seq }) => seq < first), ...damage.lines]
  const faults = verifyChain(lines, headBefore(lines))
  if (faults.length > 0)
    throw new SubletError('store-corrupt', `the ledger of ${actor} is damaged, too: ${faults[0]!.sentence}`, {
      cure: 'Go back to a backup with `sublet restore`.',
    })
  const role = roleOf(lines)
  const rebuilt = damage.rows.map(({ table, id }) => ({ table, id, ...rebuild(role, table, id, lines, now) }))
  const rows = rebuilt.map(({ table, id, how, what }) => ({ table, id, how, what }))
  return { actor, rows, damage, rebuilt }
}

const headBefore = (lines: readonly LedgerEntry[]): LedgerHead => ({
  seq: (lines[0]?.seq ?? 1) - 1,
  hash: lines[0]?.prev ?? '',
})

/** Each begins its lives in words of its own. */
function roleOf(lines: readonly LedgerEntry[]): Role {
  const words = lines.find(({ kind }) => kind === 'started')?.reason ?? ''
  if (words.startsWith('the broker')) return 'broker'
  return words.startsWith('the site') ? 'site' : 'manager'
}

function rowsOf({ rebuilt, damage }: Plan, now: number): readonly StoredRow[] {
  const rows = rebuilt.map((each) =>
    encodeRow(each.table, each.id, each.how === 'rebuilt' ? each.row : undefined),
  )
  // A unit must not wait for the outcome of what is not under way any more.
  const effects = new Set(rebuilt.filter(({ table }) => table === '$effect').map(({ id }) => id))
  for (const { table, row } of damage.well)
    if (table === 'unit' && effects.has(row.id))
      rows.push(encodeRow(table, row.id, { ...row, ...{ doing: undefined }, due: now }))
  if (!rebuilt.some((each) => 'forgets' in each)) return rows
  const known = new RowSet()
  for (const { table, row } of damage.well) if (table === '$meta') known.set(table, row.id, row)
  for (const each of rebuilt)
    if (each.how === 'rebuilt' && each.table === '$meta') known.set('$meta', each.id, each.row)
  const meta: Row = { ...metaOf(known), ...{ restored: { at: now, from: 'its ledger, by sublet repair' } } }
  return [...rows.filter(({ table }) => table !== '$meta'), encodeRow('$meta', 'meta', meta)]
}
