import type { DrawnRow, UnitRow as SiteUnit } from '../../actors/authority/rows.ts'
import type { GroupRow, RecallRow } from '../../actors/broker/rows.ts'
import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { Row } from '../../actors/runtime/rows.ts'
import type { Excuses } from './excuses.ts'
import type { ActorScene } from './scene.ts'

/** Rows of these tables are there only while something is under way. */
const PASSING: Readonly<Record<ActorScene['role'], readonly string[]>> = {
  authority: ['recall', 'host', 'room', 'recovery', 'heard', 'heldBack'],
  broker: ['recall', 'recovery', 'waiting'],
  'service-manager': ['recovery'],
}

/** Everybody is well: what is due is done at once, only a clock may be behind. */
const LATE_MS: Millis = 60_000

/** Rows that have no reason to be there any more, in sentences. */
export function remainsOf(actor: ActorScene, now: Instant, excuses: Excuses): string[] {
  const { name, role, disk } = actor
  const passing = PASSING[role].flatMap((table) =>
    [...disk.table(table).values()]
      .filter((row) => !isUnsayable(table, row, actor, excuses))
      .map(({ id }) => `${name} still has the ${table} ${id}`),
  )
  return [
    ...passing,
    ...(role === 'authority' ? ofSite(actor, now) : ofBroker(actor)),
    ...overdue(actor, now),
  ]
}

/**
 * A recall that its site has forgotten in a restore. To a broker of protocol 1 there is no word for that: it counts
 * the recall on, and so promises too little and not too much.
 */
function isUnsayable(table: string, row: Row, { name, role }: ActorScene, excuses: Excuses): boolean {
  return role === 'broker' && table === 'recall' && excuses.wasSilent((row as RecallRow).site, name)
}

function ofSite({ name, disk }: ActorScene, now: Instant): string[] {
  const units = disk
    .table<SiteUnit>('unit')
    .values()
    .filter(({ state }) => state !== 'ended')
    .map(({ id, state }) => `${name} still has the unit ${id}: ${state}`)
  const drawn = disk
    .table<DrawnRow>('drawn')
    .values()
    .filter(({ term }) => term.end < now - LATE_MS)
    .map(({ id, leaseId }) => `${name} still counts ${id} of ${leaseId}, which is over`)
  return [...units, ...drawn]
}

const ofBroker = ({ name, disk }: ActorScene): string[] =>
  disk
    .table<GroupRow>('group')
    .values()
    .filter(({ state }) => state === 'gathering')
    .map(({ id, state }) => `${name} still has the group ${id}: ${state}`)

const overdue = ({ name, disk }: ActorScene, now: Instant): string[] =>
  [...disk.rows.values()].flatMap(({ table, id, json }) => {
    if (table.startsWith('$')) return []
    const due = dueOf(json)
    return due !== undefined && due < now - LATE_MS
      ? [`${name} has not done for ${now - due} ms what is due about the ${table} ${id}`]
      : []
  })

const dueOf = (json: string | undefined): Instant | undefined => {
  const due = /"due":(\d+)/.exec(json ?? '')?.[1]
  return due === undefined ? undefined : Number(due)
}
