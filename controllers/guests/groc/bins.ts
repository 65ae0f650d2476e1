import type { Vector } from '../../../actors/leases/resources.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchNode, BatchPicture, Job } from '../../../adapters/batch-system.ts'
import type { GrocConfig } from './config.ts'
import type { Crew } from './crew.ts'
import { lastLook } from './last-look.ts'
import type { Bin, BinKind } from './lots.ts'
import type { Machine, Standing } from './machine.ts'
import { isKindOf, type Room } from './needs.ts'
import { compare } from './sequence.ts'
import { nodesOf, type Tally } from './tally.ts'

/** Where there is or will be room for jobs, and what one more unit of each type would have. */
export interface Bins {
  /** Preferred ones first; where no job waits, only what is coming. */
  readonly bins: readonly Bin[]
  /** By type, in order of preference: as configured, or as its nodes really turn out. */
  readonly units: ReadonlyMap<string, Room>
  /** Processors of what is coming. */
  readonly cpusComing: number
}

const lastBins = lastLook<Pick<Bins, 'bins' | 'cpusComing'>>()

export function binsOf(
  crews: readonly Crew[],
  unnamed: ReadonlyMap<string, number>,
  picture: BatchPicture,
  jobs: Tally,
  config: GrocConfig,
): Bins {
  const units = new Map(config.types.map(({ type, unit }) => [type, turnsOut(unit, crews, type)]))
  // Where nobody waits, nobody asks for room that is there.
  const isAsked = jobs.pending.length > 0
  const { own: ownNodes, collectors } = nodesOf(picture.nodes)
  const small = isAsked ? collectedBySmall(collectors, jobs) : NOBODY
  const roomy = isAsked ? inOrderOfUse(crews) : crews
  const key: unknown[] = [isAsked && jobs.running, isAsked && ownNodes, ...units.values(), ...small]
  for (const { lease, roomy: machines } of roomy) if (machines.length > 0) key.push(lease.type, machines)
  for (const { lease } of crews) {
    const count = unnamed.get(lease.id) ?? 0
    if (count > 0) key.push(lease.id, lease.type, count)
  }
  const made = lastBins(config, key, () => {
    /** A type that is configured no more is taken to be like the first. */
    const unitOf = (type: string): Room => units.get(type) ?? [...units.values()][0]!
    const names = new Set(ownNodes.map(({ name }) => name))
    for (const { roomy: machines } of roomy) for (const { node } of machines) if (node) names.add(node.name)
    const asked = isAsked ? { small, taken: takenBy(jobs.running, names) } : undefined
    const bins = [...ownBins(ownNodes, asked, config)]
    for (const { lease, roomy: machines } of roomy) bins.push(...binsOn(machines, unitOf(lease.type), asked))
    for (const { lease } of crews)
      for (let i = 1; i <= (unnamed.get(lease.id) ?? 0); i += 1)
        bins.push({ id: `${lease.id}#${i}`, kind: 'coming', whole: true, ...unitOf(lease.type) })
    const cpusComing = bins.reduce((sum, { kind, cpus }) => sum + (kind === 'coming' ? cpus : 0), 0)
    return { bins, cpusComing }
  })
  return { ...made, units }
}

const kindOf = (node: BatchNode, small: ReadonlySet<string>): 'collecting' | 'serving' =>
  node.collectingFor === undefined || small.has(node.collectingFor) ? 'serving' : 'collecting'

/** What is needed to tell the room that there is. */
interface Asked {
  readonly small: ReadonlySet<string>
  readonly taken: ReadonlyMap<string, Taken>
}

function ownBins(nodes: readonly BatchNode[], asked: Asked | undefined, config: GrocConfig): readonly Bin[] {
  if (asked === undefined || config.ownNodes !== 'count') return []
  return nodes
    .filter(({ responding, accepting, drained }) => responding && accepting && drained === 'no')
    .map((node) => ({
      ...{ id: `node:${node.name}`, kind: kindOf(node, asked.small) },
      ...leftOn(node, asked.taken.get(node.name), undefined),
    }))
}

const NO_END = {}
const KINDS: { readonly [standing in Standing]?: BinKind } = { spare: 'spare', blocked: 'ending' }

/** Without `asked` only what is coming. */
function binsOn(machines: readonly Machine[], type: Room, asked: Asked | undefined): readonly Bin[] {
  return machines.flatMap(({ unit, node, standing, until }): Bin[] => {
    const { id } = unit
    const end = until === undefined ? NO_END : { until }
    if (node === undefined || standing === 'coming')
      return [{ id, kind: standing === 'spare' ? 'spare' : 'coming', whole: true, ...type, ...end }]
    if (asked === undefined) return []
    const kind = KINDS[standing] ?? kindOf(node, asked.small)
    return [{ id, kind, ...leftOn(node, asked.taken.get(node.name), type), ...end }]
  })
}

/** Leases with work first and later ends first, so that work gathers and whole leases fall idle. */
const inOrderOfUse = (crews: readonly Crew[]): readonly Crew[] =>
  crews
    .filter(({ roomy }) => roomy.length > 0)
    .sort(
      (a, b) =>
        Number(b.isBusy) - Number(a.isBusy) ||
        (b.lease.term?.end ?? 0) - (a.lease.term?.end ?? 0) ||
        compare(a.lease.id, b.lease.id),
    )

const nodesOfType = (crews: readonly Crew[], type: string): readonly BatchNode[] =>
  crews.flatMap(({ lease, machines }) =>
    lease.type === type
      ? machines.flatMap(({ node }) => (node?.responding === true && node.cpus > 0 ? [node] : []))
      : [],
  )

/** It has all that is promised, and nothing that is not. */
const keepsPromise = (node: BatchNode, { cpus, memoryMiB, consumables, features }: Room): boolean =>
  node.responding &&
  node.cpus > 0 &&
  node.cpus >= cpus &&
  node.memoryMiB >= memoryMiB &&
  (node.consumables === undefined ||
    Object.entries(consumables).every(([name, amount]) => (own(node.consumables, name) ?? 0) >= amount)) &&
  (node.features === undefined || node.features.every((feature) => features.includes(feature)))

/** Nodes may report a little less than their type promises; orders must go by what they report. */
function turnsOut(promised: Room, crews: readonly Crew[], type: string): Room {
  // The very same object from look to look, by which others know that nothing changed. One such node is enough.
  for (const { lease, machines } of crews)
    if (lease.type === type)
      for (const { node } of machines) if (node !== undefined && keepsPromise(node, promised)) return promised
  const nodes = nodesOfType(crews, type)
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

/** Of the nodes of these names. */
function takenBy(running: readonly Job[], names: ReadonlySet<string>): ReadonlyMap<string, Taken> {
  const taken = new Map<string, Taken>()
  if (names.size === 0) return taken
  for (const { nodeNames, memoryMiBPerNode, consumablesPerNode, exclusive, tasks } of running)
    for (const name of nodeNames) {
      if (!names.has(name)) continue
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

const NOBODY: ReadonlySet<string> = new Set()

/** Single-node jobs for which the scheduler itself has planned a node. */
function collectedBySmall(collectors: ReadonlySet<string>, { pending }: Tally): ReadonlySet<string> {
  if (collectors.size === 0) return NOBODY
  const small = new Set<string>()
  for (const { id, nodes } of pending) if (nodes === 1 && collectors.has(id)) small.add(id)
  return small
}
