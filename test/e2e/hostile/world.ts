import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { fileURLToPath } from 'node:url'
import { systemClock as clock, sleep } from '../../../actors/runtime/clock.ts'
import type { LedgerEntry } from '../../../actors/runtime/commit.ts'
import { ed25519Identity, generateKeys, type KeyPair } from '../../../actors/runtime/identity.ts'
import { type BatchUser, batchUser } from '../../../adapters/embedded/batch-client.ts'
import { endBatchServer, spawnBatchServer } from '../../../adapters/embedded/batch-server.ts'
import { freePorts } from '../../../deploy/labs/free-ports.ts'
import { SubletProcess } from '../../../deploy/labs/sublet-process.ts'
import { openLedgers, verifyAll } from '../../../deploy/reports/ledgers.ts'
import { Puppet } from './puppet.ts'

const CLI = fileURLToPath(new URL('../../../deploy/bin.js', import.meta.url))
const UNTIL_MS = 30_000

export type Place = 'broker' | 'site' | 'manager'
const ROLE = { broker: 'broker', site: 'site', manager: 'service-manager' } as const

export interface WorldOptions {
  /** Actors in processes of their own. */
  readonly live: readonly Place[]
  /** Actors that the test plays: what they are. */
  readonly played: Readonly<Record<string, Place>>
  /** Units that the site lends. */
  readonly units?: number
  readonly termSeconds?: number
  /** Whom the managers ask; what the site lends to. */
  readonly sections?: Readonly<Record<string, object>>
  /** Of every configuration, beside its sections. */
  readonly common?: object
}

/** Live processes that speak over HTTP on loopback, and actors that the test plays, who trust each other's keys. */
export class World {
  readonly dir: string
  readonly #options: WorldOptions
  readonly processes: Partial<Record<Place, SubletProcess>> = {}
  readonly puppets: Record<string, Puppet> = {}
  readonly keys: Record<string, KeyPair> = {}
  readonly ports: Record<string, number> = {}
  #user: BatchUser | undefined

  constructor(options: WorldOptions) {
    this.#options = options
    // Short, for the sockets in it.
    this.dir = mkdtempSync(join(tmpdir(), 'hostile-'))
  }

