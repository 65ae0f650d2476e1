import type { AuthorityTables } from '../../actors/authority/rows.ts'
import type { Actor } from '../../actors/runtime/actor.ts'
import type { Millis } from '../../actors/runtime/clock.ts'
import type { Random } from '../../actors/runtime/random.ts'
import type { ServiceManagerTables } from '../../actors/service-manager/rows.ts'
import type { Site } from './machines.ts'
import type { Middleware } from './middleware.ts'
import type { World } from './world.ts'

/** What the site has. */
export const UNITS = 6

/** What the operator has a hand on. */
export interface Grip {
  readonly world: World
  readonly site: Site
  readonly middleware: Middleware
  readonly authority: Actor<AuthorityTables> | undefined
  readonly serviceManager: Actor<ServiceManagerTables> | undefined
  readonly conditions: { readonly noticeMs: Millis }
  /** Commands that nobody did, because the actor died under them. */
  readonly lost: string[]
}

/** What the owner of the site wants back, and from when on. */
export interface Recalled {
  readonly units: number
  readonly by: number
  readonly binding: boolean
}

const KINDS = ['recall', 'recall', 'release', 'drain', 'drain', 'cold start'] as const
/** So many stay, so that the widest job can run. */
const KEPT = 3

/**
 * The people who do things while it storms: the owner takes units back, somebody releases everything, an
 * administrator drains a node for a while or starts the middleware without its state.
 */
export class Operator {
  readonly recalls: Recalled[] = []
  readonly #trial: Grip
  readonly #random: Random

  constructor(trial: Grip, random: Random) {
    this.#trial = trial
    this.#random = random
  }

  get recalledUnits(): number {
    return this.recalls.reduce((sum, { units }) => sum + units, 0)
  }

  begin(orders: number, stormMs: Millis): void {
    for (let i = 0; i < orders; i++) {
      const kind = KINDS[this.#random.int(KINDS.length)]!
      this.#trial.world.after(this.#random.int(stormMs), () => this.#act(kind, stormMs))
    }
  }

  #act(kind: (typeof KINDS)[number], stormMs: Millis): void {
    const { middleware, world } = this.#trial
    if (kind === 'recall') return this.#recall(1 + this.#random.int(2), this.#random.int(60_000))
    if (kind === 'release') return this.#release()
    if (kind === 'cold start') return middleware.coldStart()
    const names = [...middleware.nodes.keys()]
    const name = names[this.#random.int(names.length)]
    if (name === undefined) return
    middleware.adminDrain(name, true)
    world.after(Math.max(1, this.#random.int(stormMs - world.elapsed)), () =>
      middleware.adminDrain(name, false),
    )
  }

  #recall(units: number, noticeMs: Millis): void {
    if (UNITS - this.recalledUnits - units < KEPT) return
    const { world, authority, conditions } = this.#trial
    const again = (): void => void world.after(1_000, () => this.#recall(units, noticeMs))
    if (authority === undefined) return again()
    const by = world.now + noticeMs
    authority.command('recall', { type: 'vm.small', units, by, reason: 'the owner needs them' }).then(
      () => {
        const binding = noticeMs >= conditions.noticeMs + 1_000
        this.recalls.push({ units, by, binding })
        // A notice that is just long enough may be so by one clock and not by the other.
        if (noticeMs >= conditions.noticeMs - 1_000) this.#trial.site.bindingRecalls.push(by)
      },
      // The actor died before the order was durable, or less is lent at present: it is given again.
      again,
    )
  }

  #release(): void {
    this.#trial.serviceManager
      ?.command('release all', { reason: 'the operator says so' })
      // It died before the order was durable: then nothing is released.
      .catch((error: unknown) => this.#trial.lost.push(String(error)))
  }
}
