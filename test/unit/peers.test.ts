import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Clock } from '../../actors/runtime/clock.ts'
import { ed25519Trust, generateKeys, publicKeyOf } from '../../actors/runtime/identity.ts'
import { makeDurably } from '../../adapters/durable-file.ts'
import { isNewIn, OwnKeys, rotate } from '../../deploy/peers/keys.ts'
import {
  knownPeers,
  PeerBook,
  readStored,
  type StoredPeer,
  waysOf,
  writeStored,
} from '../../deploy/peers/peers.ts'
import type { Settings } from '../../deploy/settings/config.ts'
import { loadConfig, readConfig } from '../../deploy/settings/settings-file.ts'
import { inDir } from '../../deploy/settings/work-files.ts'

const T0 = 1_700_000_000_000
const HOUR = 3_600_000
const newKey = (): string => publicKeyOf(generateKeys().publicKey)

let dir = ''
let now = T0
const clock: Clock = { now: () => now, monotonic: () => now, after: () => () => undefined }
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-peers-'))
  now = T0
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

describe('the key of an actor', () => {
  test('is made on first use, for its owner only, and stays', () => {
    const key = new OwnKeys(dir, ['site'], clock).identity('site').key
    expect(statSync(join(dir, 'site.key')).mode & 0o777).toBe(0o600)
    expect(readFileSync(join(dir, 'site.pub'), 'utf8')).toBe(`${key}\n`)
    expect(new OwnKeys(dir, ['site'], clock).identity('site').key).toBe(key)
  })

  test('is followed by another: both are good, the old one signs for half of the overlap, then the new one', () => {
    const keys = new OwnKeys(dir, ['site'], clock)
    const identity = keys.identity('site')
    const old = identity.key
    rotate(dir, 'site', 2 * HOUR, now)
    keys.reload()
    const next = keys.trusted('site')[1]!.key
    expect(keys.trusted('site')).toEqual([{ key: old, notAfter: T0 + 2 * HOUR }, { key: next }])
    const signer = (): string => {
      const trust = ed25519Trust({ site: [{ key: old }, { key: next }] })
      expect(trust.verifyBy(identity.key, 'text', identity.sign('text'))).toBe(true)
      return identity.key
    }
    now = T0 + HOUR - 1
    expect([signer(), identity.notAfter]).toEqual([old, T0 + 2 * HOUR])
    now = T0 + HOUR
    expect([signer(), identity.notAfter]).toEqual([next, undefined])
    now = T0 + 2 * HOUR
    keys.reload()
    expect([signer(), keys.trusted('site')]).toEqual([next, [{ key: next }]])
    expect(new OwnKeys(dir, ['site'], clock).identity('site').key).toBe(next)
  })

  test('is not changed a second time before the first is over', () => {
    new OwnKeys(dir, ['site'], clock)
    rotate(dir, 'site', HOUR, now)
    expect(() => rotate(dir, 'site', HOUR, now + 1)).toThrow(/being changed already/)
    now += HOUR
    expect(rotate(dir, 'site', HOUR, now).next).toBeDefined()
  })

  test('is lost at no step of its change, though the process ends in between', () => {
    const old = new OwnKeys(dir, ['site'], clock).identity('site').key
    // The new key was written, and not yet when it is to be used.
    writeFileSync(join(dir, 'site.next.key'), generateKeys().privateKey)
    expect(new OwnKeys(dir, ['site'], clock).identity('site').key).toBe(old)
    const next = rotate(dir, 'site', HOUR, now).next!.identity.key
    now += HOUR
    // It took the place of the old one, and the times are still there.
    writeFileSync(join(dir, 'site.key'), readFileSync(join(dir, 'site.next.key')))
    rmSync(join(dir, 'site.next.key'))
    expect(new OwnKeys(dir, ['site'], clock).identity('site').key).toBe(next)
  })

  test.each([
    ['the key', 'site.key', '', /site\.key is empty/, /sublet keygen/],
    ['the key', 'site.key', 'garbage', /site\.key is damaged/, /from a copy of `keys\/`/],
    ['the next key', 'site.next.key', '', /site\.next\.key is empty/, /sublet keygen/],
    ['when it follows', 'site.next.json', '{', /site\.next\.json does not say when/, /--rotate/],
    ['when it follows', 'site.next.json', '{"signFrom":0,"oldUntil":9e15}', /does not say when/, /--rotate/],
  ])('is told of with a cure where %s is damaged: %s “%s”', (_, file, text, sentence, cure) => {
    new OwnKeys(dir, ['site'], clock)
    rotate(dir, 'site', HOUR, now)
    writeFileSync(join(dir, file), text)
    expect(() => new OwnKeys(dir, ['site'], clock)).toThrow(
      expect.objectContaining({
        ...{ code: 'key-damaged', message: expect.stringMatching(sentence) },
        cure: expect.stringMatching(cure),
      }),
    )
  })

  test('is not made anew where it is gone and its database is there, but for `sublet keygen`', () => {
    const settings = settingsOf(BROKER)
    const { keys, database } = inDir(settings.dir)
    const begun = (): string =>
      new OwnKeys(keys, ['broker'], clock, isNewIn(settings.dir)).identity('broker').key
    const first = begun()
    writeFileSync(database('broker'), '')
    expect(begun()).toBe(first)
    rmSync(join(keys, 'broker.key'))
    expect(begun).toThrow(
      expect.objectContaining({
        ...{ code: 'key-damaged', message: expect.stringMatching(/is gone, and its database is there/) },
        cure: expect.stringMatching(/sublet keygen/),
      }),
    )
    const made = new OwnKeys(keys, ['broker'], clock).identity('broker').key
    expect([made === first, begun()]).toEqual([false, made])
  })

  test('is the one of whoever is first, where two make it at once', () => {
    makeDurably(join(dir, 'site.key'), 'first')
    makeDurably(join(dir, 'site.key'), 'second')
    expect(readFileSync(join(dir, 'site.key'), 'utf8')).toBe('first')
    expect(readdirSync(dir)).toEqual(['site.key'])
  })
})

