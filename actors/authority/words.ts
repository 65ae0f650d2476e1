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
  /** Who says that the ticket was given back to him. */
  readonly returnedTo?: readonly string[] | undefined
  /** Who says that it is his, and is not believed. */
  readonly unproven?: string | undefined
}

export interface Known {
  /** Whether somebody has said all that he holds. */
  readonly isSure: (peer: string) => boolean
  /** Whose the lease is by the rows of this site. */
  readonly holderOf: (leaseId: string) => string | undefined
  /** Whether the broker of the ticket signed it. */
  readonly isSigned: (ticket: Ticket) => boolean
}

/**
 * What was heard, lease by lease. Anybody may say that a lease is his:
 *
 *   who holds it by our rows ──▶ its holder         of no lease that we have: who shows a ticket that a broker
 *   anybody else             ──▶ nobody             signed for him
 */
export function wordsOf(
  heard: readonly HeardRow[],
  { isSure, holderOf, isSigned }: Known,
): Map<string, Words> {
  const words = new Map<string, Words>()
  for (const { from, holding } of heard) {
    const { leaseId, ticket } = holding
    const said = words.get(leaseId) ?? { isSure: false }
    if (ticket === null) {
      words.set(leaseId, { ...said, returnedTo: [...(said.returnedTo ?? []), from] })
      continue
    }
    const isHis =
      ticket.holder === from && (holderOf(leaseId) ?? (isSigned(ticket) ? from : undefined)) === from
    if (isHis) words.set(leaseId, { ...said, holder: holding, isSure: isSure(from) })
    else if (ticket.broker === from)
      words.set(leaseId, { ...said, broker: holding, isSure: said.isSure || isSure(ticket.holder) })
    else words.set(leaseId, { ...said, unproven: from })
  }
  return words
}

/** What holders say of their units. */
export const toldOf = (words: ReadonlyMap<string, Words>): Map<string, Holding['units'][number]> =>
  new Map([...words.values()].flatMap(({ holder }) => holder?.units.map((unit) => [unit.id, unit]) ?? []))

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
