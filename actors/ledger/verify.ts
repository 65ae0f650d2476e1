import type { Vector } from '../leases/resources.ts'
import { canonical, digest } from '../runtime/canonical.ts'
import type { LedgerEntry, LedgerHead } from '../runtime/commit.ts'

/** What is wrong with a ledger, and where. */
export interface Fault {
  readonly actor: string
  readonly seq: number
  readonly sentence: string
}

interface Assigned {
  readonly leaseId: string
  readonly host: string
  readonly slot: number
  readonly vector: Vector
}

/** Checks that each line follows the one before and that none was changed. `after` is the line before the first. */
export function verifyChain(
  entries: readonly LedgerEntry[],
  after: LedgerHead = { seq: 0, hash: '' },
): Fault[] {
  const faults: Fault[] = []
  let head = after
  for (const entry of entries) {
    const { hash, ...line } = entry
    const fault = (sentence: string): number => faults.push({ actor: entry.actor, seq: entry.seq, sentence })
    if (entry.seq !== head.seq + 1)
      fault(`line ${entry.seq} follows line ${head.seq}: lines are missing or swapped`)
    if (entry.prev !== head.hash) fault(`line ${entry.seq} does not continue the chain`)
    if (digest(canonical(line)) !== hash) fault(`line ${entry.seq} was altered`)
    head = { seq: entry.seq, hash }
  }
  return faults
}

/**
 * Replays an authority's ledger alone: at no instant is a slot held by two units, a unit by two leases,
 * or a host beyond its capacity. A unit is held from `unit assigned` to `unit ended`.
 */
export function verifyHolds(entries: readonly LedgerEntry[]): Fault[] {
  const faults: Fault[] = []
  const held = new Map<string, Assigned>()
  const bySlot = new Map<number, string>()
  const ever = new Map<string, string>()
  let capacity = new Map<string, Vector>()
  for (const entry of entries) {
    const fault = (sentence: string): number => faults.push({ actor: entry.actor, seq: entry.seq, sentence })
    if (entry.kind === 'started') capacity = hostsOf(entry) ?? capacity
    if (entry.kind === 'unit ended') {
      const unit = held.get(entry.subject)
      if (unit !== undefined && bySlot.get(unit.slot) === entry.subject) bySlot.delete(unit.slot)
      held.delete(entry.subject)
    }
    if (entry.kind !== 'unit assigned') continue
    const unit = entry.data as Assigned
    const other = bySlot.get(unit.slot)
    if (other !== undefined) fault(`slot ${unit.slot} is given to ${entry.subject} while ${other} holds it`)
    const before = ever.get(entry.subject)
    if (before !== undefined)
      fault(`${entry.subject} is given to ${unit.leaseId}; it was given to ${before} before`)
    held.set(entry.subject, unit)
    bySlot.set(unit.slot, entry.subject)
    ever.set(entry.subject, unit.leaseId)
    const room = capacity.get(unit.host)
    if (room === undefined) fault(`${entry.subject} is placed on ${unit.host}, which the site does not have`)
    else for (const sentence of overfull(unit.host, room, held)) fault(sentence)
  }
  return faults
}

function hostsOf(entry: LedgerEntry): Map<string, Vector> | undefined {
  const { hosts } = (entry.data ?? {}) as { hosts?: readonly { name: string; capacity: Vector }[] }
  return hosts && new Map(hosts.map((host) => [host.name, host.capacity]))
}

function overfull(host: string, room: Vector, held: ReadonlyMap<string, Assigned>): string[] {
  const used: Record<string, number> = {}
  for (const unit of held.values())
    if (unit.host === host)
      for (const [dimension, amount] of Object.entries(unit.vector))
        used[dimension] = (used[dimension] ?? 0) + amount
  return Object.entries(used)
    .filter(([dimension, amount]) => amount > (room[dimension] ?? 0))
    .map(([dimension, amount]) => `host ${host} gives ${amount} ${dimension} and has ${room[dimension] ?? 0}`)
}

/** Everything that can be checked of one actor's ledger. `head` is what the store says the last line is. */
export function verifyLedger(entries: readonly LedgerEntry[], head: LedgerHead): Fault[] {
  const faults = [...verifyChain(entries), ...verifyHolds(entries)]
  const last = entries.at(-1)
  if ((last?.seq ?? 0) !== head.seq || (last?.hash ?? '') !== head.hash)
    faults.push({
      actor: last?.actor ?? '',
      seq: head.seq,
      sentence: `the ledger ends at line ${last?.seq ?? 0}, the actor wrote ${head.seq}`,
    })
  return faults
}
