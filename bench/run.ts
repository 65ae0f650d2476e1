import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { isQuick, type Line, type Told, whenAndWhere } from './report.ts'
import { markdownTable } from './table.ts'

/**
 * npm run bench                          every line that is asked for beside its floor, in some ten minutes; whole traces, too, where TRACES names a folder
 * npm run bench -- --quick               a short look at each, printed only
 * npm run bench -- --only core,recovery  some parts; each can also be called alone
 *
 *   part ──a process of its own──▶ its tables ──▶ results/PART.md
 *                            └──lines──▶ one table of all ──▶ results/bench.md
 */
const PARTS = {
  core: { script: 'core/run.ts', minutesMax: 8 },
  recovery: { script: 'recovery.ts', minutesMax: 6 },
  simulator: { script: 'simulator.ts', minutesMax: 3 },
  bytes: { script: 'ledger-bytes.ts', minutesMax: 2 },
  decision: { script: 'decision.ts', minutesMax: 2 },
  parsing: { script: 'parsing.ts', minutesMax: 3 },
  replay: { script: 'replay/whole.ts', minutesMax: 40 },
} as const

type Part = keyof typeof PARTS

const at = process.argv.indexOf('--only')
const chosen = at < 0 ? (Object.keys(PARTS) as Part[]) : (process.argv[at + 1] ?? '').split(',')
const unknown = chosen.filter((name) => !(name in PARTS))
if (unknown.length > 0) {
  process.stderr.write(`no part ${unknown.join(', ')}; there are ${Object.keys(PARTS).join(', ')}\n`)
  process.exit(2)
}

/** What it said, or why it said nothing; it does not keep the others from being measured. */
async function measure(name: Part): Promise<readonly Line[]> {
  const { script, minutesMax } = PARTS[name]
  const child: ChildProcess = spawn(
    process.execPath,
    [join(import.meta.dirname, script), ...(isQuick ? ['--quick'] : [])],
    { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
  )
  let lines: readonly Line[] | undefined
  child.on('message', (told: Told) => {
    lines = told.lines
  })
  let late = false
  const limit = setTimeout(() => {
    late = true
    child.kill('SIGTERM')
  }, minutesMax * 60_000)
  const [code] = (await once(child, 'exit')) as [number | null]
  clearTimeout(limit)
  const why = late ? `took longer than ${minutesMax} minutes` : `ended with code ${code}`
  if (lines !== undefined && code === 0) return lines
  process.exitCode = 1
  return [{ what: name, measured: `not measured: it ${why}`, floor: '', goal: undefined }]
}

const lines: Line[] = []
for (const name of chosen as Part[]) {
  process.stderr.write(`── ${name}\n`)
  lines.push(...(await measure(name)))
}
const rows = lines.map(({ what, measured, floor, goal }) => [
  ...[what, measured, floor, goal?.words ?? ''],
  goal === undefined ? '-' : goal.reached ? 'reached' : 'missed',
])
const text = `# All lines

${markdownTable(['what', 'measured', 'beside it: the floor', 'goal', 'is it'], rows)}

Floors do the least that the same work needs, in the same run: [core.md](core.md), [recovery.md](recovery.md),
[simulator.md](simulator.md), [bytes.md](bytes.md), [decision.md](decision.md) and [parsing.md](parsing.md) say what each one is, and have the
whole tables.

## Where and when

- ${whenAndWhere('npm run bench').join('\n- ')}
`
process.stdout.write(text)
if (!isQuick && at < 0) writeFileSync(new URL('./results/bench.md', import.meta.url), text)
