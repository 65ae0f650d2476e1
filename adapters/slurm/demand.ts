import type { Vector } from '../../actors/leases/resources.ts'
import { clausesOf } from './constraint.ts'
import { gresPerNode } from './gres.ts'
import { expandHosts } from './hostlist.ts'
import type { JobRecord } from './records.ts'

/** What each node of a job has to give it. */
export interface Demand {
  readonly nodes: number
  readonly cpusPerNode: number
  readonly memoryMiBPerNode: number
  readonly consumablesPerNode: Vector
  readonly features: readonly string[]
  readonly exclusive: boolean
}

/** How a job that names tasks but not nodes lies on machines of the size that is lent. */
function spread(
  record: JobRecord,
  cpusOfMachine: number | undefined,
): { nodes: number; cpusPerNode: number } {
  const cpusPerNode = Math.ceil(record.cpus / record.nodes)
  const mayBeSpread = (record.nodesMax === 0 || record.nodesMax > record.nodes) && record.tasks > record.nodes
  if (cpusOfMachine === undefined || cpusPerNode <= cpusOfMachine || !mayBeSpread)
    return { nodes: record.nodes, cpusPerNode }
  const cpusPerTask = Math.ceil(record.cpus / record.tasks)
  const tasksPerNode = Math.max(1, Math.floor(cpusOfMachine / cpusPerTask))
  return {
    nodes: Math.ceil(record.tasks / tasksPerNode),
    cpusPerNode: Math.min(record.tasks, tasksPerNode) * cpusPerTask,
  }
}

/** So much of each of these on the node makes so much of something: `--mem-per-gpu`, `--cpus-per-gpu`. */
const forEach = (of: Vector, each: Vector): number =>
  Object.entries(each).reduce((sum, [general, amount]) => {
    const count = Object.entries(of).reduce(
      (all, [name, here]) => (name === general || name.startsWith(`${general}:`) ? all + here : all),
      0,
    )
    return sum + amount * count
  }, 0)

/**
 * A job that names hosts wants these and no others, so that no machine to come would do. One of ours that
 * stands empty is ready for it, or will be as soon as we let it in: then it is a job like any other.
 */
function hostsOf(record: JobRecord, ourIdle: ReadonlySet<string>): readonly string[] {
  const hosts = named(record.requiredNodes)
  return hosts.length === 0 || hosts.some((name) => ourIdle.has(name)) ? [] : [hosts.toSorted().join('|')]
}

/** A list that cannot be read is a host that nobody has. */
function named(requiredNodes: string): readonly string[] {
  try {
    return expandHosts(requiredNodes)
  } catch {
    return [requiredNodes.slice(0, 80)]
  }
}

export function demandOf(
  record: JobRecord,
  cpusOfMachine: number | undefined,
  ourIdle: ReadonlySet<string>,
): Demand {
  const { nodes, cpusPerNode: cpus } = spread(record, cpusOfMachine)
  const consumablesPerNode = gresPerNode(record.gres, { nodes, tasks: record.tasks, sockets: record.sockets })
  const cpusPerNode = Math.max(cpus, forEach(consumablesPerNode, record.cpusPerGres))
  return {
    nodes,
    cpusPerNode,
    memoryMiBPerNode:
      record.memoryMiBPerNode ||
      record.memoryMiBPerCpu * cpusPerNode ||
      forEach(consumablesPerNode, record.memoryMiBPerGres),
    consumablesPerNode,
    features: [...(clausesOf(record.constraint) ?? []), ...hostsOf(record, ourIdle)],
    exclusive: record.exclusive,
  }
}
