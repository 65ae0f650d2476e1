import type { Vector } from '../../../actors/leases/resources.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchNode, BatchPicture, Job } from '../../../adapters/batch-system.ts'
import type { HeldLease } from '../../controller.ts'
import type { GrocConfig } from './config.ts'
import type { Bin } from './lots.ts'
import type { Machine } from './machine.ts'
import { isKindOf, type Room } from './needs.ts'
import { compare } from './sequence.ts'
import type { Tally } from './tally.ts'

/** Where there is or will be room for jobs, and what one more unit of each type would have. */
export interface Bins {
  /** Preferred ones first; where no job waits, only what is coming. */
  readonly bins: readonly Bin[]
  /** By type, in order of preference: as configured, or as its nodes really turn out. */
  readonly units: ReadonlyMap<string, Room>
  /** Processors of what is coming. */
  readonly cpusComing: number
}

export function binsOf(
  machines: readonly Machine[],
  unnamed: ReadonlyMap<string, number>,
  leases: readonly HeldLease[],
  picture: BatchPicture,
  jobs: Tally,
  config: GrocConfig,
): Bins {
  const units = new Map(
    config.types.map(({ type, unit }) => [type, turnsOut(unit, nodesOfType(machines, type))]),
  )
  const [anyUnit] = units.values()
  /** A type that is configured no more is taken to be like the first. */
  const unitOf = (type: string): Room => units.get(type) ?? anyUnit!
  // Where nobody waits, nobody asks for room that is there.
  const isAsked = jobs.all.length > jobs.held.length + jobs.running.length + jobs.ended.length
  const taken: ReadonlyMap<string, Taken> = isAsked ? takenBy(jobs.running) : new Map<string, Taken>()
  const roomOf = (node: BatchNode, type: Room | undefined): Left => leftOn(node, taken.get(node.name), type)
  const pendingSmall = isAsked ? collectedBySmall(picture.nodes, jobs.all) : new Set<string>()
  const kindOf = (node: BatchNode): 'collecting' | 'serving' =>
    node.collectingFor === undefined || pendingSmall.has(node.collectingFor) ? 'serving' : 'collecting'

  const bins: Bin[] = []
  if (isAsked && config.ownNodes === 'count')
    for (const node of picture.nodes)
      if (node.mark === undefined && node.responding && node.accepting && node.drained === 'no')
        bins.push({ id: `node:${node.name}`, kind: kindOf(node), ...roomOf(node, undefined) })
  for (const { unit, lease, node, standing } of isAsked ? inOrderOfUse(machines) : machines) {
    const type = unitOf(lease.type)
    if (standing === 'coming' || (standing === 'spare' && node === undefined))
      bins.push({ id: unit.id, kind: standing, whole: true, ...type })
    else if (!isAsked) continue
    else if (node !== undefined && standing === 'spare')
      bins.push({ id: unit.id, kind: 'spare', ...roomOf(node, type) })
    else if (node !== undefined && standing === 'serving')
      bins.push({ id: unit.id, kind: kindOf(node), ...roomOf(node, type) })
  }
  for (const lease of leases)
    for (let i = 1; i <= (unnamed.get(lease.id) ?? 0); i += 1)
      bins.push({ id: `${lease.id}#${i}`, kind: 'coming', whole: true, ...unitOf(lease.type) })
  const cpusComing = bins.reduce((sum, { kind, cpus }) => sum + (kind === 'coming' ? cpus : 0), 0)
  return { bins, units, cpusComing }
}

/** Leases with work first and later ends first, so that work gathers and whole leases fall idle. */
function inOrderOfUse(machines: readonly Machine[]): readonly Machine[] {
  const groups = new Map<
    string,
    { readonly lease: HeldLease; isBusy: boolean; readonly machines: Machine[] }
  >()
  for (const machine of machines) {
    const { node, lease } = machine
    let group = groups.get(lease.id)
    if (group === undefined) {
      group = { lease, isBusy: false, machines: [] }
      groups.set(lease.id, group)
    }
    group.machines.push(machine)
    if (node !== undefined && !node.empty) group.isBusy = true
  }
  const sorted = [...groups.values()].sort(
    (a, b) =>
      Number(b.isBusy) - Number(a.isBusy) ||
      (b.lease.term?.end ?? 0) - (a.lease.term?.end ?? 0) ||
      compare(a.lease.id, b.lease.id),
  )
  return sorted.flatMap((group) =>
    group.machines.length === 1
      ? group.machines
      : group.machines.sort((a, b) => compare(a.unit.id, b.unit.id)),
  )
}

const nodesOfType = (machines: readonly Machine[], type: string): readonly BatchNode[] =>
  machines.flatMap(({ node, lease }) =>
    lease.type === type && node?.responding === true && node.cpus > 0 ? [node] : [],
  )

