import {
  chownSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createServer, request, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { type ControlServer, controlServer } from '../../deploy/control/control.ts'
import { controlClient } from '../../deploy/control/control-client.ts'
import { workFolder } from '../../deploy/upkeep/work-folder.ts'
import { AS_ROOT, cannotBeRoot } from '../as-root.ts'
import { fakeSite, SITE_YAML, T0, yamlIn } from './control-site.ts'

const quiet = { debug() {}, info() {}, warn() {}, error() {} }
const STRANGER = 65_534

let root = ''
let stops: unknown[] = []
let server: ControlServer
const relays: Server[] = []
const real = (): string => join(root, 'real')
const other = (): string => join(root, 'other')

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'sublet-relay-'))
  for (const folder of [real(), other()]) mkdirSync(folder)
  writeFileSync(yamlIn(real()), SITE_YAML)
  stops = []
  server = await controlServer(fakeSite(real(), yamlIn(real()), { viewers: [STRANGER] }), {
    ...{ socket: join(real(), 'control.sock'), auth: join(real(), 'auth') },
    ...{ clock: systemClock, log: quiet, startedAt: T0, metrics: () => '' },
    stop: (release, by) => stops.push({ release, by }),
  })
})
afterEach(async () => {
  for (const relay of relays.splice(0)) relay.close()
  await server.close()
  rmSync(root, { recursive: true, force: true })
})

/** The answer of the real Sublet to what a stranger hands on. */
const handOn = (path: string, body: string, token = ''): Promise<string> =>
  new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', authorization: `Sublet ${token}` }
    const asked = request(
      { socketPath: join(real(), 'control.sock'), method: 'POST', path, headers },
      (answer) => {
        let text = ''
        answer.on('data', (part) => (text += part)).on('end', () => resolve(text))
      },
    )
    asked.on('error', reject).end(body)
  })

/**
 * A socket that is not Sublet’s: whatever it is asked for, it hands on the challenge of an order to stop. `between`
 * happens before the caller sees it.
 */
async function relayAt(folder: string, between: () => void = () => undefined): Promise<void> {
  let token = ''
  const relay = createServer(async (asked, answer) => {
    if (asked.url !== '/challenge') return void answer.end(await handOn('/stop', '{"release":true}', token))
    const challenge = await handOn('/challenge', JSON.stringify({ request: 'POST /stop' }))
    token = (JSON.parse(challenge) as { token: string }).token
    between()
    answer.end(challenge)
  })
  relays.push(relay)
  await new Promise<void>((resolve) => relay.listen(join(folder, 'control.sock'), resolve))
}

const statusAt = (folder: string): Promise<unknown> =>
  controlClient(join(folder, 'control.sock')).get('/status')

describe('who asks a socket that hands on another’s challenge signs no order of hers', () => {
  test('where there is no place to show who one is', async () => {
    await relayAt(other())
    await expect(statusAt(other())).rejects.toMatchObject({ code: 'not-permitted' })
    expect(stops).toEqual([])
  })

  test('where Sublet ends between question and answer: that is no lack of rights', async () => {
    mkdirSync(join(other(), 'auth'))
    await relayAt(other(), () => rmSync(join(other(), 'control.sock')))
    await expect(statusAt(other())).rejects.toMatchObject({ code: 'not-running' })
    expect(stops).toEqual([])
  })

  test('where that place is a link to the real one', async () => {
    symlinkSync(join(real(), 'auth'), join(other(), 'auth'))
    await relayAt(other())
    await expect(statusAt(other())).rejects.toMatchObject({ code: 'not-permitted' })
    expect(stops).toEqual([])
  })

  test('where that place is its own: there the folder is made, and not at the real one', async () => {
    mkdirSync(join(other(), 'auth'))
    await relayAt(other())
    await statusAt(other()).catch(() => undefined)
    expect(stops).toEqual([])
    expect(readdirSync(join(other(), 'auth'))).toEqual([])
  })

  test('where the folder becomes a link to the real one between question and answer', async () => {
    mkdirSync(join(other(), 'auth'))
    await relayAt(other(), () => {
      renameSync(other(), join(root, 'away'))
      symlinkSync(real(), other())
    })
    await statusAt(other()).catch(() => undefined)
    expect(stops).toEqual([])
  })

  test('nor makes a folder that is not named as Sublet names them', async () => {
    for (const named of [join(root, 'made'), '..', join(real(), 'auth', 'x'.repeat(32))]) {
      const dir = mkdtempSync(join(root, 'd'))
      mkdirSync(join(dir, 'auth'))
      const relay = createServer((_, answer) => answer.end(JSON.stringify({ token: 'x', folder: named })))
      relays.push(relay)
      await new Promise<void>((resolve) => relay.listen(join(dir, 'control.sock'), resolve))
      await expect(statusAt(dir)).rejects.toMatchObject({
        code: 'not-permitted',
        message: expect.stringContaining('is not named as Sublet does'),
      })
    }
    expect(existsSync(join(root, 'made'))).toBe(false)
  })

  test('while the real one is asked by whatever path leads there', async () => {
    symlinkSync(real(), join(root, 'link'))
    expect(await statusAt(join(root, 'link'))).toMatchObject({ name: 'lab' })
    await controlClient(join(real(), 'control.sock')).post('/stop', { release: false })
    expect(stops).toHaveLength(1)
  })
})

describe('whose the socket is', () => {
  test.skipIf(cannotBeRoot)(
    `one that a third user put into the folder of another is not answered ${AS_ROOT}`,
    async () => {
      mkdirSync(join(other(), 'auth'))
      await relayAt(other())
      chownSync(other(), 1, 1)
      chownSync(join(other(), 'auth'), 1, 1)
      lchownSync(join(other(), 'control.sock'), STRANGER, STRANGER)
      await expect(statusAt(other())).rejects.toMatchObject({
        code: 'not-permitted',
        message: expect.stringContaining(
          `the socket in ${other()} is of uid ${STRANGER}, the folder of uid 1`,
        ),
      })
      // Another’s Sublet, whose viewer she is: all of it is his.
      lchownSync(join(other(), 'control.sock'), 1, 1)
      expect(await statusAt(other())).toMatchObject({
        error: { sentence: expect.stringContaining('was not made') },
      })
    },
  )

  test.skipIf(cannotBeRoot)(
    `a work folder of another user is taken only if it is named ${AS_ROOT}`,
    async () => {
      const before = process.cwd()
      const dir = join(root, '.sublet', 'x')
      mkdirSync(join(dir, 'keys'), { recursive: true })
      process.chdir(root)
      try {
        expect(await workFolder({})).toMatch(/\.sublet\/x$/)
        chownSync(dir, STRANGER, STRANGER)
        await expect(workFolder({})).rejects.toMatchObject({
          code: 'not-permitted',
          message: expect.stringContaining(`belongs to another user (uid ${STRANGER})`),
          cure: expect.stringContaining('--dir'),
        })
        expect(await workFolder({ dir })).toBe(dir)
      } finally {
        process.chdir(before)
      }
    },
  )
})
