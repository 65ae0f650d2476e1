import { execFile } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { HEARD_CHARS_MAX, HEARD_UNKNOWN_CHARS_MAX, UNKNOWN_KEYS_MAX } from '../../actors/authority/amounts.ts'
import { HELD_BACK_CHARS_MAX, HELD_BACK_MAX } from '../../actors/authority/recovery.ts'
import { TYPES_OF_SITE_MAX } from '../../actors/broker/delegations.ts'
import { RECALLS_OF_LEASE_MAX, RECALLS_WAIT_MS } from '../../actors/broker/passed-on.ts'
import { QUERIES_NOTED_MAX } from '../../actors/broker/queries.ts'
import { RECALL_KEPT_MS, RECALLS_OF_SITE_MAX } from '../../actors/broker/recalls.ts'
import { OPEN_MAX } from '../../actors/broker/requests.ts'
import { RETIRE_MS } from '../../actors/leases/correspondence.ts'
import * as givenBack from '../../actors/leases/given-back.ts'
import { bodies, HOLDINGS_MAX, HOLDINGS_PAGES_MAX } from '../../actors/leases/messages.ts'
import { PAGE_CHARS_MAX } from '../../actors/leases/pages.ts'
import { PROPERTIES_CHARS_MAX } from '../../actors/leases/properties.ts'
import { DIMENSIONS_MAX } from '../../actors/leases/resources.ts'
import { CLAIMANT_MS } from '../../actors/leases/witnesses.ts'
import { BATCH_MAX, FLUSH_MS } from '../../actors/runtime/actor.ts'
import { LINE_CHARS_MAX } from '../../actors/runtime/draft.ts'
import { EFFECTS_AT_ONCE_MAX, OVERRUN_MS_MAX } from '../../actors/runtime/effects.ts'
import { BODY_CHARS_MAX, GOOD_MS_MAX } from '../../actors/runtime/envelope.ts'
import { LINKS_LONG_MAX, LINKS_MAX } from '../../actors/runtime/links.ts'
import { MAILBOX_MAX, MAILBOX_PEER_MAX } from '../../actors/runtime/mailbox.ts'
import { HELLO_MS } from '../../actors/runtime/memory.ts'
import * as postman from '../../actors/runtime/postman.ts'
import { COMMIT_MS_MAX, OPEN_STORE_MS_MAX } from '../../actors/runtime/punctual.ts'
import { REFUSED_MAX, REFUSED_MS } from '../../actors/runtime/refusals.ts'
import { STRANGERS_MAX } from '../../actors/runtime/strangers.ts'
import { UNITS_KEPT_MAX } from '../../actors/service-manager/surplus.ts'
import { BLIND_MS_MAX } from '../../actors/service-manager/view.ts'

const HOME = join(import.meta.dirname, '../..')
const NOT_OURS = new Set(['node_modules', '.git', '.sublet', 'coverage'])
const TEXT = /\.(md|ts|js|cjs|json|ya?ml|sh|txt|pl)$|^(LICENSE|run|packages|\.gitignore)$/

function filesIn(folder: string): string[] {
  return readdirSync(join(HOME, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : filesIn(path)
    return entry.isFile() ? [path] : []
  })
}

const read = (path: string): string => readFileSync(join(HOME, path), 'utf8')
const files = filesIn('.')
const documents = files.filter((path) => path.endsWith('.md'))
const texts = files.filter((path) => TEXT.test(path.split('/').at(-1) ?? '') && path !== 'package-lock.json')
const { scripts, license } = JSON.parse(read('package.json')) as {
  scripts: Record<string, string>
  license: string
}

/** Lines `path: what` for everything the pattern finds. */
const found = (paths: readonly string[], pattern: RegExp): string[] =>
  paths.flatMap((path) =>
    [...read(path).matchAll(pattern)].map((match) => `${path}: ${match[1] ?? match[0]}`),
  )

