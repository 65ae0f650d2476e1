import { readFileSync, readlinkSync } from 'node:fs'
import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import type { MachineGroups } from '../slurm/machine-groups.ts'

/**
 * The outside count: which machines are alive, and which middleware's daemon lives in each, as the kernel has it.
 * Nothing that Sublet or a middleware says goes in.
 *
 *   /proc/PID/ns/pid, NSpid   which processes are one machine, and the birth of its first one
 *   /proc/PID/comm            slurmd, sge_execd
 *   /proc/PID/root            the host name that it was given
 */
export const SIDES = ['slurm', 'gridengine'] as const
export type SideName = (typeof SIDES)[number]

const DAEMONS: Readonly<Record<string, SideName>> = { slurmd: 'slurm', sge_execd: 'gridengine' }

export interface SeenMachine {
  /** Of this life of it: no other machine, and no later one of that name, has the same. */
  readonly id: string
  /** Empty while it is being made. */
  readonly name: string
  readonly daemons: readonly SideName[]
}

/** How many machines had a daemon of each side at one look. */
export interface Look {
  readonly at: Instant
  readonly alive: number
  readonly slurm: number
  readonly gridengine: number
}

export class OutsideCount {
  readonly looks: Look[] = []
  readonly #served = new Map<string, Set<SideName>>()
  readonly #namesOf = new Map<SideName, Set<string>>(SIDES.map((side) => [side, new Set()]))
  readonly #doubles = new Set<string>()

  look(at: Instant, machines: readonly SeenMachine[]): void {
    const names = machines.map(({ name }) => name).filter((name) => name !== '')
    for (const name of names.filter((one, i) => names.indexOf(one) !== i)) this.#doubles.add(name)
    for (const { id, name, daemons } of machines) {
      const served = this.#served.get(id) ?? new Set()
      this.#served.set(id, served)
      for (const side of daemons) {
        served.add(side)
        this.#namesOf.get(side)!.add(name)
      }
    }
    const having = (side: SideName): number => machines.filter(({ daemons }) => daemons.includes(side)).length
    this.looks.push({
      ...{ at, alive: machines.length, slurm: having('slurm'), gridengine: having('gridengine') },
    })
  }

  get aliveMost(): number {
    return Math.max(0, ...this.looks.map(({ alive }) => alive))
  }

  most(side: SideName): number {
    return Math.max(0, ...this.looks.map((look) => look[side]))
  }

  /** Machines in whose life daemons of both were there, at once or one after the other. */
  get servedBoth(): readonly string[] {
    return [...this.#served].filter(([, sides]) => sides.size > 1).map(([id]) => id)
  }

  /** Names that two machines bore at once. */
  get doubles(): readonly string[] {
    return [...this.#doubles]
  }

  get lives(): number {
    return this.#served.size
  }

  /** Names that served one side in one life and the other in another: the very same machines. */
  get sharedNames(): readonly string[] {
    const [slurm, gridengine] = SIDES.map((side) => this.#namesOf.get(side)!)
    return [...slurm!].filter((name) => gridengine!.has(name)).toSorted()
  }

  /** Machine-milliseconds of each from `from` to `to`, and the fewest machines that it had at any look between. */
  between(from: Instant, to: Instant): Readonly<Record<SideName, { held: Millis; least: number }>> {
    const within = this.looks.filter(({ at }) => at >= from && at < to)
    const of = (side: SideName): { held: Millis; least: number } => ({
      held: within.reduce((sum, look, i) => sum + look[side] * ((within[i + 1]?.at ?? to) - look.at), 0),
      least: Math.min(...(within.length === 0 ? [0] : within.map((look) => look[side]))),
    })
    return { slurm: of('slurm'), gridengine: of('gridengine') }
  }
}

/** What is there now. A process that ends meanwhile is left out. */
export function machinesSeen(groups: MachineGroups): readonly SeenMachine[] {
  const machines = new Map<string, { id: string; name: string; daemons: Set<SideName> }>()
  const processes = [...groups.running().values()].flat().flatMap(processAt)
  for (const { pid, space, birth } of processes.filter(({ isFirst }) => isFirst))
    machines.set(space, { id: `${space}@${birth}`, name: nameOf(pid), daemons: new Set() })
  for (const { space, comm } of processes) {
    const side = DAEMONS[comm]
    if (side !== undefined) machines.get(space)?.daemons.add(side)
  }
  return [...machines.values()].map(({ daemons, ...machine }) => ({ ...machine, daemons: [...daemons] }))
}

interface SeenProcess {
  readonly pid: number
  /** Its pid namespace. */
  readonly space: string
  readonly isFirst: boolean
  readonly comm: string
  /** In ticks since the boot of this host. */
  readonly birth: string
}

function processAt(pid: number): readonly SeenProcess[] {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
    const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    if (state === 'Z' || state === 'X') return []
    const ids = /^NSpid:\t(.+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]?.split('\t') ?? []
    const comm = stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'))
    const space = readlinkSync(`/proc/${pid}/ns/pid`)
    return [{ pid, space, comm, isFirst: ids.length > 1 && ids.at(-1) === '1', birth: rest[18] ?? '' }]
  } catch {
    return []
  }
}

function nameOf(pid: number): string {
  try {
    // A machine that is not yet in its own root would show the host's name.
    const root =
      readFileSync(`/proc/${pid}/root/run/sublet/order`, 'utf8') && `/proc/${pid}/root/etc/hostname`
    return readFileSync(root, 'utf8').trim()
  } catch {
    return ''
  }
}
