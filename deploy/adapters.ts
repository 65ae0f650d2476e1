import type { Clock } from '../actors/runtime/clock.ts'
import { type IdSource, idSource } from '../actors/runtime/ids.ts'
import type { Random } from '../actors/runtime/random.ts'
import type { BatchSystem } from '../adapters/batch-system.ts'
import { embeddedBatch } from '../adapters/embedded/batch-system.ts'
import { embeddedJoin } from '../adapters/embedded/join.ts'
import { processMachines } from '../adapters/embedded/process-machines.ts'
import { farHead } from '../adapters/exec/far-head.ts'
import { localExecutor } from '../adapters/exec/local.ts'
import { type NetnsDoor, netnsDoor } from '../adapters/exec/netns-door.ts'
import { prefixed } from '../adapters/exec/prefixed.ts'
import { sshExecutor } from '../adapters/exec/ssh.ts'
import type { Executor } from '../adapters/executor.ts'
import { gridengine } from '../adapters/gridengine/batch-system.ts'
import { gridengineJoin } from '../adapters/gridengine/join.ts'
import { gridenginePrivileges } from '../adapters/gridengine/privileges.ts'
import type { Handler, UnitFacts } from '../adapters/handler.ts'
import type { JoinHandler } from '../adapters/join.ts'
import { namespaceMachines } from '../adapters/namespace/namespace.ts'
import { openpbs } from '../adapters/openpbs/batch-system.ts'
import { openpbsJoin } from '../adapters/openpbs/join.ts'
import { openpbsPrivileges } from '../adapters/openpbs/privileges.ts'
import type { Privileges } from '../adapters/privileges.ts'
import { slurm } from '../adapters/slurm/batch-system.ts'
import { type Head, slurmHead } from '../adapters/slurm/head.ts'
import { slurmJoin } from '../adapters/slurm/join.ts'
import { slurmPrivileges } from '../adapters/slurm/privileges.ts'
import { torque } from '../adapters/torque/batch-system.ts'
import { torqueJoin } from '../adapters/torque/join.ts'
import { torquePrivileges } from '../adapters/torque/privileges.ts'
import type { GuestSettings, JoinSettings, MachinesSettings } from './settings/config.ts'

/** What is injected into everything that touches the world. */
export interface Parts {
  readonly clock: Clock
  readonly random: Random
}

/** The adapters of a configuration. This is the one place that knows them all. */
export function machinesOf(settings: MachinesSettings, { clock, random }: Parts): Handler {
  const chance = random.child('machines')
  const ids: IdSource = idSource(random.child('nonces'))
  const nonce = (): string => ids.next('nonce').slice('nonce-'.length)
  const { kind, ...config } = settings
  if (kind === 'process')
    return processMachines(config as Omit<typeof settings & { kind: 'process' }, 'kind'>, {
      clock,
      random: () => chance.next(),
      nonce,
    })
  const exec = localExecutor({ clock })
  return namespaceMachines(config as Omit<typeof settings & { kind: 'namespace' }, 'kind'>, {
    clock,
    exec,
    nonce,
  })
}

/** What runs the commands of the batch system, wherever they run. */
function headOf(settings: Exclude<GuestSettings['batch'], { kind: 'embedded' }>, clock: Clock): Executor {
  const { ssh } = settings
  const head = ssh === undefined ? localExecutor({ clock }) : farHead(sshExecutor(ssh, { clock }))
  const [program, ...rest] = settings.through
  return program === undefined ? head : prefixed(head, [program, ...rest])
}

export function batchOf(settings: GuestSettings['batch'], { clock }: Parts): BatchSystem {
  if (settings.kind === 'embedded') return embeddedBatch({ socket: settings.socket }, { clock })
  const exec = headOf(settings, clock)
  if (settings.kind === 'slurm') {
    const { kind: _, through: __, ssh: ___, ...config } = settings
    return closing(slurm(config, exec, { clock }), exec)
  }
  if (settings.kind === 'torque') {
    const { kind: _, through: __, ssh: ___, ...config } = settings
    return closing(torque(config, exec, { clock }), exec)
  }
  if (settings.kind === 'gridengine') {
    const { kind: _, through: __, ssh: ___, ...config } = settings
    return closing(gridengine(config, exec, { clock }), exec)
  }
  const { kind: _, through: __, ssh: ___, ...config } = settings
  return closing(openpbs(config, exec, { clock }), exec)
}

