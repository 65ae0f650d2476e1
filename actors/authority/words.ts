import type { FoundMachine } from '../../adapters/handler.ts'
import { type Claim, leadTo } from '../leases/claim.ts'
import type { Ticket } from '../leases/ticket.ts'
import type { HeardRow } from './rows.ts'

export type Holding = HeardRow['holding']

/** What was said of one lease: by its holder, and by the broker of its ticket. */
export interface Words {
  readonly holder?: Holding | undefined
  readonly broker?: Holding | undefined
  /** Its holder has spoken, and was not restored himself: what he does not name there is not. */
  readonly isSure: boolean
  readonly returned: readonly Returned[]
}

/** Somebody says that the ticket was given back to him, and may show the head of the message by which that was said. */
export interface Returned {
  readonly to: string
  readonly proof: Holding['proof']
}

/** All that was said of one lease. */
export interface Heard {
  /** Those whose it may be say so; more than one only of a lease that we have not. */
  readonly holders: readonly Shown[]
  readonly brokers: readonly Shown[]
  readonly returned: readonly Returned[]
}

export type Shown = Holding & { readonly ticket: Ticket }

export const NOTHING: Heard = { holders: [], brokers: [], returned: [] }

export interface Known {
  /** Whose the lease is by the rows of this site. */
  readonly holderOf: (leaseId: string) => string | undefined
  /** Whose a unit is by its marks, or by the rows of this site. */
  readonly leaseOf: (unitId: string) => string | undefined
  /** Whether the broker of the ticket signed it. */
  readonly isSigned: (ticket: Ticket) => boolean
}

/**
 * What was heard, lease by lease. Anybody may say that a lease is his, or a machine:
 *
 *   who holds it by our rows ──▶ its holder         of no lease that we have: who shows a ticket that a broker
 *   anybody else             ──▶ nobody             signed for him
 *
 *   a machine that is marked with another lease ──▶ not of this one
 */
export function wordsOf(
  heard: readonly HeardRow[],
  { holderOf, leaseOf, isSigned }: Known,
): Map<string, Heard> {
  const words = new Map<string, Heard>()
  for (const { from, holding } of heard) {
    const { leaseId, ticket } = holding
    const said = words.get(leaseId) ?? NOTHING
    if (ticket === null) {
      words.set(leaseId, { ...said, returned: [...said.returned, { to: from, proof: holding.proof }] })
      continue
    }
    const units = holding.units.filter(({ id }) => (leaseOf(id) ?? leaseId) === leaseId)
    const shown = { ...holding, ticket, units }
    const isHis =
      ticket.holder === from && (holderOf(leaseId) ?? (isSigned(ticket) ? from : undefined)) === from
    if (isHis) words.set(leaseId, { ...said, holders: [...said.holders, shown] })
    else if (ticket.broker === from) words.set(leaseId, { ...said, brokers: [...said.brokers, shown] })
  }
  return words
}

/**
 * Of a lease that we have not: who may have it. Two who can both prove it have one id of two brokers, or one has an id
 * that he heard of: it is his who names its machines.
 */
export function claimantsOf(
  { holders, brokers }: Pick<Heard, 'holders' | 'brokers'>,
  machines: readonly FoundMachine[],
  isProven: (shown: Shown) => boolean,
): ReadonlySet<string> {
  const named = namesIn([...holders, ...brokers])
  if (named.size <= 1) return named
  const proven = namesIn([...holders, ...brokers].filter(isProven))
  if (proven.size <= 1) return proven
  const there = new Set(machines.map(({ unitId }) => unitId))
  const knowing = namesIn(
    holders.filter((one) => one.units.some(({ id }) => there.has(id)) && proven.has(one.ticket.holder)),
  )
  return knowing.size === 1 ? knowing : proven
}

const namesIn = (shown: readonly Shown[]): Set<string> => new Set(shown.map(({ ticket }) => ticket.holder))

/** What holders say of their units. */
export const toldOf = (words: ReadonlyMap<string, Heard>): Map<string, Holding['units'][number]> =>
  new Map(
    [...words.values()].flatMap(({ holders }) =>
      holders.flatMap(({ units }) => units.map((unit) => [unit.id, unit] as const)),
    ),
  )

/** The claims that tickets are drawn from, by `proof.parent`. */
export type Chains = ReadonlyMap<string, readonly Claim[]>

/** Who shows others than those that a ticket names takes nothing from whoever shows none. */
export function chainsOf(heard: readonly HeardRow[]): Chains {
  const chains = new Map<string, readonly Claim[]>()
  for (const { holding } of heard)
    for (const ticket of [holding.ticket, holding.next]) {
      const { proof, chain = [] } = ticket ?? {}
      if (proof !== undefined && !chains.has(proof.parent) && leadTo(chain, proof.parent))
        chains.set(proof.parent, chain)
    }
  return chains
}
