import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '../../actors/runtime/clock.ts'
import { hostFindings } from '../exec/host-findings.ts'
import { type Examination, type Finding, missing, orFine, unwise } from '../finding.ts'
import { askedRights } from './asked-rights.ts'
import { namesFindings } from './check-names.ts'
import type { Commands } from './commands.ts'
import type { SlurmConfig } from './config.ts'
import type { factsOf } from './facts.ts'
import { expandHosts } from './hostlist.ts'
import type { ListedNames } from './listed.ts'

/** The version this adapter was held to the law with. */
const VERSION = /^22\.05\./

/** What is missing or will not do, with its cure. */
export async function slurmFindings(
  config: SlurmConfig,
  commands: Commands,
  { facts, listed }: { readonly facts: ReturnType<typeof factsOf>; readonly listed: ListedNames | undefined },
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  signal.throwIfAborted()
  const known = await facts.read(signal)
  const rights = await askedRights(commands, signal)
  for (const program of ['squeue', 'sinfo'] as const) await commands.ask(program, ['--version'], signal)

  const { partition, drainTag, names: pattern = '' } = config
  const names =
    listed &&
    namesFindings(
      { names: expandHosts(pattern), pattern, partition, drainTag },
      await listed.standings(signal),
      known,
    )
  const found: Finding[] = []
  if (!VERSION.test(known.version))
    found.push(
      missing('server', `Slurm ${known.version} was not tried with this adapter, which was made for 22.05.`),
    )
  if (config.cluster !== undefined && config.cluster !== known.cluster)
    found.push(
      missing(
        'server',
        `The controller belongs to the cluster ${known.cluster}, not to ${config.cluster}.`,
        'Correct batch.cluster or batch.confFile.',
      ),
    )
  if (known.partition === undefined)
    found.push(
      missing(
        'settings',
        `There is no partition ${config.partition}.`,
        'Add it to slurm.conf with its NodeSet.',
      ),
    )
  else if (!known.partition.isUp)
    found.push(
      missing(
        'settings',
        `The partition ${config.partition} is not UP: it starts no jobs.`,
        `scontrol update PartitionName=${config.partition} State=UP`,
      ),
    )
  if (names !== undefined) found.push(...names)
  else if (known.nodeCountMax === 0)
    found.push(
      missing(
        'settings',
        'MaxNodeCount is not set: Slurm takes no nodes beyond slurm.conf.',
        'Set it in slurm.conf and start slurmctld anew.',
      ),
    )
  if (!known.isPrivileged)
    for (const what of ['jobs', 'nodes'])
      if (known.hidden.includes(what))
        found.push(
          missing(
            'visibility',
            `PrivateData hides other users’ ${what} from ${known.user};`,
            'let Sublet be an Administrator.',
          ),
        )
  if (!rights.mayChange)
    found.push(
      missing(
        'rights',
        `The user ${known.user} may not change nodes (${rights.words}).`,
        `Let it be SlurmUser, or an Administrator: sacctmgr modify user ${known.user} set adminlevel=Administrator.`,
      ),
    )
  for (const path of config.watchPaths)
    if (!existsSync(path) && !existsSync(dirname(path)))
      found.push(
        missing('settings', `The path ${path} to be watched is not there.`, 'Correct batch.watchPaths.'),
      )
  return found
}

/** What `check` tells, and what else an admin should know. */
export async function examineSlurm(
  findings: readonly Finding[],
  parts: {
    readonly commands: Commands
    readonly facts: ReturnType<typeof factsOf>
    readonly clock: Clock
    readonly partition: string
  },
  examination: Examination,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const { commands, clock, partition } = parts
  const known = await parts.facts.recent(signal)
  const walltime =
    known.partition !== undefined && known.partition.defaultMinutes === undefined
      ? [
          unwise(
            'settings',
            `Jobs of the partition ${partition} that name no time have none: leases are asked for by what such jobs took before.`,
            'Set DefaultTime of the partition in slurm.conf.',
          ),
        ]
      : []
  // slurmd and slurmctld find each other by address; people and srun by name.
  const host = { clock, ask: commands.other, nameless: unwise }
  const all = [...findings, ...walltime, ...(await hostFindings(host, examination, signal))]
  return orFine(
    orFine(
      orFine(
        orFine(all, 'server', `Slurm ${known.version}, cluster ${known.cluster}.`),
        'rights',
        `The user ${known.user} may change nodes.`,
      ),
      'visibility',
      `The user ${known.user} sees jobs and nodes of others.`,
    ),
    'settings',
    `The partition ${partition} is up, takes nodes, and jobs have a time limit.`,
  )
}