/** With a connection of its own, where its head is reached over ssh. */
export interface ReachedHead extends Head {
  close(): Promise<void>
}

/** What machines are compared with; undefined where the batch system is no Slurm. */
export function slurmHeadOf(batch: GuestSettings['batch'], clock: Clock): ReachedHead | undefined {
  if (batch.kind !== 'slurm') return undefined
  const exec = headOf(batch, clock)
  return { ...slurmHead(batch, exec, { clock }), close: () => exec.close() }
}

/** Every command that the adapter runs; `node` is what the names of our machines are like. */
export function privilegesOf(
  settings: Exclude<GuestSettings['batch'], { kind: 'embedded' }>,
  join: JoinSettings,
  node: string,
): Privileges {
  switch (settings.kind) {
    case 'slurm':
      return slurmPrivileges(settings, node, join.kind === 'ssh-slurmd' ? join.alike.users : [])
    case 'torque':
      return torquePrivileges(settings, node)
    case 'openpbs':
      return openpbsPrivileges(settings, node)
    case 'gridengine':
      return gridenginePrivileges(settings, node)
  }
}

/** With the connection to its head. */
const closing = (system: BatchSystem, exec: Executor): BatchSystem => ({
  ...system,
  async close() {
    await system.close()
    await exec.close()
  },
})

/** The way into machines, and the door that is closed after them. */
export function machinesBySsh(
  { ssh }: Exclude<JoinSettings, { kind: 'embedded' }>,
  clock: Clock,
): { connect(facts: UnitFacts): Executor; readonly door: NetnsDoor | undefined } {
  const door: NetnsDoor | undefined = ssh.netns === undefined ? undefined : netnsDoor(ssh.netns)
  const { privateKeyFile, algorithms, ready, keepalive, channelsMax } = ssh
  const connect = (facts: UnitFacts) =>
    sshExecutor(
      {
        host: facts.address ?? '',
        port: Number(facts.sshPort ?? 22),
        user: facts.sshUser ?? 'root',
        hostKey: facts.sshHostKey ?? '',
        ...{ privateKeyFile, algorithms, ready, keepalive, channelsMax },
      },
      {
        clock,
        ...(door === undefined ? {} : { connect: (host, port, signal) => door.connect(host, port, signal) }),
      },
    )
  return { connect, door }
}

export function joinOf(
  { join: settings, batch }: Pick<GuestSettings, 'join' | 'batch'>,
  { clock }: Parts,
): JoinHandler {
  if (settings.kind === 'embedded') {
    const { kind: _, ...config } = settings
    return embeddedJoin(config, { clock })
  }
  const { connect, door } = machinesBySsh(settings, clock)
  const head = settings.kind === 'ssh-slurmd' ? slurmHeadOf(batch, clock) : undefined
  const handlerOf = (): JoinHandler => {
    if (settings.kind === 'ssh-slurmd') {
      const { kind: _, ssh: __, ...config } = settings
      return slurmJoin(config, connect, head && { head, clock })
    }
    if (settings.kind === 'ssh-torque') {
      const { kind: _, ssh: __, ...config } = settings
      return torqueJoin(config, connect)
    }
    if (settings.kind === 'ssh-gridengine') {
      const { kind: _, ssh: __, ...config } = settings
      return gridengineJoin(config, connect)
    }
    const { kind: _, ssh: __, ...config } = settings
    return openpbsJoin(config, connect)
  }
  const handler = handlerOf()
  return {
    ...handler,
    async close() {
      await handler.close()
      await head?.close()
      await door?.close()
    },
  }
}
