import type { Term } from '../leases/term.ts'
import type { Instant } from '../runtime/clock.ts'

/**
 * How many units are taken at each instant, as steps: `units[i]` from `at[i]` until `at[i + 1]`.
 *
 *   units  3 ┤      ┌──┐
 *          1 ┤  ┌───┘  └────┐
 *          0 ┤──┘           └──
 *
 * A term costs as much as there are steps within it, not as much as there are terms.
 */
export class Levels {
  readonly #at: Instant[] = [Number.NEGATIVE_INFINITY]
  readonly #units: number[] = [0]

  /** Negative units take back what was added. */
  add({ start, end }: Term, units: number): void {
    const first = this.#stepFrom(start)
    const last = this.#stepFrom(end)
    for (let i = first; i < last; i++) this.#units[i]! += units
    this.#merge(last)
    this.#merge(first)
  }

  /** The most at any instant of the term. */
  most({ start, end }: Term): number {
    let most = 0
    for (let i = this.#indexAt(start); i < this.#at.length && this.#at[i]! < end; i++)
      most = Math.max(most, this.#units[i]!)
    return most
  }

  /** The steps from an instant on; the first begins there. */
  from(at: Instant): { from: Instant; units: number }[] {
    const first = this.#indexAt(at)
    return this.#at
      .slice(first)
      .map((from, i) => ({ from: Math.max(from, at), units: this.#units[first + i]! }))
  }

  get steps(): number {
    return this.#at.length
  }

  /** The step that holds at an instant. */
  #indexAt(at: Instant): number {
    let low = 0
    let high = this.#at.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if (this.#at[middle]! <= at) low = middle
      else high = middle - 1
    }
    return low
  }

  /** The step that begins at the instant, made if there is none. */
  #stepFrom(at: Instant): number {
    const i = this.#indexAt(at)
    if (this.#at[i] === at) return i
    this.#at.splice(i + 1, 0, at)
    this.#units.splice(i + 1, 0, this.#units[i]!)
    return i + 1
  }

  #merge(i: number): void {
    if (i === 0 || this.#units[i] !== this.#units[i - 1]) return
    this.#at.splice(i, 1)
    this.#units.splice(i, 1)
  }
}
