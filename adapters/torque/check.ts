import { type Examination, type Finding, missing, orFine, unwise } from '../finding.ts'
import { type Commands, together } from '../pbs/commands.ts'
import type { Dialect, Facts } from '../pbs/dialect.ts'
import { commonFindings, rightsFinding } from '../pbs/examine.ts'
import { neverBegan } from '../pbs/picture.ts'
import type { NodeRecord, Records } from '../pbs/records.ts'
import type { TorqueConfig } from './config.ts'
import { refusedShapes, takesAnything, takeThem } from './shapes.ts'

/** The versions this adapter was held to recordings of. */
const VERSION = /^(?:6\.1|4\.2)\./

/** What is missing or will not do, with its cure. */
async function look(
  commands: Commands,
  dialect: Dialect,
  signal: AbortSignal,
): Promise<{ found: readonly Finding[]; facts: Facts; nodes: readonly NodeRecord[] }> {
  signal.throwIfAborted()
  const [facts, nodes] = await together<[Facts, Records<NodeRecord>]>(signal, dialect.facts, dialect.nodes)
  const found: Finding[] = []
  if (!VERSION.test(facts.version))
    found.push(
      missing(
        'server',
        `Torque ${facts.version} was not tried with this adapter, which was made for 6.1 and 4.2.`,
        'Try it beside a server that nobody needs, with jobs of each kind, before it drives this one; or use one of these versions.',
      ),
    )
  found.push(...(await rightsFinding(commands, facts, signal)), ...commonFindings(facts))
  return { found, facts, nodes: nodes.records }
}

/** What `check` tells: the refused jobs in one sentence. */
export async function torqueFindings(
  config: TorqueConfig,
  commands: Commands,
  dialect: Dialect,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const { found, facts, nodes } = await look(commands, dialect, signal)
  return [
    ...found,
    ...unreadReservations(config.scheduler),
    ...ownNodeFindings(config.ownNode, nodes),
    ...beyondList(facts, nodes),
    ...lastRecord(nodes, config),
  ]
}

/** The same for one who asks, with the refused jobs one by one. */
export async function torqueExamined(
  config: TorqueConfig,
  commands: Commands,
  dialect: Dialect,
  examination: Examination,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const { found, facts, nodes } = await look(commands, dialect, signal)
  const shapes = refusedShapes({ ...{ config, settings: facts.settings, examination }, stay: staying(nodes) })
  const refused = shapes.length > 0 ? shapes : beyondList(facts, nodes)
  const hung = await hungJobs(dialect, signal)
  return orFine(
    [
      ...found,
      ...unreadReservations(config.scheduler),
      ...ownNodeFindings(config.ownNode, nodes),
      ...refused,
      ...lastRecord(nodes, config),
      ...neverStarted(config),
      ...strangeSisters(facts, examination),
      ...hung,
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
function ownNodeFindings(ownNode: string | undefined, nodes: readonly NodeRecord[]): readonly Finding[] {
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

/** Records that are there also while none of our machines is. */
const staying = (nodes: readonly NodeRecord[]): readonly NodeRecord[] =>
  nodes.filter((node) => node.mark === undefined || node.isKept)

/**
 * Torque refuses a job at submission that its present list of nodes cannot hold, and such a job is seen by nobody.
 * Offline and down records count, so that a record for every machine that might come is one way out.
 */
function beyondList({ settings }: Facts, nodes: readonly NodeRecord[]): readonly Finding[] {
  if (takesAnything(settings)) return []
  const own = staying(nodes)
  const slots = own.reduce((sum, node) => sum + node.cpus, 0)
  return [
    missing(
      'job shapes',
      `qsub refuses jobs of more than ${own.length} nodes or ${slots} processors, for no record of Torque’s own holds them, and nobody sees these jobs:`,
      `let the queue take them (${takeThem(settings)}), or make offline records for all machines that may come.`,
    ),
  ]
}

const lastRecord = (nodes: readonly NodeRecord[], { scheduler }: TorqueConfig): readonly Finding[] =>
  scheduler !== 'pbs_sched' || !staying(nodes).every((node) => node.isKept)
    ? []
    : [
        unwise(
          'job shapes',
          'When the last node is deleted pbs_sched deletes the jobs that wait; Sublet keeps its last record for that.',
          'Better make one of your own that stays, set it offline, and name it as ownNode.',
        ),
      ]

const neverStarted = ({ scheduler }: TorqueConfig): readonly Finding[] =>
  scheduler !== 'pbs_sched'
    ? []
    : [
        unwise(
          'job shapes',
          '“qsub -l procs=N” is taken and never started: pbs_sched does not know it. Such jobs count as impossible.',
          'Have users write nodes=N:ppn=P; or use Maui or Moab, and say so with batch.scheduler.',
        ),
      ]

/** With 4.2 the moms that are there do not learn of a new node, and refuse its mom. */
function strangeSisters({ version, settings }: Facts, { machines }: Examination): readonly Finding[] {
  const units = machines.reduce((sum, each) => sum + each.units, 0)
  const wide = [...settings.queues].filter(
    ([, queue]) => queue.isStarted && !queue.isRoute && queue.nodesMax > 1,
  )
  if (!/^4\./.test(version) || units < 2 || wide.length === 0) return []
  const names = wide.map(([name]) => name)
  return [
    unwise(
      'job shapes',
      `Jobs over several nodes of which one is newer than the others stay R for ever and never begin: moms of Torque ${version} do not learn of new nodes. Sublet raises an alarm for each.`,
      `Better Torque 6.1; else let jobs have one node (qmgr -c 'set queue ${names[0]} resources_max.nodect = 1'), or start the moms anew after nodes were made.`,
    ),
  ]
}

/** Jobs that hold nodes now and never began. */
async function hungJobs(dialect: Dialect, signal: AbortSignal): Promise<readonly Finding[]> {
  const [{ records }, now] = await together(signal, dialect.jobs, dialect.serverNow)
  const hung = records.filter((job) => neverBegan(job, now))
  if (hung.length === 0) return []
  const named = hung.slice(0, HUNG_SAID).map(({ id, hosts }) => `${id} on ${hosts.join(', ')}`)
  return [
    missing(
      'job shapes',
      `${hung.length === 1 ? 'A job holds' : `${hung.length} jobs hold`} nodes as running and never began: ${named.join('; ')}.`,
      `Put it back (qrerun -f ${hung[0]?.id}) or delete it (qdel -p ${hung[0]?.id}); then have its machines find each other by name, with the addresses they have now, and start their moms anew.`,
    ),
  ]
}

const HUNG_SAID = 3
