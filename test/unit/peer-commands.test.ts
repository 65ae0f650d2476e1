import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { systemClock as clock } from '../../actors/runtime/clock.ts'
import { ed25519Trust, generateKeys, publicKeyOf } from '../../actors/runtime/identity.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { networkOf } from '../../deploy/assemble-network.ts'
import {
  addPeer,
  approvePeer,
  check,
  keygen,
  listPeers,
  removePeer,
} from '../../deploy/commands/peer-commands.ts'
import { type ControlServer, controlServer } from '../../deploy/control/control.ts'
import { fingerprint, OwnKeys, rotate } from '../../deploy/peers/keys.ts'
import { missingBrokers } from '../../deploy/peers/missing-brokers.ts'
import { missingCounterparts } from '../../deploy/peers/missing-counterparts.ts'
import { ownKeys, type PeerFinding } from '../../deploy/peers/peer-reports.ts'
import { PeerBook, waysOf } from '../../deploy/peers/peers.ts'
import { showStatus } from '../../deploy/reports/show.ts'
import { statusOf } from '../../deploy/reports/status.ts'
import { namesHere } from '../../deploy/settings/names-here.ts'
import { loadConfig } from '../../deploy/settings/settings-file.ts'
import { inDir } from '../../deploy/settings/work-files.ts'
import { fakeSite, SITE_YAML, T0, yamlIn } from './control-site.ts'

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
const newKey = (): string => publicKeyOf(generateKeys().publicKey)
const trust = ed25519Trust({})
let dir = ''
let server: ControlServer | undefined
let printed: string[] = []

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-pc-'))
  writeFileSync(yamlIn(dir), SITE_YAML.replace('dir: s\n', `dir: ${JSON.stringify(dir)}\n`))
  const site = fakeSite(dir, yamlIn(dir))
  const { settings } = site
  const keys = new OwnKeys(inDir(dir).keys, namesHere(settings), clock)
  const identity = (name: string) => keys.identity(name)
  const network = networkOf(settings, { clock, random: seededRandom('n'), log: quiet, trust, identity })
  const book = new PeerBook({
    ...{ settings, trust, keys, clock, log: quiet },
    onChange: (peers) => network.setPeers(waysOf(settings, peers)),
  })
  const federation = { network, trust, keys, peers: () => book.peers, reload: () => book.reload() }
  server = await controlServer(
    { ...site, federation },
    { ...inDir(dir), clock, log: quiet, startedAt: T0, stop: () => undefined, metrics: () => '' },
  )
  printed = []
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => printed.push(String(text)) > 0)
})
afterEach(async () => {
  vi.restoreAllMocks()
  await server?.close()
  rmSync(dir, { recursive: true, force: true })
})

const json = true as const
const last = <T>(): T => JSON.parse(printed.at(-1) ?? 'null') as T

test('peers are added, listed, approved and removed while Sublet runs, and count at once', async () => {
  const [key, strange] = [newKey(), newKey()]
  await addPeer('far', { dir, json, role: 'site', url: 'http://127.0.0.1:1', key }, clock)
  expect(last()).toMatchObject({ name: 'far', active: true })
  expect(trust.hasKey('far', key, clock.now())).toBe(true)

  trust.remember('stranger', strange, clock.now())
  await listPeers({ dir, json }, clock)
  expect(last()).toMatchObject({ peers: [{ name: 'far', by: 'command' }], strangers: [{ name: 'stranger' }] })
  const way = { dir, json, role: 'service-manager', url: 'http://127.0.0.1:2' }
  await expect(approvePeer('nobody', way, clock)).rejects.toMatchObject({ code: 'unknown-id' })
  await approvePeer('stranger', way, clock)
  expect([trust.hasKey('stranger', strange, clock.now()), trust.strangers()]).toEqual([true, []])

  const another = newKey()
  await addPeer('far', { dir, json, key: another }, clock)
  await removePeer('far', { dir, key: another })
  expect(printed.at(-1)).toBe('far has 1 key left\n')
  await removePeer('far', { dir, json })
  expect(last()).toEqual({ removed: 'far', keysLeft: 0, active: true })
  expect(trust.knows('far')).toBe(false)
  await expect(removePeer('far', { dir, json })).rejects.toMatchObject({ code: 'unknown-id' })
})

