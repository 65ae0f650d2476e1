import { systemClock } from '../../../actors/runtime/clock.ts'
import { inOneLine } from '../../../actors/runtime/errors.ts'
import { endOnInterrupt } from '../on-interrupt.ts'
import { accountsOf } from './accounting.ts'
import { begunTwice } from './figures.ts'
import { ShareLab } from './lab.ts'
import type { SIDES } from './outside.ts'
import { doubtsOf, type ShareReport, showShare } from './report.ts'
import { bothOverloaded, fixedSplit, oppositeLoad } from './scenarios.ts'

/**
 * npm -s run lab:share -- [--once] [--json] [--keep]
 *
 * A real Slurm and a real GridEngine share one set of machines: with opposite load, beside a fixed split of the same
 * machines, and both overloaded. Needs root and Debian's packages (.ci/packages). Ends with 0 only if everything held.
 */
const words = process.argv.slice(2)
const has = (word: string): boolean => words.includes(word)
const say = (line: string): void => void process.stderr.write(`${line}\n`)

if (process.getuid?.() !== 0) {
  say('error: the lab makes network namespaces and machines: run it as root')
  process.exit(2)
}
const SETUP = { machines: 4, weights: { slurm: 3, gridengine: 1 }, min: 1, termSeconds: 12 } as const
const lab = new ShareLab({ clock: systemClock, ...SETUP })
const isInterrupted = endOnInterrupt(lab, has('--keep'), say)
const began = systemClock.now()
const since = (what: string): void => say(`${((systemClock.now() - began) / 1000).toFixed(1)} s: ${what}`)

const problems: string[] = []
try {
  await lab.up()
  since('Slurm and GridEngine are up, without a machine')
  const fixed = await fixedSplit(lab)
  since('the fixed split is done')
  await lab.startSublet()
  const shared = await oppositeLoad(lab)
  since('the opposite loads are done')
  const overloaded = await bothOverloaded(lab, SETUP)
  since('both overloaded: done')
  await lab.release()
  const verdicts = await lab.verdicts()
  const accounts = (side: (typeof SIDES)[number]) => ({
    ...accountsOf(
      lab.sides[side].jobs().map(({ id }) => id),
      lab.sides[side].ends(),
    ),
    begunTwice: begunTwice(lab.sides[side].jobs()),
  })
  const { count } = lab
  const report: ShareReport = {
    machines: SETUP.machines,
    opposite: {
      slurm: { fixed: fixed.slurm, shared: shared.slurm },
      gridengine: { fixed: fixed.gridengine, shared: shared.gridengine },
    },
    overloaded,
    outside: {
      looks: count.looks.length,
      lives: count.lives,
      aliveMost: count.aliveMost,
      most: { slurm: count.most('slurm'), gridengine: count.most('gridengine') },
      servedBoth: count.servedBoth,
      doubles: count.doubles,
      sharedNames: count.sharedNames,
    },
    accounts: { slurm: accounts('slurm'), gridengine: accounts('gridengine') },
    ledger: {
      entries: verdicts.reduce((sum, { entries }) => sum + entries, 0),
      faults: verdicts.flatMap(({ actor, faults }) => faults.map(({ sentence }) => `${actor}: ${sentence}`)),
    },
    machinesLeft: lab.machinesLeft(),
  }
  problems.push(...doubtsOf(report))
  process.stdout.write(has('--json') ? `${JSON.stringify(report)}\n` : `${showShare(report)}\n`)
} catch (error) {
  problems.push(inOneLine(error))
} finally {
  if (!isInterrupted()) await lab.down(has('--keep') || problems.length > 0)
}
const left = lab.leftovers()
if (left.processes + left.netns + left.mounts + left.cgroups > 0)
  problems.push(`left behind: ${JSON.stringify(left)}`)
for (const problem of problems) say(`error: ${problem}`)
if (problems.length > 0) say(`what was written is in ${lab.dir}`)
process.exitCode = problems.length > 0 ? 1 : 0
