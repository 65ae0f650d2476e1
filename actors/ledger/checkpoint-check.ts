import { z } from 'zod'
import {
  CHECKPOINT_LINES,
  checkpointText,
  isLongUnsigned,
  type LastCheckpoint,
} from '../runtime/checkpoint.ts'
import type { LedgerEntry, LedgerHead } from '../runtime/commit.ts'
import type { PublicKey, Trust } from '../runtime/identity.ts'
import { NO_LINE } from './chain-check.ts'
import type { Check } from './check.ts'

const checkpoint = z.object({ seq: z.int(), hash: z.string(), key: z.string(), signature: z.string() })

/** What was seen of an actor's signatures over its own ledger. */
export interface Checkpoints {
  readonly count: number
  /** The keys that signed, in order of their first signature. */
  readonly keys: readonly PublicKey[]
  /** Whether they were compared with keys that the actor is known to have. */
  readonly compared: boolean
  /** The last line that is signed, with such a key if they were compared; 0: none is. */
  readonly signedTo: number
  /** What signed that line. */
  readonly signedBy: PublicKey | undefined
  /** Lines behind the checkpoint that signs it: that none was changed or cut off follows from no signature. */
  readonly unsigned: number
}

/**
 * Each checkpoint signs the line before it, and with it all lines before, with the key that it names:
 *
 *   1 ─ ... ─ checkpoint ─ ... ─ checkpoint ─ ... ─ last line
 *   └──────── signed ───────────────────┘ └─ not signed: at most so many, over a day at most
 *
 * What was signed with a key that is not known to be the actor's is as good as not signed. Which of several known keys
 * it was does not matter, nor what is before the last good one: that one covers it.
 */
export class CheckpointCheck implements Check {
  readonly #verifyBy: Trust['verifyBy']
  readonly #known: ReadonlySet<PublicKey> | undefined
  readonly #keys = new Set<PublicKey>()
  #head: LedgerHead
  #count = 0
  #good: LastCheckpoint | undefined
  #goodBy: { readonly key: PublicKey; readonly signed: number } | undefined
  /** The last one since with a key that is not known. */
  #foreign: { readonly seq: number; readonly key: PublicKey } | undefined
  #actor = ''
  #isLongUnsigned = false

  /** Without `known` any key may have signed. */
  constructor(
    verifyBy: Trust['verifyBy'],
    known: ReadonlySet<PublicKey> | undefined = undefined,
    after: LedgerHead = NO_LINE,
  ) {
    this.#verifyBy = verifyBy
    this.#known = known
    this.#head = after
  }

  line(entry: LedgerEntry): readonly string[] {
    const before = this.#head
    this.#head = { seq: entry.seq, hash: entry.hash }
    this.#actor = entry.actor
    const faults = entry.kind === 'checkpoint' ? this.#checkpoint(entry, before) : []
    this.#good ??= { seq: 0, at: entry.at }
    // A repair writes while the actor, who alone can sign, does not run.
    if (entry.kind !== 'rows repaired') this.#isLongUnsigned = isLongUnsigned(this.#good, entry.seq, entry.at)
    return faults
  }

  end(): readonly string[] {
    const faults: string[] = []
    if (this.#foreign !== undefined)
      faults.push(
        `the checkpoint in line ${this.#foreign.seq} is signed with the key ${this.#foreign.key}, which ${this.#actor} is not known to have`,
      )
    if (this.#isLongUnsigned) {
      const { signedTo } = this.seen
      const what =
        signedTo === 0 ? `no line of ${this.#actor} is signed` : `no line after line ${signedTo} is signed`
      faults.push(
        `${what}, up to line ${this.#head.seq}: an actor signs every ${CHECKPOINT_LINES} lines and once a day`,
      )
    }
    return faults
  }

  get seen(): Checkpoints {
    return {
      ...{ count: this.#count, keys: [...this.#keys], compared: this.#known !== undefined },
      ...{ signedTo: this.#goodBy?.signed ?? 0, signedBy: this.#goodBy?.key },
      unsigned: Math.max(0, this.#head.seq - (this.#good?.seq ?? 0)),
    }
  }

  #checkpoint(entry: LedgerEntry, before: LedgerHead): readonly string[] {
    const read = checkpoint.safeParse(entry.data)
    if (!read.success) return [`line ${entry.seq} is a checkpoint that signs nothing`]
    const { seq, hash, key, signature } = read.data
    this.#count++
    this.#keys.add(key)
    if (seq !== before.seq || hash !== before.hash)
      return [`the checkpoint in line ${entry.seq} signs another line than the one before it`]
    if (!this.#verifyBy(key, checkpointText(entry.actor, { seq, hash }), signature))
      return [`the checkpoint in line ${entry.seq} is not signed with the key that it names`]
    if (this.#known?.has(key) === false) this.#foreign = { seq: entry.seq, key }
    else {
      this.#good = { seq: entry.seq, at: entry.at }
      this.#goodBy = { key, signed: seq }
      this.#foreign = undefined
    }
    return []
  }
}
