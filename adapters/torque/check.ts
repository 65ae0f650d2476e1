import { type Commands, complaint, together } from '../pbs/commands.ts'
import type { Dialect, Facts } from '../pbs/dialect.ts'
import { NO_NODE } from '../pbs/privilege.ts'
import type { NodeRecord, Records } from '../pbs/records.ts'
import type { TorqueConfig } from './config.ts'

/** The versions this adapter was held to recordings of. */
const VERSION = /^(?:6\.1|4\.2)\./

/** What is missing or will not do, a sentence each, with its cure. */
export async function checkTorque(
  { scheduler }: TorqueConfig,
  commands: Commands,
  dialect: Dialect,
  signal: AbortSignal,
): Promise<readonly string[]> {
  signal.throwIfAborted()
  const [facts, nodes] = await together<[Facts, Records<NodeRecord>]>(signal, dialect.facts, dialect.nodes)
  const rights = await commands.run('qmgr', ['-c', `delete node ${NO_NODE}`], { signal })
  const { version, user, settings, isPrivileged } = facts

  const missing: string[] = []
  if (!VERSION.test(version))
    missing.push(`Torque ${version} was not tried with this adapter, which was made for 6.1 and 4.2.`)
  if (!/Unknown node|no node list/i.test(rights.stderr))
    missing.push(
      `The user ${user} may not change nodes (${complaint(rights)}); make it a manager: qmgr -c 'set server managers += ${user}@HOST'.`,
    )
  if (!settings.queryOtherJobs && !isPrivileged)
    missing.push(
      `The server hides others’ jobs from ${user}: qmgr -c 'set server query_other_jobs = True', or make it an operator.`,
    )
  if (!settings.scheduling) missing.push('The server starts no jobs: its scheduling is False.')
  const open = [...settings.queues].filter(([, queue]) => queue.isStarted && !queue.isRoute)
  if (open.length === 0) missing.push('No execution queue is started: no job can run.')
  return [...missing, ...scaleFromZero(facts, nodes.records, scheduler)]
}

/**
 * Torque refuses a job at submission that its present list of nodes cannot hold, and such a job is seen by nobody.
 * Offline and down records count, so that a record for every machine that might come is one way out.
 */
function scaleFromZero(
  { settings }: Facts,
  nodes: readonly NodeRecord[],
  scheduler: TorqueConfig['scheduler'],
): readonly string[] {
  const found: string[] = []
  const takesAnything = [...settings.queues.values()].some((queue) => queue.isTransit || queue.isRoute)
  const own = nodes.filter((node) => node.mark === undefined || node.isKept)
  const slots = own.reduce((sum, node) => sum + node.cpus, 0)
  if (!takesAnything)
    found.push(
      `qsub refuses jobs of more than ${own.length} nodes or ${slots} processors, for no record of Torque’s own holds them, and nobody sees these jobs: let the queue take them (qmgr -c 'set queue ${settings.defaultQueue || 'QUEUE'} is_transit = True'), or make offline records for all machines that may come.`,
    )
  if (own.every((node) => node.isKept) && scheduler === 'pbs_sched')
    found.push(
      'When the last node is deleted pbs_sched deletes the jobs that wait; Sublet keeps its last record for that. Better make one of your own that stays, and set it offline.',
    )
  return found
}
