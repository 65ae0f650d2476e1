import type { Vector } from '../../actors/leases/resources.ts'
import type { Millis } from '../../actors/runtime/clock.ts'
import type { GridengineConfig } from './config.ts'
import type { Facts } from './facts.ts'
import { fits } from './glob.ts'
import type { Complex, Environment, JobRow } from './records.ts'
import { bytesOf, durationOf, leastOf, memoryMiBOf } from './sizes.ts'

/**
 * What a job needs of each node:
 *
 *   no environment          1 node × 1 slot
 *   $pe_slots               1 node × slots
 *   a number k              slots/k nodes × k; slots that k does not divide never start
 *   $fill_up, $round_robin  as few machines of `cpusOfMachine` as hold the slots
 */
export interface Demand {
  readonly nodes: number
  readonly cpusPerNode: number
  readonly memoryMiBPerNode: number
  readonly consumablesPerNode: Vector
  readonly features: readonly string[]
  readonly exclusive: boolean
  readonly walltimeMs: Millis | undefined
  /** Why no machine of this queue could ever run it. */
  readonly impossible: string | undefined
}

/** Attributes of queues, which say something about a queue and nothing about a machine. */
const OF_QUEUES =
  /^(?:[sh]_(?:rt|cpu|fsize|data|stack|core|rss|vmem)|qname|seq_no|rerun|calendar|min_cpu_interval|priority|tmpdir|notify|slots)$/

export function shapeOf(
  slots: number,
  rule: string | undefined,
  cpusOfMachine: number | undefined,
): { nodes: number; cpusPerNode: number; fits: boolean } {
  if (rule !== undefined && /^[1-9]\d*$/.test(rule)) {
    const each = Number(rule)
    return { nodes: Math.ceil(slots / each), cpusPerNode: Math.min(each, slots), fits: slots % each === 0 }
  }
  const spreads = rule === '$fill_up' || rule === '$round_robin'
  const nodes = spreads && cpusOfMachine !== undefined ? Math.ceil(slots / cpusOfMachine) : 1
  return { nodes, cpusPerNode: Math.ceil(slots / nodes), fits: true }
}

/** The first environment of the queue that the job's name for it fits. */
export const environmentOf = (job: JobRow, facts: Facts): Environment | undefined => {
  const wanted = job.environment
  return wanted && facts.environments.find(({ name }) => fits(wanted.name, name))
}

/** A request for a complex that is used up: how much of it one node has to give. */
function amountOn(complex: Complex, value: string, slotsPerNode: number): number {
  const amount = Math.ceil(bytesOf(value) ?? 0)
  return complex.consumable === 'YES' ? amount * slotsPerNode : amount
}

/** `bigdisk`, `arch=lx-amd64`, or the name of a host; undefined if it asks nothing of a machine. */
function featureOf(complex: Complex | undefined, name: string, value: string): string | undefined {
  if (name === 'hostname') return value
  if (complex?.type === 'BOOL') return /^(?:true|1)$/i.test(value) ? name : undefined
  return `${name}=${value}`
}

/** Hosts that `-q` names: `dyn@g1`; host groups and patterns say too little. */
const hostOf = (queues: readonly string[]): readonly string[] => {
  const hosts = queues.map((queue) => queue.split('@').slice(1).join('@'))
  const [only] = hosts
  return hosts.length === 1 && only !== undefined && /^[A-Za-z0-9_.-]+$/.test(only) ? [only] : []
}

/** With a default in the complex a job that does not ask uses that much. */
const byDefault = (complex: Complex): string | undefined =>
  complex.consumable !== 'NO' && leastOf(complex.byDefault) > 0 && bytesOf(complex.byDefault) !== 0
    ? complex.byDefault
    : undefined

/** `global`: complexes that are no machine's, such as licences. */
export function demandOf(
  job: JobRow,
  facts: Facts,
  config: GridengineConfig,
  global: ReadonlySet<string>,
): Demand {
  const environment = environmentOf(job, facts)
  const slots = job.grantedSlots ?? job.environment?.slots ?? 1
  const shape = shapeOf(slots, environment?.rule, config.cpusOfMachine)
  const { complexes } = facts
  const memoryName = config.memoryComplexes.find(
    (name) => job.requests.has(name) || byDefaultOf(complexes.get(name)) !== undefined,
  )
  const features = [...hostOf(job.queues)]
  const consumables: Record<string, number> = {}
  let memoryMiBPerNode = 0
  let exclusive = false
  if (memoryName !== undefined) {
    const complex = complexes.get(memoryName)
    const value = job.requests.get(memoryName) ?? byDefaultOf(complex) ?? '0'
    memoryMiBPerNode = memoryMiBOf(value) * (complex?.consumable === 'YES' ? shape.cpusPerNode : 1)
  }
  for (const [name, value] of job.requests) {
    if (
      OF_QUEUES.test(name) ||
      global.has(name) ||
      config.memoryComplexes.includes(name) ||
      config.satisfied.includes(name)
    )
      continue
    const complex = complexes.get(name)
    if (complex?.relation === 'EXCL') exclusive ||= /^(?:true|1)$/i.test(value)
    else if (complex !== undefined && complex.consumable !== 'NO')
      consumables[name] = amountOn(complex, value, shape.cpusPerNode)
    else {
      const feature = featureOf(complex, name, value)
      if (feature !== undefined) features.push(feature)
    }
  }
  const asked = durationOf(job.requests.get('h_rt') ?? '')
  const allowed = facts.queue?.walltimeMs
  return {
    nodes: shape.nodes,
    cpusPerNode: shape.cpusPerNode,
    memoryMiBPerNode,
    consumablesPerNode: consumables,
    features,
    exclusive,
    walltimeMs: asked ?? allowed,
    impossible: !shape.fits
      ? `${slots} slots cannot be had by ${environment?.rule} on each host`
      : environment !== undefined && slots > environment.slots
        ? `the environment ${environment.name} has ${environment.slots} slots in all`
        : asked !== undefined && allowed !== undefined && asked > allowed
          ? `it asks for more time than the queue ${config.queue} allows`
          : undefined,
  }
}

const byDefaultOf = (complex: Complex | undefined): string | undefined =>
  complex === undefined ? undefined : byDefault(complex)
