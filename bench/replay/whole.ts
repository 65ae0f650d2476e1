import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { isQuick, type Line, type Told } from '../report.ts'
import { coursesIn } from './courses.ts'
import type { Outcome } from './frontier.ts'

/** A part of `npm run bench`: the whole of a trace under GROC’s defaults, if the variable TRACES says where there are some. */
const GOALS: Readonly<Record<string, { readonly seconds: number; readonly inWords: string }>> = {
  kth: { seconds: 20, inWords: '28,000 jobs' },
  hpc2n: { seconds: 150, inWords: '203,000 jobs' },
}
const MEMORY_MIB_MAX = 1024
const ONE_MS_MAX = 20 * 60_000

const folder = process.env.TRACES

function lineOf(name: string, policy: string): Outcome {
  const args = ['--one', policy, '--only', name, '--scheduler', 'easy', '--traces', folder ?? '']
  if (isQuick) args.push('--jobs', '1000')
  const script = join(import.meta.dirname, 'run.ts')
  return JSON.parse(
    execFileSync(process.execPath, [script, ...args], { encoding: 'utf8', timeout: ONE_MS_MAX }),
  ) as Outcome
}

const lines: Line[] = []
for (const [name, { seconds, inWords }] of Object.entries(GOALS)) {
  const what = `replay of ${name} whole (${inWords}), EASY, defaults`
  if (folder === undefined || coursesIn(folder, name).length === 0) {
    lines.push({ what, measured: 'not measured: TRACES names no folder with it', floor: '' })
    continue
  }
  const { cpuS, memoryMiB, measured } = lineOf(name, 'groc, defaults')
  const always = lineOf(name, 'slurm, SuspendTime 5 min')
  const line: Line = {
    what,
    measured: `${cpuS.toFixed(1)} s of processor, ${memoryMiB} MiB, ${measured.decisions.toLocaleString('en')} decisions`,
    floor: `${always.cpuS.toFixed(1)} s (Slurm’s rule)`,
    goal: {
      words: `< ${seconds} s, < 1 GiB`,
      reached: cpuS < seconds && memoryMiB < MEMORY_MIB_MAX,
    },
  }
  process.stdout.write(`${line.what}: ${line.measured}; beside it ${line.floor}\n`)
  lines.push(line)
}
process.send?.({ lines } satisfies Told)
