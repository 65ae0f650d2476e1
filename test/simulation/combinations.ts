import type { LeaseRow as SiteLease } from '../../actors/authority/rows.ts'
import type { TicketRow } from '../../actors/broker/rows.ts'
import type { LeaseRow } from '../../actors/service-manager/rows.ts'
import type { Trial } from './trial.ts'

/** The state of one lease at all three actors, as on their disks; `-` where it is not (or no longer) known. */
export interface Combination {
  readonly ticket: LeaseRow['ticketState'] | '-'
  readonly lease: LeaseRow['leaseState'] | '-'
  readonly broker: TicketRow['state'] | '-'
  readonly site: SiteLease['state'] | '-'
  /** By true time, the last term that was agreed is not over. */
  readonly within: boolean
}

export const nameOf = ({ ticket, lease, broker, site, within }: Combination): string =>
  `${ticket}/${lease} ${broker} ${site}${within ? '' : ' after the end'}`

/** Each combination that the leases of a run come to, once. Looks only when something was committed. */
export class Combinations {
  readonly seen = new Map<string, Combination>()
  #commits = -1

  look({ disks, world }: Trial): void {
    const commits = Object.values(disks).reduce((sum, disk) => sum + disk.commits, 0)
    if (commits === this.#commits) return
    this.#commits = commits
    const held = disks['service-manager']!.table<LeaseRow>('lease')
    const tickets = disks.broker!.table<TicketRow>('ticket')
    const leases = disks.authority!.table<SiteLease>('lease')
    for (const id of new Set([...held.keys(), ...tickets.keys(), ...leases.keys()])) {
      const mine = held.get(id)
      const end = Math.max(leases.get(id)?.term.end ?? 0, mine?.term?.end ?? 0)
      const combination: Combination = {
        ticket: mine?.ticketState ?? '-',
        lease: mine?.leaseState ?? '-',
        broker: tickets.get(id)?.state ?? '-',
        site: leases.get(id)?.state ?? '-',
        within: end === 0 || world.now < end,
      }
      this.seen.set(nameOf(combination), combination)
    }
  }
}

/** Why a combination must never be; undefined if it may. */
export function absurdity({ ticket, lease, broker, site, within }: Combination): string | undefined {
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
  if (ticket === 'closed' && ['none', 'redeeming', 'active', 'extending'].includes(lease) && within)
    return 'the ticket is closed while the lease goes on'
  if (ticket === 'returning' && lease !== 'closed' && lease !== 'none')
    return 'the ticket goes back before the site’s final word'
  if (lease === 'closed' && (ticket === 'held' || ticket === 'extending'))
    return 'the lease is over and its ticket is kept'
  if (broker === 'extending' && ticket === 'held') return 'the broker is asked for an extension by nobody'
  return undefined
}
