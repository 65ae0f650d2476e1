import { z } from 'zod'
import { checkpointText } from '../runtime/checkpoint.ts'
import type { LedgerHead } from '../runtime/commit.ts'
import type { Trust } from '../runtime/identity.ts'
import { NO_LINE } from './chain-check.ts'
import type { Check } from './check.ts'

const checkpoint = z.object({ seq: z.int(), hash: z.string(), key: z.string(), signature: z.string() })

/** What was seen of an actor's signatures over its own ledger. */
export interface Checkpoints {
  readonly count: number
  /** The keys that signed, in order of their first signature. */
  readonly keys: readonly string[]
}

/**
 * Each checkpoint signs the line before it, with the key that it names. Whose key that is, whoever has the actor's
 * public key compares.
 */
export class CheckpointCheck implements Check {
  readonly #verifyBy: Trust['verifyBy']
  readonly #keys = new Set<string>()
  #head: LedgerHead
  #count = 0

  constructor(verifyBy: Trust['verifyBy'], after: LedgerHead = NO_LINE) {
    this.#verifyBy = verifyBy
    this.#head = after
  }

  line(entry: Parameters<Check['line']>[0]): readonly string[] {
    const before = this.#head
    this.#head = { seq: entry.seq, hash: entry.hash }
    if (entry.kind !== 'checkpoint') return []
    const read = checkpoint.safeParse(entry.data)
    if (!read.success) return [`line ${entry.seq} is a checkpoint that signs nothing`]
    const { seq, hash, key, signature } = read.data
    this.#count++
    this.#keys.add(key)
    if (seq !== before.seq || hash !== before.hash)
      return [`the checkpoint in line ${entry.seq} signs another line than the one before it`]
    return this.#verifyBy(key, checkpointText(entry.actor, { seq, hash }), signature)
      ? []
      : [`the checkpoint in line ${entry.seq} is not signed with the key that it names`]
  }

  get seen(): Checkpoints {
    return { count: this.#count, keys: [...this.#keys] }
  }
}