/** Nodes may report a little less than their type promises; orders must go by what they report. */
function turnsOut(promised: Room, nodes: readonly BatchNode[]): Room {
  const [first, ...others] = nodes
  if (first === undefined) return promised
  const most = (amountOf: (node: BatchNode) => number): number =>
    nodes.reduce((most, node) => Math.max(most, amountOf(node)), 0)
  const atMost = (name: string, amount: number): number =>
    Math.min(
      amount,
      most(({ consumables }) => (consumables === undefined ? amount : (own(consumables, name) ?? 0))),
    )
  const shared = (first.features ?? []).filter((feature) =>
    others.every(({ features }) => features?.includes(feature)),
  )
  const keepsItsPromise =
    most(({ cpus }) => cpus) >= promised.cpus &&
    most(({ memoryMiB }) => memoryMiB) >= promised.memoryMiB &&
    Object.entries(promised.consumables).every(([name, amount]) => atMost(name, amount) === amount) &&
    shared.every((feature) => promised.features.includes(feature))
  // The very same object from look to look, by which others know that nothing changed.
  if (keepsItsPromise) return promised
  return {
    cpus: Math.min(
      promised.cpus,
      most(({ cpus }) => cpus),
    ),
    memoryMiB: Math.min(
      promised.memoryMiB,
      most(({ memoryMiB }) => memoryMiB),
    ),
    consumables: Object.fromEntries(
      Object.entries(promised.consumables).map(([name, amount]) => [name, atMost(name, amount)]),
    ),
    features: [...new Set([...promised.features, ...shared])],
  }
}

/** What running jobs take of a node, by their own figures. */
interface Taken {
  memoryMiB: number
  readonly consumables: Map<string, number>
  exclusively: boolean
}

function takenBy(running: readonly Job[]): ReadonlyMap<string, Taken> {
  const taken = new Map<string, Taken>()
  for (const { nodeNames, memoryMiBPerNode, consumablesPerNode, exclusive, tasks } of running)
    for (const name of nodeNames) {
      let ofNode = taken.get(name)
      if (ofNode === undefined) {
        ofNode = { memoryMiB: 0, consumables: new Map(), exclusively: false }
        taken.set(name, ofNode)
      }
      ofNode.memoryMiB += memoryMiBPerNode * tasks
      ofNode.exclusively ||= exclusive === true
      if (consumablesPerNode !== undefined)
        for (const [consumable, amount] of Object.entries(consumablesPerNode))
          ofNode.consumables.set(consumable, (ofNode.consumables.get(consumable) ?? 0) + amount * tasks)
    }
  return taken
}

type Left = Omit<Bin, 'id' | 'kind'>

/** What was left of a node, and what this rests on besides the node. */
interface Leftover {
  readonly type: Room | undefined
  readonly memoryMiB: number | undefined
  readonly exclusively: boolean | undefined
  readonly left: Left
}

/** From one look to the next most nodes are the very same objects. */
const leftovers = new WeakMap<BatchNode, Leftover>()

function leftOn(node: BatchNode, taken: Taken | undefined, type: Room | undefined): Left {
  if ((taken?.consumables.size ?? 0) > 0) return leftOf(node, taken, type)
  const before = leftovers.get(node)
  const [memoryMiB, exclusively] = [taken?.memoryMiB, taken?.exclusively]
  if (before?.type === type && before?.memoryMiB === memoryMiB && before?.exclusively === exclusively)
    if (before !== undefined) return before.left
  const left = leftOf(node, taken, type)
  leftovers.set(node, { type, memoryMiB, exclusively, left })
  return left
}

/** What is left of it for jobs; of what the middleware does not say, its type has as much as was promised. */
function leftOf(node: BatchNode, taken: Taken | undefined, type: Room | undefined): Left {
  const memoryInUse = node.memoryMiBInUse ?? taken?.memoryMiB ?? 0
  return {
    cpus: taken?.exclusively === true ? 0 : Math.max(0, node.cpus - node.cpusInUse),
    memoryMiB: Math.max(0, node.memoryMiB - memoryInUse),
    consumables: consumablesLeft(node, taken, type?.consumables ?? {}),
    features: node.features ?? type?.features ?? [],
    whole: node.empty && node.jobs.length === 0,
  }
}

function consumablesLeft(node: BatchNode, taken: Taken | undefined, promised: Vector): Vector {
  const there = node.consumables ?? promised
  if (node.consumablesInUse === undefined && (taken?.consumables.size ?? 0) === 0) return there
  const inUse = (name: string): number =>
    node.consumablesInUse === undefined
      ? sumFor(name, taken?.consumables ?? new Map())
      : (own(node.consumablesInUse, name) ?? 0)
  return Object.fromEntries(
    Object.entries(there).map(([name, amount]) => [name, Math.max(0, amount - inUse(name))]),
  )
}

/** A job that took any `gpu` may have taken this `gpu:a100`. */
function sumFor(name: string, taken: ReadonlyMap<string, number>): number {
  let sum = 0
  for (const [other, amount] of taken) if (other === name || isKindOf(name, other)) sum += amount
  return sum
}

/** Single-node jobs for which the scheduler itself has planned a node. */
function collectedBySmall(nodes: readonly BatchNode[], jobs: readonly Job[]): ReadonlySet<string> {
  const collectors = new Set<string>()
  for (const { collectingFor } of nodes) if (collectingFor !== undefined) collectors.add(collectingFor)
  const small = new Set<string>()
  if (collectors.size > 0)
    for (const { id, state, nodes } of jobs)
      if (state === 'pending' && nodes === 1 && collectors.has(id)) small.add(id)
  return small
}
