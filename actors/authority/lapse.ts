import type { AuthorityDraft } from './rows.ts'

/**
 * Orders of a store that was put back. One whose time has come since may have been carried out and undone, and its holders
 * told so:
 *
 *   time is past ──▶ lapsed: no new units there, or not lent, and nobody is held to it ──ordered anew──▶ with its own notice
 *   time is to come ──▶ as ordered
 */
export function lapseOrders(draft: AuthorityDraft): void {
  const why = 'its time came in the time that is forgotten; it binds nobody before it is ordered anew'
  for (const row of draft.all('host'))
    if (row.by <= draft.now) {
      draft.put('host', { ...row, lapsed: true })
      draft.note('order lapsed', row.id, `the work on host ${row.id}: ${why}`)
    }
  for (const row of draft.all('recall'))
    if (row.by <= draft.now) {
      draft.put('recall', { ...row, lapsed: true })
      draft.note('order lapsed', row.id, `the recall of ${row.units} of ${row.type}: ${why}`)
    }
}
