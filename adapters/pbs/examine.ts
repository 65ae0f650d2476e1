import type { Clock } from '../../actors/runtime/clock.ts'
import { hostFindings } from '../exec/host-findings.ts'
import { type Examination, type Finding, fine, missing, orFine, unwise } from '../finding.ts'
import { type Commands, complaint } from './commands.ts'
import type { Dialect, Facts } from './dialect.ts'
import { NO_NODE } from './privilege.ts'

/** A node that nobody has is asked to be deleted: the refusal tells whether one might be. */
export async function rightsFinding(
  commands: Commands,
  { user }: Facts,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const rights = await commands.run('qmgr', ['-c', `delete node ${NO_NODE}`], { signal })
  return /Unknown node|no node list/i.test(rights.stderr)
    ? []
    : [
        missing(
          'rights',
          `The user ${user} may not change nodes (${complaint(rights)});`,
          `make it a manager: qmgr -c 'set server managers += ${user}@HOST'.`,
        ),
      ]
}

/** What every PBS has to be set to. */
export function commonFindings({ user, settings, isPrivileged }: Facts): readonly Finding[] {
  const found: Finding[] = []
  if (!settings.queryOtherJobs && !isPrivileged)
    found.push(
      missing(
        'visibility',
        `The server hides others’ jobs from ${user}:`,
        `qmgr -c 'set server query_other_jobs = True', or make it an operator.`,
      ),
    )
  if (!settings.scheduling)
    found.push(
      missing(
        'settings',
        'The server starts no jobs: its scheduling is False.',
        `As a manager: qmgr -c 'set server scheduling = True'.`,
      ),
    )
  if (![...settings.queues.values()].some((queue) => queue.isStarted && !queue.isRoute))
    found.push(
      missing(
        'settings',
        'No execution queue is started: no job can run.',
        `As a manager: qmgr -c 'set queue QUEUE started = True'.`,
      ),
    )
  return found
}

/** What `check` tells, and what else an admin should know. */
export async function examinePbs(
  findings: readonly Finding[],
  parts: { readonly commands: Commands; readonly dialect: Dialect; readonly clock: Clock },
  examination: Examination,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const { commands, dialect, clock } = parts
  const { settings, version, user } = await dialect.recentFacts(signal)
  const endless = [...settings.queues].filter(
    ([, queue]) => queue.isStarted && !queue.isRoute && queue.defaultWalltimeMs === undefined,
  )
  const walltime =
    settings.defaultWalltimeMs !== undefined || endless.length === 0
      ? []
      : endless.map(([name]) =>
          unwise(
            'settings',
            `Jobs of the queue ${name} that name no walltime have none: leases are asked for by what such jobs took before.`,
            `As a manager: qmgr -c 'set queue ${name} resources_default.walltime = 24:00:00'.`,
          ),
        )
  const host = {
    clock,
    ask: commands.other,
    // No record can be made of what the server cannot find.
    nameless: missing,
  }
  const all = [...findings, ...walltime, ...(await hostFindings(host, examination, signal))]
  return [
    ...(all.some(({ about }) => about === 'server')
      ? []
      : [fine('server', `${dialect.product} ${version}.`)]),
    ...orFine(
      orFine(
        orFine(all, 'rights', `The user ${user} may change nodes.`),
        'visibility',
        `The user ${user} sees the jobs of others.`,
      ),
      'settings',
      'Jobs are started, and have a walltime.',
    ),
  ]
}
