import { existsSync } from 'node:fs'
import { z } from 'zod'
import { type Clock, deadline, type Millis } from '../../actors/runtime/clock.ts'
import { inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import { systemRandom } from '../../actors/runtime/random.ts'
import type { BatchSystem } from '../../adapters/batch-system.ts'
import {
  type Examination,
  type Finding,
  type MachineType,
  missing,
  SEVERITIES,
  unwise,
} from '../../adapters/finding.ts'
import type { Head } from '../../adapters/slurm/head.ts'
import { batchOf, machinesBySsh, slurmHeadOf } from '../adapters.ts'
import { controlClient } from '../control/control-client.ts'
import { table } from '../reports/show.ts'
import { guestOf } from '../rights/show.ts'
import type { GuestSettings, Settings } from '../settings/config.ts'
import { loadConfig } from '../settings/settings-file.ts'
import { inDir } from '../settings/work-files.ts'
import { machineFindings, notSeen } from './machine-look.ts'
import { EXIT, print, printJson } from './terminal.ts'

/** What was found of one guest's middleware. */
export interface Examined {
  readonly guest: string
  readonly batch: string
  /** What is missing first, what is fine last. */
  readonly findings: readonly Finding[]
}

export interface MiddlewareOptions {
  readonly config: string
  readonly guest?: string
  /** Names of machines, where the site is not in the configuration. */
  readonly node: readonly string[]
  readonly json?: true
}

/** Names that do not resolve take DNS its time. */
const EXAMINE_MS: Millis = 120_000
const MACHINE_MS: Millis = 60_000

const joinedMachine = z.object({
  guest: z.string(),
  name: z.string(),
  facts: z.record(z.string(), z.string()),
})

/** `sublet check middleware`: will her batch system do? Changes nothing there. */
export async function checkMiddleware(options: MiddlewareOptions, clock: Clock): Promise<number> {
  const { settings } = loadConfig(options.config)
  const guests = options.guest === undefined ? settings.guests : [guestOf(settings, options.guest)]
  if (guests.length === 0)
    throw new SubletError('usage', 'no guest is in this configuration', {
      cure: 'Name the configuration of the service manager with --config.',
    })
  const names = options.node.length > 0 ? options.node : namesOf(settings)
  const all: Examined[] = []
  for (const guest of guests) {
    const batch = batchOf(guest.batch, { clock, random: systemRandom() })
    const head = slurmHeadOf(guest.batch, clock)
    try {
      const findings = [
        ...(await examined(
          batch,
          { names, machines: machinesOf(guest), skewMsMax: settings.skewMax },
          clock,
        )),
        ...(await lookFromMachine(guest, settings, clock)),
        ...(await alikeFindings(guest.join, head)),
        ...ownFindings(guest, names),
      ]
      all.push({ guest: guest.name, batch: batch.name, findings: inOrder(findings) })
    } finally {
      await head?.close()
      await batch.close()
    }
  }
  if (options.json === true) printJson(all)
  else print(all.map(text).join('\n\n'))
  const isMissing = all.some(({ findings }) => findings.some(({ severity }) => severity === 'missing'))
  return isMissing ? EXIT.failed : EXIT.done
}

const namesOf = ({ site }: Settings): readonly string[] =>
  site === undefined
    ? []
    : Array.from({ length: site.names.slots }, (_, at) => `${site.names.prefix}${at + 1}`)

/** What may come; who asks by hand says with each request what it is to be. */
function machinesOf({ controller }: GuestSettings): readonly MachineType[] {
  if (controller.kind !== 'groc') return []
  return controller.types.map(({ type, unit, max = controller.max }) => ({
    ...{ type, units: Math.min(max, controller.max) },
    ...unit,
  }))
}

/** What the adapter finds; that nobody answers is a finding, too. */
export async function examined(
  batch: Pick<BatchSystem, 'check' | 'examine'>,
  examination: Examination,
  clock: Clock,
): Promise<readonly Finding[]> {
  const late = (): Error =>
    new SubletError('deadline-missed', `no answer within ${EXAMINE_MS / 1000} s`, {
      cure: 'Find out what the batch system or its name service waits for.',
    })
  const limit = deadline(clock, EXAMINE_MS, late)
  try {
    if (batch.examine !== undefined) return await batch.examine(examination, limit.signal)
    return (await batch.check(limit.signal)).map((sentence) =>
      missing('settings', sentence, 'Start it with “sublet batch start --dir FOLDER”, and look again.'),
    )
  } catch (error) {
    if (!(error instanceof SubletError)) throw error
    return [missing('server', inOneLine(error), error.cure)]
  } finally {
    limit.done()
  }
}

/** What a machine of ours sees, if one has joined and a Sublet runs that knows where it is. */
async function lookFromMachine(
  { name, join }: GuestSettings,
  { dir, skewMax }: Settings,
  clock: Clock,
): Promise<readonly Finding[]> {
  if (join.kind === 'embedded') return []
  const late = (): Error => new SubletError('deadline-missed', `no answer within ${MACHINE_MS / 1000} s`)
  const limit = deadline(clock, MACHINE_MS, late)
  const { connect, door } = machinesBySsh(join, clock)
  try {
    const joined = z.array(joinedMachine).parse(await controlClient(inDir(dir).socket).get('/joined'))
    const own = joined.filter(({ guest }) => guest === name)
    return await machineFindings({ join, joined: own, connect, skewMsMax: skewMax, clock }, limit.signal)
  } catch (error) {
    if (!(error instanceof SubletError)) throw error
    return [notSeen(inOneLine(error))]
  } finally {
    limit.done()
    await door?.close()
  }
}

/** Whether machines can be compared with the head as the configuration has it. */
export async function alikeFindings(
  join: GuestSettings['join'],
  head: Head | undefined,
): Promise<readonly Finding[]> {
  if (join.kind !== 'ssh-slurmd' || head === undefined) return []
  const { users, paths } = join.alike
  try {
    await head.says(users, new AbortController().signal)
  } catch (error) {
    if (!(error instanceof SubletError)) throw error
    // That the head does not answer at all is told already.
    return error.code === 'config-invalid' ? [missing('settings', `${error.message}.`, error.cure)] : []
  }
  return users.length > 0 && paths.length > 0
    ? []
    : [
        unwise(
          'settings',
          `No ${users.length > 0 ? 'path' : paths.length > 0 ? 'user' : 'user and no path'} is named that machines must have as the head has it: an image without homes, or with other uids, would eat jobs.`,
          'Name some in join.alike.users and join.alike.paths.',
        ),
      ]
}

/** What is here, and not in the batch system. */
function ownFindings({ join, batch }: GuestSettings, names: readonly string[]): readonly Finding[] {
  const found: Finding[] = []
  if (join.kind !== 'embedded' && !existsSync(join.ssh.privateKeyFile))
    found.push(
      missing(
        'settings',
        `The key ${join.ssh.privateKeyFile} that opens the machines is not there.`,
        'Make it with ssh-keygen -t ed25519, and put its public half into properties as ssh.authorizedKey.',
      ),
    )
  if (names.length === 0 && batch.kind !== 'embedded')
    found.push({
      severity: 'unwise',
      about: 'names',
      sentence: 'How machines will be named is not in this configuration: no name was looked up.',
      cure: 'Name some of them with --node.',
    })
  return found
}

export const inOrder = (findings: readonly Finding[]): readonly Finding[] =>
  findings.toSorted((a, b) => SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity))

function text({ guest, batch, findings }: Examined): string {
  const count = (severity: Finding['severity']): number =>
    findings.filter((each) => each.severity === severity).length
  const rows = findings.flatMap(({ severity, about, sentence, cure }) => [
    [severity, about, sentence],
    ...(cure === '' ? [] : [['', '', `→ ${cure}`]]),
  ])
  const unseen = count('unseen') === 0 ? '' : `${count('unseen')} not looked at, `
  const sum = `${count('missing')} missing, ${count('unwise')} unwise, ${unseen}${count('fine')} fine`
  return `${guest} (${batch}): ${sum}\n${table(['SEVERITY', 'ABOUT', 'WHAT'], rows)}`
}
