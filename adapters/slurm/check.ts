import { existsSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Clock } from '../../actors/runtime/clock.ts'
import { HEAD } from '../exec/host-ask.ts'
import { hostFindings } from '../exec/host-findings.ts'
import type { Door } from '../exec/port-findings.ts'
import { type Examination, type Finding, missing, noMachine, orFine, unwise } from '../finding.ts'
import { askedRights } from './asked-rights.ts'
import { namesFindings } from './check-names.ts'
import type { Commands } from './commands.ts'
import type { SlurmConfig } from './config.ts'
import type { Facts, factsOf } from './facts.ts'
import { expandHosts } from './hostlist.ts'
import type { ListedNames } from './listed.ts'
import { readMark } from './marks.ts'
import { NODES_TEXT_ARGS, parseNodesText } from './parse-text.ts'
import type { Reader } from './reader.ts'
import type { NodeRecord } from './records.ts'
import { refusedShapes } from './shapes.ts'
import { nodeFitness } from './states.ts'

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
      missing(
        'server',
        `Slurm ${known.version} was not tried with this adapter, which was made for 22.05.`,
        'Try it beside a cluster that nobody needs, with jobs of each kind, before it drives this one; or use 22.05.',
      ),
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
    readonly config: Pick<SlurmConfig, 'partition' | 'feature'>
    readonly reader: Pick<Reader, 'nodes'>
  },
  examination: Examination,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const { commands, clock, config } = parts
  const { partition } = config
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
  const host = { clock, title: HEAD, run: commands.attempt, nameless: unwise }
  const { records } = await parts.reader.nodes(signal)
  const listed = await commands.ask('scontrol', ['-F', ...NODES_TEXT_ARGS], signal)
  const announced = await parseNodesText(listed, { clock, signal })
  const stay = announced.records.filter(({ features, comment }) => readMark(features, comment) === undefined)
  const joined = await joinedDoor(commands, records, known.slurmdPort, signal)
  const doors = [...headDoors(known), ...joined]
  const all = [
    ...findings,
    ...walltime,
    ...refusedShapes({ ...{ config, facts: known, examination }, stay }),
    ...(await hostFindings(host, { ...examination, servers: known.controllers, doors }, signal)),
    ...(joined.length > 0 ? [] : [noMachine('slurmd')]),
  ]
  return orFine(
    orFine(
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
    ),
    'job shapes',
    examination.machines.length === 0
      ? 'No partition limit is known to be in the way; what machines may come is not in this configuration.'
      : 'Jobs that the machines could hold may be submitted while none is there.',
  )
}

const headDoors = ({ controllers, controllerPort, accounting }: Facts): readonly Door[] => [
  ...controllers.map((host) => ({ daemon: 'slurmctld', host, port: controllerPort, isVital: true })),
  ...(accounting === undefined ? [] : [{ ...accounting, daemon: 'slurmdbd', isVital: false }]),
]

/** slurmd of one machine that is there, ours if there is one. */
async function joinedDoor(
  commands: Commands,
  records: readonly NodeRecord[],
  slurmdPort: number,
  signal: AbortSignal,
): Promise<readonly Door[]> {
  const up = records.filter(({ states }) => nodeFitness(states).fitness !== 'silent')
  const one = up.find(({ features, comment }) => readMark(features, comment) !== undefined) ?? up[0]
  if (one === undefined) return []
  const { stdout } = await commands.run('scontrol', ['-F', ...NODES_TEXT_ARGS, one.name], signal)
  const host = /\bNodeAddr=(\S+)/.exec(stdout)?.[1] ?? one.name
  const port = Number(/\bPort=(\d+)/.exec(stdout)?.[1] ?? slurmdPort)
  return [{ daemon: 'slurmd', host, port, isVital: true }]
}
