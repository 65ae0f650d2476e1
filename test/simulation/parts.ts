import { BETWEEN_ROWS, partOf, type RowsPart } from '../../actors/runtime/row-parts.ts'

interface Kept {
  readonly table: string
  readonly id: string
  readonly json: string
}

/** Rows as a store hands them over when it is opened: so many together, each table by itself and in its order. */
export function* partsOf(rows: Iterable<Kept>, most = 100): Generator<RowsPart> {
  for (const [table, own] of Map.groupBy(rows, (row) => row.table))
    for (let from = 0; from < own.length; from += most) {
      const some = own.slice(from, from + most)
      const ids = some.map(({ id }) => id)
      const texts = some.map(({ json }) => json).join(BETWEEN_ROWS)
      yield partOf(table, ids, texts, () => undefined)
    }
}