  async open(): Promise<void> {
    const { live, played } = this.#options
    const names = [...live, ...Object.keys(played)]
    const ports = await freePorts(names.length)
    for (const [i, name] of names.entries()) {
      this.ports[name] = ports[i]!
      this.keys[name] = generateKeys()
    }
    let socket = ''
    if (live.includes('manager')) {
      socket = (await spawnBatchServer(join(this.dir, 'b'), {}, clock)).socket
      this.#user = batchUser(socket, clock)
    }
    for (const name of Object.keys(played)) {
      const peers = names.filter((one) => one !== name).map((one) => this.#wayTo(one))
      this.puppets[name] = new Puppet(name, this.keys[name]!.privateKey, this.ports[name]!, peers)
      await this.puppets[name]!.open()
    }
    for (const name of live) {
      mkdirSync(join(this.dir, name, 'keys'), { recursive: true, mode: 0o700 })
      writeFileSync(join(this.dir, name, 'keys', `${name}.key`), this.keys[name]!.privateKey, { mode: 0o600 })
      // JSON is YAML, too.
      const file = join(this.dir, `${name}.yaml`)
      writeFileSync(file, JSON.stringify(this.#configuration(name, socket)))
      const env = { NODE_COMPILE_CACHE: join(this.dir, 'compiled') }
      const process = new SubletProcess(join(this.dir, name), join(this.dir, `${name}.out`), clock, env)
      process.run([CLI, 'start', '--config', file])
      this.processes[name] = process
    }
    await Promise.all(Object.values(this.processes).map((process) => process.up()))
  }

  async close(keep: boolean): Promise<void> {
    await Promise.all(Object.values(this.processes).map((process) => process.kill()))
    await Promise.all(Object.values(this.puppets).map((puppet) => puppet.close()))
    await this.#user?.close()
    if (this.#user !== undefined) await endBatchServer(join(this.dir, 'b'), clock)
    if (!keep) rmSync(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }

  configOf(name: Place): string {
    return join(this.dir, `${name}.yaml`)
  }

  urlOf(name: string): string {
    return `http://127.0.0.1:${this.ports[name]}`
  }

  async submit(seconds: number): Promise<string> {
    return this.#user!.submit({
      command: `sleep ${seconds}`,
      ...{ cpusPerNode: 2, memoryMiBPerNode: 256, walltimeMs: 120_000 },
    })
  }

  async jobState(id: string): Promise<string | undefined> {
    return (await this.#user!.jobRecords()).find((job) => job.id === id)?.state
  }

  async until<T>(what: string, look: () => Promise<T> | T, holds: (value: T) => boolean): Promise<T> {
    const end = clock.monotonic() + UNTIL_MS
    for (;;) {
      const value = await look()
      if (holds(value)) return value
      if (clock.monotonic() > end) throw new Error(`not in time: ${what}; it is ${JSON.stringify(value)}`)
      await sleep(clock, 50)
    }
  }

  /**
   * The rows of the mind of a live actor, as they are on disk, but for what goes on by itself: lists of machines and
   * probes, and when the next is due.
   */
  rows(name: Place): Readonly<Record<string, unknown>> {
    const rows = this.allRows(name)
    // How often somebody asked is counted, and forgotten a minute later.
    const held = Object.entries(rows).filter(([key]) => !key.startsWith('$') && !key.startsWith('asker '))
    return Object.fromEntries(
      held.map(([key, row]) => {
        if (!key.startsWith('site ') && !key.startsWith('unit ')) return [key, row]
        const changing = ['due', 'sweeping', 'doing', 'probedAt', 'listedAt', 'unlistedSince']
        return [
          key,
          Object.fromEntries(Object.entries(row as object).filter(([of]) => !changing.includes(of))),
        ]
      }),
    )
  }

  allRows(name: Place): Readonly<Record<string, unknown>> {
    const database = new DatabaseSync(join(this.dir, name, `${name}.db`), { readOnly: true })
    try {
      const found = database.prepare('SELECT tbl, id, json FROM row').all()
      return Object.fromEntries(
        found.map(({ tbl, id, json }) => [`${tbl} ${id}`, JSON.parse(String(json)) as unknown]),
      )
    } finally {
      database.close()
    }
  }

  ledger(name: Place, subject?: string): Promise<readonly LedgerEntry[]> {
    const more = subject === undefined ? '' : `&subject=${encodeURIComponent(subject)}`
    const client = this.processes[name]!.client
    return client.get(`/ledger?limit=10000${more}`) as Promise<readonly LedgerEntry[]>
  }

  /** What a live actor wrote down of a kind, about a subject. */
  async notes(name: Place, kind: string, subject: string): Promise<readonly string[]> {
    const lines = await this.ledger(name, subject)
    return lines.filter((line) => line.kind === kind).map(({ reason }) => reason)
  }

  /** From the databases, also while the process runs. */
  async faults(name: Place): Promise<readonly string[]> {
    const { ledgers, close } = await openLedgers(join(this.dir, name))
    try {
      return (await verifyAll(ledgers)).flatMap(({ faults }) => faults.map(({ sentence }) => sentence))
    } finally {
      await close()
    }
  }

  #wayTo(name: string) {
    return { name, url: this.urlOf(name), poll: false, notFor: [] }
  }

  #roleOf(name: string): Place {
    return this.#options.played[name] ?? (name as Place)
  }

  #configuration(name: Place, socket: string): object {
    const { live, played, units = 4, termSeconds = 600, sections = {}, common: more = {} } = this.#options
    const others = [...live, ...Object.keys(played)].filter((one) => one !== name)
    const peers = others.map((one) => ({
      ...{ name: one, role: ROLE[this.#roleOf(one)], url: this.urlOf(one) },
      key: ed25519Identity(one, this.keys[one]!.privateKey).key,
    }))
    const common = {
      ...{ name, dir: join(this.dir, name), skewMax: '500ms' },
      ...{ listen: { port: this.ports[name] }, peers, ...more },
    }
    const own = sections[name] ?? {}
    switch (name) {
      case 'broker':
        return { ...common, broker: { name, batch: '50ms', quarantine: '10s', answer: '60s', ...own } }
      case 'site':
        return { ...common, site: { ...siteOf(this.dir, units), ...own } }
      case 'manager':
        return { ...common, ...managerOf(socket, units, termSeconds), ...own }
    }
  }
}

const siteOf = (dir: string, units: number) => ({
  ...{ name: 'site', broker: 'broker' },
  hosts: [
    { name: 'host-a', cpu: 2 * units, memoryMiB: 8192 },
    { name: 'host-b', cpu: 2 * units, memoryMiB: 8192 },
  ],
  types: { 'vm.small': { cpu: 2, memoryMiB: 1024, image: 'plain', units } },
  machines: { kind: 'process', dir: join(dir, 'm') },
  terms: { max: '1h', grace: '30s', recallable: true, notice: '2s' },
  names: { prefix: 'vm', slots: 2 * units },
  timing: { setup: '20s', probeEvery: '10s', sweepEvery: '3s', backoff: '1s', retry: '1s', answer: '60s' },
})

const managerOf = (socket: string, max: number, termSeconds: number) => ({
  serviceManager: {
    ...{ name: 'manager', broker: 'broker', leaveBudget: '2s', join: '20s', leave: '10s', ask: '60s' },
    ...{ retry: '1s', poll: '1s', lookTimeout: '5s', quarantine: '10s', answer: '60s' },
  },
  guests: [
    {
      ...{ name: 'batch', batch: { kind: 'embedded', socket }, join: { kind: 'embedded' } },
      controller: {
        ...{ kind: 'groc', type: 'vm.small', unit: { cpus: 2, memoryMiB: 1024 }, max, step: 2 },
        ...{ grow: { wait: '0s', run: '2s' }, shrink: { idle: '2s' }, term: `${termSeconds}s` },
        ...{ retry: { first: '1s', most: '1s' }, settle: '0s', missing: '10s', every: '1s' },
      },
    },
  ],
})
