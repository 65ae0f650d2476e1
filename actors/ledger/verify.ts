import { z } from 'zod'
import type { Vector } from '../leases/resources.ts'
import { canonical, digest } from '../runtime/canonical.ts'
import type { LedgerEntry, LedgerHead } from '../runtime/commit.ts'
import { BODY_CHARS_MAX } from '../runtime/envelope.ts'
import { flawOf } from '../runtime/plain.ts'

/** What is wrong with a ledger, and where. */
export interface Fault {
  readonly actor: string
  readonly seq: number
  readonly sentence: string
}

/** Reads lines in order, one by one, and says what is wrong with each. */
export interface Check {
  line(entry: LedgerEntry): readonly string[]
}

const FAULTS_MAX = 1_000
/** No line is longer: a batch of messages is not, nor is what is said of it. */
const LINE_CHARS_MAX = 64 * BODY_CHARS_MAX

const NO_LINE: LedgerHead = { seq: 0, hash: '' }

const vector = z.record(z.string(), z.number())
const assigned = z.object({ leaseId: z.string(), host: z.string(), slot: z.number(), vector })
const begun = z.object({ hosts: z.array(z.object({ name: z.string(), capacity: vector })) })
type Assigned = Readonly<z.infer<typeof assigned>>

/** Each line follows the one before and none was changed. `after` is the line before the first. */
export function chainCheck(after: LedgerHead = NO_LINE): Check {
  let head = after
  return {
    line(entry) {
      const { hash, ...line } = entry
      const faults: string[] = []
      if (entry.seq !== head.seq + 1)
        faults.push(`line ${entry.seq} follows line ${head.seq}: lines are missing or swapped`)
      if (entry.prev !== head.hash) faults.push(`line ${entry.seq} does not continue the chain`)
      if (hashOf(line) !== hash) faults.push(`line ${entry.seq} was altered`)
      head = { seq: entry.seq, hash }
      return faults
    },
  }
}

/** Undefined for what never came from a ledger: it has no canonical form. */
function hashOf(line: Omit<LedgerEntry, 'hash'>): string | undefined {
  return flawOf(line, LINE_CHARS_MAX) === undefined ? digest(canonical(line)) : undefined
}

/**
 * Replays an authority's ledger alone: at no instant is a slot held by two units, a unit by two leases,
 * or a host beyond its capacity.
 *
 *   unit assigned ──── held: its slot, its part of a host ────▶ unit ended
 *
 * Memory grows with the units there ever were, by their name only: none may come back.
 */
export function holdsCheck(): Check {
  const held = new Map<string, Assigned>()
  const bySlot = new Map<number, string>()
  const ever = new Map<string, string>()
  const hosts = new Map<string, Host>()

  function begin(entry: LedgerEntry): readonly string[] {
    const read = begun.safeParse(entry.data)
    if (!read.success) return []
    for (const { name, capacity } of read.data.hosts) hostOf(name).capacity = capacity
    const named = new Set(read.data.hosts.map(({ name }) => name))
    for (const [name, host] of hosts) if (!named.has(name)) host.capacity = undefined
    return []
  }

  function assign(unitId: string, unit: Assigned): readonly string[] {
    const faults: string[] = []
    const other = bySlot.get(unit.slot)
    if (other !== undefined) faults.push(`slot ${unit.slot} is given to ${unitId} while ${other} holds it`)
    const before = ever.get(unitId)
    if (before !== undefined)
      faults.push(`${unitId} is given to ${unit.leaseId}; it was given to ${before} before`)
    if (held.has(unitId)) end(unitId)
    held.set(unitId, unit)
    bySlot.set(unit.slot, unitId)
    ever.set(unitId, unit.leaseId)
    const host = hostOf(unit.host)
    host.take(unit.vector, 1)
    if (host.capacity === undefined)
      faults.push(`${unitId} is placed on ${unit.host}, which the site does not have`)
    else faults.push(...host.overfull())
    return faults
  }

  function end(unitId: string): readonly string[] {
    const unit = held.get(unitId)
    if (unit === undefined) return []
    held.delete(unitId)
    if (bySlot.get(unit.slot) === unitId) bySlot.delete(unit.slot)
    hostOf(unit.host).take(unit.vector, -1)
    return []
  }

  function hostOf(name: string): Host {
    const host = hosts.get(name) ?? new Host(name)
    hosts.set(name, host)
    return host
  }

  return {
    line(entry) {
      if (entry.kind === 'started') return begin(entry)
      if (entry.kind === 'unit ended') return end(entry.subject)
      if (entry.kind !== 'unit assigned') return []
      const read = assigned.safeParse(entry.data)
      if (!read.success) return [`line ${entry.seq} does not say what was given to ${entry.subject}`]
      return assign(entry.subject, read.data)
    },
  }
}

