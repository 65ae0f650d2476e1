import type { Clock, Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { hostFindings } from '../../adapters/exec/host-findings.ts'
import type { Door } from '../../adapters/exec/port-findings.ts'
import type { Executor } from '../../adapters/executor.ts'
import { type Finding, missing, unseen } from '../../adapters/finding.ts'
import type { JoinedMachine } from '../reports/status.ts'
import type { JoinSettings } from '../settings/config.ts'

type SshJoin = Exclude<JoinSettings, { kind: 'embedded' }>

export interface MachineLook {
  readonly join: SshJoin
  /** Machines of the guest that are in its middleware. */
  readonly joined: readonly JoinedMachine[]
  connect(facts: JoinedMachine['facts']): Executor
  readonly skewMsMax: Millis
  readonly clock: Clock
}

const COMMAND_MS: Millis = 10_000
/** Jobs over several machines need each other’s names. */
const OTHERS_MAX = 3

/** What the first of our machines that has joined sees: the server’s name and ports, the others’ names, the hour. */
export async function machineFindings(
  { join, joined, connect, skewMsMax, clock }: MachineLook,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const [first, ...others] = joined
  if (first === undefined) return [notSeen('none has joined')]
  const exec = connect(first.facts)
  try {
    const run = (argv: readonly [string, ...string[]], stop: AbortSignal) =>
      exec.run(argv, { signal: stop, timeoutMs: COMMAND_MS, env: { LC_ALL: 'C' } })
    const host = { clock, title: `the machine ${first.name}`, run, nameless: missing }
    const doors = await doorsOf(join, async (argv) => (await run(argv, signal)).stdout)
    const names = [...new Set(doors.map((door) => door.host)), first.name]
    const all = [...names, ...others.slice(0, OTHERS_MAX).map(({ name }) => name)]
    return await hostFindings(host, { names: all, skewMsMax, servers: [], doors }, signal)
  } catch (error) {
    if (!(error instanceof SubletError)) throw error
    return [notSeen(`${first.name}: ${error.message}`)]
  } finally {
    await exec.close()
  }
}

/** Looked at from nowhere but a machine. */
export const notSeen = (why: string): Finding =>
  unseen(
    'names',
    `What machines see of the batch system (names, ports, the hour) was not looked at from one: ${why}.`,
    'Look again while this Sublet runs and a machine has joined; or put what has to be so there into site.probe.',
  )

type Read = (argv: readonly [string, ...string[]]) => Promise<string>

/** The server’s daemons, where the machine itself looks for them. */
async function doorsOf(join: SshJoin, read: Read): Promise<readonly Door[]> {
  switch (join.kind) {
    case 'ssh-torque':
      return [serverDoor('pbs_server', join.server, 15_001)]
    case 'ssh-openpbs':
      return [serverDoor('pbs_server', join.server, 15_001), serverDoor('pbs_comm', join.server, 17_001)]
    case 'ssh-gridengine': {
      const master = (await read(['cat', '--', `${join.root}/${join.cell}/common/act_qmaster`])).trim()
      return master === '' ? [] : [serverDoor('sge_qmaster', master, join.qmasterPort ?? 6444)]
    }
    case 'ssh-slurmd': {
      const lines = await read(['grep', '-iE', '^ *Slurmctld(Host|Port) *=', join.confFile])
      const port = Number(/Port *= *(\d+)/i.exec(lines)?.[1] ?? 6817)
      return [...lines.matchAll(/Host *= *([^\s(#]+)/gi)].map(([, host = '']) =>
        serverDoor('slurmctld', host, port),
      )
    }
  }
}

function serverDoor(daemon: string, server: string, otherwise: number): Door {
  const [host = '', port] = server.split(':')
  return { daemon, host, port: Number(port ?? otherwise), isVital: true }
}
