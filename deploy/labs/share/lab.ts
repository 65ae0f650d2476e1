import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Clock, deadline, type Millis, sleep } from '../../../actors/runtime/clock.ts'
import { SubletError } from '../../../actors/runtime/errors.ts'
import { localExecutor } from '../../../adapters/exec/local.ts'
import type { Executor } from '../../../adapters/executor.ts'
import { OwnKeys } from '../../peers/keys.ts'
import { type LedgerVerdict, openLedgers, verifyAll } from '../../reports/ledgers.ts'
import { freePorts } from '../free-ports.ts'
import { gridengineEnv } from '../gridengine/lab.ts'
import { type Leftovers, leftoversOf, RUN_VARIABLE } from '../leftovers.ts'
import { type LabGround, labGround, sweep } from '../namespaces.ts'
import { HEAD_ADDRESS, hostsText, slotAddress, slotName } from '../slurm/conf.ts'
import { slurmEnv } from '../slurm/lab.ts'
import { MachineGroups, machinePrefix } from '../slurm/machine-groups.ts'
import { SubletProcess } from '../sublet-process.ts'
import { machinesSeen, OutsideCount, SIDES, type SideName } from './outside.ts'
import { gridengineSide, type Side, slurmSide } from './sides.ts'
import { PLACES, type Place, shareTexts } from './site-texts.ts'

const CLI = fileURLToPath(new URL('../../cli.ts', import.meta.url))
const LOOK_MS: Millis = 100
const POLL_MS: Millis = 100
/** Slots of the machines of the fixed split lie above those of the rack. */
const FIXED_SLOTS = 30

export interface ShareOptions {
  readonly clock: Clock
  readonly machines: number
  readonly weights: Readonly<Record<SideName, number>>
  readonly min: number
  readonly termSeconds: number
}

/**
 * A real Slurm and a real GridEngine on one ground, a Sublet of three processes, and what looks at them from outside:
 *
 *   DIR/lab/s, DIR/lab/g                what Slurm and GridEngine keep       DIR/lab/notes/SIDE   what jobs note
 *   DIR/rack, DIR/slurm, DIR/gridengine   Sublet's work folders, with a configuration DIR/NAME.yaml each
 */
export class ShareLab {
  readonly dir: string
  readonly count = new OutsideCount()
  readonly sides: Readonly<Record<SideName, Side>>
  readonly #options: ShareOptions
  readonly #runId: string
  readonly #exec: Executor
  readonly #ground: LabGround
  readonly #groups: MachineGroups
  readonly #processes: Readonly<Record<Place, SubletProcess>>
  readonly #slurm: ReturnType<typeof slurmSide>
  readonly #gridengine: ReturnType<typeof gridengineSide>
  readonly #stop = new AbortController()
  #watching: Promise<void> = Promise.resolve()

