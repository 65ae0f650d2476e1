import type { Vector } from '../../../actors/leases/resources.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { Job, JobPart } from '../../../adapters/batch-system.ts'

/** What a machine has, or has left, for jobs. */
export interface Room {
  readonly cpus: number
  readonly memoryMiB: number
  /** Whatever else is counted, by the middleware's names: `{ 'gpu:a100': 2 }`. */
  readonly consumables: Vector
  readonly features: readonly string[]
}

/** What a job asks of each of its nodes besides processors and memory. One object for all that ask for the same. */
export interface Extras {
  readonly consumables: Vector
  /** Sorted, each once. */
  readonly features: readonly string[]
  /** Shares its nodes with nobody. */
  readonly exclusive: boolean
  /** Of a job whose nodes are unlike: the hardest to place first. Its own figures are then the largest of any. */
  readonly parts?: readonly Part[] | undefined
}

export interface Need extends Extras {
  readonly cpus: number
  readonly memoryMiB: number
}

/** So many of a job's nodes, which are alike. */
export interface Part extends Need {
  readonly nodes: number
}

/** Most jobs ask for nothing of the kind. */
export const NOTHING_ELSE: Extras = { consumables: {}, features: [], exclusive: false }

/** What there is of a consumable; `gpu` is also served by `gpu:a100`, as the middleware would. */
export function amountOf(room: Vector, name: string): number {
  const exact = own(room, name)
  if (exact !== undefined) return exact
  let sum = 0
  for (const [other, amount] of Object.entries(room)) if (isKindOf(other, name)) sum += amount
  return sum
}

export const isKindOf = (name: string, general: string): boolean => name.startsWith(`${general}:`)

/** Consumables and features the machine lacks, by name; empty if it lacks none. */
export const lackingOf = (need: Extras, room: Room): readonly string[] => [
  ...Object.entries(need.consumables)
    .filter(([name, amount]) => amount > amountOf(room.consumables, name))
    .map(([name]) => name),
  ...need.features.filter((feature) => !hasFeature(room.features, feature)),
]

/** `a|b` is had by whoever has one of the two. */
export const hasFeature = (has: readonly string[], wanted: string): boolean =>
  has.includes(wanted) || (wanted.includes('|') && wanted.split('|').some((one) => has.includes(one)))

export const isLargeEnough = (
  need: Pick<Need, 'cpus' | 'memoryMiB'>,
  room: Pick<Room, 'cpus' | 'memoryMiB'>,
): boolean => need.cpus <= room.cpus && need.memoryMiB <= room.memoryMiB

/** The room would do for each of its nodes. */
export const fits = (need: Need, room: Room): boolean =>
  need.parts === undefined
    ? isLargeEnough(need, room) && (isPlain(need) || lackingOf(need, room).length === 0)
    : need.parts.every((part) => fits(part, room))

/** Each of its nodes fits one of them. */
export const fitsAmong = (need: Need, rooms: readonly Room[]): boolean =>
  need.parts === undefined
    ? rooms.some((room) => fits(need, room))
    : need.parts.every((part) => fitsAmong(part, rooms))

/** What its nodes ask for, each kind by itself. */
export const partsOf = (need: Part): readonly Part[] => need.parts ?? [need]

/** Those that few machines would do for come first. */
export const choosiness = ({
  consumables,
  features,
  exclusive,
}: Pick<Extras, 'consumables' | 'features' | 'exclusive'>): number =>
  Object.keys(consumables).length + features.length + Number(exclusive)

/** It asks for nothing but processors and memory. */
export const isPlain = ({ consumables, features }: Pick<Extras, 'consumables' | 'features'>): boolean =>
  consumables === NOTHING_ELSE.consumables && features === NOTHING_ELSE.features

/** One step on the way through what a job names, in the order in which it names it. */
interface Step {
  readonly next: Map<string | number | boolean, Step>
  extras: Extras | undefined
}

/**
 * Gives equal extras of many jobs one object. Walks a tree of maps: making a text of each of 100,000 jobs would
 * cost more than all the rest.
 */
export function extrasBook(): (job: Job) => Extras {
  const root: Step = { next: new Map(), extras: undefined }
  const byText = new Map<string, Extras>()
  return ({ consumablesPerNode, features, exclusive, parts }) => {
    if (consumablesPerNode === undefined && features === undefined && exclusive !== true)
      if (parts === undefined) return NOTHING_ELSE
    let step = root
    const go = (key: string | number | boolean): void => {
      let next = step.next.get(key)
      if (next === undefined) {
        next = { next: new Map(), extras: undefined }
        step.next.set(key, next)
      }
      step = next
    }
    const goThrough = (consumables: Vector | undefined, names: readonly string[] | undefined): void => {
      // A name is followed by its amount, so no feature is taken for a consumable.
      if (consumables !== undefined)
        for (const name of Object.keys(consumables)) {
          go(name)
          go(consumables[name] ?? 0)
        }
      if (names !== undefined) for (const feature of names) go(feature)
    }
    goThrough(consumablesPerNode, features)
    if (exclusive === true) go(true)
    if (parts !== undefined)
      for (const part of parts) {
        go(false)
        for (const figure of [part.nodes, part.cpusPerNode, part.memoryMiBPerNode]) go(figure)
        goThrough(part.consumablesPerNode, part.features)
      }
    step.extras ??= withParts(
      interned(consumablesPerNode ?? {}, features ?? [], exclusive === true),
      parts ?? [],
      exclusive === true,
    )
    return step.extras
  }

  function withParts(extras: Extras, told: readonly JobPart[], exclusive: boolean): Extras {
    const parts = told
      .map(
        (part): Part => ({
          ...interned(part.consumablesPerNode ?? {}, part.features ?? [], exclusive),
          nodes: part.nodes,
          cpus: Math.max(1, part.cpusPerNode),
          memoryMiB: part.memoryMiBPerNode,
        }),
      )
      .sort(
        (a, b) =>
          choosiness(b) - choosiness(a) || b.cpus - a.cpus || b.memoryMiB - a.memoryMiB || b.nodes - a.nodes,
      )
    if (parts.length < 2) return extras
    const text = JSON.stringify([extras, parts])
    const known = byText.get(text)
    if (known !== undefined) return known
    const made = { ...extras, parts }
    byText.set(text, made)
    return made
  }

  function interned(consumables: Vector, features: readonly string[], exclusive: boolean): Extras {
    const counted = Object.entries(consumables)
      .filter(([, amount]) => amount > 0)
      .sort(([a], [b]) => (a < b ? -1 : 1))
    const named = [...new Set(features)].sort()
    if (counted.length === 0 && named.length === 0 && !exclusive) return NOTHING_ELSE
    const text = JSON.stringify([counted, named, exclusive])
    let extras = byText.get(text)
    if (extras === undefined) {
      extras = { consumables: Object.fromEntries(counted), features: named, exclusive }
      byText.set(text, extras)
    }
    return extras
  }
}

/** `4 cpus, 4096 MiB, 2 gpu, feature ssd`. */
export function inWords({ cpus, memoryMiB, consumables, features }: Room | Need): string {
  return [
    `${cpus} cpu${cpus === 1 ? '' : 's'}`,
    `${memoryMiB} MiB`,
    ...Object.entries(consumables).map(([name, amount]) => `${amount} ${name}`),
    ...(features.length === 0
      ? []
      : [`${features.length === 1 ? 'feature' : 'features'} ${features.join(', ')}`]),
  ].join(', ')
}
