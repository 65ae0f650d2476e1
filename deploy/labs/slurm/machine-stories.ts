import type { LedgerEntry } from '../../../actors/runtime/commit.ts'
import type { MachineStory } from '../../reports/report.ts'

/** Which machine bore which name when, from the ledgers of the service manager and the site. */
export function machineStories(
  manager: readonly LedgerEntry[],
  site: readonly LedgerEntry[],
  prefix: string,
): MachineStory[] {
  const requested = new Map(
    manager.filter((entry) => entry.kind === 'requested').map((entry) => [entry.subject, entry.at]),
  )
  const ended = new Map(
    site.filter((entry) => entry.kind === 'unit ended').map((entry) => [entry.subject, entry.at]),
  )
  return site
    .filter((entry) => entry.kind === 'unit assigned')
    .map((entry) => {
      const { leaseId, slot } = entry.data as { leaseId: string; slot: number }
      return {
        unitId: entry.subject,
        name: `${prefix}${slot}`,
        leaseId,
        requestedAt: requested.get(leaseId) ?? entry.at,
        assignedAt: entry.at,
        endedAt: ended.get(entry.subject),
      }
    })
}
