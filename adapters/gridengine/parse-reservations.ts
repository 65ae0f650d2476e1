import type { Instant } from '../../actors/runtime/clock.ts'
import { readPieces } from './parse-xml.ts'

/** An advance reservation (qrsub) on one host. */
export interface Reservation {
  readonly id: string
  readonly startsAt: Instant
  readonly endsAt: Instant
  readonly slots: number
}

const instantOf = (text: string): Instant => Date.parse(`${text}Z`) || 0

/** `qrstat -ar 1,2 -xml`, by host; of several on one host the first. */
export async function parseReservations(
  printed: string,
  signal?: AbortSignal,
): Promise<ReadonlyMap<string, Reservation>> {
  const pieces = { source: 'qrstat -ar -xml', root: 'qrstat', piece: 'ar_summary' }
  const { records } = await readPieces(
    printed,
    pieces,
    (summary) => ({
      id: summary.get('id'),
      startsAt: instantOf(summary.get('start_time')),
      endsAt: instantOf(summary.get('end_time')),
      granted: summary
        .all('granted_slots_list')
        .flatMap((list) => list.all('granted_slots'))
        .map(({ attributes }) => ({
          host: (attributes.queue_instance ?? '').split('@')[1] ?? '',
          slots: Number(attributes.slots) || 0,
        })),
    }),
    signal,
  )
  const byHost = new Map<string, Reservation>()
  const inOrder = [...records].sort((a, b) => a.startsAt - b.startsAt)
  for (const { granted, ...reservation } of inOrder)
    for (const { host, slots } of granted) if (!byHost.has(host)) byHost.set(host, { ...reservation, slots })
  return byHost
}
