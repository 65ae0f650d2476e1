import { existsSync } from 'node:fs'
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
      if (!(error instanceof SubletError)) throw error
      found.push(`${what}: ${inOneLine(error)}`)
    } finally {
      limit.done()
    }
  }
  const { machines } = settings.site ?? {}
  if (machines !== undefined)
    await tryIt(`machines of kind ${machines.kind}`, (signal) => machinesOf(machines, parts).check(signal))
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