describe('documents', () => {
  test('link only to what is there', () => {
    const links = found(documents, /\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)/g)
    expect(links.length).toBeGreaterThan(50)
    const dead = links.filter((line) => {
      const [path = '', target = ''] = line.split(': ')
      return !existsSync(join(HOME, dirname(path), target))
    })
    expect(dead).toEqual([])
  })

  test('name only files and folders that are there', () => {
    const named = found(
      documents,
      /`((?:actors|adapters|controllers|deploy|docs|test|bench|\.ci)\/[\w./-]+)`/g,
    )
    const missing = named.filter((line) => {
      const target = line.split(': ')[1] ?? ''
      return !/\b[A-Z]{3,}\b/.test(target) && !existsSync(join(HOME, target))
    })
    expect(missing).toEqual([])
  })

  test('are there for every folder of the layout that has files', () => {
    const below = (folder: string): string[] =>
      readdirSync(join(HOME, folder), { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => join(folder, entry.name))
    const layout = [
      ...[
        '.',
        'actors',
        'adapters',
        'controllers',
        'deploy',
        'docs',
        'docs/decisions',
        'test',
        'test/simulation',
      ],
      ...['bench', ...['actors', 'adapters', 'controllers/guests'].flatMap(below)],
      ...[...below('deploy'), ...below('deploy/labs')],
    ]
    const without = layout.filter(
      (folder) =>
        files.some((path) => folder === '.' || path.startsWith(`${folder}/`)) &&
        !existsSync(join(HOME, folder, 'README.md')),
    )
    expect(without).toEqual([])
  })

  test('name only npm scripts that are there, and whose files are', () => {
    const commands = /npm (?:-s )?(?:run ([a-z]+(?::[a-z]+)*)|(?:start|test)\b)/g
    const named = new Set(
      found(documents, commands).map((line) => line.split(': ')[1]?.replace('npm ', '') ?? ''),
    )
    const missing = [...named].filter((name) => {
      const script = scripts[name.replace('-s ', '')]
      const file = /^(?:exec )?node (\S+\.(?:ts|js))/.exec(script ?? '')?.[1]
      return script === undefined || (file !== undefined && !existsSync(join(HOME, file)))
    })
    expect([...named]).toContain('lab:kills')
    expect(missing).toEqual([])
  })

  test('set Sublet up with two commands and no third', () => {
    const setUps = read('README.md').match(/^.*npm ci.*$/gm)
    expect(setUps).toEqual(['npm ci && npm start', 'npm ci && npm test'])
  })

  test('come with the whole licence that the package names', () => {
    expect(license).toBe('Apache-2.0')
    const text = read('LICENSE')
    expect(text).toMatch(/Apache License\s+Version 2\.0, January 2004/)
    for (let section = 1; section <= 9; section++) expect(text).toMatch(new RegExp(`^ +${section}\\. `, 'm'))
    expect(text).toContain('END OF TERMS AND CONDITIONS')
  })
})