/** One machine of the site: what it has, and what is taken of it. */
class Host {
  readonly name: string
  capacity: Vector | undefined
  readonly #used = new Map<string, number>()

  constructor(name: string) {
    this.name = name
  }

  take(amounts: Vector, sign: 1 | -1): void {
    for (const [dimension, amount] of Object.entries(amounts))
      this.#used.set(dimension, (this.#used.get(dimension) ?? 0) + sign * amount)
  }

  overfull(): readonly string[] {
    const room = new Map(Object.entries(this.capacity ?? {}))
    return [...this.#used]
      .filter(([dimension, amount]) => amount > (room.get(dimension) ?? 0))
      .map(
        ([dimension, amount]) =>
          `host ${this.name} gives ${amount} ${dimension} and has ${room.get(dimension) ?? 0}`,
      )
  }
}

/** Everything that can be checked of one actor's ledger, page by page. */
export class LedgerCheck {
  readonly #checks: readonly Check[]
  readonly #faults: Fault[] = []
  #unsaid = 0
  #last: LedgerEntry | undefined

  constructor(checks: readonly Check[] = [chainCheck(), holdsCheck()]) {
    this.#checks = checks
  }

  read(entries: Iterable<LedgerEntry>): void {
    for (const entry of entries) {
      for (const check of this.#checks)
        for (const sentence of check.line(entry)) this.#fault(entry.actor, entry.seq, sentence)
      this.#last = entry
    }
  }

  /** `head` is what the actor wrote last: whether lines are missing at the end. */
  end(head: LedgerHead): readonly Fault[] {
    const last = this.#last
    const found = last ?? NO_LINE
    if (found.seq !== head.seq || found.hash !== head.hash)
      this.#fault(
        last?.actor ?? '',
        head.seq,
        found.seq === head.seq
          ? `the last line is not the one that was written`
          : `the ledger ends at line ${found.seq}, and line ${head.seq} was the last one written`,
      )
    return this.faults
  }

  get faults(): readonly Fault[] {
    if (this.#unsaid === 0) return this.#faults
    const { actor, seq } = this.#faults.at(-1)!
    return [...this.#faults, { actor, seq, sentence: `and ${this.#unsaid} more` }]
  }

  #fault(actor: string, seq: number, sentence: string): void {
    if (this.#faults.length < FAULTS_MAX) this.#faults.push({ actor, seq, sentence })
    else this.#unsaid++
  }
}

/** Checks that each line follows the one before and that none was changed. */
export function verifyChain(entries: readonly LedgerEntry[], after: LedgerHead = NO_LINE): Fault[] {
  const check = new LedgerCheck([chainCheck(after)])
  check.read(entries)
  return [...check.faults]
}

/** Checks that nothing is held twice. */
export function verifyHolds(entries: readonly LedgerEntry[]): Fault[] {
  const check = new LedgerCheck([holdsCheck()])
  check.read(entries)
  return [...check.faults]
}

/** Everything that can be checked of one actor's ledger. `head` is what the actor wrote last. */
export function verifyLedger(entries: readonly LedgerEntry[], head: LedgerHead): Fault[] {
  const check = new LedgerCheck()
  check.read(entries)
  return [...check.end(head)]
}
