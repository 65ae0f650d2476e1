import type { TicketRow } from '../../actors/broker/rows.ts'
import type { Body } from '../../actors/leases/messages.ts'
import { canonical } from '../../actors/runtime/canonical.ts'
import type { Instant } from '../../actors/runtime/clock.ts'
import type { Letter } from '../../actors/runtime/envelope.ts'
import type { LinkRow } from '../../actors/runtime/links.ts'
import { decodeRow } from '../../actors/runtime/rows.ts'
import type { Disk } from './disk.ts'

interface Plan {
  readonly number: number
  readonly units: number
  readonly by: Instant
}

/**
 * What holders say that they give back, as it leaves them, against what a broker makes of it: it takes nothing off a
 * ticket that its holder did not promise, and nothing sooner.
 *
 *   a holder says `recall-plan` ──▶ plans of the lease ──the broker has heard up to its number──▶ what it may take more
 */
export class GivenBack {
  readonly #plans = new Map<string, Plan[]>()
  /** By lease: the number of the message up to which plans were counted. */
  readonly #counted = new Map<string, number>()
  readonly #disk: Disk

  constructor(disk: Disk) {
    this.#disk = disk
  }

  said({ kind, subject, number, body }: Letter): void {
    if (kind !== 'recall-plan') return
    const { units, by } = body as Body<'recall-plan'>
    this.#plans.set(subject, [...(this.#plans.get(subject) ?? []), { number, units, by }])
  }

  /** The broker has changed the row. */
  changed(before: TicketRow | undefined, after: TicketRow): string[] {
    const { id, reduced } = after
    if (
      reduced === undefined ||
      after.state === 'closed' ||
      canonical(reduced) === canonical(before?.reduced ?? null)
    )
      return []
    const heard = this.#heardOf(after)
    const from = this.#counted.get(id) ?? 0
    const plans = (this.#plans.get(id) ?? []).filter(({ number }) => from < number && number <= heard)
    this.#counted.set(id, heard)
    const more = plans.reduce((sum, { units }) => sum + units, 0)
    const faults: string[] = []
    for (const [ticketId, units] of Object.entries(reduced.off ?? {})) {
      const promised = more + (before?.reduced?.off?.[ticketId] ?? 0)
      if (units > promised)
        faults.push(`takes ${units} units of ${ticketId} of ${id} back, and its holder promised ${promised}`)
    }
    if (plans.every(({ by }) => reduced.from < by))
      faults.push(`takes units of ${id} back from ${reduced.from} on, sooner than its holder promised`)
    const tickets = [...(before?.tickets ?? []), ...after.tickets]
    if (!tickets.some(({ units }) => units === reduced.of))
      faults.push(`takes units of ${id} back off a ticket of ${reduced.of}, and there is none`)
    return faults
  }

  /** The store was set back: what was heard since may be heard again. */
  setBack(rows: readonly TicketRow[]): void {
    this.#counted.clear()
    for (const row of rows) this.#counted.set(row.id, this.#heardOf(row))
  }

  #heardOf({ id, holder }: TicketRow): number {
    const row = this.#disk.rows.get(`$link\n${holder} ${id}`)
    return row === undefined ? 0 : (decodeRow(row) as LinkRow).in
  }
}
