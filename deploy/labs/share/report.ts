import type { Millis } from '../../../actors/runtime/clock.ts'
import type { Accounts } from './accounting.ts'
import type { WaveFigures } from './figures.ts'
import { SIDES, type SideName } from './outside.ts'

type BySide<T> = Readonly<Record<SideName, T>>

/** What both held of the machines while both wanted more than there is, by the outside count. */
export interface Overload {
  readonly windowMs: Millis
  readonly weights: BySide<number>
  /** Of the machine-seconds that the two held together in the window. */
  readonly share: BySide<number>
  /** The fewest machines at any look. */
  readonly least: BySide<number>
  readonly jobs: BySide<number>
  /** The fewest jobs that waited. */
  readonly waitingLeast: BySide<number>
}

export interface ShareReport {
  readonly machines: number
  readonly opposite: BySide<{ readonly fixed: WaveFigures; readonly shared: WaveFigures }>
  readonly overloaded: Overload
  readonly outside: {
    readonly looks: number
    /** Machines that were made. */
    readonly lives: number
    readonly aliveMost: number
    readonly most: BySide<number>
    readonly servedBoth: readonly string[]
    readonly doubles: readonly string[]
    /** Places in the rack that each of the two had in turn. */
    readonly sharedNames: readonly string[]
  }
  readonly accounts: BySide<Accounts & { readonly begunTwice: readonly string[] }>
  readonly ledger: { readonly entries: number; readonly faults: readonly string[] }
  readonly machinesLeft: number
}

/** How far a share may lie from its weight: a machine that changes hands is nobody's for some seconds. */
const SHARE_DISTANCE_MAX = 0.1
const LEAST = 1

const wanted = ({ weights }: Overload, side: SideName): number =>
  weights[side] / (weights.slurm + weights.gridengine)

/** Sentences about what did not hold; none if everything did. */
export function doubtsOf(report: ShareReport): readonly string[] {
  const { machines, opposite, overloaded, outside, accounts, ledger, machinesLeft } = report
  const doubts: string[] = []
  const unless = (holds: boolean, sentence: string): void => {
    if (!holds) doubts.push(sentence)
  }
  for (const side of SIDES) {
    const { fixed, shared } = opposite[side]
    unless(shared.makespanMs < fixed.makespanMs, `${side} was not done sooner than on a fixed split`)
    unless(shared.meanWaitMs < fixed.meanWaitMs, `${side} waited no less than on a fixed split`)
    const distance = Math.abs(overloaded.share[side] - wanted(overloaded, side))
    unless(distance <= SHARE_DISTANCE_MAX, `the share of ${side} is ${percent(distance)} from its weight`)
    unless(overloaded.least[side] >= LEAST, `${side} had fewer machines than its minimum`)
    unless(overloaded.waitingLeast[side] > 0, `no job of ${side} waited at some time in the window`)
    const { submitted, once, begunTwice } = accounts[side]
    unless(once === submitted, `${side} has ${once} of ${submitted} jobs in its record once, and well`)
    unless(begunTwice.length === 0, `jobs of ${side} began twice: ${begunTwice.join(', ')}`)
  }
  unless(outside.aliveMost <= machines, `${outside.aliveMost} machines were alive at once, of ${machines}`)
  unless(outside.servedBoth.length === 0, `machines served both: ${outside.servedBoth.join(', ')}`)
  unless(outside.doubles.length === 0, `two machines bore one name: ${outside.doubles.join(', ')}`)
  unless(outside.sharedNames.length === machines, 'not every place of the rack was had by both in turn')
  unless(ledger.faults.length === 0, `ledgers do not verify: ${ledger.faults.join('; ')}`)
  unless(machinesLeft === 0, `${machinesLeft} machines were left`)
  return doubts
}

const seconds = (ms: Millis): string => `${(ms / 1000).toFixed(1)} s`
const percent = (share: number): string => `${(100 * share).toFixed(1)} %`

export function showShare(report: ShareReport): string {
  const { machines, opposite, overloaded, outside, accounts, ledger } = report
  const rows = SIDES.map((side) => {
    const { fixed, shared } = opposite[side]
    return `  ${side.padEnd(10)} ${String(shared.jobs).padStart(4)} jobs   mean wait ${seconds(fixed.meanWaitMs)} → ${seconds(shared.meanWaitMs)}   all done after ${seconds(fixed.makespanMs)} → ${seconds(shared.makespanMs)}`
  })
  const shares = SIDES.map(
    (side) =>
      `${side} ${percent(overloaded.share[side])} (weight ${percent(wanted(overloaded, side))}, never below ${overloaded.least[side]})`,
  )
  const records = SIDES.map((side) => {
    const { submitted, once, lost, twice } = accounts[side]
    return `${side} ${once} of ${submitted} once, ${lost.length} lost, ${twice.length} twice`
  })
  return [
    `opposite load, a fixed split of ${machines} machines → shared`,
    ...rows,
    `both overloaded for ${seconds(overloaded.windowMs)}: ${shares.join(', ')}`,
    `outside   at most ${outside.aliveMost} of ${machines} machines at once in ${outside.looks} looks at ${outside.lives} machines; ${outside.servedBoth.length} served both; ${outside.sharedNames.length} places had by both in turn`,
    `records   ${records.join('; ')}`,
    `ledgers   ${ledger.entries} lines, ${ledger.faults.length === 0 ? 'verified' : 'NOT verified'}`,
  ].join('\n')
}
