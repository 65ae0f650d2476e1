import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Clock, deadline, type Millis, sleep } from '../../../actors/runtime/clock.ts'
import type { LedgerEntry } from '../../../actors/runtime/commit.ts'
import { inOneLine, SubletError } from '../../../actors/runtime/errors.ts'
import { type BatchUser, batchUser } from '../../../adapters/embedded/batch-client.ts'
import type { JobRecord } from '../../../adapters/embedded/batch-records.ts'
import { endBatchServer, spawnBatchServer } from '../../../adapters/embedded/batch-server.ts'
import { processMachines } from '../../../adapters/embedded/process-machines.ts'
import { OwnKeys } from '../../peers/keys.ts'
import { entriesOf, type LedgerVerdict, openLedgers, verifyAll } from '../../reports/ledgers.ts'
import { readTrails, type Trail } from '../../reports/report.ts'
import { freePorts } from '../free-ports.ts'
import { SubletProcess } from '../sublet-process.ts'
import { Sightings } from './marks.ts'
import { configurations, type Place, ROLES } from './site-texts.ts'

const CLI = fileURLToPath(new URL('../../cli.ts', import.meta.url))
const LOOK_MS: Millis = 100

export interface FederationOptions {
  readonly clock: Clock
  readonly poolMax: number
  readonly termSeconds: number
}

/**
 * Broker, site and service manager, a process each, and what looks at them from outside:
 *
 *   DIR/broker, DIR/site, DIR/manager   the work folders, with a configuration DIR/NAME.yaml each
 *   DIR/m                               the site's machines        DIR/b         the embedded batch system
 *   DIR/observer                        each job writes there      DIR/NAME.out  what a process printed
 */
export class Federation {
  readonly dir: string
  readonly processes: Readonly<Record<Place, SubletProcess>>
  /** Two machines of one name that were there at once. */
  readonly doubles = new Set<string>()
  readonly sightings = new Sightings()
  readonly jobs: string[] = []
  readonly #options: FederationOptions
  readonly #stop = new AbortController()
  #user: BatchUser | undefined
  #watching: Promise<void> = Promise.resolve()
  peak = 0

  constructor(options: FederationOptions) {
    this.#options = options
    // Short, for the sockets in it.
    this.dir = mkdtempSync(join(tmpdir(), 'fed-'))
    const env = { NODE_COMPILE_CACHE: join(this.dir, 'compiled') }
    const process = (name: Place): SubletProcess =>
      new SubletProcess(join(this.dir, name), join(this.dir, `${name}.out`), options.clock, env)
    this.processes = { broker: process('broker'), site: process('site'), manager: process('manager') }
  }

  get signal(): AbortSignal {
    return this.#stop.signal
  }

  /** Resolves when all three answer. */
  async up(): Promise<void> {
    const { clock, poolMax, termSeconds } = this.#options
    mkdirSync(join(this.dir, 'observer'))
    const { socket } = await spawnBatchServer(join(this.dir, 'b'), {}, clock)
    this.#user = batchUser(socket, clock)
    const keyOf = (name: Place): string =>
      new OwnKeys(join(this.dir, name, 'keys'), [name], clock).identity(name).key
    const [broker, site, manager] = await freePorts(3)
    const texts = configurations({
      ...{ dir: this.dir, socket, poolMax, termSeconds },
      ports: { broker: broker!, site: site!, manager: manager! },
      keys: { broker: keyOf('broker'), site: keyOf('site'), manager: keyOf('manager') },
    })
    for (const name of ROLES) {
      const file = join(this.dir, `${name}.yaml`)
      writeFileSync(file, texts[name])
      this.processes[name].run([CLI, 'start', '--config', file])
    }
    await Promise.all(ROLES.map((name) => this.processes[name].up()))
    this.#watching = this.#watch()
  }

