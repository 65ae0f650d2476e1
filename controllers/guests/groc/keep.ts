import { some } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import type { Machine } from './machine.ts'
import type { Packing } from './packing.ts'
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
  /** Of these, what works, or is packed with waiting jobs. */
  readonly working: number
  /** `min 1`, `reserve 2 beside 5 that work`. */
  readonly why: string
}

export function toKeep(ground: Survey, packing: Packing, config: GrocConfig): Keep {
  const { min, reserve, max } = config
  const named = ground.machines.filter((machine) => isThere(machine) && works(machine, packing)).length
  const unnamed = [...ground.unnamed.keys()]
    .flatMap((leaseId) => unnamedIds(leaseId, ground))
    .filter((id) => packing.used.has(id)).length
  const working = named + unnamed
  const beside = Math.min(max, working + reserve)
  if (reserve === 0 || beside <= min) return { units: min, working, why: `min ${min}` }
  return { units: beside, working, why: `reserve ${reserve} beside ${some(working, 'unit')} with work` }
}

const isThere = ({ standing }: Machine): boolean =>
  standing === 'serving' || standing === 'coming' || standing === 'spare'

export const works = ({ unit, node, empty }: Machine, packing: Packing): boolean =>
  packing.used.has(unit.id) || (node !== undefined && !empty)
