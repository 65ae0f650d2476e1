import type { Vector } from '../leases/resources.ts'
import type { AuthorityConfig } from './config.ts'
import { Inventory } from './inventory.ts'
import type { AuthorityDraft, LeaseRow, UnitRow } from './rows.ts'
import { lentOf } from './standing.ts'

/**
 * Gives up to `count` units of a lease a slot and a host; those there is no room for are left out.
 *
 *   room = lent − held, less what is reserved for others ── slots ── hosts that are not to be worked on
 */
export function place(
  config: AuthorityConfig,
  lease: LeaseRow,
  count: number,
  reserved: number,
  draft: AuthorityDraft,
): UnitRow[] {
  const type = config.types[lease.ticket.type]
  if (type === undefined) return []
  const vector = lease.ticket.proof?.vector ?? type.vector
  const inventory = new Inventory(draft)
  // A ticket may be older than what the owner took back since.
  const lent = lentOf(lease.ticket.type, draft) - inventory.ofType(lease.ticket.type, type.vector) - reserved
  const room = Math.max(0, Math.min(count, lent))
  if (room === 0) return []
  const slots = freeSlots(config, inventory, room, draft)
  const rooms = config.hosts
    .filter(({ name }) => draft.get('host', name) === undefined)
    .map(({ name, capacity }) => ({ name, capacity, free: inventory.free(name, capacity) }))
  const hosts = config.placement(slots.length, vector, rooms)
  return hosts.map((host, i) => {
    const unit = newUnit(config, lease, vector, host, slots[i]!, draft)
    draft.put('unit', unit)
    const { ticket } = lease
    draft.note('unit assigned', unit.id, `${unit.name} on ${host}, slot ${unit.slot}, for ${lease.holder}`, {
      ...{ leaseId: lease.id, holder: lease.holder, type: unit.type, image: unit.image },
      ...{ name: unit.name, host, slot: unit.slot, vector, units: ticket.units, term: ticket.term },
    })
    return unit
  })
}

/** The slots used longest ago come first, so that a name is not soon met again. */
function freeSlots(
  config: AuthorityConfig,
  inventory: Inventory,
  count: number,
  draft: AuthorityDraft,
): number[] {
  const site = draft.get('site', 'site') ?? { id: 'site', lastSlot: 0, sweeping: false }
  const free: number[] = []
  let lastSlot = site.lastSlot
  for (let i = 1; i <= config.slots && free.length < count; i++) {
    const slot = ((site.lastSlot + i - 1) % config.slots) + 1
    if (inventory.isTaken(slot)) continue
    free.push(slot)
    lastSlot = slot
  }
  draft.put('site', { ...site, lastSlot })
  return free
}

function newUnit(
  { namePrefix }: AuthorityConfig,
  lease: LeaseRow,
  vector: Vector,
  host: string,
  slot: number,
  draft: AuthorityDraft,
): UnitRow {
  return {
    ...{ id: draft.newId('unit'), leaseId: lease.id, holder: lease.holder, state: 'setup' },
    ...{ type: lease.ticket.type, name: `${namePrefix}${slot}`, slot, host, vector, image: lease.image },
    ...{ assignedAt: draft.now, since: draft.now, wasActive: false, facts: {}, reason: 'assigned' },
    ...{ doing: undefined, pushedEnd: 0, unheardEnd: 0, forceFrom: undefined, teardownFailures: 0 },
    probedAt: draft.now,
  }
}
