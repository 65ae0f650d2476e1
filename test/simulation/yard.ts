import { type Clock, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { Random } from '../../actors/runtime/random.ts'
import type { LeaveOutcome, MemberEffectArgs } from '../../actors/service-manager/membership.ts'
import type { Faults } from './faults.ts'
import type { Machine } from './machines.ts'
import type { World } from './world.ts'

/** Where the machines of a rover work: half of them have something to do for a while, and are busy until then. */
export class Yard {
  readonly #world: World
  readonly #random: Random
  readonly #faults: () => Faults
  readonly #machineOf: (unitId: string) => Machine | undefined
  readonly #drained = new Set<string>()

  constructor(
    world: World,
    random: Random,
    faults: () => Faults,
    machineOf: (unitId: string) => Machine | undefined,
  ) {
    this.#world = world
    this.#random = random
    this.#faults = faults
    this.#machineOf = machineOf
  }

  async perform(clock: Clock, verb: string, args: MemberEffectArgs, signal: AbortSignal): Promise<unknown> {
    const { unitId, name } = args.unit
    await sleep(clock, 5 + this.#random.int(verb === 'join' ? 300 : 60), signal)
    const machine = this.#machineOf(unitId)
    switch (verb) {
      case 'join': {
        if (!machine?.running) throw new SubletError('machine-unreachable', `${name} does not answer`)
        if (this.#world.strikes('joinFails', this.#faults().joinFails, this.#random))
          throw new SubletError('middleware-refused', 'the registration failed')
        if (machine.jobs.size === 0 && this.#random.next() < 0.5) this.#work(unitId, machine)
        return
      }
      case 'drain':
        return void this.#drained.add(unitId)
      case 'resume':
        return void this.#drained.delete(unitId)
      case 'leave':
        return this.#leave(unitId, machine, args.requeue)
      case 'lost':
        if (args.alive !== true) machine?.jobs.clear()
        else if ((machine?.jobs.size ?? 0) > 0) throw new SubletError('node-busy', `${name} works`)
        return
    }
  }

  #work(unitId: string, machine: Machine): void {
    const job = `work of ${unitId}`
    machine.jobs.add(job)
    this.#world.after(500 + this.#random.int(this.#random.next() < 0.2 ? 90_000 : 15_000), () => {
      machine.jobs.delete(job)
      if (machine.running && !this.#drained.has(unitId) && this.#random.next() < 0.4)
        this.#work(unitId, machine)
    })
  }

  #leave(unitId: string, machine: Machine | undefined, requeue: boolean): LeaveOutcome {
    this.#drained.add(unitId)
    if (requeue) machine?.jobs.clear()
    const jobs = machine?.running === true ? [...machine.jobs] : []
    return jobs.length > 0 ? { kind: 'busy', jobs } : { kind: 'left' }
  }
}
