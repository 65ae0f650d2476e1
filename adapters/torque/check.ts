import { type Finding, missing, orFine, unwise } from '../finding.ts'
import { type Commands, together } from '../pbs/commands.ts'
import type { Dialect, Facts } from '../pbs/dialect.ts'
import { commonFindings, rightsFinding } from '../pbs/examine.ts'
import type { NodeRecord, Records } from '../pbs/records.ts'
import type { TorqueConfig } from './config.ts'

/** The versions this adapter was held to recordings of. */
const VERSION = /^(?:6\.1|4\.2)\./

/** What is missing or will not do, with its cure. */
export async function torqueFindings(
  { scheduler, ownNode }: TorqueConfig,
  commands: Commands,
  dialect: Dialect,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  signal.throwIfAborted()
  const [facts, nodes] = await together<[Facts, Records<NodeRecord>]>(signal, dialect.facts, dialect.nodes)
  const found: Finding[] = []
  if (!VERSION.test(facts.version))
    found.push(
      missing(
        'server',
        `Torque ${facts.version} was not tried with this adapter, which was made for 6.1 and 4.2.`,
      ),
    )
  found.push(...(await rightsFinding(commands, facts, signal)), ...commonFindings(facts))
  return orFine(
    [
      ...found,
      ...unreadReservations(scheduler),
      ...staying(ownNode, nodes.records),
      ...scaleFromZero(facts, nodes.records, scheduler),
    ],
    'job shapes',
    'Jobs may be submitted for which there is no room yet.',
  )
}

/** They are the scheduler's own, and neither qstat nor pbsnodes tells of them. */
const unreadReservations = (scheduler: TorqueConfig['scheduler']): readonly Finding[] =>
  scheduler === 'pbs_sched'
    ? []
    : [
        unwise(
          'settings',
          `Reservations of ${scheduler === 'maui' ? 'Maui' : 'Moab'} (showres) are not read: a machine that one has is taken out when it is idle, and jobs that one blocks are given machines.`,
          'Keep reservations to nodes of your own, or pin the machine meanwhile: sublet pin NODE --until TIME --reason WORDS.',
        ),
      ]

/** What the configuration counts on, so that the list is never empty. */
function staying(ownNode: string | undefined, nodes: readonly NodeRecord[]): readonly Finding[] {
  if (ownNode === undefined) return []
  const record = nodes.find(({ name }) => name === ownNode)
  if (record !== undefined && record.mark === undefined) return []
  return [
    missing(
      'job shapes',
      record === undefined
        ? `There is no node ${ownNode}, which is to stay so that the list is never empty (ownNode);`
        : `The node ${ownNode}, which is to stay so that the list is never empty (ownNode), is one of ours and goes with its lease;`,
      `as a manager: qmgr -c 'create node NAME np=1', then pbsnodes -o NAME, and name that one.`,
    ),
  ]
}

/**
 * Torque refuses a job at submission that its present list of nodes cannot hold, and such a job is seen by nobody.
 * Offline and down records count, so that a record for every machine that might come is one way out.
 */
function scaleFromZero(
  { settings }: Facts,
  nodes: readonly NodeRecord[],
  scheduler: TorqueConfig['scheduler'],
): readonly Finding[] {
  const found: Finding[] = []
  const takesAnything = [...settings.queues.values()].some((queue) => queue.isTransit || queue.isRoute)
  const own = nodes.filter((node) => node.mark === undefined || node.isKept)
  const slots = own.reduce((sum, node) => sum + node.cpus, 0)
  if (!takesAnything)
    found.push(
      missing(
        'job shapes',
        `qsub refuses jobs of more than ${own.length} nodes or ${slots} processors, for no record of Torque’s own holds them, and nobody sees these jobs:`,
        `let the queue take them (qmgr -c 'set queue ${settings.defaultQueue || 'QUEUE'} is_transit = True'), or make offline records for all machines that may come.`,
      ),
    )
  if (own.every((node) => node.isKept) && scheduler === 'pbs_sched')
    found.push(
      unwise(
        'job shapes',
        'When the last node is deleted pbs_sched deletes the jobs that wait; Sublet keeps its last record for that.',
        'Better make one of your own that stays, set it offline, and name it as ownNode.',
      ),
    )
  return found
}
