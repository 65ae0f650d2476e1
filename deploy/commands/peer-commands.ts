import { z } from 'zod'
import type { Clock, Instant, Millis } from '../../actors/runtime/clock.ts'
import { parseDuration } from '../../actors/runtime/durations.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { ed25519Trust } from '../../actors/runtime/identity.ts'
import { systemRandom } from '../../actors/runtime/random.ts'
import { name as nameSchema } from '../../actors/runtime/settings.ts'
import { some } from '../../controllers/sentence.ts'
import { actorsHere } from '../actors-here.ts'
import { networkOf } from '../assemble-network.ts'
import { type ControlClient, controlClient } from '../control/control-client.ts'
import { fingerprint, isNewIn, OwnKeys, publicKeysIn, readPublicKey, rotate } from '../peers/keys.ts'
import {
  checkPeers,
  type PeerFinding,
  type PeerParts,
  type PeersReport,
  peersReport,
} from '../peers/peer-reports.ts'
import {
  knownPeers,
  readStored,
  rolesHere,
  type StoredPeer,
  waysOf,
  wayTo,
  writeStored,
} from '../peers/peers.ts'
import { table } from '../reports/show.ts'
import type { Settings } from '../settings/config.ts'
import { namesHere } from '../settings/names-here.ts'
import { peerUrl, publicKey, ROLES, type Role } from '../settings/network-config.ts'
import { loadConfig } from '../settings/settings-file.ts'
import { inDir } from '../settings/work-files.ts'
import { type Whose, workFolder } from '../upkeep/work-folder.ts'
import { EXIT, print, printJson } from './terminal.ts'

/** The commands about keys and peers. They change files of the work folder; a Sublet that runs is told to read them. */

// ── keys of our own ────────────────────────────────────────────────────────────────────────────────

export interface KeygenOptions {
  readonly json?: true
  readonly rotate?: true
  readonly overlap: string
}

const OVERLAP_MS_MIN: Millis = 60_000

export async function keygen(file: string, options: KeygenOptions, clock: Clock): Promise<number> {
  const { settings } = loadConfig(file)
  const overlapMs = parseDuration(options.overlap)
  if (overlapMs === undefined || overlapMs < OVERLAP_MS_MIN)
    throw new SubletError(
      'usage',
      `“${options.overlap}” is no overlap: expected a duration of at least 1m, such as 7d`,
    )
  const dir = inDir(settings.dir).keys
  const keys = new OwnKeys(dir, namesHere(settings), clock)
  if (options.rotate) for (const name of namesHere(settings)) rotate(dir, name, overlapMs, clock.now())
  keys.reload()
  if (options.rotate) await tellRunning(settings.dir)
  const made = rolesHere(settings).map(([name, role]) => ({
    ...{ name, role },
    keys: keys
      .trusted(name)
      .map(({ key, notAfter }) => ({ key, fingerprint: fingerprint(key), until: notAfter ?? null })),
  }))
  if (options.json) printJson(made)
  else
    for (const { name, role, keys: own } of made)
      for (const key of own) print(keyLines(name, role, key, own.length > 1, wayTo(settings)))
  return EXIT.done
}

function keyLines(
  name: string,
  role: Role,
  { key, fingerprint: print, until }: { key: string; fingerprint: string; until: Instant | null },
  isChanging: boolean,
  way: string,
): string {
  if (until !== null)
    return `${name} (${role}) ${key}\n  fingerprint ${print}, good until ${new Date(until).toISOString()}`
  const cure = isChanging
    ? `\n  follows it; on every peer, before half of that time is over: sublet peer add ${name} --key ${key}`
    : `\n  on every peer: sublet peer add ${name} --role ${role} ${way} --key ${key}`
  return `${name} (${role}) ${key}\n  fingerprint ${print}${cure}`
}

// ── others ─────────────────────────────────────────────────────────────────────────────────────────

