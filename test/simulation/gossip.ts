import { compose } from '../../actors/runtime/composition.ts'
import type { OutRow } from '../../actors/runtime/courier.ts'
import { Draft } from '../../actors/runtime/draft.ts'
import type { Envelope } from '../../actors/runtime/envelope.ts'
import { idSource } from '../../actors/runtime/ids.ts'
import { Links } from '../../actors/runtime/links.ts'
import type { Mind } from '../../actors/runtime/mind.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { RowSet } from '../../actors/runtime/row-set.ts'
import type { Row, Tables } from '../../actors/runtime/rows.ts'
import { cheapIdentity } from './identities.ts'
import type { Role, Trial } from './trial.ts'

/** All that an actor knew at an instant, and the lease for whose sake it was kept. */
export interface Moment {
  readonly role: Role
  readonly state: string
  readonly subject: string
  readonly now: number
  readonly rows: RowSet
}

/** Keeps one moment for each state of a lease at each actor, and some bodies of each kind of message. */
export class Gossip {
  readonly moments = new Map<string, Moment>()
  readonly bodies = new Map<string, unknown[]>()
  #commits = -1

  look({ disks, world }: Trial): void {
    const commits = Object.values(disks).reduce((sum, disk) => sum + disk.commits, 0)
    if (commits === this.#commits) return
    this.#commits = commits
    for (const role of ['service-manager', 'broker', 'authority'] as const)
      for (const { table, id, json } of disks[role]!.rows.values()) {
        if (table === '$out') this.#hear(JSON.parse(json!) as OutRow)
        if (table !== (role === 'broker' ? 'ticket' : 'lease')) continue
        const state = stateOf(JSON.parse(json!) as Lease)
        if (!this.moments.has(`${role} ${state}`))
          this.moments.set(`${role} ${state}`, {
            ...{ role, state, subject: id, now: world.now },
            rows: rowsOf(disks[role]!.rows.values()),
          })
      }
  }

  #hear({ letter: { kind, body } }: OutRow): void {
    const known = this.bodies.get(kind) ?? []
    this.bodies.set(kind, known)
    if (known.length < BODIES_MAX && !known.some((other) => JSON.stringify(other) === JSON.stringify(body)))
      known.push(body)
  }
}

const BODIES_MAX = 2

interface Lease {
  readonly state?: string
  readonly ticketState?: string
  readonly leaseState?: string
}

const stateOf = ({ state, ticketState, leaseState }: Lease): string =>
  state ?? `ticket ${ticketState}, lease ${leaseState}`

function rowsOf(stored: Iterable<{ table: string; id: string; json: string | undefined }>): RowSet {
  const rows = new RowSet()
  for (const { table, id, json } of stored)
    if (!table.startsWith('$') || table === '$meta') rows.set(table, id, JSON.parse(json!) as Row)
  return rows
}

const ABSURD: readonly unknown[] = [
  null,
  -1,
  0,
  1_000_000,
  9_007_199_254_740_991,
  253_370_764_800_000,
  1.5,
  'constructor',
  'x'.repeat(5_000),
  [],
  ['nobody'],
  {},
]

/** The body itself; without and with an absurd value in each place; and nonsense. */
export function* variantsOf(body: unknown): Generator<unknown> {
  yield body
  yield* [undefined, null, 7, [], {}]
  if (typeof body !== 'object' || body === null) return
  for (const [key, value] of Object.entries(body)) {
    const { [key]: _, ...others } = body as Record<string, unknown>
    yield others
    for (const absurd of ABSURD) yield { ...body, [key]: absurd }
    if (typeof value === 'object' && value !== null && !Array.isArray(value))
      for (const inner of Object.keys(value))
        for (const absurd of ABSURD) yield { ...body, [key]: { ...value, [inner]: absurd } }
  }
}

/** What a mind makes of one message: which rows it would change, what it says and writes down. */
export interface Reaction {
  readonly changed: readonly string[]
  readonly said: number
  readonly written: number
}

/** Lets the mind read one message, and writes it down as far as a commit; throws if either does. */
export function tellTo<T extends Tables>(
  mind: Mind<T>,
  { role, rows, now }: Moment,
  message: { from: string; kind: string; subject: string; body: unknown },
): Reaction {
  const ids = idSource(seededRandom(1))
  const draft = new Draft<T>(rows, role, now, ids)
  const envelope: Envelope = {
    ...message,
    ...{ to: role, protocol: 1, id: 'message-1', number: 1_000, bodyHash: '', signature: '' },
    ...{ sentAt: now, until: now + 60_000 },
  }
  mind.handle({ kind: 'message', envelope }, draft)
  compose({
    ...{ draft, rows, ids, links: new Links(rows, 2_000).begin(), identity: cheapIdentity(role) },
    ...{ delivered: [], peers: [], epoch: undefined, generation: undefined, head: { seq: 0, hash: '' } },
  })
  const changed = [...draft.changed].flatMap(([table, drafted]) =>
    [...drafted]
      .filter(([id, row]) => JSON.stringify(row) !== JSON.stringify(rows.get(table, id)))
      .map(([id]) => `${table} ${id}`),
  )
  return { changed, said: draft.outgoing.length, written: draft.notes.length }
}