test('nobody is added who runs here, as another than is known, or with the key of another', async () => {
  const far = { dir, json, role: 'site', url: 'http://127.0.0.1:1' }
  const own = new OwnKeys(inDir(dir).keys, ['duke'], clock).identity('duke').key
  const refused = (name: string, options: object) =>
    expect(addPeer(name, { ...far, key: newKey(), ...options }, clock)).rejects
  await refused('duke', {}).toMatchObject({
    code: 'usage',
    message: expect.stringMatching(/^duke is an actor of/),
  })
  for (const none of ['__proto__', 'a/b', ''])
    await refused(none, {}).toMatchObject({
      ...{
        code: 'usage',
        message: expect.stringMatching(/is no name of an actor: expected a name of letters/),
      },
      cure: expect.stringContaining('as its own configuration does'),
    })
  const key = newKey()
  await addPeer('far', { ...far, key }, clock)
  await refused('far', { role: 'broker' }).toMatchObject({
    ...{ code: 'usage', message: 'far is known here as another: its role is site' },
    cure: expect.stringContaining('sublet peer remove far'),
  })
  await refused('near', { key }).toMatchObject({ message: 'that is the key of far, not of near' })
  await refused('near', { key: own }).toMatchObject({ message: 'that is the key of duke, not of near' })
  await listPeers({ dir, json }, clock)
  expect(last()).toMatchObject({ peers: [{ name: 'far', role: 'site', keys: [{ key }] }] })

  // Also while nothing runs there, and nobody says who is to run.
  await server?.close()
  server = undefined
  await refused('duke', {}).toMatchObject({ message: expect.stringMatching(/^duke is an actor of/) })
  await refused('near', { key: own }).toMatchObject({ message: 'that is the key of duke, not of near' })
  await refused('near', { key }).toMatchObject({ message: 'that is the key of far, not of near' })
})

test('keys are changed while Sublet runs: the old one gets an end, both are trusted', async () => {
  await keygen(yamlIn(dir), { json, rotate: true, overlap: '2h' }, clock)
  const made = last<readonly { name: string; keys: readonly { key: string; until: number | null }[] }[]>()
  const { keys } = made.find(({ name }) => name === 'duke')!
  expect(keys.map(({ until }) => until)).toEqual([expect.any(Number), null])
  expect(keys.map((one) => trust.hasKey('duke', one.key, clock.now()))).toEqual([true, true])
})

test('keys that end are listed, ours and those of peers, also where another follows', async () => {
  const [older, newer] = [newKey(), newKey()]
  const far = { role: 'site', url: 'http://127.0.0.1:1' }
  await addPeer('far', { dir, json, ...far, key: older }, clock)
  await addPeer('far', { dir, json, key: newer, oldUntil: '2h' }, clock)
  await keygen(yamlIn(dir), { json, rotate: true, overlap: '2h' }, clock)
  printed = []
  await listPeers({ dir }, clock)
  const until = new RegExp(`${fingerprint(older)} until 20\\d\\d-\\S+Z ${fingerprint(newer)} `)
  expect(printed.join('')).toMatch(until)
  expect(printed.join('')).toMatch(/^our key: duke \S+ until 20\d\d-/m)
})

test('of a key whose time is over nothing is said any more, and it is said which one signs', async () => {
  let now = clock.now()
  const later = { ...clock, now: () => now }
  const site = fakeSite(dir, yamlIn(dir))
  const keys = new OwnKeys(inDir(dir).keys, namesHere(site.settings), later)
  const first = keys.identity('duke').key
  rotate(inDir(dir).keys, 'duke', 7_200_000, now)
  keys.reload()
  const own = () =>
    ownKeys({ ...site, federation: { keys } as never }).find(({ name }) => name === 'duke')?.keys
  const status = (): string =>
    showStatus({
      ...statusOf(site, now, { pid: 1, startedAt: now }),
      keys: [{ name: 'duke', role: 'site', keys: own() ?? [] }],
    })
  expect(own()).toMatchObject([
    { key: first, signs: true },
    { until: null, signs: false },
  ])
  expect(status()).toMatch(/^key {7}duke \S+, good until \S+, signs now\nkey {7}duke \S+, follows$/m)
  now += 3_600_000
  expect(own()).toMatchObject([
    { key: first, signs: false },
    { until: null, signs: true },
  ])
  expect(status()).toMatch(/^key {7}duke \S+, good until \S+Z\nkey {7}duke \S+, follows, signs now$/m)
  // Nobody has looked into the folder since.
  now += 3_600_000
  expect(own()).toEqual([
    expect.objectContaining({ key: keys.identity('duke').key, until: null, signs: true }),
  ])
  expect(status()).not.toMatch(/^key /m)
})

