import { SubletError } from '../../actors/runtime/errors.ts'
import type { KeptStore } from '../../adapters/store.ts'

/**
 * Opens only with the ledger of this actor. A database that was put in the place of another's has rows that mean
 * nothing to its new owner: all that the actor held would look free.
 */
export function ownStore(store: KeptStore, name: string): KeptStore {
  return {
    ...store,
    async open(take) {
      const opened = await store.open(take)
      const { seq } = opened.head
      const [last] = seq === 0 ? [] : await store.entries({ afterSeq: seq - 1, limit: 1 })
      if (last === undefined || last.actor === name) return opened
      await store.close()
      throw new SubletError('store-corrupt', `the database of ${name} is that of ${last.actor}`, {
        cure: 'Put the files back as they were, by their names, or go back to a backup with `sublet restore`.',
      })
    },
  }
}
