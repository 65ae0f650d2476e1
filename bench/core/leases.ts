import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Actor } from '../../actors/runtime/actor.ts'
import { sleep, systemClock, within } from '../../actors/runtime/clock.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import type { Identity, Trust } from '../../actors/runtime/identity.ts'
import { ed25519Identity, ed25519Trust, generateKeys } from '../../actors/runtime/identity.ts'
import { systemRandom } from '../../actors/runtime/random.ts'
import type { Tables } from '../../actors/runtime/rows.ts'
import { InProcessNetwork, type Transport } from '../../actors/runtime/transport.ts'
import { HttpNetwork } from '../../adapters/http/network.ts'
import { sqliteStore } from '../../adapters/sqlite/store.ts'
import type { GuestIntent } from '../../controllers/controller.ts'
import { Tally } from './tally.ts'
import { NAMES, type Name, type Trio, trio } from './trio.ts'

/** Milliseconds from the wish to the active lease. */
export interface Latencies {
  readonly samples: readonly number[]
  /** Of the time from the wish to the active lease. */
  readonly tally: Tally
}

export interface Saturation {
  readonly leases: number
  readonly seconds: number
  readonly tally: Tally
}

const REQUEST: GuestIntent = {
  ...{ kind: 'request', type: 'small', units: 1, unitsMin: 1, durationMs: 3_600_000 },
  ...{ startBy: undefined, reason: 'the bench' },
}

/** What the bench looks at: lines of the manager's ledger, by lease. */
class Watch {
  readonly #waiting = new Map<string, (subject: string) => void>()

  next(kind: string, then: (subject: string) => void): void {
    this.#waiting.set(kind, then)
  }

  see = (name: Name, entries: readonly LedgerEntry[]): void => {
    if (name !== 'manager') return
    for (const { kind, subject } of entries) this.#waiting.get(kind)?.(subject)
  }
}

/** How messages get from one actor to the next. */
export interface Wires {
  readonly transport: (name: Name) => Transport
  readonly attach: (name: Name, actor: Actor<Tables>) => void
  /** Once the keys are known, before anything is attached. */
  open(identity: (name: Name) => Identity, trust: Trust): Promise<void>
  close(): Promise<void>
}

export function inProcess(): Wires {
  const network = new InProcessNetwork()
  return {
    transport: () => network,
    attach: (name, actor) => network.attach(name, actor),
    open: async () => undefined,
    close: async () => undefined,
  }
}

/** Each actor with a server of its own on the loopback, as if it were alone in its process. */
export function overHttp(): Wires {
  const networks = new Map<Name, HttpNetwork>()
  return {
    transport: (name) => ({ send: (envelope, signal) => networks.get(name)!.send(envelope, signal) }),
    attach: (name, actor) => networks.get(name)!.attach(name, actor),
    async open(identity, trust) {
      const log = { debug: quiet, info: quiet, warn: quiet, error: quiet }
      for (const name of NAMES) {
        const listen = { host: '127.0.0.1', port: 0 }
        const config = { listen, skewMsMax: 2_000, protocols: [1, 2] }
        const parts = {
          clock: systemClock,
          random: systemRandom(),
          log,
          trust,
          identity: () => identity(name),
        }
        networks.set(name, new HttpNetwork(config, parts))
      }
      for (const network of networks.values()) await network.open()
      for (const [own, network] of networks)
        network.setPeers(
          [...networks]
            .filter(([name]) => name !== own)
            .map(([name, { url }]) => ({ name, url, poll: false })),
        )
    },
    async close() {
      for (const network of networks.values()) await network.close()
    },
  }
}

const quiet = (): void => undefined

