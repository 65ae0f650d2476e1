import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { Actor, type Log } from '../actors/runtime/actor.ts'
import { systemClock } from '../actors/runtime/clock.ts'
import type { CommitLog } from '../actors/runtime/commit.ts'
import { ed25519Identity, ed25519Trust, type KeyPair, type Trust } from '../actors/runtime/identity.ts'
import type { Mind } from '../actors/runtime/mind.ts'
import { systemRandom } from '../actors/runtime/random.ts'
import type { StoredRow, Tables } from '../actors/runtime/rows.ts'
import { InProcessNetwork } from '../actors/runtime/transport.ts'
import { sqliteStore } from '../adapters/sqlite/store.ts'
import type { KeptStore } from '../adapters/store.ts'
import { ownStore } from '../deploy/upkeep/own-store.ts'
import { Memory } from '../test/scenarios/memory-store.ts'
import { mindsOf, NAMES } from './core/trio.ts'
import { pattern, type Role, rowsLike, TABLE } from './recovery-rows.ts'

/**
 * A process of its own of the bench `recovery`:
 *
 *   node recovery-child.ts build DIR COUNT           writes what each actor keeps of so many live leases
 *   node recovery-child.ts hold DIR COUNT ROLE       opens that and waits to be killed
 *   node recovery-child.ts recover DIR COUNT ROLE    opens it and says how long that took
 *   node recovery-child.ts floor DIR COUNT ROLE      reads the same bytes with SQLite, and nothing else
 */
const [task, dir = '', counted = '0', role = 'broker'] = process.argv.slice(2) as [
  string,
  string,
  string,
  Role,
]
const count = Number(counted)
const fileOf = (name: Role): string => join(dir, `${name}.db`)
const KEYS = join(dir, 'keys.json')
const CHUNK = 20_000
/** All that are large. */
const TABLES = ['lease', 'ticket', 'unit', 'drawn', '$link']
/** The rest of a recovered site's work, such as a sweep of its machines, does not belong to the measure. */
const NEVER = new Promise<never>(() => undefined)
const silent = (): undefined => undefined
const log: Log = { debug: silent, info: silent, warn: silent, error: silent }

const say = (what: unknown): boolean => process.stdout.write(`${JSON.stringify(what)}\n`)
/** Of all threads of this process. */
const cpuMs = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1_000
}
const heapBytes = (): number => {
  ;(globalThis as { gc?: () => void }).gc?.()
  return process.memoryUsage().heapUsed
}

if (task === 'build') await build()
else if (task === 'floor') floor()
else await recover()

async function build(): Promise<void> {
  const seen = await pattern(count)
  writeFileSync(KEYS, JSON.stringify(seen.keys), { mode: 0o600 })
  for (const name of NAMES) {
    const store = sqliteStore(fileOf(name))
    await store.open()
    let rows: StoredRow[] = []
    const flush = async (): Promise<void> => {
      await store.commit({ rows, ledger: [] })
      rows = []
    }
    for (const row of rowsLike(seen, name, count)) {
      rows.push(row)
      if (rows.length >= CHUNK) await flush()
    }
    await flush()
    await store.close()
  }
}

function floor(): void {
  const beganMs = performance.now()
  const beganCpuMs = cpuMs()
  const database = new DatabaseSync(fileOf(role), { readOnly: true })
  const all = database.prepare('SELECT tbl, id, json, checksum FROM row')
  all.setReturnArrays(true)
  let rows = 0
  let chars = 0
  for (const row of all.iterate() as Iterable<unknown>) {
    rows++
    chars += (row as string[])[2]!.length
  }
  database.close()
  say({ ms: performance.now() - beganMs, cpuMs: cpuMs() - beganCpuMs, rows, chars })
}

function actorOf(name: Role, mind: Mind<Tables>, store: CommitLog, network: InProcessNetwork): Actor<Tables> {
  const keys = JSON.parse(readFileSync(KEYS, 'utf8')) as Record<Role, KeyPair>
  const actor = new Actor<Tables>({
    ...{ mind, store, log, clock: systemClock, transport: network, skewMsMax: 2_000 },
    identity: ed25519Identity(name, keys[name].privateKey),
    trust: trustIn(keys),
    perform: () => NEVER,
    random: systemRandom(),
    onFailed: (error) => {
      throw error
    },
  })
  network.attach(name, actor)
  return actor
}

function trustIn(keys: Readonly<Record<Role, KeyPair>>): Trust {
  return ed25519Trust(Object.fromEntries(NAMES.map((name) => [name, keys[name].publicKey])))
}

/** Those whom the actor has spoken with are up: they answer, and have nothing to say. */
async function attachOthers(network: InProcessNetwork): Promise<void> {
  const listener: Mind<Tables> = { handle: silent }
  for (const name of NAMES.filter((other) => other !== role)) {
    const store = new Memory().store(
      () => true,
      () => undefined,
    )
    await actorOf(name, listener, store, network).start()
  }
}

async function recover(): Promise<void> {
  const keys = JSON.parse(readFileSync(KEYS, 'utf8')) as Record<Role, KeyPair>
  const network = new InProcessNetwork()
  await attachOthers(network)
  const identity = (name: Role) => ed25519Identity(name, keys[name].privateKey)
  const minds = mindsOf({ identity, trust: trustIn(keys), units: count })
  const before = { heap: heapBytes(), rss: process.memoryUsage().rss }
  const beganMs = performance.now()
  const beganCpuMs = cpuMs()
  const store = ownStore(sqliteStore(fileOf(role)), role)
  let openMs = 0
  const opening: KeptStore = {
    ...store,
    open: async (take) => {
      const opened = await store.open(take)
      openMs = performance.now() - beganMs
      return opened
    },
  }
  const actor = actorOf(role, minds[role] as unknown as Mind<Tables>, opening, network)
  await actor.start()
  // None knows the command: that it says so, after a commit if need be, shows that it runs.
  await actor.command('are you there', {}).catch(silent)
  const ms = performance.now() - beganMs
  const usedCpuMs = cpuMs() - beganCpuMs
  const sinceSpawnMs = performance.now()
  const heap = heapBytes() - before.heap
  const lookedMs = performance.now()
  const kept = actor.rows(TABLE[role]).length
  const lookMs = performance.now() - lookedMs
  if (kept !== count) throw new Error(`${kept} of ${count} leases were recovered`)
  for (const table of TABLES) actor.rows(table)
  const heapLooked = heapBytes() - before.heap
  const rss = process.memoryUsage().rss - before.rss
  say({ ms, openMs, sinceSpawnMs, cpuMs: usedCpuMs, lookMs, heap, heapLooked, rss })
  if (task === 'hold') await NEVER
  process.exit(0)
}