export interface PeerOptions extends Whose {
  readonly json?: true
  readonly role?: string
  readonly url?: string
  readonly poll?: true
  readonly key?: string
  readonly keyFile?: string
  readonly fingerprint?: string
  readonly oldUntil?: string
}

export async function listPeers(options: PeerOptions, clock: Clock): Promise<number> {
  const report = await reported(options, clock)
  if (options.json) printJson(report)
  else print(showPeers(report))
  return EXIT.done
}

export async function addPeer(name: string, options: PeerOptions, clock: Clock): Promise<number> {
  const { key, keyFile } = options
  if ((key === undefined) === (keyFile === undefined))
    throw new SubletError('usage', 'expected either --key or --key-file')
  return put(name, read(publicKey, key ?? readPublicKey(keyFile ?? ''), '--key'), options, clock)
}

export async function approvePeer(name: string, options: PeerOptions, clock: Clock): Promise<number> {
  const { strangers } = await reported(options, clock)
  const found = strangers.filter(
    (stranger) =>
      stranger.name === name &&
      (options.fingerprint === undefined || stranger.fingerprint === options.fingerprint),
  )
  const [only] = found
  if (only === undefined)
    throw new SubletError(
      'unknown-id',
      `nobody of that name${options.fingerprint === undefined ? '' : ' and fingerprint'} came with a key that is not trusted: ${name}`,
      {
        cure: 'Look at `sublet peer list`; who came before this Sublet began is forgotten.',
      },
    )
  if (found.length > 1)
    throw new SubletError(
      'usage',
      `${name} came with several keys: ${found.map((one) => one.fingerprint).join(', ')}`,
      {
        cure: 'Name the right one with --fingerprint; ask its admin.',
      },
    )
  return put(name, only.key, options, clock)
}

const NAMED = 'Name the peer as its own configuration does.'
const NEW_PEER = 'Say of a new peer what it is with --role, and how it is reached with --url URL or --poll.'

async function put(given: string, key: string, options: PeerOptions, clock: Clock): Promise<number> {
  const name = read(nameSchema, given, `“${given}” is no name of an actor`, NAMED)
  const dir = await workFolder(options)
  const file = inDir(dir).peers
  const stored = readStored(file)
  const before = stored.find((peer) => peer.name === name)
  const report = await reported(options, clock).catch(nobody)
  await refuseAnothers(name, key, dir, report, stored)
  const listed = report.peers.find((peer) => peer.name === name)
  const known = listed ?? before
  const role = options.role ?? known?.role
  if (known !== undefined && role !== known.role)
    throw new SubletError('usage', `${name} is known here as another: its role is ${known.role}`, {
      cure:
        listed?.by === 'configuration'
          ? 'Correct its role in the configuration, or leave --role out.'
          : `Leave --role out; if it is another now, take it away first with \`sublet peer remove ${name}\`.`,
    })
  const url = options.url ?? known?.url ?? undefined
  const poll = options.poll ?? known?.poll ?? false
  if (role === undefined)
    throw new SubletError('usage', `expected --role: one of ${ROLES.join(', ')}`, { cure: NEW_PEER })
  if (url === undefined && !poll)
    throw new SubletError(
      'usage',
      'expected --url (where it is called) or --poll (it comes here and fetches)',
      { cure: NEW_PEER },
    )
  const peer: StoredPeer = {
    ...{ name, role: read(z.enum(ROLES), role, '--role'), poll },
    ...(url === undefined ? {} : { url: read(peerUrl, url, '--url') }),
    keys: [...older(before?.keys ?? keysOf(known), key, options, clock), { key }],
  }
  writeStored(file, [...stored.filter((other) => other.name !== name), peer])
  const isTold = await tellRunning(dir)
  if (options.json) printJson({ ...peer, fingerprint: fingerprint(key), active: isTold })
  else
    print(
      `${name} (${peer.role}) is trusted with the key ${fingerprint(key)}${isTold ? '' : ', from the next start on'}`,
    )
  return EXIT.done
}

