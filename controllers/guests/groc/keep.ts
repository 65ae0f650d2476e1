import { some } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import type { Machine } from './machine.ts'
import type { Limits, Packing } from './packing.ts'
import type { Survey } from './survey.ts'
import { unnamedIds } from './terms.ts'

/**
 * Units that stay, or are asked for, though nothing waits for them:
 *
 *   ├── min ──────────────┤
 *   ├── what works ──┼── reserve ──┤          whichever is more, and never more than max
 */
export interface Keep {
  /** That many of what is there or coming. */
  readonly units: number
  /** `min`, or less of it while jobs that these are of no use to have no room under `max`. */
  readonly least: number
  /** Of those to keep, what works, or is packed with waiting jobs. */
  readonly working: number
  /** `min 1`, `reserve 2 beside 5 that work`. */
  readonly why: string
}

export function toKeep(ground: Survey, packing: Packing, limits: Limits, config: GrocConfig): Keep {
  const { min, reserve, max } = config
  const named = ground.machines.filter((machine) => isThere(machine) && works(machine, packing)).length
  const unnamed = [...ground.unnamed.keys()]
    .flatMap((leaseId) => unnamedIds(leaseId, ground))
    .filter((id) => packing.used.has(id)).length
  const working = named + unnamed
  const beside = Math.min(max, working + reserve)
  const least = Math.max(0, min - outOfRoom(packing, limits))
  if (least < min && beside <= least)
    return {
      units: least,
      least,
      working,
      why: `min ${min}, less those that jobs of other types are to have`,
    }
  if (reserve === 0 || beside <= min) return { units: least, least, working, why: `min ${min}` }
  return {
    units: beside,
    least,
    working,
    why: `reserve ${reserve} beside ${some(working, 'unit')} with work`,
  }
}

/**
 * Units for which only `max` leaves no room. What is kept for `min` makes way for them when it is of no use to those jobs:
 * `min` is met by the ones that come then.
 */
function outOfRoom({ tooWide, smallUnits, wideOrders }: Packing, { room, reach }: Limits): number {
  const wide = wideOrders.reduce((sum, { units }) => sum + units, 0)
  const [first] = [...tooWide.keys()].filter(({ nodes }) => nodes <= reach)
  return Math.max(first?.nodes ?? 0, smallUnits - Math.max(0, room - wide), 0)
}

const isThere = ({ standing }: Machine): boolean =>
  standing === 'serving' || standing === 'coming' || standing === 'spare'

export const works = ({ unit, node, empty }: Machine, packing: Packing): boolean =>
  packing.used.has(unit.id) || (node !== undefined && !empty)
