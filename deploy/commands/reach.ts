import { accessSync, constants, existsSync, lstatSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
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
      const cure = error instanceof SubletError ? ` → ${error.cure}` : ''
      found.push(`${what}: ${inOneLine(error)}${cure}`)
    } finally {
      limit.done()
    }
  }
  const { machines } = settings.site ?? {}
  if (machines !== undefined)
    await tryIt(`machines of kind ${machines.kind}`, async (signal) => {
      const lacking = folderLacking(machines.dir)
      if (lacking !== undefined) return [lacking]
      // Machines make their folder: of one that is not there yet another one, which is ours, says the rest.
      const stead = existsSync(machines.dir) ? undefined : mkdtempSync(join(tmpdir(), 'sublet-reach-'))
      try {
        return await machinesOf({ ...machines, dir: stead ?? machines.dir }, parts).check(signal)
      } finally {
        if (stead !== undefined) rmSync(stead, { recursive: true, force: true })
      }
    })
  for (const guest of settings.guests) {
    const batch = batchOf(guest.batch, parts)
    const join = joinOf(guest, parts)
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

/** Why there is no such folder and none can be made; throws what the system says of places one may not look into. */
function folderLacking(path: string): string | undefined {
  for (let at = resolve(path); ; at = dirname(at)) {
    const found = lstatSync(at, { throwIfNoEntry: false })
    if (found === undefined) continue
    if (found.isSymbolicLink() && !existsSync(at)) return `${at} is a link to what is not there`
    if (at !== resolve(path)) accessSync(at, constants.W_OK | constants.X_OK)
    return undefined
  }
}