async function assemble(
  dir: string,
  wires: Wires,
  tally: Tally,
  watch: Watch,
  batchMs: number,
  units: number,
): Promise<Trio> {
  mkdirSync(dir, { recursive: true })
  const keys = Object.fromEntries(NAMES.map((name) => [name, generateKeys()]))
  const trust = tally.trust(
    ed25519Trust(Object.fromEntries(NAMES.map((name) => [name, keys[name]!.publicKey]))),
  )
  const identities = Object.fromEntries(
    NAMES.map((name) => [name, tally.identity(ed25519Identity(name, keys[name]!.privateKey))]),
  )
  await wires.open((name) => identities[name]!, trust)
  return trio({
    ...{ clock: systemClock, random: systemRandom(), trust, units, batchMs },
    identity: (name) => identities[name]!,
    store: (name) => tally.store(name, sqliteStore(join(dir, `${name}.sqlite`))),
    transport: wires.transport,
    attach: wires.attach,
    onCommitted: watch.see,
  })
}

const BEGIN_MS = 10_000

/** All three are up, and the broker knows what the site lends. */
async function begun(actors: Trio): Promise<void> {
  await actors.start()
  const late = (): Error => new Error(`nothing was lent within ${BEGIN_MS} ms`)
  await within(systemClock, BEGIN_MS, late, async (signal) => {
    while (actors.broker.rows('delegation').length === 0) await sleep(systemClock, 10, signal)
  })
}

/** What does not come in time ends the bench with a sentence. */
const inTime = <T>(what: string, waitMs: number, work: Promise<T>): Promise<T> =>
  within(
    systemClock,
    waitMs,
    () => new Error(`${what} within ${waitMs} ms`),
    () => work,
  )

/** One lease after the other, each given back before the next is asked for. */
export async function latencies(
  dir: string,
  wires: Wires,
  count: number,
  batchMs: number,
): Promise<Latencies> {
  const watch = new Watch()
  const tally = new Tally()
  tally.on = false
  const actors = await assemble(dir, wires, tally, watch, batchMs, 100)
  await begun(actors)
  const samples: number[] = []
  try {
    for (let i = 0; i < count; i++) {
      const active = Promise.withResolvers<string>()
      const finished = Promise.withResolvers<string>()
      watch.next('active', active.resolve)
      watch.next('finished', finished.resolve)
      tally.on = true
      const began = performance.now()
      await actors.wish([REQUEST])
      const leaseId = await inTime('no lease was active', 60_000, active.promise)
      samples.push(performance.now() - began)
      tally.on = false
      await actors.wish([{ kind: 'release', leaseId, reason: 'measured' }])
      await inTime('no lease was finished', 60_000, finished.promise)
    }
  } finally {
    await actors.stop()
    await wires.close()
  }
  return { samples, tally }
}

/** So many leases under way at once; each that is active is given back, and another asked for. */
export async function saturation(
  dir: string,
  wires: Wires,
  { leases, atOnce, batchMs }: { leases: number; atOnce: number; batchMs: number },
): Promise<Saturation> {
  const watch = new Watch()
  const tally = new Tally()
  tally.on = false
  const actors = await assemble(dir, wires, tally, watch, batchMs, 2 * atOnce)
  await begun(actors)
  let asked = 0
  let finished = 0
  const done = Promise.withResolvers<void>()
  let wishes: GuestIntent[] = []
  let looking = false
  const wish = (intent: GuestIntent): void => {
    wishes.push(intent)
    if (looking) return
    looking = true
    setImmediate(async () => {
      while (wishes.length > 0) {
        const intents = wishes
        wishes = []
        await actors.wish(intents)
      }
      looking = false
    })
  }
  const ask = (): void => {
    if (asked >= leases) return
    asked++
    wish(REQUEST)
  }
  watch.next('active', (leaseId) => wish({ kind: 'release', leaseId, reason: 'measured' }))
  watch.next('finished', () => {
    finished++
    if (finished === leases) done.resolve()
    ask()
  })
  // What the start itself signs and commits does not count.
  tally.on = true
  const began = performance.now()
  for (let i = 0; i < atOnce; i++) ask()
  await inTime('not all leases were finished', 600_000, done.promise)
  const seconds = (performance.now() - began) / 1000
  tally.on = false
  await actors.stop()
  await wires.close()
  return { leases, seconds, tally }
}
