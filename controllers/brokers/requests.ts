import type { Term } from '../../actors/leases/term.ts'
import type { Instant } from '../../actors/runtime/clock.ts'
import { largest, smallest } from '../../actors/runtime/extremes.ts'
import type { TicketRequest } from '../controller.ts'
import { some, span } from '../sentence.ts'

export type Extension = TicketRequest & { readonly extends: NonNullable<TicketRequest['extends']> }

export const isExtension = (request: TicketRequest): request is Extension => request.extends !== undefined

/** A request that asks for none is taken to ask for one: a ticket for nothing helps nobody. */
export const least = ({ unitsMin }: TicketRequest): number => Math.max(1, unitsMin)

export const termFrom = ({ durationMs }: TicketRequest, start: Instant): Term => ({
  start,
  end: start + durationMs,
})

/** `2 to 5 units`. */
export const atLeast = (request: TicketRequest): string =>
  least(request) < request.units
    ? `${least(request)} to ${some(request.units, 'unit')}`
    : some(request.units, 'unit')

/** Stable: requests that came at the same instant keep the order in which they were handed over. */
export const inOrder = <One extends { readonly arrivedAt: Instant }>(ones: readonly One[]): readonly One[] =>
  ones.toSorted((a, b) => a.arrivedAt - b.arrivedAt)

/** What is served as one: a new request, or all members of a group. */
export interface Item {
  readonly members: readonly TicketRequest[]
  /** The name of the group; undefined for a single request. */
  readonly group: string | undefined
  /** Of the last member: before that nobody could have served the group. */
  readonly arrivedAt: Instant
  /** Not before, and not after: within these every member agrees. */
  readonly start: Instant
  readonly startBy: Instant
}

/** New requests as items, in order of arrival; members of groups that are not whole are left over. */
export function itemsOf(requests: readonly TicketRequest[]): {
  readonly items: readonly Item[]
  readonly unready: readonly TicketRequest[]
} {
  const groups = new Map<string, TicketRequest[]>()
  const items: Item[] = []
  for (const request of requests)
    if (request.group === undefined) items.push(itemOf([request], undefined))
    else {
      // Groups are named by their holders, so two holders may use the same name.
      const key = `${request.holder}\n${request.group.id}`
      groups.set(key, [...(groups.get(key) ?? []), request])
    }
  const unready: TicketRequest[] = []
  for (const members of groups.values()) {
    const { id, size } = members[0]!.group!
    if (members.length === size) items.push(itemOf(inOrder(members), id))
    else for (const member of members) unready.push(member)
  }
  return { items: inOrder(items), unready }
}

const itemOf = (members: readonly TicketRequest[], group: string | undefined): Item => ({
  members,
  group,
  arrivedAt: largest(
    members.map(({ arrivedAt }) => arrivedAt),
    0,
  ),
  start: largest(
    members.map(({ start }) => start),
    0,
  ),
  startBy: smallest(
    members.map(({ startBy }) => startBy),
    Number.POSITIVE_INFINITY,
  ),
})

export const isDeferrable = ({ start, startBy }: Item): boolean => startBy > start

/** The units that it cannot do without. */
export const leastOf = ({ members }: Item): number => members.reduce((sum, one) => sum + least(one), 0)

/** `2 to 5 units of vm for 1 h`; `group g (3 members, 7 units)`. */
export function whatOf(item: Item): string {
  const [first] = item.members
  if (item.group === undefined) return `${atLeast(first!)} of ${first!.type} for ${span(first!.durationMs)}`
  return `group ${item.group} (${some(item.members.length, 'member')}, ${some(leastOf(item), 'unit')})`
}
