import { switchGroupOf } from '../leases/properties.ts'
import { plus, type Vector } from '../leases/resources.ts'
import { someUnits } from '../leases/words.ts'
import type { AuthorityConfig, Host } from './config.ts'
import { Inventory } from './inventory.ts'
import type { AuthorityDraft, LeaseRow, UnitRow } from './rows.ts'
import { isLive, lentOf, unitsOf } from './standing.ts'
import { type Grouped, placeTogether, roomInOne, type SwitchedRoom } from './switch-groups.ts'

/**
 * Gives up to `count` units of a lease a slot and a host, of `wanted` that it lacks; those there is no room for are left out.
 *
 *   room = lent − held, less what is reserved for others ── slots ── hosts that are not to be worked on
 */
export function place(
  config: AuthorityConfig,
  lease: LeaseRow,
  count: number,
  wanted: number,
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
  const rooms = roomsOf(config, inventory, draft)
  const how = switchGroupOf(lease.properties)
  const together = how && { how, wanted, held: heldBySwitch(config, lease, draft) }
  const grouped = together && placeTogether(config.placement, slots.length, vector, rooms, together)
  if (grouped !== undefined) noteGroups(lease, grouped, draft)
  const hosts = grouped?.hosts ?? config.placement(slots.length, vector, rooms)
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

function roomsOf(
  config: AuthorityConfig,
  inventory: Inventory,
  draft: AuthorityDraft,
): readonly SwitchedRoom[] {
  return config.hosts
    .filter(({ name }) => draft.get('host', name) === undefined)
    .map((host) => {
      const { name, capacity } = host
      return { name, capacity, free: inventory.free(name, capacity), switchGroup: groupOf(host) }
    })
}

const groupOf = (host: Host): string =>
  host.switch === undefined ? `host ${host.name}` : `switch ${host.switch}`

function heldBySwitch(
  config: AuthorityConfig,
  lease: LeaseRow,
  draft: AuthorityDraft,
): ReadonlyMap<string, number> {
  const groups = new Map(config.hosts.map((host) => [host.name, groupOf(host)]))
  const held = new Map<string, number>()
  for (const unit of unitsOf(lease, draft)) {
    const group = isLive(unit) ? groups.get(unit.host) : undefined
    if (group !== undefined) held.set(group, (held.get(group) ?? 0) + 1)
  }
  return held
}

function noteGroups(lease: LeaseRow, { units }: Grouped, draft: AuthorityDraft): void {
  if (units.size === 0) return
  const where = [...units].map(([group, count]) => `${count} on ${group}`).join(', ')
  const spread = units.size > 1 ? ': no switch has room for all, and together is as far as possible' : ''
  draft.note('placed together', lease.id, `${where}${spread}`, { units: Object.fromEntries(units) })
}

/** What keeps a lease of which nothing is there yet from being placed on one switch. */
export interface NoGroup {
  /** Also when what is on its way out there has gone. */
  readonly forGood: boolean
  readonly reason: string
}

/** Undefined where there is such a switch, or none is demanded. */
export function doubtGroup(
  config: AuthorityConfig,
  lease: LeaseRow,
  draft: AuthorityDraft,
): NoGroup | undefined {
  const type = config.types[lease.ticket.type]
  if (switchGroupOf(lease.properties) !== 'one' || type === undefined || unitsOf(lease, draft).some(isLive))
    return undefined
  const vector = lease.ticket.proof?.vector ?? type.vector
  const rooms = roomsOf(config, new Inventory(draft), draft)
  const most = roomInOne(vector, rooms)
  const least = Math.min(lease.unitsMin, lease.ticket.units)
  if (most >= least) return undefined
  const leaving = new Map<string, Vector>()
  for (const { state, host, vector: its } of draft.all('unit'))
    if (state === 'teardown') leaving.set(host, plus(leaving.get(host) ?? {}, its))
  const later = roomInOne(
    vector,
    rooms.map((room) => ({ ...room, free: plus(room.free, leaving.get(room.name) ?? {}) })),
  )
  const named = config.hosts.some((host) => host.switch !== undefined)
  const why = named ? '' : '; this site says of none of its hosts which switch it is on'
  return {
    forGood: later < least,
    reason: `no switch has room for ${someUnits(least)}, ${most} at most${why}`,
  }
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
