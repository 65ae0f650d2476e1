import { sleep, systemClock, within } from '../actors/runtime/clock.ts'
import { ed25519Identity, ed25519Trust, generateKeys, type KeyPair } from '../actors/runtime/identity.ts'
import { systemRandom } from '../actors/runtime/random.ts'
import { encodeRow, type Row, type StoredRow } from '../actors/runtime/rows.ts'
import { InProcessNetwork } from '../actors/runtime/transport.ts'
import { Memory } from '../test/scenarios/memory-store.ts'
import { NAMES, type Name, trio } from './core/trio.ts'

/** Whose rows are recovered. */
export type Role = Name

export const HOUR_MS = 3_600_000
const PATIENCE_MS = 20_000

/** Where an actor keeps its leases. */
export const TABLE: Readonly<Record<Role, 'lease' | 'ticket'>> = {
  ...{ manager: 'lease', broker: 'ticket', site: 'lease' },
}

/** What three actors had on their disks when a lease was active and all was said. */
export interface Pattern {
  readonly keys: Readonly<Record<Role, KeyPair>>
  readonly disks: Readonly<Record<Role, readonly StoredRow[]>>
  /** The lease, its ticket, its unit and whatever else is only of it. */
  readonly ids: readonly string[]
}

/** Production actors agree on one lease of one unit, at a site that lends so many. */
export async function pattern(units: number): Promise<Pattern> {
  const keys = Object.fromEntries(NAMES.map((name) => [name, generateKeys()])) as Record<Role, KeyPair>
  const network = new InProcessNetwork()
  const disks = Object.fromEntries(NAMES.map((name) => [name, new Memory()])) as Record<Role, Memory>
  const actors = trio({
    ...{ clock: systemClock, random: systemRandom(), units, batchMs: 0 },
    trust: ed25519Trust(Object.fromEntries(NAMES.map((name) => [name, keys[name].publicKey]))),
    identity: (name) => ed25519Identity(name, keys[name].privateKey),
    store: (name) =>
      disks[name].store(
        () => true,
        () => undefined,
      ),
    transport: () => network,
    attach: (name, actor) => network.attach(name, actor),
  })
  await actors.start()
  await until('nothing was lent', () => actors.broker.rows('delegation').length > 0)
  const durationMs = 24 * HOUR_MS
  await actors.wish([
    {
      ...{ kind: 'request', type: 'small', units: 1, unitsMin: 1, durationMs, startBy: undefined },
      reason: 'the bench',
    },
  ])
  await until('no lease was active', () => actors.manager.rows('lease')[0]?.leaseState === 'active')
  const isSaid = (): boolean => Object.values(disks).every(({ rows }) => !hasMail([...rows.values()]))
  await until('not everything was said', isSaid)
  await actors.stop()
  const lease = actors.site.rows('lease')[0]!
  const rowsOf = (name: Role): readonly StoredRow[] => [...disks[name].rows.values()]
  return {
    keys,
    disks: { manager: rowsOf('manager'), broker: rowsOf('broker'), site: rowsOf('site') },
    ids: [lease.id, lease.ticket.id, ...lease.units],
  }
}

const hasMail = (rows: readonly StoredRow[]): boolean => rows.some(({ table }) => table === '$out')

const until = (what: string, so: () => boolean): Promise<void> =>
  within(
    systemClock,
    PATIENCE_MS,
    () => new Error(`${what} within ${PATIENCE_MS} ms`),
    async (signal) => {
      while (!so()) await sleep(systemClock, 20, signal)
    },
  )

/** The rows of an actor as if it had so many leases like the one of the pattern: those of each, then those of none. */
export function* rowsLike({ disks, ids }: Pattern, role: Role, leases: number): Generator<StoredRow> {
  const isOfLease = ({ id }: StoredRow): boolean => ids.some((one) => id.includes(one))
  const [own, common] = [disks[role].filter(isOfLease), disks[role].filter((row) => !isOfLease(row))]
  for (let i = 0; i < leases; i++)
    for (const { table, json } of own) yield encoded(table, numbered(json!, ids, i))
  for (const { table, json } of common) yield encoded(table, withLastSlot(json!, leases))
}

/** Each lease with ids, a name and a slot of its own. */
function numbered(json: string, ids: readonly string[], index: number): string {
  const number = index.toString(16).padStart(8, '0')
  const renamed = ids.reduce(
    (text, id) => text.replaceAll(id, `${id.slice(0, -number.length)}${number}`),
    json,
  )
  return renamed
    .replace(/"name":"n\d+"/g, `"name":"n${index + 1}"`)
    .replace(/"slot":\d+/g, `"slot":${index + 1}`)
}

const withLastSlot = (json: string, slots: number): string =>
  json.replace(/"lastSlot":\d+/, `"lastSlot":${slots}`)

function encoded(table: string, json: string): StoredRow {
  const row = JSON.parse(json) as Row
  return encodeRow(table, row.id, row)
}
