import type { Executor } from '../../adapters/executor.ts'
import { type Line, lineFor, type Privileges } from '../../adapters/privileges.ts'

/** Lines by which something was run, for tests that ask whether a list is longer than it need be. */
export type Used = Set<Line>

/** Runs what is on the list and nothing else; a command that is not on it fails the test that led to it. */
export const listedOnly = (exec: Executor, privileges: Privileges, used: Used = new Set()): Executor => ({
  ...exec,
  run(argv, options) {
    const line = lineFor(privileges, argv, options.input ?? '')
    if (line === undefined)
      throw new Error(`not on the list of privileges: ${JSON.stringify(argv)} <<${options.input ?? ''}`)
    const strange = Object.entries(options.env ?? {}).find(([key, value]) => privileges.env[key] !== value)
    if (strange !== undefined) throw new Error(`not a setting on the list: ${strange.join('=')}`)
    used.add(line)
    return exec.run(argv, options)
  },
})
