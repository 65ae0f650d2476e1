import { systemClock } from '../../actors/runtime/clock.ts'
import { ed25519Identity, ed25519Trust, generateKeys, type KeyRing } from '../../actors/runtime/identity.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { HttpNetwork, type HttpNetworkConfig } from '../../adapters/http/network.ts'
import type { PeerWay } from '../../adapters/transport.ts'

/** Keys of the actors of a test, made when it runs. */
export const keysOf = (...names: readonly string[]) =>
  Object.fromEntries(names.map((name) => [name, generateKeys()]))

export type Keys = ReturnType<typeof keysOf>

export interface HttpSide {
  readonly network: HttpNetwork
  readonly trust: KeyRing
  /** What it logged, in order. */
  readonly logged: string[]
}

/** One process of a test: on a free port of 127.0.0.1 unless it does not listen. */
export function httpSide(
  keys: Keys,
  config: Partial<HttpNetworkConfig> = {},
  peers: readonly PeerWay[] = [],
  trusted: Keys = keys,
): HttpSide {
  const logged: string[] = []
  const log = (fields: object, text: string): void => void logged.push(`${text} ${JSON.stringify(fields)}`)
  const trust = ed25519Trust(
    Object.fromEntries(Object.entries(trusted).map(([name, { publicKey }]) => [name, publicKey])),
  )
  const network = new HttpNetwork(
    { skewMsMax: 2_000, protocols: [1, 2], listen: { host: '127.0.0.1', port: 0 }, ...config },
    {
      ...{ clock: systemClock, random: seededRandom('http'), trust },
      log: { debug: () => undefined, info: log, warn: log, error: log },
      identity: (name) => ed25519Identity(name, keys[name]!.privateKey),
    },
  )
  network.setPeers(peers)
  return { network, trust, logged }
}
