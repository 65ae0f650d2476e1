import { Draft } from '../../actors/runtime/draft.ts'
import { idSource } from '../../actors/runtime/ids.ts'
import type { Input, Mind } from '../../actors/runtime/mind.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { RowSet } from '../../actors/runtime/row-set.ts'
import type { Tables } from '../../actors/runtime/rows.ts'

/** When every desk opens. */
export const NOW = Date.UTC(2026, 0, 5, 8)
export const MINUTE = 60_000

/** One mind, its rows, and an hour that the test sets. */
export class Desk<T extends Tables> {
  readonly rows = new RowSet()
  now = NOW
  readonly #mind: Mind<T>
  readonly #self: string
  #inputs = 0

  constructor(mind: Mind<T>, self: string) {
    this.#mind = mind
    this.#self = self
  }

  give(input: Input): Draft<T> {
    const draft = new Draft<T>(
      this.rows,
      this.#self,
      this.now,
      idSource(seededRandom(this.now + this.#inputs++)),
    )
    this.#mind.handle(input, draft)
    for (const [table, drafted] of draft.changed)
      for (const [id, row] of drafted) this.rows.set(table, id, row)
    return draft
  }

  tell(from: string, kind: string, subject: string, body: unknown): Draft<T> {
    const sealed = { protocol: 1, id: 'message', number: 1, bodyHash: '', signature: '' }
    const envelope = {
      ...sealed,
      from,
      to: this.#self,
      kind,
      subject,
      body,
      sentAt: this.now,
      until: NOW * 2,
    }
    return this.give({ kind: 'message', envelope })
  }

  due(table: string, id: string): Draft<T> {
    return this.give({ kind: 'due', table, row: this.rows.get(table, id)! })
  }
}
