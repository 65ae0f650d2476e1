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
  /** `reserve`, or less of it likewise. */
  readonly reserve: number
  /** Of those to keep, what works, or is packed with waiting jobs. */
  readonly working: number
  /** `min 1`, `reserve 2 beside 5 that work`. */
  readonly why: string
}

export function toKeep(ground: Survey, packing: Packing, limits: Limits, config: GrocConfig): Keep {
  const { min, reserve, max } = config
  const named = ground.crews.reduce(
    (sum, crew) => sum + crew.working + crew.vacant.filter(({ unit }) => packing.used.has(unit.id)).length,
    0,
  )
  const unnamed = [...ground.unnamed.keys()]
    .flatMap((leaseId) => unnamedIds(leaseId, ground))
    .filter((id) => packing.used.has(id)).length
  const working = named + unnamed
  const out = outOfRoom(packing, limits)
  const least = Math.max(0, min - out)
  const spare = Math.max(0, reserve - out)
  const beside = Math.min(max, working + spare)
  const keep = { working, least, reserve: spare, units: Math.max(least, spare === 0 ? 0 : beside) }
  if (keep.units > least)
    return { ...keep, why: `reserve ${reserve} beside ${some(working, 'unit')} with work` }
  return {
    ...keep,
    why: `min ${min}${least < min ? ', less those that jobs of other types are to have' : ''}`,
  }
}

/**
 * Units for which only `max` leaves no room. What is kept empty makes way for them when it is of no use to those jobs:
 * `min` and `reserve` are met by the ones that come then.
 */
function outOfRoom({ tooWide, smallUnits, wideOrders }: Packing, { room, reach }: Limits): number {
  const wide = wideOrders.reduce((sum, { units }) => sum + units, 0)
  const [first] = [...tooWide.keys()].filter(({ nodes }) => nodes <= reach)
  return Math.max(first?.nodes ?? 0, smallUnits - Math.max(0, room - wide), 0)
}

export const works = ({ unit, node, empty }: Machine, packing: Packing): boolean =>
  packing.used.has(unit.id) || (node !== undefined && !empty)
