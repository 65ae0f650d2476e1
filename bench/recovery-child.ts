import { DatabaseSync } from 'node:sqlite'
import { authority } from '../actors/authority/authority.ts'
import { broker } from '../actors/broker/broker.ts'
import { Actor } from '../actors/runtime/actor.ts'
import { systemClock } from '../actors/runtime/clock.ts'
import {
  ed25519Identity,
  ed25519Trust,
  generateKeys,
  type Identity,
  type Trust,
} from '../actors/runtime/identity.ts'
import type { Mind } from '../actors/runtime/mind.ts'
import { systemRandom } from '../actors/runtime/random.ts'
import type { StoredRow } from '../actors/runtime/rows.ts'
import { InProcessNetwork } from '../actors/runtime/transport.ts'
import { sqliteStore } from '../adapters/sqlite/store.ts'
import { bestFit } from '../controllers/authorities/best-fit.ts'
import { firstCome } from '../controllers/brokers/first-come.ts'
import { HOUR_MS, type Role, rowsOfLease, TYPE } from './recovery-rows.ts'

/**
 * A process of its own of the bench `recovery`:
 *
 *   node recovery-child.ts build FILE ROLE COUNT     writes the rows of so many live leases
 *   node recovery-child.ts hold FILE ROLE COUNT      opens them and waits to be killed
 *   node recovery-child.ts recover FILE ROLE COUNT   opens them and says how long that took
 *   node recovery-child.ts floor FILE ROLE COUNT     reads the same bytes with SQLite, and nothing else
 */
const [task, path = '', role = 'broker', counted = '0'] = process.argv.slice(2) as [
  string,
  string,
  Role,
  string,
]
const count = Number(counted)
const now = systemClock.now()
const CHUNK = 20_000
/** The rest of a recovered site's work, such as a sweep of its machines, does not belong to the measure. */
const NEVER = new Promise<never>(() => undefined)

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
  const store = sqliteStore(path)
  await store.open()
  let rows: StoredRow[] = []
  const flush = async (): Promise<void> => {
    await store.commit({ rows, ledger: [] })
    rows = []
  }
  for (let i = 0; i < count; i++) {
    rows.push(...rowsOfLease(role, i, now))
    if (rows.length >= CHUNK) await flush()
  }
  await flush()
  await store.close()
}

function floor(): void {
  const beganMs = performance.now()
  const beganCpuMs = cpuMs()
  const database = new DatabaseSync(path, { readOnly: true })
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

async function recover(): Promise<void> {
  const names = ['broker', 'site', 'manager']
  const keys = Object.fromEntries(names.map((name) => [name, generateKeys()]))
  const identity = ed25519Identity(role, keys[role]!.privateKey)
  const trust = ed25519Trust(Object.fromEntries(names.map((name) => [name, keys[name]!.publicKey])))
  const silent = (): undefined => undefined
  const before = { heap: heapBytes(), rss: process.memoryUsage().rss }
  const beganMs = performance.now()
  const beganCpuMs = cpuMs()
  const store = sqliteStore(path)
  let openMs = 0
  const actor = new Actor({
    mind: (role === 'broker' ? brokerMind(identity, trust) : siteMind(identity, trust)) as Mind<never>,
    store: {
      ...store,
      open: async () => {
        const opened = await store.open()
        openMs = performance.now() - beganMs
        return opened
      },
    },
    clock: systemClock,
    identity,
    trust,
    transport: new InProcessNetwork(),
    perform: () => NEVER,
    random: systemRandom(),
    log: { debug: silent, info: silent, warn: silent, error: silent },
    skewMsMax: 2_000,
    onFailed: (error) => {
      throw error
    },
  })
  await actor.start()
  // Neither knows the command: that it says so, after a commit if need be, shows that it runs.
  await actor.command('are you there', {}).catch(silent)
  const ms = performance.now() - beganMs
  const usedCpuMs = cpuMs() - beganCpuMs
  const sinceSpawnMs = performance.now()
  const kept = actor.rows((role === 'broker' ? 'ticket' : 'lease') as never).length
  if (kept !== count) throw new Error(`${kept} of ${count} leases were recovered`)
  const after = { rss: process.memoryUsage().rss, heap: heapBytes() }
  say({
    ms,
    cpuMs: usedCpuMs,
    openMs,
    sinceSpawnMs,
    heap: after.heap - before.heap,
    rss: after.rss - before.rss,
  })
  if (task === 'hold') await NEVER
  process.exit(0)
}

function brokerMind(identity: Identity, trust: Trust) {
  const times = { batchMs: 50, quarantineMs: HOUR_MS, answerMs: HOUR_MS }
  return broker({ policy: firstCome, ...times }, identity, trust)
}

function siteMind(identity: Parameters<typeof authority>[1], trust: Parameters<typeof authority>[2]) {
  const hosts = Array.from({ length: 1_000 }, (_, i) => ({
    name: `host-${i}`,
    capacity: { cpu: count, memoryMiB: count * 1024 },
  }))
  return authority(
    {
      broker: 'broker',
      hosts,
      types: { [TYPE]: { vector: { cpu: 1, memoryMiB: 1024 }, image: 'debian', units: count } },
      images: ['debian'],
      probe: [],
      conditions: { recallable: true, noticeMs: 600_000, graceMs: HOUR_MS },
      termMsMax: 24 * HOUR_MS,
      ...{ delegationMs: 168 * HOUR_MS, repair: true, repairMinMs: HOUR_MS, recoverMs: 600_000 },
      placement: bestFit,
      namePrefix: 'vm',
      slots: count,
      ...{ setupMs: 60_000, probeMs: 60_000, modifyMs: 15_000, teardownMs: 60_000, probeEveryMs: HOUR_MS },
      ...{ sweepEveryMs: HOUR_MS, failuresMax: 3, backoffMs: 5_000, retryMs: 5_000, answerMs: HOUR_MS },
    },
    identity,
    trust,
  )
}
