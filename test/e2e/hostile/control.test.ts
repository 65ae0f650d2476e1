import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { systemClock as clock } from '../../../actors/runtime/clock.ts'
import { ERRORS } from '../../../actors/runtime/errors.ts'
import { AS_ROOT, cannotBeRoot } from '../../as-root.ts'
import { standing } from './standing.ts'
import type { Place } from './world.ts'
import { World } from './world.ts'

/** Callers of the control sockets of live processes who send whatever comes to their minds. */
const world = new World({
  live: ['broker', 'site', 'manager'],
  played: { mallory: 'manager' },
  common: { control: { viewers: [65_534] } },
})
standing(world)

const socketOf = (place: Place): string => join(world.dir, place, 'control.sock')

interface Answer {
  readonly status: number
  readonly text: string
}

function raw(
  place: Place,
  method: string,
  path: string,
  body?: string | Buffer,
  token?: string,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const authorization = token === undefined ? {} : { authorization: `Sublet ${token}` }
    const headers = { 'content-type': 'application/json', ...authorization }
    const asked = request({ socketPath: socketOf(place), method, path, headers, agent: false }, (answer) => {
      let text = ''
      answer.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }))
    })
    asked.on('error', reject)
    asked.end(body)
  })
}

/** As somebody who may do it. */
async function order(place: Place, method: string, path: string, body?: string | Buffer): Promise<Answer> {
  const challenge = await raw(place, 'POST', '/challenge', JSON.stringify({ request: `${method} ${path}` }))
  const { token, folder } = JSON.parse(challenge.text) as { token: string; folder: string }
  mkdirSync(folder, { mode: 0o700 })
  return raw(place, method, path, body, token)
}

/** Words of libraries, of the runtime, or of nobody. */
const NOT_OURS =
  /invalid (input|string|option)|received|unrecognized|too (small|big)|zod|fst_|json at|unexpected (token|end)|undefined|\[object|must match|TypeError|client error|bad request|cannot read/i

function expectOurWords(what: string, { status, text }: Answer): void {
  const { error } = JSON.parse(text) as { error: { code: string; sentence: string; cure: string } }
  expect([what, status], text).toEqual([
    what,
    expect.toSatisfy((n: number) => (n >= 400 && n < 500) || n === 504),
  ])
  expect([what, Object.hasOwn(ERRORS, error.code)], text).toEqual([what, true])
  for (const words of [error.sentence, error.cure]) {
    expect([what, words]).toEqual([what, expect.not.stringMatching(NOT_OURS)])
    expect([what, words.length > 10 && words.length < 1_000], words).toEqual([what, true])
  }
}

const POSTS: readonly [Place, string][] = [
  ['site', '/recall'],
  ['site', '/lend'],
  ['site', '/withdraw'],
  ['site', '/reclaim'],
  ['site', '/hosts/maintain'],
  ['site', '/hosts/resume'],
  ['broker', '/approve'],
  ['broker', '/disapprove'],
  ['broker', '/query'],
  ['manager', '/request'],
  ['manager', '/extend'],
  ['manager', '/release'],
  ['manager', '/stop'],
]

const BODIES: readonly [string, string | Buffer][] = [
  ['nothing', ''],
  ['no JSON', '{"type":'],
  ['bytes', Buffer.from(Array.from({ length: 300 }, (_, i) => i % 256))],
  ['null', 'null'],
  ['a list', '[]'],
  ['a number beyond all', '{"units":1e999,"by":-1e999,"reason":7,"type":{}}'],
  ['a bomb', '['.repeat(8_000)],
  ['a bomb that is whole', `${'['.repeat(8_000)}${']'.repeat(8_000)}`],
  ['too much', JSON.stringify({ type: 'x'.repeat(20_000) })],
  ['a prototype', '{"__proto__":{"release":false},"type":"vm.small"}'],
  ['a constructor', '{"constructor":{"prototype":{"release":false}}}'],
  [
    'many fields',
    JSON.stringify(Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`field${i}`, i]))),
  ],
  ['texts that are none', '{"type":"\\ud800","units":"4","reason":"","by":"soon","leaseId":"","host":[]}'],
]

test('whatever body an order has, it is refused with a code, a sentence and a cure in our words', async () => {
  for (const [place, path] of POSTS)
    for (const [what, body] of BODIES)
      expectOurWords(`${path}: ${what}`, await order(place, 'POST', path, body))
  for (const place of ['broker', 'site', 'manager'] as const)
    expect(await world.processes[place]!.answers()).toBe(true)
})

const NAMES = [
  '__proto__',
  'constructor',
  'toString',
  'hasOwnProperty',
  '\u0000',
  '../../etc/passwd',
  '%00',
  '🦆',
]

