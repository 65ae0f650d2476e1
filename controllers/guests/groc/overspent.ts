import { few } from '../../sentence.ts'
import type { Keep } from './keep.ts'
import type { Drain } from './shrink.ts'
import type { Survey } from './survey.ts'
import type { Turnstile } from './users.ts'

/**
 * Machines that work for nobody but users who are beyond their budgets, whose jobs would follow one another there for ever:
 * they take no more work. What runs there runs to its end, and jobs of others that need them have them resumed.
 */
export function overspentDrains(
  ground: Survey,
  used: ReadonlySet<string>,
  gate: Turnstile | undefined,
  going: ReadonlySet<string>,
  keep: Keep,
): readonly Drain[] {
  const over = new Map<string, string>()
  for (const [user, { budget }] of gate?.beyond ?? [])
    if (budget !== undefined && gate?.counted.has(user) !== true) over.set(user, budget)
  if (over.size === 0) return []
  const serving = ground.crews
    .filter(({ lease }) => lease.state !== 'closing')
    .flatMap(({ machines }) => machines)
    .filter(({ unit, standing }) => standing === 'serving' && !going.has(unit.id))
  const drains = serving.flatMap(({ unit, node, empty }): Drain[] => {
    if (node === undefined || empty || used.has(unit.id) || unit.pinned !== undefined) return []
    if (node.jobs.length === 0 || node.reservedFor !== undefined || node.collectingFor !== undefined)
      return []
    const users = new Set(node.jobs.map((id) => ground.running.get(id)?.user ?? ''))
    if ([...users].some((user) => !over.has(user))) return []
    const whose = [...users].map((user) => `${user} (${over.get(user)})`)
    const reason = `${unit.name} takes no more work: its jobs are of ${few(whose)}, of whom nothing that waits is within userBudget`
    return [{ unitId: unit.id, cause: 'idle', intent: { kind: 'drain', unitId: unit.id, reason } }]
  })
  return drains.slice(0, Math.max(0, serving.length - keep.units))
}
