import type { Draft } from '../../actors/runtime/draft.ts'
import type { RecoveryRow, ServiceManagerTables } from '../../actors/service-manager/rows.ts'
import type { Holder } from './holder.ts'

export type HolderDraft = Draft<ServiceManagerTables>

/** The same holder on an older store: what `since` did is forgotten here, and known to broker and site. */
export function restored(holder: Holder, since: () => void): { draft: HolderDraft; later: Rows } {
  const tables = ['lease', 'unit', 'guest', 'chain'] as const
  const rowsNow = () => tables.map((table) => [table, [...holder.desk.rows.all(table)]] as const)
  const before = rowsNow()
  since()
  const after = new Map(rowsNow())
  for (const [table, rows] of rowsNow()) for (const { id } of rows) holder.desk.rows.set(table, id, undefined)
  for (const [table, rows] of before) for (const row of rows) holder.desk.rows.set(table, row.id, row)
  const noticed = { reason: 'a copy of yesterday', seenSeq: 9 }
  const started = { kind: 'started' as const, epoch: 2, restored: noticed }
  const draft = holder.desk.give(started)
  return { draft, later: (id) => after.get('lease')?.find((row) => row.id === id) as never }
}

type Rows = (leaseId: string) => ReturnType<Holder['lease']> | undefined

export const questionTo = (draft: HolderDraft, peer: string): string =>
  draft.outgoing.find(({ kind, to }) => kind === 'holdings-query' && to === peer)?.subject ?? 'none'

/** Whenever it was asked. */
export function openQuestionTo(holder: Holder, name: string): string {
  const { asked } = holder.desk.rows.get('recovery', 'recovery') as RecoveryRow
  return Object.entries(asked).find(([, { peer }]) => peer === name)?.[0] ?? 'none'
}

export function tells(
  holder: Holder,
  peer: string,
  subject: string,
  holdings: readonly object[],
): HolderDraft {
  return holder.desk.tell(peer, 'holdings', subject, { page: 0, pages: 1, holdings })
}

/** As a broker, or a site, remembers a lease. */
export const held = (
  lease: ReturnType<Holder['lease']> | undefined,
  units: readonly object[] = [],
  change: object = {},
) => ({
  ...{ leaseId: lease?.id, state: 'active', closed: false, ticket: lease?.ticket, next: null },
  ...{ properties: lease?.properties, units },
  ...change,
})
export const machine = (id: string, report = 'active') => ({ id, name: `node-${id}`, report, facts: {} })