describe('the page on actors', () => {
  const page = read('actors/README.md')

  test('has every kind of message with every field of its body', () => {
    const rows = Object.fromEntries(
      [...page.matchAll(/^\| `([a-z-]+)` \| [a-z]+ → [a-z]+ \| (.*?) \|/gm)].map(([, kind, body]) => [
        kind,
        (body ?? '').split(', ').toSorted(),
      ]),
    )
    const shapes = Object.entries(bodies).map(([kind, body]) => [kind, Object.keys(body.shape).toSorted()])
    expect(rows).toEqual(Object.fromEntries(shapes))
  })

  test('has the bounds that the code has', () => {
    const { UNDER_WAY_MAX, UNDER_WAY_SILENT_MAX, TRY_MS_MAX, BACKOFF_MS_FIRST, BACKOFF_MS_MAX } = postman
    const rows = Object.fromEntries(
      [...page.matchAll(/^\| `([A-Z_]+)` \| (\d+) \|/gm)].map(([, name, value]) => [name, Number(value)]),
    )
    expect(rows).toEqual({
      ...{ REFUSED_MAX, REFUSED_MS, LINKS_MAX, LINKS_LONG_MAX, PROPERTIES_CHARS_MAX },
      ...{
        BATCH_MAX,
        MAILBOX_MAX,
        MAILBOX_PEER_MAX,
        BODY_CHARS_MAX,
        LINE_CHARS_MAX,
        UNDER_WAY_MAX,
        UNDER_WAY_SILENT_MAX,
      },
      ...{ TRY_MS_MAX, BACKOFF_MS_FIRST, BACKOFF_MS_MAX, EFFECTS_AT_ONCE_MAX, OVERRUN_MS_MAX, COMMIT_MS_MAX },
      ...{ OPEN_STORE_MS_MAX, HELLO_MS, STRANGERS_MAX, GOOD_MS_MAX, OPEN_MAX },
      ...{
        TYPES_OF_SITE_MAX,
        RECALLS_OF_SITE_MAX,
        RECALLS_OF_LEASE_MAX,
        RECALLS_WAIT_MS,
        RECALL_KEPT_MS,
        QUERIES_NOTED_MAX,
      },
      ...{ UNITS_KEPT_MAX, HOLDINGS_PAGES_MAX, CLAIMANT_MS, DIMENSIONS_MAX },
      ...{
        ...givenBack,
        HELD_BACK_MAX,
        HELD_BACK_CHARS_MAX,
        HEARD_CHARS_MAX,
        HEARD_UNKNOWN_CHARS_MAX,
        UNKNOWN_KEYS_MAX,
        HOLDINGS_MAX,
        PAGE_CHARS_MAX,
      },
      ...{ FLUSH_MS, RETIRE_MS, BLIND_MS_MAX },
    })
  })

  test('points to a mind that does what is said of it', async () => {
    const home = join(HOME, 'actors/runtime/')
    const [, example = ''] = /```ts\n(.*?)```/s.exec(read('actors/runtime/README.md')) ?? []
    const dir = mkdtempSync(join(tmpdir(), 'docs-'))
    try {
      const script = join(dir, 'example.ts')
      writeFileSync(
        script,
        example.replace(
          /from '(\..*?)'/g,
          (_, path: string) => `from '${new URL(path, pathToFileURL(home))}'`,
        ),
      )
      const { stdout } = await promisify(execFile)(process.execPath, [script], { timeout: 15_000 })
      expect(stdout).toBe('1 2 2\n')
    } finally {
      rmSync(dir, { recursive: true, force: true })
    }
  })
})

describe('every text of the project', () => {
  test('names no host of the network but those of standards, of SQLite and of examples', () => {
    const known = new Set(['www.apache.org', 'www.w3.org', 'sqlite.org'])
    const hosts = found(texts, /https?:\/\/([a-z0-9-]+(?:\.[a-z0-9-]+)+)/gi)
    expect(
      hosts.filter(
        (line) => !/(127\.0\.0\.1|\.example\.org)$/.test(line) && !known.has(line.split(': ')[1] ?? ''),
      ),
    ).toEqual([])
  })

  test('names no folder of the machine it was written on', () => {
    expect(found(texts, /(?<![\w.}$-])(\/(?:work|mnt|Users|root)\/[\w./-]*)/g)).toEqual([])
    const top = relative('/', HOME)
    expect(texts.filter((path) => top.includes('/') && read(path).includes(`/${top}/`))).toEqual([])
  })

  test('speaks of the project alone', () => {
    const words = [
      ['assis', 'tant'],
      ['chat', 'bot'],
      ['language ', 'model'],
      ['TO', 'DO:'],
      ['FIX', 'ME'],
    ]
    const pattern = new RegExp(`\\b(${words.map((parts) => parts.join('')).join('|')})`, 'gi')
    expect(found(texts, pattern)).toEqual([])
  })
})
