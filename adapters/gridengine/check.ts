import type { Clock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { hostFindings } from '../exec/host-findings.ts'
import { type Examination, type Finding, fine, missing, orFine, unwise } from '../finding.ts'
import type { Commands } from './commands.ts'
import { complaint } from './commands.ts'
import type { GridengineConfig } from './config.ts'
import type { factsOf } from './facts.ts'
import { parseList, parseObject } from './parse-text.ts'

/** The version this adapter was held to the law with. */
const VERSION = /^SGE 8\.1\./

/** A host that nobody has: the answer tells whether we might change one. */
export const NO_HOST = 'sublet-has-no-such-host'

/** What is missing or will not do, with its cure. */
export async function gridengineFindings(
  config: GridengineConfig,
  commands: Commands,
  facts: ReturnType<typeof factsOf>,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  signal.throwIfAborted()
  const known = await facts.read(signal)
  const help = await commands.run('qstat', ['-help'], signal)
  const rights = await commands.run('qconf', ['-dh', NO_HOST], signal)
  const group = await commands.run('qconf', ['-shgrp', config.hostGroup], signal)
  const { queue, hostGroup } = config
  const instances = await commands.run('qselect', ['-q', queue], signal)
  const found: Finding[] = []

  const version = help.stdout.split('\n')[0]?.trim() ?? ''
  if (!VERSION.test(version))
    found.push(
      missing(
        'server',
        `GridEngine “${version}” was not tried with this adapter, which was made for SGE 8.1.`,
      ),
    )
  if (known.queue === undefined)
    found.push(missing('settings', `There is no cluster queue ${queue}.`, `Make it: qconf -aq ${queue}.`))
  else {
    if (!known.queue.hosts.includes(hostGroup))
      found.push(
        missing(
          'settings',
          `The host group ${hostGroup} is not in the hostlist of the queue ${queue}.`,
          `qconf -aattr queue hostlist ${hostGroup} ${queue}`,
        ),
      )
    if (known.queue.closed)
      found.push(
        missing(
          'settings',
          `The queue ${queue} has initial_state disabled: machines that come in take no job.`,
          `qconf -mattr queue initial_state default ${queue}`,
        ),
      )
  }
  if (instances.exitCode !== 0)
    found.push(
      missing(
        'job shapes',
        `The queue ${queue} has no host at all now: qsub refuses jobs that name it (-q ${queue}).`,
        'Keep one in its hostlist, even without slots.',
      ),
    )
  if (group.exitCode !== 0)
    found.push(
      missing(
        'settings',
        `There is no host group ${hostGroup}`,
        `(make one with qconf -ahgrp ${hostGroup}).`,
      ),
    )
  found.push(...complexFindings(config, known.complexes))
  if (!known.explains)
    found.push(
      missing(
        'settings',
        'The scheduler does not say why jobs wait (schedd_job_info false): limits of users are not seen.',
        'Set schedd_job_info true: qconf -msconf.',
      ),
    )
  if (/denied|must be|no permission/i.test(rights.stderr + rights.stdout) && !/not exist/.test(rights.stderr))
    found.push(
      missing(
        'rights',
        `Sublet’s user may not change hosts (${complaint(rights)}).`,
        'Make it a manager (qconf -am USER) on an administrative host (qconf -ah HOST).',
      ),
    )
  for (const host of parseList(parseObject(group.stdout).get('hostlist') ?? ''))
    if (host.startsWith('@'))
      found.push(
        missing(
          'settings',
          `The host group ${hostGroup} has ${host} in it, whose hosts are others’.`,
          `Take it out: qconf -dattr hostgroup hostlist ${host} ${hostGroup}.`,
        ),
      )
  return found
}

/** Where our mark and our drain are kept. */
function complexFindings(
  config: GridengineConfig,
  complexes: Awaited<ReturnType<ReturnType<typeof factsOf>['read']>>['complexes'],
): readonly Finding[] {
  const found: Finding[] = []
  for (const name of [config.markComplex, config.drainComplex]) {
    const complex = complexes.get(name)
    const row = `“${name} ${name} RESTRING == YES NO NONE 0” (qconf -mc).`
    if (complex === undefined)
      found.push(missing('settings', `There is no complex ${name};`, `add the row ${row}`))
    else if (!/STRING/.test(complex.type) || complex.consumable !== 'NO')
      found.push(
        missing('settings', `The complex ${name} is not a plain RESTRING.`, `Its row should be ${row}`),
      )
  }
  return found
}

/** What `check` tells, and what else an admin should know. */
export async function examineGridengine(
  findings: readonly Finding[],
  parts: {
    readonly commands: Commands
    readonly facts: ReturnType<typeof factsOf>
    readonly clock: Clock
    readonly queue: string
  },
  examination: Examination,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const { commands, clock, queue } = parts
  const known = await parts.facts.recent(signal)
  const walltime =
    known.queue !== undefined && known.queue.walltimeMs === undefined
      ? [
          unwise(
            'settings',
            `Jobs of the queue ${queue} that name no h_rt have no end: leases are asked for by what such jobs took before.`,
            `qconf -mattr queue h_rt 24:00:00 ${queue}`,
          ),
        ]
      : []
  const host = {
    clock,
    // qmaster takes no host that it cannot find.
    nameless: missing,
    ask: async (argv: readonly [string, ...string[]], end: AbortSignal): Promise<string> => {
      const done = await commands.other(argv, end)
      if (done.exitCode === 0) return done.stdout
      throw new SubletError('exec-failed', `“${argv.join(' ')}” failed: ${complaint(done)}`)
    },
  }
  const all = [...findings, ...walltime, ...(await hostFindings(host, examination, signal))]
  return [
    ...orFine(
      orFine(
        orFine(
          orFine(all, 'server', 'Its version is one that was tried.'),
          'rights',
          'Hosts may be changed.',
        ),
        'job shapes',
        `Jobs that name the queue ${queue} may be submitted.`,
      ),
      'settings',
      `The queue ${queue}, the host group and the complexes are there.`,
    ),
    fine('visibility', 'GridEngine shows the jobs of all to everybody.'),
  ]
}
