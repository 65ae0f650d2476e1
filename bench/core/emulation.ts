import { ed25519Identity, ed25519Trust, generateKeys } from '../../actors/runtime/identity.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { InProcessNetwork } from '../../actors/runtime/transport.ts'
import type { Store } from '../../adapters/store.ts'
import type { GuestIntent } from '../../controllers/controller.ts'
import { World } from '../../test/simulation/world.ts'
import { signAndVerify } from './floor.ts'
import { Tally } from './tally.ts'
import { NAMES, trio } from './trio.ts'

export interface Emulated {
  readonly nodes: number
  readonly leases: number
  readonly ticks: number
  /** Of real time, for one second of the site’s. */
  readonly msPerTick: number
  readonly msPerTickMost: number
  /** The same signatures and as many verifications, and nothing else. */
  readonly msPerTickFloor: number
  /** Nodes that changed hands. */
  readonly flips: number
}

const TICK_MS = 1_000
const TERM_TICKS = 60
const TERMS = 4

/** Whatever it kept would grow with the run, and be measured. */
const NOWHERE: Store = {
  open: async () => ({ rows: [], head: { seq: 0, hash: '' } }),
  commit: async () => undefined,
  entries: async () => [],
  close: async () => undefined,
}

/**
 * The saturation experiment of the Shirako paper (USENIX 2006, section 5.3): one site of N nodes, one manager that holds
 * all of them in so many leases, and gives up all and takes all anew each term. The clocks of the actors run as fast
 * as they can; what is measured is the real time that a second of theirs takes. Signatures are real, disks are not; what is kept of a run are numbers.
 */
export async function emulate(nodes: number, leases: number): Promise<Emulated> {
  const world = new World()
  const tally = new Tally()
  const network = new InProcessNetwork()
  const keys = Object.fromEntries(NAMES.map((name) => [name, generateKeys()]))
  const identities = Object.fromEntries(
    NAMES.map((name) => [name, tally.identity(ed25519Identity(name, keys[name]!.privateKey))]),
  )
  let flips = 0
  const actors = trio({
    ...{ clock: world.clock(), random: seededRandom(1), units: nodes, batchMs: 50 },
    trust: tally.trust(ed25519Trust(Object.fromEntries(NAMES.map((name) => [name, keys[name]!.publicKey])))),
    identity: (name) => identities[name]!,
    store: () => NOWHERE,
    transport: () => network,
    attach: (name, actor) => network.attach(name, actor),
    onCommitted: (name, entries) => {
      if (name === 'site') flips += entries.filter(({ kind }) => kind === 'unit active').length
    },
  })
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  void actors.start()
  await settle()
  await world.run(TICK_MS, () => undefined)
  const request: GuestIntent = {
    ...{ kind: 'request', type: 'small', units: nodes / leases, unitsMin: nodes / leases },
    ...{ durationMs: TERM_TICKS * TICK_MS, startBy: undefined, reason: 'a term' },
  }
  let ticks = 0
  let spentMs = 0
  let mostMs = 0
  for (let term = 0; term < TERMS; term++) {
    void actors.wish(
      Array.from({ length: leases }, () => ({ ...request, startBy: world.now + TERM_TICKS * TICK_MS })),
    )
    for (let tick = 0; tick < TERM_TICKS; tick++) {
      const began = performance.now()
      await settle()
      await world.run(world.elapsed + TICK_MS, () => undefined)
      const ms = performance.now() - began
      ticks++
      spentMs += ms
      mostMs = Math.max(mostMs, ms)
    }
  }
  await actors.stop()
  const began = performance.now()
  await signAndVerify(tally)
  const msPerTickFloor = (performance.now() - began) / ticks
  return { nodes, leases, ticks, msPerTick: spentMs / ticks, msPerTickMost: mostMs, msPerTickFloor, flips }
}