test('names of what every object has are names like others: nothing goes by them', async () => {
  for (const name of NAMES) {
    const common = { type: name, reason: 'none' }
    const orders: readonly [Place, string, object][] = [
      ['site', '/recall', { ...common, units: 1, by: clock.now() + 60_000 }],
      ['site', '/lend', { ...common, units: 1 }],
      ['site', '/withdraw', common],
      ['site', '/reclaim', { ...common, by: clock.now() + 60_000 }],
      ['site', '/hosts/maintain', { host: name, reason: 'none' }],
      ['site', '/hosts/resume', { host: name }],
      ['broker', '/approve', { leaseId: name }],
      ['broker', '/disapprove', { leaseId: name, reason: 'none' }],
      ['manager', '/request', { ...common, guest: name, units: 1, durationMs: 1_000, withinMs: 0 }],
      ['manager', '/extend', { leaseId: name, durationMs: 1_000, reason: 'none', withinMs: 0 }],
      ['manager', '/release', { leaseId: name, reason: 'none' }],
      ['site', '/query', { about: 'availability', type: name, units: 1, durationMs: 1_000, withinMs: 1_000 }],
      ['manager', '/query', { about: 'types', to: name, withinMs: 500 }],
    ]
    for (const [place, path, body] of orders)
      expectOurWords(
        `${path} ${JSON.stringify(name)}`,
        await order(place, 'POST', path, JSON.stringify(body)),
      )
    const id = encodeURIComponent(name)
    for (const what of ['job', 'lease', 'node'])
      expectOurWords(`${what} ${id}`, await order('manager', 'GET', `/explain/${what}/${id}`))
    expectOurWords(`guest ${id}`, await order('manager', 'GET', `/explain/job/1?guest=${id}`))
    expectOurWords(`actor ${id}`, await order('site', 'GET', `/ledger?actor=${id}`))
    expect((await order('site', 'GET', `/ledger?subject=${id}`)).text).toBe('[]')
  }
  expect(await world.faults('site')).toEqual([])
})

test.each([
  ['/ledger?limit=no'],
  ['/ledger?limit=-1&waitMs=1e99'],
  ['/ledger?after=::::'],
  ['/ledger?stranger=1'],
  ['/explain/nothing/1'],
  [`/explain/lease/${'x'.repeat(1_900)}`],
  ['/explain/lease/%zz'],
  ['/nowhere'],
])('%s is refused in our words', async (path) => {
  expectOurWords(path, await order('manager', 'GET', path))
})

test('half requests, no requests and two hundred connections of nobody keep out nobody', async () => {
  const sockets: Socket[] = []
  const said: string[] = []
  const opens = (bytes: string): void => {
    const socket = connect(socketOf('broker'))
    const at = sockets.push(socket) - 1
    said[at] = ''
    socket
      .on('error', () => undefined)
      .on('data', (part) => {
        said[at] += String(part)
      })
    socket.write(bytes)
  }
  try {
    for (let i = 0; i < 200; i++)
      opens(i % 2 === 0 ? '' : 'POST /stop HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n{')
    opens('GARBAGE\r\n\r\n')
    opens(`GET /status HTTP/1.1\r\nhost: x\r\nlong: ${'x'.repeat(100_000)}\r\n\r\n`)
    const begun = clock.monotonic()
    for (let i = 0; i < 5; i++) expect((await order('broker', 'GET', '/status')).status).toBe(200)
    expect(clock.monotonic() - begun).toBeLessThan(8_000)
    await world.until(
      'what is no HTTP is answered',
      () => said.filter((text) => text.startsWith('HTTP/1.1 4')),
      ({ length }) => length >= 2,
    )
    for (const text of said.slice(-2))
      expectOurWords('no HTTP', { status: 400, text: text.slice(text.indexOf('\r\n\r\n') + 4) })
  } finally {
    for (const socket of sockets) socket.destroy()
  }
})

test.skipIf(cannotBeRoot)(
  `another user gets nothing by being quick, and one who may look gives no orders ${AS_ROOT}`,
  async () => {
    const as = async (uid: number, method: string, path: string, body?: string): Promise<Answer> => {
      const challenge = await raw(
        'broker',
        'POST',
        '/challenge',
        JSON.stringify({ request: `${method} ${path}` }),
      )
      const { token, folder } = JSON.parse(challenge.text) as { token: string; folder: string }
      spawnSync('mkdir', ['-m', '700', folder], { uid, gid: uid })
      return raw('broker', method, path, body, token)
    }
    for (const path of ['/stop', '/approve', '/peers/reload'])
      expect((await as(65_534, 'POST', path, '{"release":true}')).status).toBe(403)
    for (const [method, path] of [
      ['GET', '/status'],
      ['GET', '/ledger'],
      ['POST', '/stop'],
    ] as const)
      expectOurWords(path, await as(65_533, method, path, method === 'POST' ? '{"release":true}' : undefined))
    expectOurWords('no token', await raw('broker', 'GET', '/status'))
    expect(await world.processes.broker!.answers()).toBe(true)
  },
  20_000,
)
