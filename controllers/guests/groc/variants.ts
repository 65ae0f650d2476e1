import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import type { Shape } from './demand.ts'
import {
  amountOf,
  type Extras,
  hasFeature,
  isKindOf,
  isPlain,
  type Need,
  partsOf,
  type Room,
} from './needs.ts'

/**
 * Machines that differ in nothing but processors and memory, as far as the waiting jobs can tell: the features
 * and consumables that nobody asks for make no difference. As a rule nobody asks for any, and there is one variant.
 */
export interface Variant {
  /** Of the features that some job asks for. */
  readonly features: ReadonlySet<string>
  /** What is left of each consumable that some job asks for, in their order. */
  readonly amounts: readonly number[]
  /** Nothing runs there; told apart only if some job shares with nobody. */
  readonly whole: boolean
  /** It goes then; infinite if it can be kept. */
  readonly until: Instant
  /** How much it has that not every job needs. */
  readonly riches: number
}

export interface Variants {
  of(bin: Room & { readonly whole: boolean; readonly until?: Instant }): Variant
  /** Such a job, if it lasts until then, may run there. */
  fits(need: Need, variant: Variant, lastsUntil?: Instant): boolean
  /** How many jobs of the shape its consumables are enough for. */
  times(need: Need, variant: Variant): number
  /** What so many jobs of the shape leave. */
  after(variant: Variant, need: Need, tasks: number): Variant
}

/** How long jobs last, where some machines are there only until some time. */
export interface Spans {
  readonly now: Instant
  /** The longest of its jobs is expected to run so long, with some safety; infinite if nobody can tell. */
  runMs(shape: Shape): Millis
}

/** `hasEnds`: some machines are there only until some time. */
export function variantsFor(shapes: readonly Shape[], hasEnds = false): Variants {
  const choosy = shapes.flatMap(partsOf).filter((need) => !isPlain(need))
  const dimensions = [...new Set(choosy.flatMap(({ consumables }) => Object.keys(consumables)))].sort()
  const features = [...new Set(choosy.flatMap((need) => need.features))].sort()
  const tellsWhole = shapes.some(({ exclusive }) => exclusive)
  const known = new Map<string, Variant>()
  const needs = new Map<Need, readonly number[]>()
  const plain: Variant = {
    ...{ features: new Set(), amounts: [], whole: true },
    ...{ until: Number.POSITIVE_INFINITY, riches: 0 },
  }
  const onlyPlain = dimensions.length === 0 && features.length === 0 && !tellsWhole && !hasEnds

  /** What a job takes of each: a `gpu:a100` is also one of all `gpu`. */
  const needOf = (shape: Need): readonly number[] => {
    let need = needs.get(shape)
    if (need === undefined) {
      need = dimensions.map((dimension) => takes(shape, dimension))
      needs.set(shape, need)
    }
    return need
  }

  const interned = (
    has: readonly string[],
    amounts: readonly number[],
    whole: boolean,
    until: Instant,
  ): Variant => {
    const text = JSON.stringify([has, amounts, whole, until])
    let variant = known.get(text)
    if (variant === undefined) {
      // An end that is open is something that not every job needs, too.
      const isOpen = until === Number.POSITIVE_INFINITY
      const riches = amounts.reduce((sum, amount) => sum + amount, has.length + Number(isOpen))
      variant = { features: new Set(has), amounts, whole, until, riches }
      known.set(text, variant)
    }
    return variant
  }

  return {
    of: (bin) =>
      onlyPlain
        ? plain
        : interned(
            features.filter((feature) => hasFeature(bin.features, feature)),
            dimensions.map((dimension) => amountOf(bin.consumables, dimension)),
            bin.whole || !tellsWhole,
            bin.until ?? Number.POSITIVE_INFINITY,
          ),
    fits: (shape, variant, lastsUntil = Number.NEGATIVE_INFINITY) =>
      variant === plain ||
      (lastsUntil <= variant.until &&
        (!shape.exclusive || variant.whole) &&
        shape.features.every((feature) => variant.features.has(feature)) &&
        needOf(shape).every((amount, i) => amount <= variant.amounts[i]!)),
    times: (shape, variant) => {
      if (variant === plain) return Number.POSITIVE_INFINITY
      return needOf(shape).reduce(
        (least, amount, i) =>
          amount === 0 ? least : Math.min(least, Math.floor(variant.amounts[i]! / amount)),
        Number.POSITIVE_INFINITY,
      )
    },
    after: (variant, shape, tasks) => {
      if (variant === plain) return plain
      const need = needOf(shape)
      const whole = variant.whole && !tellsWhole
      if (whole === variant.whole && need.every((amount) => amount === 0)) return variant
      return interned(
        [...variant.features],
        variant.amounts.map((amount, i) => Math.max(0, amount - tasks * need[i]!)),
        whole,
        variant.until,
      )
    },
  }
}

function takes({ consumables }: Extras, dimension: string): number {
  let sum = 0
  for (const [name, amount] of Object.entries(consumables))
    if (name === dimension || isKindOf(name, dimension)) sum += amount
  return sum
}
