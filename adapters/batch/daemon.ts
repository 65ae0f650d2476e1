import type { Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { NodeMark } from '../batch-system.ts'
import type { Executor, Finished } from '../executor.ts'
import type { UnitFacts } from '../handler.ts'
import type { JoinHandler, JoinUnit } from '../join.ts'

/**
 * The node daemon of a batch system, and two shell scripts that start and end it inside a machine, which may
 * have no more than a shell. Both say on stderr why they could not, and end with another code than 0.
 */
export interface NodeDaemon {
  /** As an admin calls it, such as slurmd. */
  readonly name: string
  readonly env: Readonly<Record<string, string>>
  /** Throws if the machine will not do: nothing is started there then. */
  readonly examine?: (unit: JoinUnit, machine: Executor, signal: AbortSignal) => Promise<void>
  readonly start: { readonly script: string; readonly words: (unit: JoinUnit) => readonly string[] }
  readonly end: { readonly script: string; readonly words: (unit: JoinUnit) => readonly string[] }
  readonly startTimeoutMs: Millis
  /** Between TERM and KILL. */
  readonly stopTimeoutMs: Millis
  /** Of a start that failed. */
  readonly cure: string
}

/** The scripts' own time on top of the waits in them. */
const SCRIPT_MS: Millis = 5_000

/**
 * Shell functions that tell whose a daemon is by its mark. A script sets `own`: the marks that are this unit's, and before
 * a start also those of which is known that they are over. Marks are compared whole, for sites choose the ids of units:
 * one is called like another lease, or like the address of its machine.
 *
 *   LEASE_UNIT in `own` ──▶ LEASE_UNIT and LEASE_UNIT_ADDRESS are ours     no id has an underscore
 */
export const WHOSE = `
mine() { # MARK
  for known in $own; do case "$1" in "$known"|"$known"_*) return 0 ;; esac; done
  return 1
}
kind_of() { # MARK, empty for a daemon that is not Sublet's
  if [ -z "$1" ]; then echo others; elif mine "$1"; then echo ours; else echo foreign; fi
}
`

/** The marks of a unit before its start: its own, and those of which is known that they are over. */
export const marksOf = (unit: JoinUnit, write: (mark: NodeMark) => string): string =>
  [unit, ...(unit.over ?? [])].map(write).join(' ')

/** How long a script waits, in the tenths of a second that `sleep 0.1` counts. */
export const tenthsOf = (ms: Millis): string => String(Math.max(1, Math.round(ms / 100)))

/** Starts and ends the daemon inside the machines, through whatever `connect` reaches them by. */
export function daemonJoin(daemon: NodeDaemon, connect: (facts: UnitFacts) => Executor): JoinHandler {
  const connected = new Map<string, { readonly facts: string; readonly exec: Executor }>()

  /** The one that goes where the unit is now: an earlier try may have gone elsewhere. */
  const reached = async ({ unitId, facts }: JoinUnit): Promise<Executor> => {
    const now = JSON.stringify(facts)
    const before = connected.get(unitId)
    if (before?.facts === now) return before.exec
    const exec = connect(facts)
    connected.set(unitId, { facts: now, exec })
    await before?.exec.close()
    return exec
  }

  const run = async (
    unit: JoinUnit,
    script: string,
    words: readonly string[],
    waitMs: Millis,
    signal: AbortSignal,
  ): Promise<Finished> => {
    signal.throwIfAborted()
    const exec = await reached(unit)
    return exec.run(['sh', '-c', script, 'sh', ...words], {
      signal,
      env: daemon.env,
      timeoutMs: waitMs + SCRIPT_MS,
    })
  }

  const hangUp = async (unitId: string): Promise<void> => {
    const before = connected.get(unitId)
    connected.delete(unitId)
    await before?.exec.close()
  }

  return {
    async join(unit, signal) {
      const { script, words } = daemon.start
      signal.throwIfAborted()
      await daemon.examine?.(unit, await reached(unit), signal)
      const waitMs = daemon.startTimeoutMs + daemon.stopTimeoutMs
      const done = await run(unit, script, words(unit), waitMs, signal)
      if (done.exitCode !== 0)
        throw new SubletError(
          'machine-setup',
          `${daemon.name} did not start on ${unit.name}: ${lastLines(done)}`,
          { cure: daemon.cure },
        )
    },
    async leave(unit, signal) {
      const { script, words } = daemon.end
      try {
        const done = await run(unit, script, words(unit), daemon.stopTimeoutMs, signal)
        if (done.exitCode !== 0)
          throw new SubletError(
            'machine-busy',
            `${daemon.name} did not stop on ${unit.name}: ${lastLines(done)}`,
          )
      } catch (error) {
        // Nothing runs on a machine that is gone.
        if (!(error instanceof SubletError) || !isGone(error)) throw error
      } finally {
        await hangUp(unit.unitId)
      }
    },
    async close() {
      await Promise.all([...connected.keys()].map(hangUp))
    },
  }
}

/** A text of the configuration with what it names in braces, such as `{cpu}`, filled in. */
export function filled(
  what: string,
  text: string,
  unit: JoinUnit,
  more: Readonly<Record<string, string | number>>,
): string {
  const values: Readonly<Record<string, string | number>> = {
    ...unit.facts,
    ...unit.vector,
    name: unit.name,
    ...more,
  }
  return text.replaceAll(/\{([^}]+)\}/g, (_, key: string) => {
    const value = values[key]
    if (value === undefined)
      throw new SubletError(
        'config-invalid',
        `${what} asks for {${key}}, which unit ${unit.unitId} does not have`,
      )
    return String(value)
  })
}

const isGone = ({ code }: SubletError): boolean =>
  code === 'machine-unreachable' || code === 'ssh-unreachable'

const lastLines = ({ stderr, exitCode }: Finished): string =>
  stderr.trim() === '' ? `exit ${exitCode}` : stderr.trim().split('\n').slice(-8).join(' | ').slice(0, 800)
