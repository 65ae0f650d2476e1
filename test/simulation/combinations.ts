import { leaseMachine as siteLease } from '../../actors/authority/machines.ts'
import type { LeaseRow as SiteLease } from '../../actors/authority/rows.ts'
import { ticketMachine as brokerTicket } from '../../actors/broker/machine.ts'
import type { TicketRow } from '../../actors/broker/rows.ts'
import type { Row } from '../../actors/runtime/rows.ts'
import { leaseMachine, ticketMachine } from '../../actors/service-manager/machines.ts'
import type { LeaseRow } from '../../actors/service-manager/rows.ts'
import type { Disk } from './disk.ts'
import type { Trial } from './trial.ts'

/** The state of one lease at all three actors, as on their disks; `-` where it is not (or no longer) known. */
export interface Combination {
  readonly ticket: LeaseRow['ticketState'] | '-'
  readonly lease: LeaseRow['leaseState'] | '-'
  readonly broker: TicketRow['state'] | '-'
  readonly site: SiteLease['state'] | '-'
  /** By true time, the last term that was agreed is not over. */
  readonly within: boolean
  /** A term was ever agreed on. */
  readonly agreed: boolean
}

export const nameOf = ({ ticket, lease, broker, site, within }: Combination): string =>
  `${ticket}/${lease} ${broker} ${site}${within ? '' : ' after the end'}`

/** A line of the list: a combination that may be, and why it comes to be. */
export const wordOf = ({ ticket, lease, broker, site }: Combination): string =>
  `${ticket}/${lease} ${broker} ${site}`

/** How many there would be if every state went with every other; `-` is one more at each actor. */
export const PRODUCT =
  (Object.keys(ticketMachine).length * Object.keys(leaseMachine).length + 1) *
  (Object.keys(brokerTicket).length + 1) *
  (Object.keys(siteLease).length + 1)

/** Each combination that the leases of runs come to, once, with the seed that came to it first. */
export class Combinations {
  readonly seen = new Map<string, Combination & { readonly seed: number }>()

  /** Looks at each lease whenever one of its actors has changed it. */
  watch(trial: Trial): void {
    for (const { disk } of [...trial.managers, ...trial.brokers, ...trial.sites]) {
      const { onCommit } = disk
      disk.onCommit = (changes, entries) => {
        onCommit(changes, entries)
        for (const { table, id } of changes)
          if (table === 'lease' || table === 'ticket') this.#look(id, trial)
      }
    }
  }

  #look(id: string, { managers, brokers, sites, world, options: { seed } }: Trial): void {
    const mine = rowOf<LeaseRow>(managers, 'lease', id)
    const theirs = rowOf<SiteLease>(sites, 'lease', id)
    const end = Math.max(theirs?.term.end ?? 0, mine?.term?.end ?? 0)
    const combination = {
      ticket: mine?.ticketState ?? '-',
      lease: mine?.leaseState ?? '-',
      broker: rowOf<TicketRow>(brokers, 'ticket', id)?.state ?? '-',
      site: theirs?.state ?? '-',
      within: end === 0 || world.now < end,
      agreed: end !== 0,
      seed,
    } as const
    const name = nameOf(combination)
    if (!this.seen.has(name)) this.seen.set(name, combination)
  }
}

function rowOf<R extends Row>(
  actors: readonly { readonly disk: Disk }[],
  table: string,
  id: string,
): R | undefined {
  for (const { disk } of actors) {
    const row = disk.table<R>(table).get(id)
    if (row !== undefined) return row
  }
  return undefined
}

/** Why a combination must never be; undefined if it may. */
export function absurdity({ ticket, lease, broker, site, within, agreed }: Combination): string | undefined {
  const live = site === 'pending' || site === 'active'
  if (within && live && (broker === 'closed' || broker === '-'))
    return 'the site holds within the term what the broker has given away'
  if (site !== '-' && (lease === 'none' || ticket === 'asked'))
    return 'the site has a lease for which no ticket was redeemed'
  if (live && within && ticket === 'closed' && lease === 'closed')
    return 'the holder has forgotten what the site holds within the term'
  if (within && broker === '-' && ['held', 'extending'].includes(ticket))
    return 'the holder has a ticket that the broker does not know'
  if (within && broker === 'asked' && lease !== 'none' && lease !== 'closed')
    return 'the holder has a lease for which the broker has not decided'
  // Of one that was never granted nothing goes on: while its holder recovers, its ticket may be known to be over first.
  const goesOn = ['redeeming', 'active', 'extending'].includes(lease) || (lease === 'none' && agreed)
  if (ticket === 'closed' && goesOn && within) return 'the ticket is closed while the lease goes on'
  if (ticket === 'returning' && lease !== 'closed' && lease !== 'none')
    return 'the ticket goes back before the site’s final word'
  if (lease === 'closed' && (ticket === 'held' || ticket === 'extending'))
    return 'the lease is over and its ticket is kept'
  return undefined
}
