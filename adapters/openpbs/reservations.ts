import type { Clock, Instant, Millis } from '../../actors/runtime/clock.ts'
import { inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import type { Commands } from '../pbs/commands.ts'
import { kept } from '../pbs/kept.ts'
import type { NodeRecord, Records } from '../pbs/records.ts'

/** When a reservation has its nodes; of a standing one, the next time. */
export interface Reservation {
  readonly startsAt: Instant
  readonly endsAt: Instant
}

/** A node that somebody reserved is not taken out from so long before. */
const SOON_MS: Millis = 60 * 60_000

/**
 * `pbs_rstat -F`, by id. What has no times that can be read is left out: its nodes then count as reserved.
 *
 *   Resv ID: R5.opsrv
 *   reserve_start = Sat Nov 21 22:00:00 2026
 *   reserve_end = Sat Nov 21 23:00:00 2026
 */
export function parseReservations(printed: string): ReadonlyMap<string, Reservation> {
  const found = new Map<string, Reservation>()
  for (const piece of printed.split(/^Resv ID: /m).slice(1)) {
    const [id = ''] = piece.split('\n')
    const timeOf = (key: string): Instant =>
      Date.parse(`${new RegExp(`^${key} = (.+)$`, 'm').exec(piece)?.[1]} UTC`)
    const [startsAt, endsAt] = [timeOf('reserve_start'), timeOf('reserve_end')]
    if (!Number.isNaN(startsAt) && !Number.isNaN(endsAt)) found.set(id.trim(), { startsAt, endsAt })
  }
  return found
}

/** Tells of each node what it is reserved for now or soon. Asks nothing where no node has a reservation. */
export function reservationsOf(
  commands: Commands,
  clock: Clock,
): (nodes: Records<NodeRecord>, signal: AbortSignal) => Promise<Records<NodeRecord>> {
  const listed = kept(clock, async (signal) => {
    const done = await commands.run('pbs_rstat', ['-F'], { signal })
    if (done.exitCode !== 0) throw commands.refusal('pbs_rstat -F', done)
    return parseReservations(done.stdout)
  })

  return async (nodes, signal) => {
    const ids = new Set(nodes.records.flatMap(({ reservations = [] }) => reservations))
    if (ids.size === 0) return nodes
    let known: ReadonlyMap<string, Reservation> = new Map()
    const warnings = [...nodes.warnings]
    try {
      known = await listed.recent(signal)
      if ([...ids].some((id) => !known.has(id))) known = await listed.fresh(signal)
    } catch (error) {
      if (signal.aborted || !(error instanceof SubletError) || error.code === 'middleware-unreachable')
        throw error
      warnings.push(
        `When reservations begin is not known, so that no node that has one is taken out: ${inOneLine(error)}`,
      )
    }
    const now = clock.now()
    const isNear = (id: string): boolean => {
      const reservation = known.get(id)
      return reservation === undefined || (reservation.endsAt > now && reservation.startsAt <= now + SOON_MS)
    }
    const records = nodes.records.map((record): NodeRecord => {
      const id = record.reservations?.find(isNear)
      return id === undefined ? record : { ...record, reservedFor: `reservation ${id}` }
    })
    return { ...nodes, records, warnings }
  }
}
