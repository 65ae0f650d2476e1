import { type Clock, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { FoundMachine, Handler, UnitSpec } from '../../adapters/handler.ts'

const SETUP_MS = 1_000

/** The machines of a scene's site: they come up within a second, unless the script says otherwise. */
export class Machines {
  readonly running = new Map<string, UnitSpec>()
  /** Setups that are still to fail. */
  setupFailures = 0
  /** Pushes of a new end or new properties that are still to fail. */
  modifyFailures = 0
  /** When each setup was begun. */
  readonly starts: number[] = []
  /** What the room lacks after a power cut: the driver itself, or what machines need to come up. */
  lacks: 'the driver' | 'what boots need' | undefined
  /** Machines that take no push. */
  readonly deaf = new Set<string>()
  /** What runs on a machine, by its name: a teardown without force finds it busy. */
  readonly work = new Set<string>()
  /** ... whoever knows it. */
  isBusy = (name: string): boolean => this.work.has(name)

  /** The machine of this name is gone, without a word. */
  die(name: string): void {
    for (const [id, spec] of this.running) if (spec.name === name) this.running.delete(id)
  }

  /** The power of the room goes: no machine is left. */
  dieAll(): void {
    this.running.clear()
  }

  handler(clock: Clock): Handler {
    const driver = (): void => {
      if (this.lacks === 'the driver')
        throw new SubletError('machine-unreachable', 'the hypervisor does not answer')
    }
    return {
      kind: 'scene',
      check: async () => [],
      setup: async (spec, signal) => {
        driver()
        this.starts.push(clock.now())
        await sleep(clock, SETUP_MS, signal)
        if (this.lacks !== undefined)
          throw new SubletError('machine-setup', `${spec.name} waits for its home folders`)
        if (this.setupFailures > 0) {
          this.setupFailures--
          throw new SubletError('machine-setup', `${spec.name} did not boot`)
        }
        this.running.set(spec.unitId, spec)
        return { address: `10.0.0.${spec.slot}` }
      },
      probe: async ({ unitId, name }) =>
        this.running.has(unitId)
          ? this.isBusy(name)
            ? { kind: 'busy' }
            : { kind: 'passed' }
          : { kind: 'failed', command: 'ping', reason: `${name} does not answer` },
      modify: async (spec) => {
        driver()
        if (this.modifyFailures > 0) {
          this.modifyFailures--
          throw new SubletError('machine-unreachable', `${spec.name} does not answer`)
        }
        if (this.deaf.has(spec.name))
          throw new SubletError('machine-unreachable', `${spec.name} does not take it`)
        if (!this.running.has(spec.unitId))
          throw new SubletError('machine-unreachable', `${spec.name} is gone`)
        this.running.set(spec.unitId, spec)
      },
      teardown: async ({ unitId, name }, { force }, signal) => {
        driver()
        await sleep(clock, SETUP_MS / 2, signal)
        if (this.isBusy(name) && !force) return { kind: 'busy', what: 'a job' }
        this.running.delete(unitId)
        return { kind: 'gone' }
      },
      list: async () => {
        driver()
        return [...this.running.values()].map(
          ({ unitId, leaseId, name }): FoundMachine => ({ unitId, leaseId, name, running: true }),
        )
      },
    }
  }
}
