import type { Instant } from '../../../actors/runtime/clock.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchNode, Job } from '../../../adapters/batch-system.ts'
import { hour } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import type { GrocMemory } from './memory.ts'
import type { Roll } from './roll.ts'

/**
 * Jobs that have ended and do not let go of their node: an epilog that hangs, processes that wait for a dead file server
 * and that no signal ends. Slurm calls it COMPLETING, PBS `E`, GridEngine `dr`.
 *
 *   completing for       what is done                                                     taken back
 *   ──────────────       ────────────                                                     ──────────
 *   below `completing`   nothing: its node is busy
 *   `completing`         drained; job and node are named in each decision                  it has ended: resumed
 *     beside others      these run to their end, and the lease is extended for them
 *     alone              the lease is not extended for it; at its end, and after the grace, the node is taken out like
 *                        that of a machine that is lost, and the ledger says what has become of the job
 */

/** By job on nodes of ours: begin of the first look of an unbroken row that showed it completing; undefined if none is. */
export function completingSince(
  before: GrocMemory['completingSince'],
  running: readonly Job[],
  rolls: readonly Roll[],
  lookedAt: Instant,
): GrocMemory['completingSince'] {
  const completing = running.filter(({ state }) => state === 'completing')
  if (completing.length === 0) return undefined
  const ours = new Set(rolls.flatMap(({ seats }) => seats.map(({ known }) => known?.name)))
  const since = new Map<string, Instant>()
  for (const { id, nodeNames, startedAt = Number.NEGATIVE_INFINITY } of completing) {
    if (!nodeNames.some((name) => ours.has(name))) continue
    const known = own(before ?? {}, id)
    // It may have been started again meanwhile; and a clock that was ahead is not waited for.
    since.set(id, known === undefined || startedAt > known || known > lookedAt ? lookedAt : known)
  }
  return since.size === 0 ? undefined : Object.fromEntries(since)
}

const NONE: readonly string[] = []

/** Jobs that have been completing there for too long. */
export function stuckOn(
  node: BatchNode | undefined,
  { completingSince: since }: GrocMemory,
  lookedAt: Instant,
  { completing }: GrocConfig,
): readonly string[] {
  if (node === undefined || since === undefined) return NONE
  return node.jobs.filter((id) => lookedAt - (own(since, id) ?? lookedAt) >= completing)
}

/** Some job has, wherever that is. */
export const isAnyStuck = (
  { completingSince: since }: GrocMemory,
  lookedAt: Instant,
  { completing }: GrocConfig,
): boolean => since !== undefined && Object.values(since).some((at) => lookedAt - at >= completing)

/** Of a job that completes. */
export function stuckSentences(
  { id, state }: Job,
  { completingSince: since = {} }: GrocMemory,
  { completing }: GrocConfig,
): readonly string[] {
  const at = own(since, id)
  return state !== 'completing' || at === undefined
    ? []
    : [
        `It has been completing since ${hour(at)}: if it still is at ${hour(at + completing)}, its node takes no more work, and no lease is extended for it.`,
      ]
}
