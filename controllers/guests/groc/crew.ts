import type { Instant } from '../../../actors/runtime/clock.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchPicture } from '../../../adapters/batch-system.ts'
import type { HeldLease, HeldUnit } from '../../controller.ts'
import type { GrocConfig } from './config.ts'
import { isSameList } from './last-look.ts'
import { lapses, type Machine, machineOf, type Standing } from './machine.ts'
import type { GrocMemory } from './memory.ts'
import type { Roll } from './roll.ts'
import { compare } from './sequence.ts'
import { isAnyStuck } from './stuck.ts'

/**
 * The machines of one lease, sorted by what a decision asks for. Of a hundred machines as a rule nearly all work: whoever
 * asks for those that stand empty, or that want something, does not go through these again.
 */
export interface Crew {
  readonly lease: HeldLease
  readonly roll: Roll
  readonly machines: readonly Machine[]
  readonly counts: Readonly<Record<Standing, number>>
  readonly joined: number
  /** Processors that serve. */
  readonly cpus: number
  /** Some node of it is not empty. */
  readonly isBusy: boolean
  /** All its units have left, or are lost. */
  readonly isOut: boolean
  /** Serving, coming or spare ones whose node is not known to have work; and how many have. */
  readonly vacant: readonly Machine[]
  readonly working: number
  /** Where jobs may find room, in the order of units. */
  readonly roomy: readonly Machine[]
  /** Joined ones that a look shows empty, or that no look can show yet. */
  readonly idle: readonly Machine[]
  readonly spare: readonly Machine[]
  /** Those that may be drained for another reason than idleness. */
  readonly unfit: readonly Machine[]
  /** Those that may leave. */
  readonly leaving: readonly Machine[]
  /** Those that go by a time, and could take what ends before. */
  readonly ending: readonly Machine[]
  /** Units that a person wants kept. */
  readonly pinned: readonly string[]
}

interface Kept {
  readonly crew: Crew
  readonly isLapsed: boolean
  drains: GrocMemory['drains']
  /** No job was stuck, and no node swallowed any. */
  readonly isCalm: boolean
}

/** By the first unit: as long as a look tells the same of all, and what is remembered of them is the same. */
const crews = new WeakMap<HeldUnit, Kept>()

export function crewOf(
  roll: Roll,
  picture: BatchPicture,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
): Crew {
  const { lease } = roll
  const [first] = lease.held
  const isLapsed = lapses(lease, now) !== undefined
  const isCalm = isEmpty(memory.blackHoles) && !isAnyStuck(memory, picture.startedAt, config)
  const before = first && crews.get(first)
  if (before?.crew.roll === roll && before.isLapsed === isLapsed && before.isCalm && isCalm)
    if (hasSameCauses(before, memory.drains)) return before.crew
  const machines = roll.seats.map(({ unit, known }) =>
    machineOf(unit, lease, known, picture, memory, config, now),
  )
  const isSame = before !== undefined && isSameList(before.crew.machines, machines)
  const crew = isSame ? { ...before.crew, lease, roll } : sortedOut(roll, machines)
  // How long a node has been silent is told, and that changes with every look.
  if (first && !machines.some(({ unit, node }) => unit.suspect !== undefined || node?.responding === false))
    crews.set(first, { crew, isLapsed, drains: memory.drains, isCalm })
  return crew
}

function hasSameCauses(kept: Kept, drains: GrocMemory['drains']): boolean {
  if (kept.drains === drains) return true
  for (const { unit } of kept.crew.machines)
    if (own(kept.drains, unit.id) !== own(drains, unit.id)) return false
  kept.drains = drains
  return true
}

function isEmpty(record: object): boolean {
  for (const _ in record) return false
  return true
}

function sortedOut(roll: Roll, machines: readonly Machine[]): Crew {
  const { lease } = roll
  const counts: Record<Standing, number> = { serving: 0, coming: 0, spare: 0, blocked: 0, gone: 0 }
  let [joined, cpus, working, isBusy, isOut] = [0, 0, 0, false, true]
  const vacant: Machine[] = []
  const roomy: Machine[] = []
  const idle: Machine[] = []
  const spare: Machine[] = []
  const unfit: Machine[] = []
  const leaving: Machine[] = []
  const ending: Machine[] = []
  const pinned: string[] = []
  for (const machine of machines) {
    const { unit, node, standing, empty } = machine
    counts[standing] += 1
    if (unit.state === 'joined') joined += 1
    if (unit.state !== 'left' && unit.state !== 'lost') isOut = false
    if (unit.pinned !== undefined) pinned.push(unit.id)
    if (node !== undefined && !node.empty) isBusy = true
    if (standing === 'serving') cpus += node?.cpus ?? 0
    if (standing === 'spare') spare.push(machine)
    if (isThere(standing))
      if (node === undefined || empty) vacant.push(machine)
      else working += 1
    if (hasRoom(machine)) roomy.push(machine)
    if (mayBeIdle(machine)) idle.push(machine)
    if (mayBeUnfit(machine)) unfit.push(machine)
    if (mayLeave(machine)) leaving.push(machine)
    if (machine.until !== undefined) ending.push(machine)
  }
  roomy.sort((a, b) => compare(a.unit.id, b.unit.id))
  return {
    ...{ lease, roll, machines, counts, joined, cpus, working, isBusy, isOut, pinned },
    ...{ vacant, roomy, idle, spare, unfit, leaving, ending },
  }
}

const isThere = (standing: Standing): boolean =>
  standing === 'serving' || standing === 'coming' || standing === 'spare'

/** A job takes a processor at least. */
const hasRoom = ({ standing, node, until }: Machine): boolean =>
  standing === 'coming' ||
  ((standing === 'serving' || standing === 'spare') && (node === undefined || node.cpus > node.cpusInUse)) ||
  (standing === 'blocked' && until !== undefined && node !== undefined && node.cpus > node.cpusInUse)

const mayBeIdle = ({ unit, standing, empty, seen }: Machine): boolean =>
  unit.state === 'joined' && (!seen || (empty && (standing === 'serving' || standing === 'spare')))

const mayBeUnfit = ({ unit, node, drainAs, standing, empty }: Machine): boolean =>
  unit.state === 'joined'
    ? drainAs !== undefined || standing === 'spare' || (node?.responding === false && empty)
    : unit.state === 'draining' && node?.drained === 'no'

const mayLeave = ({ unit, node, seen, empty }: Machine): boolean =>
  seen &&
  (unit.state === 'joined' || unit.state === 'draining') &&
  (node === undefined || (unit.state === 'draining' && node.drained === 'ours' && empty))
