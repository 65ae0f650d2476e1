import { existsSync, readFileSync, statSync } from 'node:fs'
import { z } from 'zod'
import type { Cancel, Clock, Millis } from '../../actors/runtime/clock.ts'
import { inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import type { KeyRing, TrustedKey } from '../../actors/runtime/identity.ts'
import type { Log } from '../../actors/runtime/log.ts'
import { name } from '../../actors/runtime/settings.ts'
import { writeDurably } from '../../adapters/durable-file.ts'
import type { PeerWay } from '../../adapters/transport.ts'
import type { Settings } from '../settings/config.ts'
import { namesHere } from '../settings/names-here.ts'
import { peerUrl, publicKey, ROLES, type Role } from '../settings/network-config.ts'
import { inDir } from '../settings/work-files.ts'
import { type OwnKeys, readPublicKey } from './keys.ts'

/** An actor in another process. */
export interface Peer {
  readonly name: string
  readonly role: Role
  readonly url: string | undefined
  readonly poll: boolean
  readonly keys: readonly TrustedKey[]
  /** Where it is written: only what commands added, commands remove. */
  readonly by: 'configuration' | 'command'
}

export const PEERS_MAX = 500
const FILE_BYTES_MAX = 1024 * 1024

const storedPeer = z.strictObject({
  name,
  role: z.enum(ROLES),
  url: peerUrl.optional(),
  poll: z.boolean(),
  keys: z
    .array(z.strictObject({ key: publicKey, notBefore: z.int().optional(), notAfter: z.int().optional() }))
    .max(10),
})
export type StoredPeer = Readonly<z.output<typeof storedPeer>>
const storedPeers = z.strictObject({ version: z.literal(1), peers: z.array(storedPeer).max(PEERS_MAX) })

/** `peers.json`: what commands added. */
export function readStored(file: string): readonly StoredPeer[] {
  if (!existsSync(file)) return []
  const wrong = (why: string, cause?: unknown): SubletError =>
    new SubletError('config-invalid', `${file} cannot be used: ${why}`, {
      cause,
      cure: 'Correct it, or move it away and add the peers again with `sublet peer add`.',
    })
  if (statSync(file).size > FILE_BYTES_MAX) throw wrong('it is too long')
  let content: unknown
  try {
    content = JSON.parse(readFileSync(file, 'utf8'))
  } catch (cause) {
    throw wrong('it is not JSON', cause)
  }
  const read = storedPeers.safeParse(content)
  if (read.success) return read.data.peers
  const issue = read.error.issues[0]
  throw wrong(`${issue?.path.join('.')}: ${issue?.message}`)
}

/** As a whole or not at all, and on disk when it returns. */
export function writeStored(file: string, peers: readonly StoredPeer[]): void {
  writeDurably(file, storedPeers.parse({ version: 1, peers }), 2)
}

/**
 * Of a peer that is in both, the configuration says what it is, and both say its keys. Nobody who runs here is a peer,
 * whatever was added: whom an actor here trusts as itself is for its own keys to say.
 */
export function knownPeers(settings: Settings): readonly Peer[] {
  const { peers, dir } = settings
  const stored = new Map(readStored(inDir(dir).peers).map((peer) => [peer.name, peer]))
  const written = peers.map(({ name, role, url, poll, key, keyFile }): Peer => {
    const own = { key: key ?? readPublicKey(keyFile ?? '') }
    const more = (stored.get(name)?.keys ?? []).filter((one) => one.key !== own.key)
    // A time that a command gave to the same key is the newer word.
    const timed = stored.get(name)?.keys.find((one) => one.key === own.key) ?? own
    return { name, role, url, poll, keys: [timed, ...more], by: 'configuration' }
  })
  const named = new Set([...peers.map(({ name }) => name), ...namesHere(settings)])
  const added = [...stored.values()]
    .filter(({ name }) => !named.has(name))
    .map((peer): Peer => ({ ...peer, url: peer.url, by: 'command' }))
  return [...written, ...added]
}

/** What a network needs to know. Without `listen` nobody can call here, so what is for us is fetched. */
export const waysOf = (settings: Settings, peers: readonly Peer[]): readonly PeerWay[] =>
  peers.map(({ name, role, url, poll }) => ({
    ...{ name, url },
    poll: poll || settings.listen === undefined,
    notFor: rolesHere(settings).flatMap(([here, own]) => (own === role ? [here] : [])),
  }))

export const rolesHere = ({
  site,
  broker,
  serviceManager,
}: Pick<Settings, 'site' | 'broker' | 'serviceManager'>): readonly (readonly [string, Role])[] => [
  ...(serviceManager === undefined ? [] : [[serviceManager.name, 'service-manager'] as const]),
  ...(broker === undefined ? [] : [[broker.name, 'broker'] as const]),
  ...(site === undefined ? [] : [[site.name, 'site'] as const]),
]

/** What one of the actors here is. */
export const roleOf = (settings: Settings, name: string): Role | undefined =>
  rolesHere(settings).find(([own]) => own === name)?.[1]

/** As peers write it: where it is called, or, where nobody can call it, that it comes and fetches. */
export function wayTo({ listen }: Settings): string {
  if (listen === undefined) return '--poll'
  const { host, port, tls } = listen
  const isAnywhere = host === '0.0.0.0' || host === '::'
  const at = host.includes(':') ? `[${host}]` : host
  return isAnywhere ? '--url URL' : `--url ${tls === undefined ? 'http' : 'https'}://${at}:${port}`
}

const LOOK_MS: Millis = 5_000

export interface PeerBookParts {
  readonly settings: Settings
  readonly trust: KeyRing
  readonly keys: OwnKeys
  readonly clock: Clock
  readonly log: Log
  readonly onChange: (peers: readonly Peer[]) => void
}

/**
 * The peers while Sublet runs.
 *
 *   configuration ─┐
 *   peers.json ────┴──▶ peers ──▶ the keys that are trusted, the ways of the network, the sites of the broker
 *        ▲ read again when it changed, and when a command says so
 */
export class PeerBook {
  readonly #parts: PeerBookParts
  #peers: readonly Peer[] = []
  #stamp = ''
  #cancel: Cancel = () => undefined

  /** Throws if the peers cannot be read: nothing is to start then. */
  constructor(parts: PeerBookParts) {
    this.#parts = parts
    this.#apply()
  }

  get peers(): readonly Peer[] {
    return this.#peers
  }

  watch(): void {
    this.#cancel = this.#parts.clock.after(LOOK_MS, () => {
      if (this.#stampNow() !== this.#stamp) this.reload()
      this.watch()
    })
  }

  stop(): void {
    this.#cancel()
  }

  /** A file that cannot be read leaves everything as it was. */
  reload(): void {
    try {
      this.#apply()
    } catch (error) {
      this.#parts.log.error({ reason: inOneLine(error) }, 'the peers were not read again')
    }
  }

  #apply(): void {
    const { settings, trust, keys, onChange } = this.#parts
    const stamp = this.#stampNow()
    const peers = knownPeers(settings)
    keys.reload()
    for (const [own] of rolesHere(settings)) trust.set(own, keys.trusted(own))
    const names = new Set(peers.map(({ name }) => name))
    for (const { name } of this.#peers) if (!names.has(name)) trust.set(name, [])
    for (const peer of peers) trust.set(peer.name, peer.keys)
    this.#stamp = stamp
    this.#peers = peers
    onChange(peers)
  }

  #stampNow(): string {
    const { dir } = this.#parts.settings
    const found = statSync(inDir(dir).peers, { throwIfNoEntry: false })
    return found === undefined ? '' : `${found.mtimeMs} ${found.ino} ${found.size}`
  }
}
