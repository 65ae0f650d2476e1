import { z } from 'zod'
import type { Vector } from '../leases/resources.ts'
import type { LedgerEntry } from '../runtime/commit.ts'
import type { Check } from './check.ts'

const vector = z.record(z.string(), z.number())
const assigned = z.object({ leaseId: z.string(), host: z.string(), slot: z.number(), vector })
const begun = z.object({ hosts: z.array(z.object({ name: z.string(), capacity: vector })) })
type Assigned = Readonly<z.infer<typeof assigned>>

/**
 * Replays an authority's ledger alone: at no instant is a slot held by two units, a unit by two leases,
 * or a host beyond its capacity.
 *
 *   unit assigned ──── held: its slot, its part of a host ────▶ unit ended
 *
 * After a restore a machine may be found that does not say where it is: its place is unknown, and is held against nothing.
 *
 * Memory grows with the units there ever were, by their name only: none may come back.
 */
export function holdsCheck(): Check {
  const held = new Map<string, Assigned>()
  const bySlot = new Map<number, string>()
  const ever = new Map<string, string>()
  let isRestored = false
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
    const isPlaced = !isRestored || unit.host !== ''
    const hasSlot = !isRestored || unit.slot !== 0
    const other = hasSlot ? bySlot.get(unit.slot) : undefined
    if (other !== undefined) faults.push(`slot ${unit.slot} is given to ${unitId} while ${other} holds it`)
    const before = ever.get(unitId)
    if (before !== undefined)
      faults.push(`${unitId} is given to ${unit.leaseId}; it was given to ${before} before`)
    if (held.has(unitId)) end(unitId)
    held.set(unitId, unit)
    if (hasSlot) bySlot.set(unit.slot, unitId)
    ever.set(unitId, unit.leaseId)
    const host = hostOf(unit.host)
    host.take(unit.vector, 1)
    if (!isPlaced) return faults
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
      if (entry.kind === 'store restored') isRestored = true
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
