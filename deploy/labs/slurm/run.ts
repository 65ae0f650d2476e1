import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../../actors/runtime/clock.ts'
import { inOneLine } from '../../../actors/runtime/errors.ts'
import { isSound, showReport } from '../../reports/report.ts'
import { endOnInterrupt } from '../on-interrupt.ts'
import { countOrphans, SlurmSite } from './slurm-site.ts'

/**
 * npm -s run lab:slurm -- [--once] [--json] [--keep]
 *
 * The main job on a real Slurm: forty jobs in two waves on a cluster that has no node of its own. Needs
 * root and Debian's packages (.ci/packages). `--once` ends when the pool is back to its minimum, and is
 * the only way for now to run it; `--json` prints the report as one object; `--keep` leaves the folder.
 */
const words = process.argv.slice(2)
const has = (word: string): boolean => words.includes(word)
const say = (line: string): void => void process.stderr.write(`${line}\n`)
const cli = fileURLToPath(new URL('../../cli.ts', import.meta.url))

if (process.getuid?.() !== 0) {
  say('error: the Slurm lab makes network namespaces and machines: run it as root')
  process.exit(2)
}
const site = new SlurmSite({ clock: systemClock, max: 5, termSeconds: 30, epilogSeconds: 5, say })
const isInterrupted = endOnInterrupt(site, has('--keep'), say)

/** Outlives the lab's own folder. */
function chartFile(): string {
  const folder = join('.sublet', 'charts')
  mkdirSync(folder, { recursive: true })
  return join(
    folder,
    `slurm-lab-${new Date(systemClock.now()).toISOString().slice(0, 19).replaceAll(':', '')}.svg`,
  )
}

const problems: string[] = []
try {
  await site.up([cli, 'start', '--config'])
  await site.sublet.up()
  site.markWave('wave 1')
  const first = await site.jobs.wave(1, site.signal)
  say(`wave 1: ${site.jobs.all.length} jobs`)
  const ids = (): string[] =>
    site.jobs.all.filter((job) => job.id !== first.held || heldIsFree).map((job) => job.id)
  let heldIsFree = false
  await site.until('the end of wave 1', () => site.allDone(ids()), 120_000)
  await site.until('an empty pool after wave 1', () => site.poolIsEmpty(), 60_000)
  say(`wave 1 is done, the pool is empty; peak ${site.peak} nodes`)
  if (first.held !== undefined && site.observer.runs(first.held).length > 0) problems.push('the held job ran')
  site.markWave('wave 2')
  await site.jobs.wave(2, site.signal)
  await site.release(first.held ?? '')
  heldIsFree = true
  say(`wave 2: ${site.jobs.all.length} jobs in all`)
  await site.until('the end of wave 2', () => site.allDone(ids()), 120_000)
  await site.until('an empty pool after wave 2', () => site.poolIsEmpty(), 60_000)
  if (!(await site.adminsDrainStands())) problems.push('the drain of the admin was changed')
  await site.sublet.release()
  const orphans = await site.orphans()
  if (countOrphans(orphans) > 0) problems.push(`orphans: ${JSON.stringify(orphans)}`)
  const report = await site.report(chartFile())
  if (!isSound(report)) problems.push('jobs were lost or run twice, or a ledger does not verify')
  if (report.nodes.peak <= report.nodes.min) problems.push('the pool never grew')
  if (report.jobs.completed !== report.jobs.submitted) problems.push('not every job completed')
  process.stdout.write(has('--json') ? `${JSON.stringify(report)}\n` : `${showReport(report)}\n`)
} catch (error) {
  problems.push(inOneLine(error))
} finally {
  if (!isInterrupted()) await site.down(has('--keep') || problems.length > 0)
}
const left = site.lab.leftovers()
if (left.processes + left.netns + left.mounts + left.cgroups > 0)
  problems.push(`left behind: ${JSON.stringify(left)}`)
for (const problem of problems) say(`error: ${problem}`)
if (problems.length > 0) say(`what was written is in ${site.dir}`)
process.exitCode = problems.length > 0 ? 1 : 0
