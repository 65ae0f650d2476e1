import { type Commands, complaint } from '../pbs/commands.ts'
import type { Dialect } from '../pbs/dialect.ts'
import { NO_NODE } from '../pbs/privilege.ts'
import type { OpenpbsConfig } from './config.ts'
import { makeResource } from './dialect.ts'

/** The versions this adapter was held to recordings of. */
const VERSION = /^2[23]\./

/** What is missing or will not do, a sentence each, with its cure. */
export async function checkOpenpbs(
  { markResource }: OpenpbsConfig,
  commands: Commands,
  dialect: Dialect,
  signal: AbortSignal,
): Promise<readonly string[]> {
  signal.throwIfAborted()
  const { version, user, settings, isPrivileged } = await dialect.facts(signal)
  await dialect.nodes(signal)
  const rights = await commands.run('qmgr', ['-c', `delete node ${NO_NODE}`], { signal })
  const resource = await commands.run('qmgr', ['-c', `list resource ${markResource}`], { signal })

  const missing: string[] = []
  if (!VERSION.test(version))
    missing.push(`OpenPBS ${version} was not tried with this adapter, which was made for 23.06.`)
  if (!/Unknown node|no node list/i.test(rights.stderr))
    missing.push(
      `The user ${user} may not change nodes (${complaint(rights)}); make it a manager: qmgr -c 'set server managers += ${user}@HOST'.`,
    )
  if (!settings.queryOtherJobs && !isPrivileged)
    missing.push(
      `The server hides others’ jobs from ${user}: qmgr -c 'set server query_other_jobs = True', or make it an operator.`,
    )
  if (!settings.scheduling) missing.push('The server starts no jobs: its scheduling is False.')
  if (![...settings.queues.values()].some((queue) => queue.isStarted && !queue.isRoute))
    missing.push('No execution queue is started: no job can run.')
  if (resource.exitCode !== 0 || !/type = string/.test(resource.stdout))
    missing.push(`There is no resource ${markResource} for the mark of nodes. ${makeResource(markResource)}`)
  return missing
}
