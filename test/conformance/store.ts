import { expect, test } from 'vitest'
import { type Commit, chain, type LedgerEntry, type LedgerHead } from '../../actors/runtime/commit.ts'
import { type RowsPart, rowsIn } from '../../actors/runtime/row-parts.ts'
import { decodeRow, encodeRow, type Row } from '../../actors/runtime/rows.ts'
import type { Store } from '../../adapters/store.ts'

/** One place for a database, and stores that open it one after the other. */
export interface StorePlace {
  /** A store of its own for each call, all on the same database. */
  store(): Store
  /** The outcome of something that was asked of a store; drives what time it needs. */
  soon<T>(work: Promise<T>): Promise<T>
  end(): Promise<void>
}

/** Commit number n: the row `counter` says n, the row `n` is new, and line n of the ledger says so. */
export function numberedCommit(n: number, head: LedgerHead): { commit: Commit; entry: LedgerEntry } {
  const note = {
    kind: 'counted',
    subject: `subject-${n % 3}`,
    reason: `count ${n}`,
    data: { n, text: 'naïve 🙂' },
  }
  const entry = chain(note, 1_000 + n, 'actor', head)
  const counter = { id: 'counter', n }
  const own = { id: `row ${n}`, n, text: 'naïve 🙂 \u0000' }
  const rows = [encodeRow('count', 'counter', counter), encodeRow('count', own.id, own)]
  return { commit: { rows, ledger: [entry] }, entry }
}

/** What every store keeps, whatever it is made of. */
export function storeLaw(name: string, begin: () => Promise<StorePlace>): void {
  const law = (sentence: string, run: (place: StorePlace) => Promise<void>): void => {
    test(`${name}: ${sentence}`, async () => {
      const place = await begin()
      try {
        await run(place)
      } finally {
        await place.end()
      }
    })
  }

  async function count(place: StorePlace, store: Store, upTo: number): Promise<LedgerEntry[]> {
    const entries: LedgerEntry[] = []
    for (let n = 1; n <= upTo; n++) {
      const { commit, entry } = numberedCommit(n, entries.at(-1) ?? { seq: 0, hash: '' })
      entries.push(entry)
      await place.soon(store.commit(commit))
    }
    return entries
  }

  law('a new database is empty', async (place) => {
    const store = place.store()
    expect(await place.soon(store.open())).toEqual({ rows: [], head: { seq: 0, hash: '' } })
    expect(await place.soon(store.entries({ afterSeq: 0, limit: 10 }))).toEqual([])
    await place.soon(store.close())
  })

  law('what was committed is there for the next one who opens it, to the letter', async (place) => {
    const first = place.store()
    await place.soon(first.open())
    const entries = await count(place, first, 5)
    const last = numberedCommit(6, entries.at(-1)!)
    const removed = { ...last.commit, rows: [encodeRow('count', 'row 2', undefined)] }
    await place.soon(first.commit(removed))
    await place.soon(first.close())

    const second = place.store()
    const { rows, head } = await place.soon(second.open())
    expect(rows.map((row) => decodeRow(row)).toSorted((a, b) => (a.id < b.id ? -1 : 1))).toEqual([
      { id: 'counter', n: 5 },
      ...[1, 3, 4, 5].map((n) => ({ id: `row ${n}`, n, text: 'naïve 🙂 \u0000' })),
    ])
    expect(head).toEqual({ seq: 6, hash: last.entry.hash })
    expect(await place.soon(second.entries({ afterSeq: 0, limit: 10 }))).toEqual([...entries, last.entry])
    await place.soon(second.close())
  })

  law('whoever takes rows while it is opened is handed each of them once', async (place) => {
    const first = place.store()
    await place.soon(first.open())
    await count(place, first, 5)
    await place.soon(first.close())
    const second = place.store()
    const taken: Row[] = []
    const take = (part: RowsPart): void => {
      for (const row of rowsIn(part)) taken.push(row)
    }
    const { rows } = await place.soon(second.open(take))
    const ids = [...taken, ...rows.map((row) => decodeRow(row))].map(({ id }) => id)
    expect(ids.toSorted()).toEqual(['counter', 'row 1', 'row 2', 'row 3', 'row 4', 'row 5'])
    await place.soon(second.close())
  })

  law(
    'commits become durable in the order they were given, also when nobody waits in between',
    async (place) => {
      const store = place.store()
      await place.soon(store.open())
      const done: number[] = []
      let head: LedgerHead = { seq: 0, hash: '' }
      const all = Array.from({ length: 20 }, (_, i) => {
        const { commit, entry } = numberedCommit(i + 1, head)
        head = entry
        return store.commit(commit).then(() => done.push(i + 1))
      })
      await place.soon(Promise.all(all))
      expect(done).toEqual(Array.from({ length: 20 }, (_, i) => i + 1))
      await place.soon(store.close())
      const next = place.store()
      const { rows } = await place.soon(next.open())
      expect(rows.map((row) => decodeRow(row))).toContainEqual({ id: 'counter', n: 20 })
      await place.soon(next.close())
    },
  )

  law('lines of the ledger are given page by page, and by their subject', async (place) => {
    const store = place.store()
    await place.soon(store.open())
    const entries = await count(place, store, 9)
    const ask = (query: Parameters<Store['entries']>[0]) => place.soon(store.entries(query))
    expect(await ask({ afterSeq: 2, limit: 3 })).toEqual(entries.slice(2, 5))
    expect(await ask({ afterSeq: 0, limit: 2, subject: 'subject-1' })).toEqual([entries[0], entries[3]])
    expect(await ask({ afterSeq: 4, limit: 9, subject: 'subject-1' })).toEqual([entries[6]])
    expect(await ask({ afterSeq: 9, limit: 9 })).toEqual([])
    expect(await ask({ afterSeq: 0, limit: 9, subject: 'nothing' })).toEqual([])
    await place.soon(store.close())
  })

  law('a second one who opens it is told that it is in use, until it is closed', async (place) => {
    const [first, second] = [place.store(), place.store()]
    await place.soon(first.open())
    await expect(place.soon(second.open())).rejects.toMatchObject({ code: 'store-locked' })
    await count(place, first, 1)
    await place.soon(first.close())
    expect((await place.soon(second.open())).head.seq).toBe(1)
    await place.soon(second.close())
  })

  law('closing what was never opened, or twice, does nothing', async (place) => {
    const store = place.store()
    await place.soon(store.close())
    await place.soon(store.open())
    await place.soon(store.close())
    await place.soon(store.close())
  })
}