  constructor(options: ShareOptions) {
    const { clock } = options
    this.#options = options
    this.dir = mkdtempSync(join(tmpdir(), 'share-'))
    chmodSync(this.dir, 0o755)
    this.#runId = this.dir
      .slice(-6)
      .toLowerCase()
      .replaceAll(/[^a-z0-9]/g, '0')
    process.env[RUN_VARIABLE] = this.#runId
    this.#exec = localExecutor({ clock })
    this.#groups = new MachineGroups(machinePrefix(this.#runId))
    const at = (path: string): string => join(this.#labDir, path)
    for (const folder of ['log', 'ready', 's', 'g', 'notes']) mkdirSync(at(folder), { recursive: true })
    this.#ground = labGround({
      ...{ dir: this.#labDir, runId: this.#runId, exec: this.#exec, clock },
      ...{ headAddress: HEAD_ADDRESS, hostsFile: this.#hostsFile },
      env: { ...slurmEnv(at('s')), ...gridengineEnv(at('g')) },
    })
    const common = { runId: this.#runId, exec: this.#exec, clock, ground: this.#ground }
    this.#slurm = slurmSide({ ...common, dir: at('s'), notes: at('notes/slurm') })
    this.#gridengine = gridengineSide({ ...common, dir: at('g'), notes: at('notes/gridengine') })
    this.sides = { slurm: this.#slurm, gridengine: this.#gridengine }
    const env = { NODE_COMPILE_CACHE: join(this.dir, 'compiled') }
    const place = (name: Place): SubletProcess =>
      new SubletProcess(join(this.dir, name), join(this.dir, `${name}.out`), clock, env)
    this.#processes = { rack: place('rack'), slurm: place('slurm'), gridengine: place('gridengine') }
  }

  get signal(): AbortSignal {
    return this.#stop.signal
  }

  get #labDir(): string {
    return join(this.dir, 'lab')
  }

  get #hostsFile(): string {
    return join(this.#labDir, 'hosts')
  }

  /** Both middleware, without a machine. */
  async up(): Promise<void> {
    this.#ground.notes.write({ kind: 'run', runId: this.#runId })
    writeFileSync(this.#hostsFile, hostsText())
    await this.#ground.up(this.signal)
    await Promise.all(SIDES.map((name) => this.sides[name].up(this.signal)))
  }

  /** While `work` goes on, each has half of the machines for good, without Sublet. */
  async withFixedSplit(work: () => Promise<void>): Promise<void> {
    const half = this.#options.machines / 2
    const names = await Promise.all(
      Array.from({ length: 2 * half }, async (_, i) => {
        const slot = FIXED_SLOTS + i
        return this.#ground.machine(slotName(slot), slotAddress(slot), this.signal)
      }),
    )
    const parts = SIDES.map((name, i) => ({
      side: this.sides[name],
      machines: names.slice(i * half, (i + 1) * half),
    }))
    await Promise.all(
      parts.map(async ({ side, machines }) => {
        for (const { name } of machines) await side.addFixed(name, this.signal)
      }),
    )
    await work()
    await Promise.all(
      parts.map(async ({ side, machines }) => {
        for (const machine of machines) {
          await machine.kill()
          await side.removeFixed(machine.name, this.signal)
        }
      }),
    )
  }

  /** Sublet's three processes; from now on the outside count looks. */
  async startSublet(): Promise<void> {
    const { clock, ...options } = this.#options
    const privateKeyFile = join(this.dir, 'guest-key')
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', privateKeyFile])
    const keys = (place: Place, names: readonly string[]): OwnKeys =>
      new OwnKeys(join(this.dir, place, 'keys'), names, clock)
    const rack = keys('rack', ['broker', 'rack'])
    const [rackPort, slurmPort, gridenginePort] = await freePorts(3)
    const texts = shareTexts({
      ...options,
      ...{ runId: this.#runId, dir: this.dir, labDir: this.#labDir, hostsFile: this.#hostsFile },
      ...{ netns: this.#ground.netns, slurm: this.#slurm.lab, gridengine: this.#gridengine.lab },
      ports: { rack: rackPort!, slurm: slurmPort!, gridengine: gridenginePort! },
      keys: {
        rack: rack.identity('rack').key,
        broker: rack.identity('broker').key,
        slurm: keys('slurm', ['slurm']).identity('slurm').key,
        gridengine: keys('gridengine', ['gridengine']).identity('gridengine').key,
      },
      guestKey: { privateKeyFile, publicKey: readFileSync(`${privateKeyFile}.pub`, 'utf8').trim() },
    })
    this.#watching = this.#watch()
    for (const place of PLACES) {
      const file = join(this.dir, `${place}.yaml`)
      writeFileSync(file, texts[place])
      this.#processes[place].run([CLI, 'start', '--config', file])
    }
    await Promise.all(PLACES.map((place) => this.#processes[place].up()))
  }

  async until(what: string, holds: () => boolean | Promise<boolean>, withinMs: Millis): Promise<void> {
    const late = (): Error => new SubletError('deadline-missed', `not within ${withinMs / 1000} s: ${what}`)
    const limit = deadline(this.#options.clock, withinMs, late, this.signal)
    try {
      while (!(await holds())) await sleep(this.#options.clock, POLL_MS, limit.signal)
    } finally {
      limit.done()
    }
  }

  /** All give back and end. */
  async release(): Promise<void> {
    await Promise.all(SIDES.map((name) => this.#processes[name].end(true)))
    await this.#processes.rack.end(false)
  }

  /** Of all four actors, when their processes have ended. */
  async verdicts(): Promise<readonly LedgerVerdict[]> {
    const verdicts: LedgerVerdict[] = []
    for (const place of PLACES) {
      const { ledgers, close } = await openLedgers(join(this.dir, place))
      try {
        verdicts.push(...(await verifyAll(ledgers)))
      } finally {
        await close()
      }
    }
    return verdicts
  }

  /** Machines that still have a process. */
  machinesLeft(): number {
    return this.#groups.running().size
  }

  /** Ends everything, whatever state it is in; may be repeated. */
  async down(keep: boolean): Promise<void> {
    this.#stop.abort(new SubletError('not-running', 'the lab ends'))
    await this.#watching
    await Promise.all(PLACES.map((place) => this.#processes[place].kill()))
    await sweep(this.#labDir, { exec: this.#exec, clock: this.#options.clock })
    this.#groups.removeEmpty()
    if (!keep) rmSync(this.dir, { recursive: true, force: true })
  }

  leftovers(): Leftovers {
    return leftoversOf(this.#runId, this.dir)
  }

  async #watch(): Promise<void> {
    while (!this.signal.aborted) {
      this.count.look(this.#options.clock.now(), machinesSeen(this.#groups))
      await sleep(this.#options.clock, LOOK_MS, this.signal).catch(() => undefined)
    }
  }
}