const key = newKey()
const BROKER = `name: b
dir: w
broker: { name: broker }
listen: { port: 7711 }
peers:
  - { name: rack, role: site, url: "http://127.0.0.1:7712", key: ${key} }
`

function settingsOf(text: string): Settings {
  const file = join(dir, 'c.yaml')
  writeFileSync(file, text)
  const { settings } = loadConfig(file)
  mkdirSync(settings.dir, { recursive: true })
  return settings
}

describe('peers', () => {
  const other = newKey()
  const stored: StoredPeer = { name: 'manager', role: 'service-manager', poll: true, keys: [{ key: other }] }

  test('are those of the configuration and those that commands added; keys of both count', () => {
    const settings = settingsOf(BROKER)
    const more = newKey()
    const file = inDir(settings.dir).peers
    writeStored(file, [
      stored,
      {
        name: 'rack',
        role: 'broker',
        url: 'http://127.0.0.1:1',
        poll: true,
        keys: [{ key, notAfter: 9 }, { key: more }],
      },
    ])
    expect(statSync(file).mode & 0o777).toBe(0o600)
    expect(knownPeers(settings)).toEqual([
      {
        ...{ name: 'rack', role: 'site', url: 'http://127.0.0.1:7712', poll: false, by: 'configuration' },
        keys: [{ key, notAfter: 9 }, { key: more }],
      },
      { ...stored, url: undefined, by: 'command' },
    ])
  })

  test('may change while Sublet runs, and a file that is damaged changes nothing', () => {
    const settings = settingsOf(BROKER)
    const trust = ed25519Trust({})
    const seen: string[][] = []
    const errors: string[] = []
    const quiet = (): void => undefined
    const book = new PeerBook({
      ...{ settings, trust, clock, keys: new OwnKeys(inDir(settings.dir).keys, ['broker'], clock) },
      log: { debug: quiet, info: quiet, warn: quiet, error: (_, message) => void errors.push(message) },
      onChange: (peers) => void seen.push(peers.map(({ name }) => name)),
    })
    const file = inDir(settings.dir).peers
    writeStored(file, [stored])
    book.reload()
    expect(trust.hasKey('manager', other, now)).toBe(true)
    writeFileSync(file, '{')
    book.reload()
    expect(trust.hasKey('manager', other, now)).toBe(true)
    expect(errors).toEqual(['the peers were not read again'])
    writeStored(file, [])
    book.reload()
    expect([trust.knows('manager'), trust.knows('rack'), trust.knows('broker')]).toEqual([false, true, true])
    expect(seen).toEqual([['rack'], ['rack', 'manager'], ['rack']])
  })

  test('who runs here is none, though one of the name was added, and goes on trusting itself', () => {
    const settings = settingsOf(BROKER)
    const trust = ed25519Trust({})
    const keys = new OwnKeys(inDir(settings.dir).keys, ['broker'], clock)
    const book = new PeerBook({
      ...{ settings, trust, clock, keys, onChange: () => undefined },
      log: { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined },
    })
    for (const added of [[{ ...stored, name: 'broker' }], []]) {
      writeStored(inDir(settings.dir).peers, added)
      book.reload()
      expect(book.peers.map(({ name }) => name)).toEqual(['rack'])
      expect(trust.hasKey('broker', keys.identity('broker').key, now)).toBe(true)
      expect(trust.hasKey('broker', other, now)).toBe(false)
    }
  })

  test.each([
    ['no JSON', '{', /not JSON/],
    ['another form', '{"version":2,"peers":[]}', /version/],
    [
      'a key that is none',
      JSON.stringify({ version: 1, peers: [{ ...stored, keys: [{ key: 'x' }] }] }),
      /public key/,
    ],
  ])('%s in their file is told with its name', (_, text, why) => {
    const file = join(dir, 'peers.json')
    writeFileSync(file, text)
    expect(() => readStored(file)).toThrow(why)
    expect(() => readStored(file)).toThrow(file)
  })

  test('are fetched from if nobody can call here, and not between actors of one kind', () => {
    const settings = settingsOf(BROKER.replace('listen: { port: 7711 }\n', ''))
    expect(waysOf(settings, knownPeers(settings))).toEqual([
      { name: 'rack', url: 'http://127.0.0.1:7712', poll: true, notFor: [] },
    ])
    const peers = [{ ...knownPeers(settings)[0]!, role: 'broker' as const }]
    expect(waysOf(settings, peers)[0]?.notFor).toEqual(['broker'])
  })
})