test('a broker that the configuration names and nobody knows is a problem, with its cure', async () => {
  const far = SITE_YAML.replace('site:\n', 'site:\n  broker: far\n').replace(
    'dir: s\n',
    `dir: ${JSON.stringify(dir)}\n`,
  )
  writeFileSync(yamlIn(dir), `${far}serviceManager: { broker: far }\nbroker: { name: near }\n`)
  await server?.close()
  server = undefined
  const checked = async (): Promise<readonly PeerFinding[]> => {
    expect(await check({ json, config: yamlIn(dir) }, clock)).toBe(1)
    return last()
  }
  const cure = expect.stringContaining('`sublet peer add far --role broker')
  expect(await checked()).toMatchObject([
    {
      from: 'service-manager',
      peer: 'far',
      ok: false,
      sentence: expect.stringMatching(/^no broker far is known/),
      cure,
    },
    { from: 'duke', peer: 'far', ok: false, cure },
  ])
  await addPeer('far', { dir, json, role: 'site', poll: true, key: newKey() }, clock)
  const { settings } = loadConfig(yamlIn(dir))
  const role = (peerRole: 'site' | 'broker') => missingBrokers(settings, [{ name: 'far', role: peerRole }])
  expect([role('site'), role('broker')]).toMatchObject([[{ role: 'site' }, { role: 'site' }], []])
  expect((await checked()).map(({ sentence }) => sentence)).toContain(
    'the configuration names far as a broker, and as a peer it is a site',
  )
  const site = fakeSite(dir, yamlIn(dir))
  const federation = {
    keys: new OwnKeys(inDir(dir).keys, namesHere(settings), clock),
    network: { peers: () => [] },
    peers: () => [],
  }
  const status = statusOf({ ...site, federation: federation as never }, T0, { pid: 1, startedAt: T0 })
  expect(showStatus(status)).toMatch(
    /^broker\? {3}duke: no broker far is known here, .* `sublet peer add far/m,
  )
})

test('who knows nobody to lend to or to hold of is told so, with the cure', () => {
  const { site, serviceManager } = loadConfig(yamlIn(dir)).settings
  const alone = { site: undefined, broker: undefined, serviceManager }
  const said = (...known: ('site' | 'broker')[]) =>
    missingCounterparts(
      alone,
      known.map((role) => ({ role })),
    )
  expect(said('broker')).toMatchObject([
    {
      ...{ from: 'service-manager', peer: 'sites' },
      sentence: expect.stringMatching(/^none is known here: .*refused$/),
      cure: expect.stringContaining('`sublet peer add NAME --role site '),
    },
  ])
  expect(said('broker', 'site')).toEqual([])
  expect(missingCounterparts({ ...alone, site }, [])).toEqual([])
})

test('what peers have to do is printed with the way to whoever made the keys', async () => {
  const lineWith = async (more: string): Promise<string | undefined> => {
    writeFileSync(yamlIn(dir), `${SITE_YAML.replace('dir: s\n', `dir: ${JSON.stringify(dir)}\n`)}${more}`)
    printed = []
    await keygen(yamlIn(dir), { overlap: '7d' }, clock)
    return printed.join('').match(/on every peer: sublet peer add duke .*(?= --key)/)?.[0]
  }
  const add = 'on every peer: sublet peer add duke --role site'
  expect(await lineWith('')).toBe(`${add} --poll`)
  expect(await lineWith('listen: { port: 7711 }\n')).toBe(`${add} --url http://127.0.0.1:7711`)
})

test('before the first start the keys show which folder is the work folder', async () => {
  const home = mkdtempSync(join(tmpdir(), 'sublet-new-'))
  const before = process.cwd()
  try {
    writeFileSync(yamlIn(home), SITE_YAML.replace('dir: s\n', ''))
    process.chdir(home)
    await keygen(yamlIn(home), { json, overlap: '7d' }, clock)
    await addPeer('far', { json, role: 'site', url: 'http://127.0.0.1:1', key: newKey() }, clock)
    expect(last()).toMatchObject({ name: 'far', active: false })
    await expect(listPeers({ json }, clock)).rejects.toMatchObject({
      code: 'not-running',
      cure: expect.stringContaining('--config FILE'),
    })
    await listPeers({ json, config: yamlIn(home) }, clock)
    expect(last()).toMatchObject({ peers: [{ name: 'far' }] })
  } finally {
    process.chdir(before)
    rmSync(home, { recursive: true, force: true })
  }
})

test('a new peer needs a role and a way, and it is said so', async () => {
  trust.remember('stranger-2', newKey(), clock.now())
  const refused = (options: object) => approvePeer('stranger-2', { dir, json, ...options }, clock)
  const cure = expect.stringContaining('--role, and how it is reached with --url URL or --poll')
  await expect(refused({})).rejects.toMatchObject({ code: 'usage', cure })
  await expect(refused({ role: 'site' })).rejects.toMatchObject({ code: 'usage', cure })
  await listPeers({ dir }, clock)
  expect(printed.at(-1)).toMatch(/peer approve NAME; who is no peer yet needs --role ROLE/)
})
