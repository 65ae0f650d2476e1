import { type Clock, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { Random } from '../../actors/runtime/random.ts'
import type { FoundMachine, Handler, UnitSpec } from '../../adapters/handler.ts'
import type { Faults } from './faults.ts'
import type { World } from './world.ts'

/** One machine of the simulated site. It outlives the actors, as real ones do. */
export interface Machine {
  readonly spec: UnitSpec
  running: boolean
  ready: boolean
  endsAt: number
  /** Of the term that it was told of last. */
  graceMs: number
  /** It stands still until then. */
  frozenUntil: number
  /** Jobs that run there, by the middleware's account. */
  readonly jobs: Set<string>
  /** Called once, when it ends in whatever way. */
  onEnd: () => void
}

/** What each host of a simulated site has. */
export const HOST_CAPACITY = { cpu: 2, memoryMiB: 2048 }

/** Everything that is plugged in at the simulated site, and the handler that works on it. */
export class Site {
  readonly machines = new Map<string, Machine>()
  readonly #world: World
  readonly #random: Random
  readonly #faults: () => Faults
  /** Sentences about things that must never happen. */
  readonly violations: string[] = []
  killedWithWork = 0
  /** After a power cut of the room nothing is answered before the one, and nothing comes up before the other. */
  #darkUntil = 0
  #barrenUntil = 0
  /** From when on a unit may be ended whatever runs there, because the owner wants it back. */
  takenFrom: (unitId: string) => number | undefined = () => undefined

  constructor(world: World, random: Random, faults: () => Faults) {
    this.#world = world
    this.#random = random
    this.#faults = faults
  }

  running(): Machine[] {
    return [...this.machines.values()].filter((machine) => machine.running)
  }

  byName(name: string): Machine | undefined {
    return this.running().find((machine) => machine.spec.name === name)
  }

  /** The power goes. */
  kill(machine: Machine): void {
    if (!machine.running) return
    machine.running = false
    machine.ready = false
    machine.onEnd()
  }

  /** All of them at once. */
  cutPower(darkMs: number, barrenMs: number): void {
    for (const machine of this.running()) this.kill(machine)
    this.#darkUntil = this.#world.now + darkMs
    this.#barrenUntil = this.#darkUntil + barrenMs
  }

  handler(clock: Clock): Handler {
    const wait = async (ms: number, signal: AbortSignal): Promise<void> => {
      await sleep(clock, ms, signal)
      if (this.#world.now < this.#darkUntil)
        throw new SubletError('machine-unreachable', 'the hosts do not answer yet')
    }
    const between = (low: number, high: number): number => low + this.#random.int(high - low)
    const chance = (of: keyof Faults): boolean => this.#world.strikes(of, this.#faults()[of], this.#random)
    return {
      kind: 'simulated',
      check: async () => [],
      setup: async (spec, signal) => {
        await wait(between(5, 50), signal)
        const machine = this.machines.get(spec.unitId)?.running
          ? this.machines.get(spec.unitId)!
          : this.#plugIn(spec)
        if (!machine.ready) {
          if (chance('setupHangs')) await wait(10 ** 9, signal)
          await wait(between(200, 3_000), signal)
          if (this.#world.now < this.#barrenUntil)
            throw new SubletError('machine-setup', `${spec.name} waits for its home folders`)
          if (chance('setupFails')) throw new SubletError('machine-setup', `${spec.name} did not boot`)
        }
        if (!machine.running) throw new SubletError('machine-setup', `${spec.name} died while it booted`)
        machine.ready = true
        if (chance('machineHangs'))
          this.#world.after(between(100, 60_000), () => {
            machine.frozenUntil = this.#world.now + between(1_000, 90_000)
          })
        if (chance('machineDies')) this.#world.after(between(100, 60_000), () => this.kill(machine))
        return { address: spec.name }
      },
      probe: async (spec, { onlyIdle }, signal) => {
        await wait(between(5, 100), signal)
        const machine = this.machines.get(spec.unitId)
        if (machine?.running === false && chance('lies')) return { kind: 'passed' }
        if (!machine?.running) throw new SubletError('machine-unreachable', `${spec.name} does not answer`)
        await this.#thawed(machine, wait, signal)
        if (onlyIdle && machine.jobs.size > 0) return { kind: 'busy' }
        return chance('probeFails')
          ? { kind: 'failed', command: 'true', reason: 'exit 1' }
          : { kind: 'passed' }
      },
      modify: async (spec, signal) => {
        await wait(between(2, 20), signal)
        const machine = this.machines.get(spec.unitId)
        if (!machine?.running) throw new SubletError('machine-unreachable', `${spec.name} does not answer`)
        await this.#thawed(machine, wait, signal)
        machine.endsAt = spec.endsAt
        machine.graceMs = spec.graceMs
        this.#deadMan(machine)
      },
      teardown: async (spec, { force }, signal) => {
        await wait(between(20, 300), signal)
        const machine = this.machines.get(spec.unitId)
        if (machine?.running && machine.jobs.size > 0) {
          if (!force) return { kind: 'busy', what: [...machine.jobs].join(' ') }
          const taken = this.takenFrom(spec.unitId) ?? Number.POSITIVE_INFINITY
          const last = Math.min(machine.endsAt + machine.graceMs, taken)
          if (this.#world.now < last - 5_000)
            this.violations.push(
              `${spec.name} (${spec.unitId}) was ended while ${[...machine.jobs].join(' ')} ran there, ${last - this.#world.now} ms early`,
            )
          this.killedWithWork++
        }
        if (chance('teardownFails')) throw new SubletError('machine-teardown', `${spec.name} would not go`)
        if (machine !== undefined) this.kill(machine)
        this.machines.delete(spec.unitId)
        return { kind: 'gone' }
      },
      list: async (signal) => {
        // A picture is as old as its first look: what ends while the others are looked at is still in it.
        const found = [...this.machines.values()].map(
          ({ spec, running, endsAt, graceMs }): FoundMachine => ({
            unitId: spec.unitId,
            leaseId: spec.leaseId,
            name: spec.name,
            running: chance('lies') ? !running : running,
            ...{ slot: spec.slot, host: spec.host, vector: spec.vector, endsAt, graceMs },
          }),
        )
        await wait(between(5, 500), signal)
        return found
      },
    }
  }

  /** What is asked of a frozen machine is answered when it has come back, if anybody still waits. */
  async #thawed(
    machine: Machine,
    wait: (ms: number, signal: AbortSignal) => Promise<void>,
    signal: AbortSignal,
  ): Promise<void> {
    while (machine.frozenUntil > this.#world.now) await wait(machine.frozenUntil - this.#world.now, signal)
  }

  #plugIn(spec: UnitSpec): Machine {
    const other = this.running().find((machine) => machine.spec.slot === spec.slot)
    if (other !== undefined)
      this.violations.push(`slot ${spec.slot} runs ${other.spec.unitId} and ${spec.unitId}`)
    const beside = this.running().filter((machine) => machine.spec.host === spec.host)
    const cpus = [spec, ...beside.map((machine) => machine.spec)].reduce(
      (sum, { vector }) => sum + (vector.cpu ?? 0),
      0,
    )
    if (cpus > HOST_CAPACITY.cpu)
      this.violations.push(
        `${spec.host} runs ${spec.unitId} beside ${beside.map((m) => m.spec.unitId).join(' ')}`,
      )
    const machine: Machine = {
      spec,
      running: true,
      ready: false,
      endsAt: spec.endsAt,
      graceMs: spec.graceMs,
      frozenUntil: 0,
      jobs: new Set(),
      onEnd: () => undefined,
    }
    this.machines.set(spec.unitId, machine)
    this.#deadMan(machine)
    return machine
  }

  /** Ends the machine after its lease when nothing runs there, or when the grace is over. */
  #deadMan(machine: Machine): void {
    const inMs = Math.max(1, machine.endsAt - this.#world.now)
    this.#world.after(inMs, () => {
      if (!machine.running || this.#world.now < machine.endsAt) return
      if (machine.jobs.size === 0 || this.#world.now >= machine.endsAt + machine.graceMs)
        return this.kill(machine)
      this.#world.after(1_000, () => this.#deadMan(machine))
    })
  }
}