describe('which actors run where', () => {
  function findings(text: string): readonly string[] {
    const file = join(dir, 'c.yaml')
    writeFileSync(file, text)
    const { errors, warnings } = readConfig(file)
    return [...errors, ...warnings].map((finding) => finding.text.slice(file.length + 1))
  }
  const SITE = `name: s
site:
  name: rack
  hosts: [{ name: a, cpu: 8, memoryMiB: 8192 }]
  types: { vm: { cpu: 2, memoryMiB: 1024, image: plain, units: 4 } }
  machines: { kind: process }
`
  const GUESTS = `guests:
  - name: g
    batch: { kind: embedded, socket: b/sock }
    join: { kind: embedded }
    controller: { kind: groc, type: vm, unit: { cpus: 2, memoryMiB: 1024 }, max: 4 }
`
  const peer = (name: string, role: string, more = 'url: "http://127.0.0.1:1"'): string =>
    `  - { name: ${name}, role: ${role}, ${more}, key: ${key} }\n`

  test('a whole has a broker of its own, unless a peer is one', () => {
    expect(settingsOf(SITE + GUESTS)).toMatchObject({
      broker: { name: 'broker' },
      site: { broker: 'broker' },
      serviceManager: { name: 'service-manager', broker: 'broker' },
    })
    expect(settingsOf(`${SITE}${GUESTS}peers:\n${peer('far', 'broker')}`)).toMatchObject({
      broker: undefined,
      site: { broker: 'far' },
      serviceManager: { broker: 'far' },
    })
  })

  test('a part is what is written, and has its broker among the peers', () => {
    expect(settingsOf(`${SITE}peers:\n${peer('far', 'broker')}`)).toMatchObject({
      ...{ broker: undefined, serviceManager: undefined, site: { broker: 'far' } },
    })
    expect(findings(SITE)).toEqual(['3:3: site.broker: is missing: no broker runs here and no peer is one'])
    expect(findings(`${SITE}peers:\n${peer('one', 'broker')}${peer('two', 'broker')}`)).toEqual([
      '3:3: site.broker: is missing, expected one of one, two',
    ])
  })

  test('a type and a guest may have a broker of their own, and one that nobody knows is told', () => {
    const more = (name: string): string =>
      `${SITE.replace('units: 4 }', `units: 4, broker: ${name} }`)}${GUESTS.replace('- name: g\n', `- name: g\n    broker: ${name}\n`)}broker: { recover: 3m }\nserviceManager: { recover: 4m }\npeers:\n${peer('far', 'broker')}`
    expect(settingsOf(more('far'))).toMatchObject({
      broker: { name: 'broker', recover: 180_000 },
      site: { broker: 'broker', types: { vm: { broker: 'far' } }, timing: { recover: 600_000 } },
      serviceManager: { broker: 'broker', recover: 240_000 },
      guests: [{ broker: 'far' }],
    })
    expect(findings(more('fat')).map((line) => line.replace(/^\d+:\d+: /, ''))).toEqual([
      'site.types.vm.broker: “fat” is no broker that is known here, did you mean “far”?',
      'guests.0.broker: “fat” is no broker that is known here, did you mean “far”?',
    ])
  })

  test('a broker that a command has added is known, and where there is none it is said how to add one', () => {
    const site = SITE.replace('site:', 'site:\n  broker: far')
    expect(findings(site)[0]).toMatch(/“far” is no broker that is known here; .*`sublet peer add`$/)
    const file = join(dir, 'stored.yaml')
    writeFileSync(file, site)
    const { settings } = loadConfig(file)
    mkdirSync(settings.dir, { recursive: true })
    const url = 'http://127.0.0.1:1'
    const peer: StoredPeer = { name: 'far', role: 'broker', url, poll: false, keys: [] }
    writeStored(inDir(settings.dir).peers, [peer])
    expect(loadConfig(file).warnings).toEqual([])
    writeFileSync(inDir(settings.dir).peers, 'not JSON')
    expect(loadConfig(file).warnings).toHaveLength(1)
  })

  test('a file that is to hold a key is looked into before anything starts, and not before', () => {
    const file = join(dir, 'c.yaml')
    const text = (name: string): string =>
      `name: b\nbroker: {}\npeers:\n  - { name: rack, role: site, url: "http://127.0.0.1:1", keyFile: ${name} }\n`
    const told = (name: string): readonly string[] => {
      writeFileSync(file, text(name))
      expect(readConfig(file).errors).toEqual([])
      return readConfig(file, { keyFiles: true }).errors.map((finding) => finding.text.slice(file.length + 1))
    }
    writeFileSync(join(dir, 'good.pub'), `${key}\n`)
    writeFileSync(join(dir, 'good.pem'), generateKeys().publicKey)
    writeFileSync(join(dir, 'bad.pub'), 'nonsense\n')
    writeFileSync(join(dir, 'bad.pem'), '-----BEGIN PUBLIC KEY-----\nnonsense\n')
    expect([told('good.pub'), told('good.pem')]).toEqual([[], []])
    expect(told('none.pub')).toEqual([`4:67: peers.0.keyFile: there is no file ${join(dir, 'none.pub')}`])
    expect(told('bad.pub')[0]).toMatch(
      /^4:67: peers\.0\.keyFile: .*bad\.pub holds no public key: expected 43/,
    )
    expect(told('bad.pem')[0]).toMatch(/bad\.pem holds no public key: the text is not the PEM of a key$/)
    expect(() => loadConfig(file, { keyFiles: true })).toThrow(/holds no public key/)
    expect(() => knownPeers(loadConfig(file).settings)).toThrow(/holds no public key/)
  })

  test('what cannot work is told at its place', () => {
    const broker = 'name: b\nbroker: {}\n'
    const sentences = (text: string): readonly string[] =>
      findings(text).map((line) => line.replace(/^\d+:\d+: /, ''))
    expect(sentences(`${broker}peers:\n${peer('rack', 'site', 'poll: true')}`)).toEqual([
      'peers.0.poll: comes to fetch, and nothing listens here: give “listen”, or the peer’s “url”',
    ])
    expect(sentences(`${broker}peers:\n${peer('rack', 'site', 'poll: false')}`)).toEqual([
      'peers.0: expected “url” (where it is called) or “poll: true” (it comes and fetches)',
    ])
    expect(sentences(`${broker}peers:\n${peer('broker', 'site')}`)).toEqual([
      'peers.0.name: “broker” is the name of another actor already',
    ])
    expect(sentences(`${broker}peers:\n${peer('rack', 'site', 'url: "ftp://x"')}`)[0]).toMatch(
      /http:\/\/host:port/,
    )
    expect(sentences(`${broker}listen: { host: 0.0.0.0, port: 1 }\n`)[0]).toMatch(/without listen.tls/)
    expect(sentences('name: nothing\n')[0]).toMatch(/none of the three actors/)
  })
})
