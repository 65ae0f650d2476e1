import type { Measured } from '../../deploy/replay/measure.ts'
import type { Outcome } from './frontier.ts'

/**
 * For each setting of a rival, a setting of GROC that is no worse in added wait, node-hours and boots and better in one of them;
 * or, where there is none, the one that comes nearest: whose worst share above the rival's figure is least.
 *
 *   A rival that leaves jobs unstarted, or cuts them, is beaten by whoever does not.
 */
export interface Duel {
  readonly rival: Outcome
  readonly groc: Outcome
  readonly isBeaten: boolean
  /** By which GROC is worse in the figure in which it is worst; 0 or less where it is worse in none. */
  readonly worst: number
}

/** Figures of the two that are compared, each with what a difference in it is a share of. */
const pairs = (one: Measured, other: Measured): readonly (readonly [number, number, number])[] => [
  // Of an added wait near nothing any difference is a large share: of the whole wait it says more.
  [one.added.meanMs, other.added.meanMs, Math.max(60_000, Math.abs(other.wait.meanMs))],
  [one.nodeHoursPaid, other.nodeHoursPaid, other.nodeHoursPaid],
  [one.boots, other.boots, Math.max(1, other.boots)],
]

const loses = ({ neverStarted, cut }: Measured): number => neverStarted + cut

export function duels(outcomes: readonly Outcome[]): readonly Duel[] {
  const grocs = outcomes.filter(({ policy }) => policy.startsWith('groc'))
  const rivals = outcomes.filter(({ policy }) => !policy.startsWith('groc') && policy !== 'always on')
  if (grocs.length === 0) return []
  return rivals.map((rival) => {
    const all = grocs.map((groc): Duel => {
      if (loses(rival.measured) > loses(groc.measured)) return { rival, groc, isBeaten: true, worst: 0 }
      const figures = pairs(groc.measured, rival.measured)
      const worst = Math.max(...figures.map(([a, b, whole]) => (a - b) / whole))
      return { rival, groc, isBeaten: worst <= 0 && figures.some(([a, b]) => a < b), worst }
    })
    return all.reduce((best, one) =>
      one.worst < best.worst || (one.isBeaten && !best.isBeaten) ? one : best,
    )
  })
}
