import type { BrokerTables, TicketRow } from '../../actors/broker/rows.ts'
import type { Actor } from '../../actors/runtime/actor.ts'
import type { Millis } from '../../actors/runtime/clock.ts'
import type { Random } from '../../actors/runtime/random.ts'
import type { Disk } from './disk.ts'
import type { World } from './world.ts'

const LOOK_EVERY_MS: Millis = 3_000

/** The person who approves requests at a broker, or does not, or lets them lie. While it is quiet all are approved. */
export class Approver {
  readonly #world: World
  readonly #disk: Disk
  readonly #broker: () => Actor<BrokerTables> | undefined
  readonly #random: Random
  /** Requests that are left lying, by the time since when they wait. */
  readonly #lying = new Set<string>()

  constructor(world: World, disk: Disk, broker: () => Actor<BrokerTables> | undefined, random: Random) {
    this.#world = world
    this.#disk = disk
    this.#broker = broker
    this.#random = random
  }

  begin(isStormy: () => boolean): void {
    this.#world.after(LOOK_EVERY_MS, () => {
      this.#look(isStormy())
      this.begin(isStormy)
    })
  }

  #look(stormy: boolean): void {
    const broker = this.#broker()
    if (broker === undefined) return
    for (const { id: leaseId, asked } of this.#disk.table<TicketRow>('ticket').values()) {
      if (asked?.approval === undefined) continue
      const request = `${leaseId} ${asked.approval.since}`
      if (stormy && this.#lying.has(request)) continue
      const chance = stormy ? this.#random.next() : 0
      if (chance > 0.8) this.#lying.add(request)
      else {
        this.#world.count(chance < 0.6 ? 'approved' : 'disapproved')
        broker
          .command(chance < 0.6 ? 'approve' : 'disapprove', { leaseId })
          // It died, or nobody waits for it any more.
          .catch(() => undefined)
      }
    }
  }
}
