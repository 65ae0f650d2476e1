import type { Body } from '../../actors/leases/messages.ts'
import { type Ticket, withoutChain } from '../../actors/leases/ticket.ts'
import type { Intended } from '../../actors/runtime/draft.ts'
import type { Row } from '../../actors/runtime/rows.ts'
import type { FoundMachine } from '../../adapters/handler.ts'
import { Stage, specOf, wellBehaved } from './authority-stage.ts'

const TABLES = [
  'lease',
  'unit',
  'offer',
  'claim',
  'drawn',
  'returned',
  'image',
  'recall',
  'host',
  'room',
  'site',
]

/** A site whose machines are listed as they are, and whose rows can be set back. */
export class OldStage extends Stage {
  readonly machines = new Map<string, FoundMachine & { endsAt: number }>()
  readonly forced: string[] = []
  /** Work runs on every machine: only force ends one. */
  isBusy = false
  readonly peers: string[]

  constructor(peers = ['manager']) {
    super({ peers })
    this.peers = peers
    this.world = (effect) => this.#happens(effect)
  }

  copy(): () => void {
    const saved = TABLES.map((table) => [table, [...this.rows.all(table)]] as const)
    return () => {
      for (const [table, rows] of saved) {
        for (const { id } of [...this.rows.all(table)]) this.rows.set(table, id, undefined)
        for (const row of rows) this.rows.set(table, row.id, row as Row)
      }
      this.under.clear()
      this.sent.length = 0
    }
  }

  restored(): void {
    this.give({ kind: 'started', epoch: 2, restored: { reason: 'an older copy was put back', seenSeq: 9 } })
  }

  /** What somebody answers to the question that he was asked. */
  says(from: string, holdings: readonly Holding[], change: { unsure?: boolean } = {}): void {
    const asked = this.sent.find(({ to, kind }) => to === from && kind === 'holdings-query')
    this.tell('holdings', asked!.subject, { page: 0, pages: 1, ...change, holdings: [...holdings] }, from)
    this.settle()
  }

  #happens(effect: Intended) {
    const { verb, key } = effect
    if (verb === 'list') return { kind: 'done' as const, value: [...this.machines.values()] }
    const { unitId, leaseId, name, slot, host, vector, endsAt, graceMs } = specOf(effect)
    if (verb === 'setup' || verb === 'modify')
      this.machines.set(key, { unitId, leaseId, name, slot, host, vector, endsAt, graceMs, running: true })
    if (this.isBusy && verb === 'teardown' && !(effect.args as { force: boolean }).force)
      return { kind: 'done' as const, value: { kind: 'busy', what: 'a job' } }
    if (verb === 'teardown') {
      if (this.isBusy) this.forced.push(key)
      this.machines.delete(key)
    }
    return wellBehaved(effect)
  }
}

export type Holding = Body<'holdings'>['holdings'][number]

/** As its holder tells of it. */
export const held = (stage: OldStage, ticket: Ticket, change: Partial<Holding> = {}): Holding => ({
  ...{ leaseId: ticket.leaseId, state: 'ticket held, lease active', closed: false, properties: {} },
  ...{ ticket: withoutChain(ticket), next: null },
  units: [...stage.machines.values()]
    .filter(({ leaseId }) => leaseId === ticket.leaseId)
    .map(({ unitId, name }) => ({ id: unitId, name, report: 'active', facts: {} })),
  ...change,
})
