import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { tell } from '../../../actors/leases/correspondence.ts'
import { downgrade } from '../../../actors/leases/versions.ts'
import { Actor } from '../../../actors/runtime/actor.ts'
import { PROTOCOLS } from '../../../actors/runtime/envelope.ts'
import { ed25519Identity, ed25519Trust, generateKeys, publicKeyOf } from '../../../actors/runtime/identity.ts'
import type { Mind } from '../../../actors/runtime/mind.ts'
import { systemRandom } from '../../../actors/runtime/random.ts'
import { HttpNetwork } from '../../../adapters/http/network.ts'
import { sqliteStore } from '../../../adapters/sqlite/store.ts'
import { freePorts } from '../../../deploy/labs/free-ports.ts'
import { clock, openPool, type Pool, until } from '../pool.ts'
import { type ObserverTables, observer } from './observer.ts'

const silent = () => undefined
const log = { debug: silent, info: silent, warn: silent, error: silent }
const ends: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end()
})

interface Lives {
  readonly actor: Actor<ObserverTables>
  readonly ledger: () => Promise<readonly string[]>
}

/** The observer in this process: it only calls out, has a key and a store of its own, and trusts those it asks. */
async function begin(mind: Mind<ObserverTables>, key: string, pool: Pool, url: string): Promise<Lives> {
  const dir = mkdtempSync(join(tmpdir(), 'observer-'))
  const identity = ed25519Identity('observer', key)
  const keyOf = (name: string): string => readFileSync(join(pool.work, 'keys', `${name}.pub`), 'utf8').trim()
  const trust = ed25519Trust({ broker: keyOf('broker'), rack: keyOf('rack') })
  const random = systemRandom()
  const skewMsMax = 2_000
  const network = new HttpNetwork(
    { skewMsMax, protocols: PROTOCOLS },
    { clock, random: random.child('network'), log, trust, identity: () => identity },
  )
  network.setPeers(['broker', 'rack'].map((name) => ({ name, url, poll: true })))
  const store = sqliteStore(join(dir, 'observer.db'))
  const actor = new Actor({
    ...{ mind, store, clock, identity, trust, transport: network, downgrade, log, skewMsMax },
    perform: () => Promise.reject(new Error('an observer does nothing in the world')),
    random: random.child('observer'),
    onFailed: (error) => {
      throw error
    },
  })
  network.attach('observer', actor)
  await network.open()
  ends.push(async () => {
    await actor.stop()
    await network.close()
    rmSync(dir, { recursive: true })
  })
  await actor.start()
  const ledger = async (): Promise<string[]> =>
    (await store.entries({ afterSeq: 0, limit: 1_000 })).map(
      ({ kind, subject, reason }) => `${kind} ${subject}: ${reason}`,
    )
  return { actor, ledger }
}

async function site(): Promise<{ readonly pool: Pool; readonly key: string; readonly url: string }> {
  const [port] = await freePorts(1)
  const { privateKey } = generateKeys()
  const pool = await openPool({
    guests: [{ controller: 'by-hand' }],
    listen: { host: '127.0.0.1', port },
    peers: [{ name: 'observer', role: 'observer', poll: true, key: publicKeyOf(privateKey) }],
  })
  await pool.start()
  return { pool, key: privateKey, url: `http://127.0.0.1:${port}` }
}

test('an actor that is none of the three asks all there are over HTTP, and keeps what they say', async () => {
  const { pool, key, url } = await site()
  const mind = observer({ servers: ['broker', 'rack', 'nobody'], everyMs: 500, askMs: 5_000 })
  const { actor, ledger } = await begin(mind, key, pool, url)
  const says = (sentence: string) => (lines: readonly string[]) => lines.includes(sentence)
  await until(
    'both have said what is free',
    20_000,
    ledger,
    says('observed rack: free: 4 of 4 vm.small at rack'),
  )
  await until('the broker, too', 20_000, ledger, says('observed broker: free: 4 of 4 vm.small at rack'))
  await pool.json('request', '--type', 'vm.small', '--units', '1', '--for', '60s')
  await until('a unit is held', 30_000, ledger, says('observed broker: free: 3 of 4 vm.small at rack'))
  const answers = (await actor.command('answers', {})) as readonly { readonly id: string }[]
  expect(answers.map(({ id }) => id).sort()).toEqual(['broker', 'rack'])
  await until('whom nobody knows is not waited for', 20_000, ledger, (lines) =>
    lines.some((line) => line.startsWith('unanswered nobody: ')),
  )
}, 300_000)

test('a peer that is no service manager is given no ticket, and is told so', async () => {
  const { pool, key, url } = await site()
  const greedy: Mind<ObserverTables> = {
    handle(input, draft) {
      if (input.kind === 'message')
        draft.note('heard', input.envelope.subject, (input.envelope.body as { reason: string }).reason)
      if (input.kind !== 'started') return
      const body = { type: 'vm.small', units: 1, durationMs: 60_000, start: draft.now, properties: {} }
      tell(draft, 'broker', 'ticket', 'lease-1', body, draft.now + 60_000)
    },
  }
  const { ledger } = await begin(greedy, key, pool, url)
  await until('it is answered', 20_000, ledger, (lines) =>
    lines.includes('heard lease-1: observer is no service manager here, and only those are given tickets'),
  )
  expect(await pool.leases()).toEqual([])
}, 300_000)
