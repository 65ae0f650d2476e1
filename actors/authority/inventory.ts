import { minus, type Vector } from '../leases/resources.ts'
import { canonical } from '../runtime/canonical.ts'
import type { Draft } from '../runtime/draft.ts'
import type { View } from '../runtime/views.ts'
import type { AuthorityTables, UnitRow } from './rows.ts'

/** What units that are held take up. */
interface Taken {
  readonly slots: Map<number, number>
  readonly hosts: Map<string, Map<string, number>>
  /** By type; what is stuck is not counted, for the offer is without it. */
  readonly types: Map<string, number>
  /** Machines of nobody, by what they take up: of which type they were is not known any more. */
  readonly orphans: Map<string, number>
}

/** Held from the assignment until the teardown is complete. */
const taken: View<UnitRow, Taken> = {
  table: 'unit',
  begin: () => ({ slots: new Map(), hosts: new Map(), types: new Map(), orphans: new Map() }),
  add: (view, unit) => count(view, unit, 1),
  remove: (view, unit) => count(view, unit, -1),
}

function count({ slots, hosts, types, orphans }: Taken, unit: UnitRow, sign: 1 | -1): void {
  if (unit.state === 'ended') return
  const { slot, host, vector, type, state } = unit
  bump(slots, slot, sign)
  if (type === '') bump(orphans, canonical(vector), sign)
  else if (state !== 'stuck') bump(types, type, sign)
  const onHost = hosts.get(host) ?? new Map<string, number>()
  for (const [dimension, amount] of Object.entries(vector))
    onHost.set(dimension, (onHost.get(dimension) ?? 0) + sign * amount)
  hosts.set(host, onHost)
}

function bump<K>(counts: Map<K, number>, key: K, by: number): void {
  const left = (counts.get(key) ?? 0) + by
  if (left === 0) counts.delete(key)
  else counts.set(key, left)
}

/**
 * What is taken at this moment: by the rows of the last commit, and by what the batch changed since. The cost goes
 * with the changes of the batch, not with the units of the site.
 */
export class Inventory {
  readonly #kept: Taken
  readonly #changed: Taken = taken.begin()

  constructor(draft: Draft<AuthorityTables>) {
    this.#kept = draft.view(taken)
    for (const { before, after } of draft.changes('unit')) {
      if (before !== undefined) count(this.#changed, before, -1)
      if (after !== undefined) count(this.#changed, after, 1)
    }
  }

  isTaken(slot: number): boolean {
    return (this.#kept.slots.get(slot) ?? 0) + (this.#changed.slots.get(slot) ?? 0) > 0
  }

  /** Units of the type that are held and not stuck, and machines of nobody that are as large. */
  ofType(type: string, vector: Vector): number {
    const size = canonical(vector)
    const both = [this.#kept, this.#changed]
    return both.reduce(
      (sum, { types, orphans }) => sum + (types.get(type) ?? 0) + (orphans.get(size) ?? 0),
      0,
    )
  }

  /** What is left of a host. */
  free(host: string, capacity: Vector): Vector {
    const both = [this.#kept, this.#changed]
    return both.reduce((left, { hosts }) => minus(left, Object.fromEntries(hosts.get(host) ?? [])), capacity)
  }
}
