import type { Millis } from '../../actors/runtime/clock.ts'
import type { Random } from '../../actors/runtime/random.ts'
import type { Copy, Disk } from './disk.ts'
import { ROLES, type Role } from './plan.ts'
import type { World } from './world.ts'

/** Whoever has a store that can be set back. */
export interface Restorable {
  readonly name: string
  readonly role: Role
  readonly disk: Disk
  readonly die: () => void
}

/**
 * Stores are set back to older copies, of one actor or of some at once, seconds or nearly the whole run old. One
 * in three is set back once more while it recovers: to the same copy, or to one that was made meanwhile.
 */
export class Restores {
  readonly #world: World
  readonly #random: Random
  readonly #actors: readonly Restorable[]

  constructor(world: World, random: Random, actors: readonly Restorable[]) {
    this.#world = world
    this.#random = random
    this.#actors = actors
  }

  begin(restores: number, stormMs: Millis): void {
    for (let i = 0; i < restores; i++) {
      const atMs = stormMs * 0.1 + this.#random.int(stormMs * 0.9)
      const ageMs = atMs * this.#random.next() ** 2
      const chosen = this.#choose()
      const againMs = this.#random.next() < 0.3 ? 500 + this.#random.int(60_000) : undefined
      const sameAgain = this.#random.next() < 0.5
      const copies = new Map<Restorable, Copy | undefined>()
      const copy = (): void => {
        for (const actor of chosen) copies.set(actor, actor.disk.copy(this.#world.now))
      }
      const putBack = (): void => {
        for (const actor of chosen) this.#setBack(actor, copies.get(actor))
      }
      this.#world.after(atMs - ageMs, copy)
      this.#world.after(atMs, putBack)
      if (againMs === undefined) continue
      if (!sameAgain) this.#world.after(atMs + againMs / 2, copy)
      this.#world.after(atMs + againMs, putBack)
    }
  }

  /** Of each role as often as of the others, however many there are. */
  #choose(): ReadonlySet<Restorable> {
    const chance = this.#random.next()
    const count = chance < 0.6 ? 1 : chance < 0.85 ? 2 : 3
    const chosen = new Set<Restorable>()
    for (let i = 0; i < count; i++) {
      const role = ROLES[this.#random.int(ROLES.length)]
      const some = this.#actors.filter((actor) => actor.role === role)
      chosen.add(some[this.#random.int(some.length)]!)
    }
    return chosen
  }

  /** The power goes, the copy is put in place; its next life begins with it. */
  #setBack({ role, disk, die }: Restorable, copy: Copy | undefined): void {
    if (copy === undefined) return
    die()
    disk.setBack(copy, this.#world.now)
    this.#world.count(`restore of a ${role}`)
  }
}
