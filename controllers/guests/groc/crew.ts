import type { Instant } from '../../../actors/runtime/clock.ts'
import type { BatchPicture } from '../../../adapters/batch-system.ts'
import type { HeldLease, HeldUnit } from '../../controller.ts'
import type { GrocConfig } from './config.ts'
import { isSameList } from './last-look.ts'
import { lapses, type Machine, machineOf, type Standing } from './machine.ts'
import type { GrocMemory } from './memory.ts'
import type { Roll } from './roll.ts'
import { compare } from './sequence.ts'

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
  /** Units that a person wants kept. */
  readonly pinned: readonly string[]
}

interface Kept {
  readonly crew: Crew
  readonly isLapsed: boolean
  readonly drains: GrocMemory['drains']
  readonly hasNoHole: boolean
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
  const hasNoHole = isEmpty(memory.blackHoles)
  const before = first && crews.get(first)
  if (
    before?.crew.roll === roll &&
    before.isLapsed === isLapsed &&
    before.drains === memory.drains &&
    before.hasNoHole &&
    hasNoHole
  )
    return before.crew
  const machines = roll.seats.map(({ unit, known }) =>
    machineOf(unit, lease, known, picture, memory, config, now),
  )
  const isSame = before !== undefined && isSameList(before.crew.machines, machines)
  const crew = isSame ? { ...before.crew, lease, roll } : sortedOut(roll, machines)
  // How long a node has been silent is told, and that changes with every look.
  if (first && !machines.some(({ unit, node }) => unit.suspect !== undefined || node?.responding === false))
    crews.set(first, { crew, isLapsed, drains: memory.drains, hasNoHole })
  return crew
}

function isEmpty(record: object): boolean {
  for (const _ in record) return false
  return true
}

function sortedOut(roll: Roll, machines: readonly Machine[]): Crew {
  const { lease } = roll
  const counts: Record<Standing, number> = { serving: 0, coming: 0, spare: 0, blocked: 0, gone: 0 }
  let [joined, cpus, working] = [0, 0, 0]
  for (const { unit, node, standing, empty } of machines) {
    counts[standing] += 1
    if (unit.state === 'joined') joined += 1
    if (standing === 'serving') cpus += node?.cpus ?? 0
    if (isThere(standing) && node !== undefined && !empty) working += 1
  }
  const byUnit = machines.length === 1 ? machines : machines.toSorted((a, b) => compare(a.unit.id, b.unit.id))
  return {
    ...{ lease, roll, machines, counts, joined, cpus, working },
    isBusy: machines.some(({ node }) => node !== undefined && !node.empty),
    isOut: machines.every(({ unit }) => unit.state === 'left' || unit.state === 'lost'),
    vacant: machines.filter(
      ({ standing, node, empty }) => isThere(standing) && (node === undefined || empty),
    ),
    roomy: byUnit.filter(hasRoom),
    idle: machines.filter(
      ({ unit, standing, empty, seen }) =>
        unit.state === 'joined' && (!seen || (empty && (standing === 'serving' || standing === 'spare'))),
    ),
    spare: machines.filter(({ standing }) => standing === 'spare'),
    unfit: machines.filter(mayBeUnfit),
    leaving: machines.filter(mayLeave),
    pinned: machines.flatMap(({ unit }) => (unit.pinned === undefined ? [] : [unit.id])),
  }
}

const isThere = (standing: Standing): boolean =>
  standing === 'serving' || standing === 'coming' || standing === 'spare'

/** A job takes a processor at least. */
const hasRoom = ({ standing, node }: Machine): boolean =>
  standing === 'coming' ||
  ((standing === 'serving' || standing === 'spare') && (node === undefined || node.cpus > node.cpusInUse))

const mayBeUnfit = ({ unit, node, drainAs, standing, empty }: Machine): boolean =>
  unit.state === 'joined'
    ? drainAs !== undefined || standing === 'spare' || (node?.responding === false && empty)
    : unit.state === 'draining' && node?.drained === 'no'

const mayLeave = ({ unit, node, seen, empty }: Machine): boolean =>
  seen &&
  (unit.state === 'joined' || unit.state === 'draining') &&
  (node === undefined || (unit.state === 'draining' && node.drained === 'ours' && empty))
