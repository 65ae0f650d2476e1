import type { Clock } from '../../actors/runtime/clock.ts'
import { inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import { HEAD } from '../exec/host-ask.ts'
import { hostFindings } from '../exec/host-findings.ts'
import { type Door, portFindings } from '../exec/port-findings.ts'
import {
  type Examination,
  type Finding,
  fine,
  missing,
  noMachine,
  orFine,
  unseen,
  unwise,
} from '../finding.ts'
import { type Commands, complaint } from './commands.ts'
import type { Dialect, Facts } from './dialect.ts'
import { NO_NODE } from './privilege.ts'
import type { NodeRecord } from './records.ts'
import { limitFindings } from './refused-sizes.ts'

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

/** Where the daemons of a PBS listen, if nobody has said otherwise. */
export interface Ports {
  readonly server: readonly (readonly [daemon: string, port: number])[]
  /** Of each machine. */
  readonly mom: readonly number[]
}

export interface PbsParts {
  readonly commands: Commands
  readonly dialect: Dialect
  readonly clock: Clock
  readonly ports: Ports
  /** What the configuration calls the server, maybe with its port. */
  readonly named: string | undefined
}

/**
 * What `check` tells, and what else an admin should know. `find`: what is wrong by itself, and which jobs would be refused
 * while none of our machines is there.
 */
export async function examinePbs(
  find: () => Promise<readonly Finding[]>,
  parts: PbsParts,
  examination: Examination,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const host = {
    ...{ clock: parts.clock, title: HEAD, run: parts.commands.attempt },
    // No record can be made of what the server cannot find.
    nameless: missing,
  }
  try {
    const { records } = await parts.dialect.nodes(signal)
    const facts = await parts.dialect.recentFacts(signal)
    const found = [...(await find()), ...limitFindings(facts.settings, examination.machines)]
    const server = facts.server || (parts.named ?? '')
    const look = { ...examination, servers: server === '' ? [] : [hostOf(server)] }
    const doors = [...serverDoors(parts, server), ...momDoors(parts, records)]
    const seen = await hostFindings(host, { ...look, doors }, signal)
    const noMom = records.some(isUp) ? [] : [noMachine('pbs_mom')]
    return told([...found, ...walltimes(facts), ...seen, ...noMom], parts.dialect.product, facts)
  } catch (error) {
    if (signal.aborted || !(error instanceof SubletError) || error.code !== 'middleware-unreachable')
      throw error
    const doors = parts.named === undefined ? [] : serverDoors(parts, parts.named)
    return [
      missing('server', inOneLine(error), error.cure),
      ...(await portFindings(host, doors, signal)),
      ...(doors.length > 0 ? [] : [unnamed]),
    ]
  }
}

const unnamed = unseen(
  'ports',
  'Whether pbs_server answers at its port was not looked at: its name is not in this configuration.',
  'Name it as batch.server.',
)

const hostOf = (server: string): string => server.replace(/:\d+$/, '')

function serverDoors({ ports }: PbsParts, server: string): readonly Door[] {
  if (server === '') return []
  const own = /:(\d+)$/.exec(server)?.[1]
  return ports.server.map(([daemon, port], at) => ({
    ...{ daemon, host: hostOf(server), isVital: true },
    port: at === 0 && own !== undefined ? Number(own) : port,
  }))
}

const isUp = ({ fitness }: NodeRecord): boolean => fitness !== 'silent'

/** Of one machine, ours if there is one. */
function momDoors({ ports }: PbsParts, nodes: readonly NodeRecord[]): readonly Door[] {
  const up = nodes.filter(isUp)
  const one = up.find(({ mark }) => mark !== undefined) ?? up[0]
  return one === undefined
    ? []
    : ports.mom.map((port) => ({ daemon: 'pbs_mom', host: one.name, port, isVital: true }))
}

function walltimes({ settings }: Facts): readonly Finding[] {
  const endless = [...settings.queues].filter(
    ([, queue]) => queue.isStarted && !queue.isRoute && queue.defaultWalltimeMs === undefined,
  )
  return settings.defaultWalltimeMs !== undefined
    ? []
    : endless.map(([name]) =>
        unwise(
          'settings',
          `Jobs of the queue ${name} that name no walltime have none: leases are asked for by what such jobs took before.`,
          `As a manager: qmgr -c 'set queue ${name} resources_default.walltime = 24:00:00'.`,
        ),
      )
}

const told = (
  all: readonly Finding[],
  product: Dialect['product'],
  { version, user }: Facts,
): readonly Finding[] => [
  ...(all.some(({ about }) => about === 'server') ? [] : [fine('server', `${product} ${version}.`)]),
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
