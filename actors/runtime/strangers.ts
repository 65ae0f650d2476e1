import type { Instant } from './clock.ts'

/** Somebody who proved to have a key that is not trusted under the name he gave. */
export interface Stranger {
  readonly name: string
  readonly key: string
  readonly firstAt: Instant
  readonly lastAt: Instant
  readonly times: number
}

export const STRANGERS_MAX = 100
/** Of one name: who tries many keys under it does not push out the others. */
export const STRANGERS_NAME_MAX = 4

/**
 * Who came with a key that is not trusted, so that a person can look at it and say that it is to be.
 * Beyond the bounds the one that was silent for longest is forgotten, of the same name first.
 */
export class Strangers {
  /** The one heard of last comes last. */
  readonly #known = new Map<string, Stranger>()

  remember(name: string, key: string, now: Instant): void {
    const id = `${name} ${key}`
    const { firstAt = now, times = 0 } = this.#known.get(id) ?? {}
    this.#known.delete(id)
    const named = [...this.#known].filter(([, stranger]) => stranger.name === name)
    const first = named.length >= STRANGERS_NAME_MAX ? named[0]![0] : [...this.#known.keys()][0]
    if (first !== undefined && (named.length >= STRANGERS_NAME_MAX || this.#known.size >= STRANGERS_MAX))
      this.#known.delete(first)
    this.#known.set(id, { name, key, firstAt, lastAt: now, times: times + 1 })
  }

  all(): readonly Stranger[] {
    return [...this.#known.values()]
  }
}
