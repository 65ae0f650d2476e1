import { type Examination, type Finding, type MachineType, missing, unwise } from '../finding.ts'
import type { SlurmConfig } from './config.ts'
import type { Facts } from './facts.ts'
import type { NodeRecord } from './records.ts'

export interface ShapesAsk {
  readonly config: Pick<SlurmConfig, 'partition' | 'feature'>
  readonly facts: Facts
  /** Nodes that are there also while none of our machines is. */
  readonly stay: readonly NodeRecord[]
  readonly examination: Pick<Examination, 'names' | 'machines'>
}

const NAMES_SAID = 3

/**
 * Jobs that our machines could hold, and that sbatch refuses while they are not there, as it goes by the nodes of the partition,
 * announced ones (FUTURE) among them:
 *
 *   the partition has no node     a feature or a host that no node has; a GRES whose kind is not in GresTypes
 *   it has one, of another kind   also more memory, cpus and GRES than any of its nodes has
 */
export function refusedShapes({ config, facts, stay, examination }: ShapesAsk): readonly Finding[] {
  const { names, machines } = examination
  const here = stay.filter(({ partitions }) => partitions.includes(config.partition))
  const strangers = names.filter((name) => stay.every((node) => node.name !== name))
  return [
    ...machines.flatMap((machine) => ofType(machine, { config, facts, stay, examination }, here)),
    ...(strangers.length === 0
      ? []
      : [
          unwise(
            'job shapes',
            `“sbatch -w ${strangers.slice(0, NAMES_SAID).join('”, “-w ')}” is refused while that machine is not there, as with ${strangers.length} of the names that machines may get.`,
            'Have users ask for a feature and not for a machine by its name.',
          ),
        ]),
    ...limits(facts, config, machines),
  ]
}

function ofType(
  machine: MachineType,
  { config, facts, examination }: ShapesAsk,
  here: readonly NodeRecord[],
): readonly Finding[] {
  const { cpus, memoryMiB, features, consumables, type } = machine
  /** Once a node is there, which may be ours, Slurm refuses what no node of the partition can hold. */
  const meets = (lesser: (other: MachineType) => boolean): boolean =>
    here.length > 0 || examination.machines.some(lesser)
  const hasNo =
    (kind: string) =>
    (other: MachineType): boolean =>
      Object.keys(other.consumables).every((each) => kindOf(each) !== kind)
  const gres = [...new Set(Object.keys(consumables).map(kindOf))]
  const known = gres.filter((kind) => facts.gresTypes.includes(kind))
  const brings = Object.entries(consumables).map(([name, count]) => `${name}:${count}`)
  const line = [
    `NodeName=like-${type} State=FUTURE CPUs=${cpus} RealMemory=${memoryMiB}`,
    `Feature=${[...new Set([config.feature, ...features])].join(',')}`,
    ...(brings.length === 0 ? [] : [`Gres=${brings.join(',')}`]),
  ].join(' ')
  const refuse = (shape: string, why: string): Finding =>
    missing(
      'job shapes',
      `“sbatch ${shape}” is refused while no machine of type ${type} is there: ${why}.`,
      `Announce one in slurm.conf that never comes, “${line}”, and start slurmctld anew.`,
    )
  const of = `of the partition ${config.partition}`
  const lacks = (what: (node: NodeRecord) => boolean): boolean => !here.some(what)
  return [
    ...features
      .filter((each) => lacks((node) => node.features.includes(each)))
      .map((each) => refuse(`-C ${each}`, `no node ${of} has the feature ${each}`)),
    ...(memoryMiB > 0 &&
    meets((other) => other.memoryMiB < memoryMiB) &&
    lacks((node) => node.memoryMiB >= memoryMiB)
      ? [refuse(`--mem=${memoryMiB}`, `no other node ${of} has that much memory`)]
      : []),
    ...(here.length > 0 && lacks((node) => node.cpus >= cpus)
      ? [refuse(`-c ${cpus}`, `no other node ${of} has that many cpus`)]
      : []),
    ...known
      .filter(
        (kind) => meets(hasNo(kind)) && lacks(({ gres }) => Object.keys(gres).map(kindOf).includes(kind)),
      )
      .map((kind) => refuse(`--gres=${kind}:1`, `no other node ${of} has a ${kind}`)),
    ...gres
      .filter((kind) => !known.includes(kind))
      .map((kind) =>
        missing(
          'job shapes',
          `“sbatch --gres=${kind}:1” is refused: ${kind} is not in GresTypes.`,
          `Add ${kind} to GresTypes in slurm.conf, there and on the machines, and start slurmctld anew.`,
        ),
      ),
  ]
}

/** `gpu:a100` is a gpu. */
const kindOf = (name: string): string => name.split(':')[0] ?? name

/** Limits that no machine would lift; pending or refused, as EnforcePartLimits has it. */
function limits(
  { partition: limit }: Facts,
  { partition }: Pick<SlurmConfig, 'partition'>,
  machines: Examination['machines'],
): readonly Finding[] {
  if (limit === undefined) return []
  const units = machines.reduce((sum, each) => sum + each.units, 0)
  const cpus = Math.max(0, ...machines.map((each) => each.cpus))
  const over = (name: string, most: number, there: number, nouns: string): readonly Finding[] =>
    most >= there
      ? []
      : [
          unwise(
            'job shapes',
            `Jobs of more than ${most} ${nouns} are refused or wait for ever in the partition ${partition} (${name}), and machines may come for ${there}.`,
            `If that is not meant: scontrol update PartitionName=${partition} ${name}=${there}, and in slurm.conf.`,
          ),
        ]
  return [
    ...over('MaxNodes', limit.nodesMax, units, 'nodes'),
    ...over('MaxCPUsPerNode', limit.cpusPerNodeMax, cpus, 'cpus of a node'),
  ]
}
