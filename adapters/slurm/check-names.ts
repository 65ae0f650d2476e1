import { type Finding, missing, unwise } from '../finding.ts'
import type { Facts } from './facts.ts'
import { type Listing, PARKED } from './listed.ts'

export interface NamesAsked {
  readonly names: readonly string[]
  readonly pattern: string
  readonly partition: string
  readonly drainTag: string
}

const SHOWN_MAX = 5

const few = (names: readonly string[]): string =>
  names.length <= SHOWN_MAX
    ? names.join(', ')
    : `${names.slice(0, SHOWN_MAX).join(', ')} and ${names.length - SHOWN_MAX} more`

/** Whether the names that slurm.conf lists will do for machines. */
export function namesFindings(
  { names, pattern, partition, drainTag }: NamesAsked,
  listed: ReadonlyMap<string, Listing>,
  { power }: Pick<Facts, 'power'>,
): readonly Finding[] {
  const found: Finding[] = []
  const all = [...listed.values()]
  const namesOf = (isOne: (listing: Listing) => boolean): readonly string[] =>
    all.filter(isOne).map(({ record }) => record.name)
  const tell = (finding: typeof missing, those: readonly string[], sentence: string, cure: string): void => {
    if (those.length > 0) found.push(finding('names', sentence, cure))
  }
  const absent = names.filter((name) => !listed.has(name))
  tell(
    missing,
    absent,
    `Slurm shows no node ${few(absent)} of ${pattern} (batch.names).`,
    'List them in slurm.conf with State=FUTURE, or correct batch.names. CLOUD nodes that are powered down are shown with PrivateData=cloud only.',
  )
  const elsewhere = namesOf(({ record }) => !record.partitions.includes(partition))
  tell(
    missing,
    elsewhere,
    `The partition ${partition} has no ${few(elsewhere)}: a machine of that name would take none of its jobs.`,
    `Put the names into its line: PartitionName=${partition} Nodes=${pattern}`,
  )
  const wild = namesOf((one) => one.standing === 'theirs' && isWild(one))
  tell(
    missing,
    wild,
    `Slurm itself gives jobs to ${few(wild)}, which is CLOUD, powered down, and not drained as ours: no machine gets such a name.`,
    `scontrol update NodeName=${pattern} State=DRAIN Reason="${drainTag}: ${PARKED}"`,
  )
  const theirs = namesOf((one) => one.standing === 'theirs' && !isWild(one))
  tell(
    unwise,
    theirs,
    `No machine gets the name ${few(theirs)}: it is at work, or somebody has drained it or written a comment.`,
    'Take it out of batch.names, or put it back to FUTURE, without a comment.',
  )
  if (all.some(isCloud)) found.push(...powerFindings(partition, power))
  return found
}

const isCloud = ({ record }: Listing): boolean => record.states.includes('cloud')

/** Slurm powers it up for a job. */
const isWild = ({ record }: Listing): boolean =>
  ['cloud', 'powered_down'].every((flag) => record.states.includes(flag)) && !record.states.includes('drain')

/** A name of a CLOUD node comes back only by Slurm's own power saving, which must not use it on machines of ours. */
function powerFindings(partition: string, power: Facts['power']): readonly Finding[] {
  if (!power.isOn)
    return [
      missing(
        'settings',
        'Power saving is off: a CLOUD node that was left stays up for Slurm, and its name is not free again.',
        'Set SuspendProgram, ResumeProgram (both may be /bin/true) and SuspendTime in slurm.conf, and start slurmctld anew; or list the nodes as FUTURE.',
      ),
    ]
  return power.sparedPartitions.includes(partition)
    ? []
    : [
        missing(
          'settings',
          `Power saving is not kept from the partition ${partition}: Slurm would power down machines that are lent, when they are idle.`,
          `Set SuspendExcParts=${partition} in slurm.conf.`,
        ),
      ]
}
