import { shapeKey } from './look.ts'
import type { Reader } from './reader.ts'
import type { JobDetail, JobRow } from './records.ts'

/**
 * What only `qstat -j` tells, which prints kilobytes for each job: read once for each job, a bounded
 * number in each look; and again in every look for the first waiting job of each shape, since it says why
 * the scheduler passes it over, which is so for all of that shape.
 */
export interface Details {
  /** Brings up to date what is known of these rows. */
  learn(
    rows: readonly JobRow[],
    signal: AbortSignal,
  ): Promise<{
    readonly details: ReadonlyMap<string, JobDetail>
    readonly messages: ReadonlyMap<string, readonly string[]>
    readonly warnings: readonly string[]
  }>
}

/** Jobs in one look; the rest has its turn in the next. */
const NEW_MAX = 150
const SHAPES_MAX = 50

/** Wide ones and arrays first: for a narrow job that is not known only little is wrong. */
const urgency = (row: JobRow): number =>
  (row.queueInstance !== '' ? 4 : 0) + (row.tasks !== '' ? 2 : 0) + (row.environment !== undefined ? 1 : 0)

export function detailsOf(reader: Reader): Details {
  const known = new Map<string, JobDetail>()

  return {
    async learn(rows, signal) {
      const live = new Set(rows.map(({ id }) => id))
      for (const id of known.keys()) if (!live.has(id)) known.delete(id)

      const firstOfShape = new Map<string, JobRow>()
      for (const row of rows) {
        if (row.queueInstance !== '' || firstOfShape.size >= SHAPES_MAX) continue
        const key = shapeKey(row)
        if (!firstOfShape.has(key)) firstOfShape.set(key, row)
      }
      const unknown = rows.filter(({ id }) => !known.has(id)).sort((a, b) => urgency(b) - urgency(a))
      // A job in error may have been cleared and have failed anew.
      const again = rows.filter(({ word }) => word.includes('E')).slice(0, SHAPES_MAX)
      const news = new Set(unknown.map(({ id }) => id).slice(0, NEW_MAX))
      const asked = new Set([...firstOfShape.values(), ...again].map(({ id }) => id).concat([...news]))
      const { records, warnings } = await reader.details([...asked], signal)
      for (const record of records) known.set(record.id, record)

      const messages = new Map<string, readonly string[]>()
      for (const [key, row] of firstOfShape) messages.set(key, known.get(row.id)?.messages ?? [])
      return { details: known, messages, warnings }
    },
  }
}
