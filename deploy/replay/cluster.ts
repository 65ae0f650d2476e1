import { dimensionsOf, type Shape, type UnitSize } from './trace.ts'

/**
 * Nodes by slot: the room on each, and which are of equal room.
 *
 *   free cpus     0      1      2     ...   all
 *   slots      ▓▓░▓▓  ░▓░░░  ▓░░░░         ░░░░▓      a bit a slot; only nodes that take jobs are in one of the sets
 *
 * A job goes to the fullest nodes that still fit and, of equal ones, to the lowest slots, as batch systems do that pack.
 */
export class Cluster {
  readonly slots: number
  readonly unit: UnitSize
  readonly free: Int32Array
  readonly freeMemory: Float64Array
  /** Of each consumable that a unit has, by slot; as a rule there are none. */
  readonly freeAmounts: readonly Float64Array[]
  readonly accepts: Uint8Array
  /** Jobs on the node, by their numbers; undefined where there is no node. */
  readonly jobsOn: (Set<number> | undefined)[]
  /** Nodes with a job on them, and cpus that jobs have. */
  working = 0
  cpusInUse = 0
  readonly #amounts: readonly number[]
  readonly #sets: Uint32Array[]
  readonly #counts: Int32Array
  readonly #touched: (slot: number) => void

  constructor(slots: number, unit: UnitSize, touched: (slot: number) => void = () => undefined) {
    this.slots = slots
    this.unit = unit
    this.free = new Int32Array(slots)
    this.freeMemory = new Float64Array(slots)
    this.#amounts = dimensionsOf(unit).map((dimension) => unit.consumables![dimension]!)
    this.freeAmounts = this.#amounts.map(() => new Float64Array(slots))
    this.accepts = new Uint8Array(slots)
    this.jobsOn = new Array<Set<number> | undefined>(slots).fill(undefined)
    this.#sets = Array.from({ length: unit.cpus + 1 }, () => new Uint32Array(Math.ceil(slots / 32)))
    this.#counts = new Int32Array(unit.cpus + 1)
    this.#touched = touched
  }

  add(slot: number): void {
    this.jobsOn[slot] = new Set()
    this.free[slot] = this.unit.cpus
    this.freeMemory[slot] = this.unit.memoryMiB
    for (const [i, amount] of this.#amounts.entries()) this.freeAmounts[i]![slot] = amount
    this.accept(slot, true)
  }

  /** Jobs that are still there are the caller's to end first. */
  remove(slot: number): void {
    this.accept(slot, false)
    this.jobsOn[slot] = undefined
  }

  accept(slot: number, accepts: boolean): void {
    if ((this.accepts[slot] === 1) === accepts) return
    this.accepts[slot] = accepts ? 1 : 0
    this.#mark(slot, this.free[slot]!, accepts)
    this.#touched(slot)
  }

  isBusy(slot: number): boolean {
    return (this.jobsOn[slot]?.size ?? 0) > 0
  }

  /** Whether enough nodes have enough cpus; memory and consumables are not looked at. */
  mayFit({ nodes, cpus }: Shape): boolean {
    let count = 0
    for (let free = cpus; free <= this.unit.cpus; free++) {
      count += this.#counts[free]!
      if (count >= nodes) return true
    }
    return false
  }

  hasRoom(): boolean {
    return this.mayFit({ nodes: 1, cpus: 1, memoryMiB: 0 })
  }

  /** Slots for the job, or undefined if there are not enough. */
  choose(shape: Shape, allowed?: (slot: number) => boolean): number[] | undefined {
    if (!this.mayFit(shape)) return undefined
    const chosen: number[] = []
    for (let free = shape.cpus; free <= this.unit.cpus; free++) {
      if (this.#counts[free] === 0) continue
      const set = this.#sets[free]!
      for (let i = 0; i < set.length; i++)
        for (let word = set[i]!; word !== 0; word &= word - 1) {
          const slot = i * 32 + 31 - Math.clz32(word & -word)
          if (this.freeMemory[slot]! < shape.memoryMiB || allowed?.(slot) === false) continue
          if (shape.amounts !== undefined && !haveAmounts(this.freeAmounts, slot, shape.amounts)) continue
          chosen.push(slot)
          if (chosen.length === shape.nodes) return chosen
        }
    }
    return undefined
  }

  take(job: number, slots: readonly number[], shape: Shape): void {
    for (const slot of slots) {
      const on = this.jobsOn[slot]!
      if (on.size === 0) this.working += 1
      on.add(job)
      this.#change(slot, -shape.cpus, -shape.memoryMiB)
      if (shape.amounts !== undefined) addAmounts(this.freeAmounts, slot, shape.amounts, -1)
    }
    this.cpusInUse += slots.length * shape.cpus
  }

  give(job: number, slots: readonly number[], shape: Shape): void {
    for (const slot of slots) {
      const on = this.jobsOn[slot]!
      on.delete(job)
      if (on.size === 0) this.working -= 1
      this.#change(slot, shape.cpus, shape.memoryMiB)
      if (shape.amounts !== undefined) addAmounts(this.freeAmounts, slot, shape.amounts, 1)
    }
    this.cpusInUse -= slots.length * shape.cpus
  }

  #change(slot: number, cpus: number, memoryMiB: number): void {
    const accepts = this.accepts[slot] === 1
    if (accepts) this.#mark(slot, this.free[slot]!, false)
    this.free[slot]! += cpus
    this.freeMemory[slot]! += memoryMiB
    if (accepts) this.#mark(slot, this.free[slot]!, true)
    this.#touched(slot)
  }

  #mark(slot: number, free: number, is: boolean): void {
    const set = this.#sets[free]!
    const bit = 1 << (slot & 31)
    if (is) set[slot >> 5]! |= bit
    else set[slot >> 5]! &= ~bit
    this.#counts[free]! += is ? 1 : -1
  }
}

/** Whether so much of each consumable is free there. */
export const haveAmounts = (
  free: readonly Float64Array[],
  slot: number,
  amounts: readonly number[],
): boolean => amounts.every((amount, i) => free[i]![slot]! >= amount)

export function addAmounts(
  free: readonly Float64Array[],
  slot: number,
  amounts: readonly number[],
  times: 1 | -1,
): void {
  for (const [i, amount] of amounts.entries()) free[i]![slot]! += times * amount
}