  /** Writes its id and attempt when it begins, and when it is done, into a file of its own. */
  async submit(seconds: number): Promise<string> {
    const file = `'${join(this.dir, 'observer')}'/$SUBLET_JOB_ID`
    const line = '"$SUBLET_JOB_ID $SUBLET_JOB_ATTEMPT'
    const id = await this.#user!.submit({
      command: `echo ${line}" >>${file}; sleep ${seconds}; echo ${line} done" >>${file}`,
      ...{ cpusPerNode: 2, memoryMiBPerNode: 256, walltimeMs: 60_000 },
    })
    this.jobs.push(id)
    return id
  }

  records(): Promise<readonly JobRecord[]> {
    return this.#user!.jobRecords()
  }

  trails(): ReadonlyMap<string, Trail> {
    return readTrails(join(this.dir, 'observer'))
  }

  async until(what: string, withinMs: Millis, holds: () => boolean | Promise<boolean>): Promise<void> {
    const late = (): Error => new SubletError('deadline-missed', `not within ${withinMs / 1000} s: ${what}`)
    const limit = deadline(this.#options.clock, withinMs, late, this.signal)
    try {
      while (!(await holds())) await sleep(this.#options.clock, LOOK_MS, limit.signal)
    } finally {
      limit.done()
    }
  }

  /** The machines that are there, whatever the actors believe. */
  async machines(): Promise<
    readonly { readonly unitId: string; readonly leaseId: string; readonly name: string }[]
  > {
    const { clock } = this.#options
    const handler = processMachines(
      { dir: join(this.dir, 'm'), bootMs: [0, 0], images: {} },
      { clock, random: () => 0, nonce: () => 'observer' },
    )
    return existsSync(join(this.dir, 'm')) ? handler.list(AbortSignal.timeout(10_000)) : []
  }

  /** All give back and end; what is then left over. */
  async release(): Promise<void> {
    await this.processes.manager.end(true)
    await Promise.all([this.processes.broker.end(false), this.processes.site.end(false)])
  }

  /** Of all three, from the databases. */
  async verdicts(): Promise<readonly LedgerVerdict[]> {
    const verdicts: LedgerVerdict[] = []
    for (const name of ROLES) {
      const { ledgers, close } = await openLedgers(join(this.dir, name))
      try {
        verdicts.push(...(await verifyAll(ledgers)))
      } finally {
        await close()
      }
    }
    return verdicts
  }

  /** What one of them wrote, oldest first; only when its process has ended. */
  async entries(name: Place): Promise<readonly LedgerEntry[]> {
    const { ledgers, close } = await openLedgers(join(this.dir, name))
    try {
      return (await Promise.all(ledgers.map((ledger) => entriesOf(ledger)))).flat()
    } finally {
      await close()
    }
  }

  /** Living processes whose folder or command line is in this one, but for the batch system. */
  leftovers(): readonly string[] {
    return processesIn(this.dir).filter((line) => !line.includes('batch-server'))
  }

  async down(keep: boolean): Promise<void> {
    this.#stop.abort(new Error('the lab ends'))
    await this.#watching
    await Promise.all(ROLES.map((name) => this.processes[name].kill()))
    await this.#user?.close()
    await endBatchServer(join(this.dir, 'b'), this.#options.clock)
    for (const line of processesIn(this.dir)) end(Number(line.split(' ')[0]))
    if (!keep) rmSync(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }

  async #watch(): Promise<void> {
    while (!this.signal.aborted) {
      const at = this.#options.clock.now()
      try {
        const machines = await this.machines()
        this.sightings.look(at, machines)
        const names = machines.flatMap(({ name }) => (name === '' ? [] : [name]))
        this.peak = Math.max(this.peak, names.length)
        for (const name of names.filter((one, i) => names.indexOf(one) !== i)) this.doubles.add(name)
      } catch (error) {
        this.sightings.failed(inOneLine(error))
      }
      await sleep(this.#options.clock, 2 * LOOK_MS, this.signal).catch(() => undefined)
    }
  }
}

function processesIn(dir: string): readonly string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((pid) => {
      try {
        const cwd = readlinkSync(`/proc/${pid}/cwd`)
        const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim()
        const state = /\) (\S)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1]
        return (cwd.startsWith(dir) || words.includes(dir)) && state !== 'Z' ? [`${pid} ${words}`] : []
      } catch {
        // It has ended meanwhile.
        return []
      }
    })
}

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has ended by itself.
  }
}
