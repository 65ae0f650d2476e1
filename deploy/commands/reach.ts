import { existsSync, rmSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { type Clock, deadline } from '../../actors/runtime/clock.ts'
import { inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import type { Random } from '../../actors/runtime/random.ts'
import { batchOf, joinOf, machinesOf } from '../adapters.ts'
import type { Settings } from '../settings/config.ts'

const CHECK_MS = 20_000

/** What is missing of programs, rights and middleware, a sentence each; nothing is started or changed. */
export async function unreachable(
  settings: Settings,
  parts: { readonly clock: Clock; readonly random: Random },
): Promise<readonly string[]> {
  const found: string[] = []
  const tryIt = async (
    what: string,
    check: (signal: AbortSignal) => Promise<readonly string[]>,
  ): Promise<void> => {
    const late = (): Error => new SubletError('deadline-missed', `no answer within ${CHECK_MS / 1000} s`)
    const limit = deadline(parts.clock, CHECK_MS, late)
    try {
      for (const sentence of await check(limit.signal)) found.push(`${what}: ${sentence}`)
    } catch (error) {
      // What this user may not, or what is not there, is what is asked for here.
      if (!(error instanceof SubletError) && !(error instanceof Error && 'syscall' in error)) throw error
      found.push(`${what}: ${inOneLine(error)}`)
    } finally {
      limit.done()
    }
  }
  const { machines } = settings.site ?? {}
  if (machines !== undefined) {
    const made = topmostNew(machines.dir)
    await tryIt(`machines of kind ${machines.kind}`, async (signal) =>
      machinesOf(machines, parts).check(signal),
    )
    if (made !== undefined) rmSync(made, { recursive: true, force: true })
  }
  for (const guest of settings.guests) {
    const batch = batchOf(guest.batch, parts)
    const join = joinOf(guest.join, parts)
    try {
      await tryIt(`the batch system of ${guest.name}`, (signal) => batch.check(signal))
      if (guest.join.kind !== 'embedded' && !existsSync(guest.join.ssh.privateKeyFile))
        found.push(`the join of ${guest.name}: there is no key ${guest.join.ssh.privateKeyFile}`)
    } finally {
      await join.close()
      await batch.close()
    }
  }
  return found
}

/** Of a path whose end is not there, the first part that is not; whoever is asked may make it. */
function topmostNew(path: string): string | undefined {
  let [made, at]: [string | undefined, string] = [undefined, resolve(path)]
  for (; !existsSync(at); at = dirname(at)) made = at
  return made
}