/** A peer has a name and a key of its own: nobody here has either, and no other peer has its key. */
async function refuseAnothers(
  name: string,
  key: string,
  dir: string,
  { here, peers }: PeersReport,
  stored: readonly StoredPeer[],
): Promise<void> {
  // Without a Sublet that runs or a configuration, the work folder tells who is here.
  const own =
    here.length > 0
      ? here.map((one) => ({ name: one.name, keys: one.keys.map((held) => held.key) }))
      : ((await actorsHere(dir, undefined)) ?? []).map((actor) => ({
          ...{ name: actor, keys: publicKeysIn(inDir(dir).keys, actor) ?? [] },
        }))
  if (own.some((one) => one.name === name))
    throw new SubletError('usage', `${name} is an actor of this Sublet, and no peer of it`, {
      cure: 'Add it where its peers run; here, add those that run elsewhere.',
    })
  const others = [...peers, ...stored].filter((peer) => peer.name !== name)
  const has = [...own, ...others.map((peer) => ({ name: peer.name, keys: peer.keys.map((one) => one.key) }))]
  const whose = has.find(({ keys }) => keys.includes(key))
  if (whose !== undefined)
    throw new SubletError('usage', `that is the key of ${whose.name}, not of ${name}`, {
      cure: `Ask the admin of ${name} for its own, as \`sublet keygen\` prints it.`,
    })
}

const nobody = (): PeersReport => ({ here: [], peers: [], strangers: [] })

const keysOf = (known: object | undefined): StoredPeer['keys'] =>
  ((known as { keys?: { key: string; until: Instant | null }[] } | undefined)?.keys ?? []).map(
    ({ key, until }) => ({
      key,
      ...(until === null ? {} : { notAfter: until }),
    }),
  )

/** The keys that were there stay, some of them to an end. */
function older(
  keys: StoredPeer['keys'],
  key: string,
  { oldUntil }: PeerOptions,
  clock: Clock,
): StoredPeer['keys'] {
  const lastMs = oldUntil === undefined ? undefined : parseDuration(oldUntil)
  if (oldUntil !== undefined && lastMs === undefined)
    throw new SubletError('usage', `“${oldUntil}” is no duration: expected one such as 7d`)
  const others = keys.filter((one) => one.key !== key)
  return lastMs === undefined ? others : others.map((one) => ({ ...one, notAfter: clock.now() + lastMs }))
}

export async function removePeer(name: string, options: PeerOptions): Promise<number> {
  const dir = await workFolder(options)
  const file = inDir(dir).peers
  const stored = readStored(file)
  const before = stored.find((peer) => peer.name === name)
  if (before === undefined)
    throw new SubletError('unknown-id', `no peer of that name was added by a command: ${name}`, {
      cure: 'Peers of the configuration are removed there; `sublet peer list` says which is which.',
    })
  const keys = options.key === undefined ? [] : before.keys.filter(({ key }) => key !== options.key)
  const others = stored.filter((peer) => peer.name !== name)
  writeStored(file, keys.length === 0 ? others : [...others, { ...before, keys }])
  const isTold = await tellRunning(dir)
  if (options.json) printJson({ removed: name, keysLeft: keys.length, active: isTold })
  else
    print(keys.length === 0 ? `${name} is no peer any more` : `${name} has ${some(keys.length, 'key')} left`)
  return EXIT.done
}

// ── are they there? ────────────────────────────────────────────────────────────────────────────────

export async function check(options: PeerOptions, clock: Clock): Promise<number> {
  const findings = await running<readonly PeerFinding[]>(options, '/peers/check', async (settings) =>
    checkPeers(asleep(settings, clock)),
  )
  if (options.json) printJson(findings)
  else if (findings.length === 0) print('there are no peers')
  else
    for (const { from, peer, ok, sentence, cure } of findings) {
      print(`${ok ? 'ok     ' : 'problem'} ${from} → ${peer}: ${sentence}`)
      if (cure !== null) print(`        cure: ${cure}`)
    }
  return findings.every(({ ok }) => ok) ? EXIT.done : EXIT.failed
}

