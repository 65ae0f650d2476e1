import type { Clock } from '../../actors/runtime/clock.ts'
import { HEAD } from '../exec/host-ask.ts'
import { hostFindings } from '../exec/host-findings.ts'
import type { Door } from '../exec/port-findings.ts'
import { type Examination, type Finding, fine, missing, noMachine, orFine, unwise } from '../finding.ts'
import type { Commands } from './commands.ts'
import { complaint } from './commands.ts'
import type { GridengineConfig } from './config.ts'
import type { factsOf } from './facts.ts'
import { parseList, parseObject } from './parse-text.ts'
import type { Reader } from './reader.ts'
import type { HostRecord } from './records.ts'
import { refusedShapes } from './shapes.ts'

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
        'Try it beside a cell that nobody needs, with jobs of each kind, before it drives this one; or use SGE 8.1.',
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

/** Of the cell, which every host has. */
export const COMMON_FILES = ['act_qmaster', 'sge_request'] as const

const EXECD = 'sge_execd'
const PORTS = { qmaster: 6444, execd: 6445 }

/** qmaster, and the daemon of one host that is heard, ours if there is one. */
function doorsOf(
  { qmasterPort = PORTS.qmaster, execdPort = PORTS.execd, markComplex }: GridengineConfig,
  master: string,
  hosts: readonly HostRecord[],
): readonly Door[] {
  const up = hosts.filter(({ known }) => known)
  const one = up.find(({ values }) => values.has(markComplex)) ?? up[0]
  return [
    ...(master === '' ? [] : [{ daemon: 'sge_qmaster', host: master, port: qmasterPort, isVital: true }]),
    ...(one === undefined ? [] : [{ daemon: EXECD, host: one.name, port: execdPort, isVital: true }]),
  ]
}

/** What `check` tells, and what else an admin should know. */
export async function examineGridengine(
  findings: readonly Finding[],
  parts: {
    readonly commands: Commands
    readonly facts: ReturnType<typeof factsOf>
    readonly clock: Clock
    readonly reader: Pick<Reader, 'hosts'>
    readonly config: GridengineConfig
  },
  examination: Examination,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const { commands, clock, config } = parts
  const { queue } = config
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
  // qmaster takes no host that it cannot find.
  const host = { clock, title: HEAD, run: commands.other, nameless: missing }
  const common = async (file: (typeof COMMON_FILES)[number]): Promise<string> =>
    (await commands.other(['cat', '--', `${config.root}/${config.cell}/common/${file}`], signal)).stdout
  const [master = ''] = (await common('act_qmaster')).trim().split('\n')
  const { records } = await parts.reader.hosts([config.markComplex], signal)
  const doors = doorsOf(config, master, records)
  const look = { ...examination, doors, servers: master === '' ? [] : [master] }
  const all = [
    ...findings,
    ...walltime,
    ...refusedShapes({ ...{ config, facts: known, examination }, defaults: await common('sge_request') }),
    ...(await hostFindings(host, look, signal)),
    ...(doors.some(({ daemon }) => daemon === EXECD) ? [] : [noMachine(EXECD)]),
  ]
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