const reported = (options: PeerOptions, clock: Clock): Promise<PeersReport> =>
  running(options, '/peers', async (settings) => peersReport(asleep(settings, clock)))

/** Asks the Sublet that runs; if there is none, `--config` says whom to ask for. */
async function running<T>(
  options: PeerOptions,
  path: string,
  otherwise: (settings: Settings) => Promise<T>,
): Promise<T> {
  const dir = await workFolder(options).catch((error: unknown) => {
    if (options.config === undefined) throw error
    return loadConfig(options.config).settings.dir
  })
  try {
    return (await controlClient(inDir(dir).socket).get(path)) as T
  } catch (error) {
    if (!(error instanceof SubletError && error.code === 'not-running')) throw error
    if (options.config === undefined)
      throw new SubletError('not-running', error.message, {
        cause: error.cause,
        cure: 'Start Sublet, or give the configuration with --config FILE: then this works while it does not run, too.',
      })
  }
  return otherwise(loadConfig(options.config).settings)
}

/** As much as can be said and asked while Sublet does not run. */
function asleep(settings: Settings, clock: Clock): PeerParts {
  const keys = new OwnKeys(inDir(settings.dir).keys, namesHere(settings), clock, isNewIn(settings.dir))
  const trust = ed25519Trust({})
  const peers = knownPeers(settings)
  for (const { name, keys: own } of peers) trust.set(name, own)
  const silent = (): void => undefined
  const network = networkOf(settings, {
    ...{ clock, trust, random: systemRandom(), identity: (name: string) => keys.identity(name) },
    log: { debug: silent, info: silent, warn: silent, error: silent },
  })
  network.setPeers(waysOf(settings, peers))
  return { settings, network, trust, keys, peers, clock, actors: [] }
}

/** Whether one runs and has read the files again. */
async function tellRunning(dir: string): Promise<boolean> {
  const client: ControlClient = controlClient(inDir(dir).socket)
  try {
    await client.post('/peers/reload', {})
    return true
  } catch (error) {
    if (error instanceof SubletError && error.code === 'not-running') return false
    throw error
  }
}

function read<T>(schema: z.ZodType<T>, value: unknown, option: string, cure?: string): T {
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const sentence = `${option}: ${parsed.error.issues[0]?.message}`
  throw new SubletError('usage', sentence, cure === undefined ? {} : { cure })
}

const keyText = ({ fingerprint: print, until }: PeersReport['peers'][number]['keys'][number]): string =>
  until === null ? print : `${print} until ${new Date(until).toISOString()}`

function showPeers({ here, peers, strangers }: PeersReport): string {
  const own = here.flatMap(({ name, keys }) =>
    keys.flatMap((key) => (key.until === null ? [] : [`our key: ${name} ${keyText(key)}`])),
  )
  const time = (at: Instant | null): string => (at === null ? '-' : new Date(at).toISOString())
  const others =
    peers.length === 0
      ? 'no peers'
      : table(
          ['PEER', 'ROLE', 'WAY', 'KEYS', 'SILENT SINCE', 'FROM'],
          peers.map(({ name, role, url, poll, keys, silentSince, by }) => [
            name,
            role,
            url === null ? 'comes and fetches' : poll ? `${url}, fetched from` : url,
            keys.map(keyText).join(' '),
            time(silentSince),
            by,
          ]),
        )
  const known = own.length === 0 ? others : `${others}\n\n${own.join('\n')}`
  if (strangers.length === 0) return known
  const came = table(
    ['NOT TRUSTED', 'FINGERPRINT', 'SINCE', 'TIMES'],
    strangers.map(({ name, fingerprint: print, firstAt, times }) => [
      name,
      print,
      time(firstAt),
      String(times),
    ]),
  )
  const isNew = strangers.some(({ name }) => !peers.some((peer) => peer.name === name))
  return `${known}\n\n${came}\n\nlet one in with: sublet peer approve NAME${isNew ? '; who is no peer yet needs --role ROLE, and --url URL or --poll' : ''}`
}
