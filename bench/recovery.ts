import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { NAMES } from './core/trio.ts'
import type { Role } from './recovery-rows.ts'
import { isQuick, type Line, report } from './report.ts'
import { markdownTable } from './table.ts'

/**
 * How long an actor is away that was killed with so many live leases:
 *
 *   rows written ──▶ a process has them open ──kill -9──▶ a fresh one reads them, commits its start, answers
 *
 * Beside it the floor: SQLite reads the same bytes in a process of its own, in the same run.
 */
const SIZES = isQuick ? [1_000, 10_000] : [1_000, 10_000, 100_000]
const RUNS = isQuick ? 1 : 3
const GOAL = { leases: 100_000, ms: 3_000, heapBytes: 4_096 }

const { values } = parseArgs({
  options: {
    ...{ sizes: { type: 'string' }, runs: { type: 'string' }, role: { type: 'string' } },
    quick: { type: 'boolean' },
  },
})
const sizes = values.sizes?.split(',').map(Number) ?? SIZES
const runs = Number(values.runs ?? RUNS)
const roles = (values.role === undefined ? [...NAMES] : [values.role]) as Role[]

interface Recovered {
  readonly ms: number
  /** Of both threads. */
  readonly cpuMs: number
  readonly openMs: number
  readonly sinceSpawnMs: number
  /** Until somebody has looked at every lease, from then on. */
  readonly lookMs: number
  readonly heap: number
  /** Once every row was looked at. */
  readonly heapLooked: number
  readonly rss: number
}
interface Floor {
  readonly ms: number
  readonly cpuMs: number
  readonly rows: number
  readonly chars: number
}

const script = join(import.meta.dirname, 'recovery-child.ts')

function begin(task: string, dir: string, count: number, role?: Role): ChildProcess {
  const words = [task, dir, String(count), ...(role === undefined ? [] : [role])]
  return spawn(process.execPath, ['--expose-gc', script, ...words], { stdio: ['ignore', 'pipe', 'inherit'] })
}

async function firstLine(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout! })
  for await (const line of lines) return line
  throw new Error('a process of the bench ended without a word')
}

async function run<T>(task: string, dir: string, count: number, role: Role): Promise<T> {
  const child = begin(task, dir, count, role)
  const ended = once(child, 'exit')
  const value = JSON.parse(await firstLine(child)) as T
  await ended
  return value
}

const median = (figures: readonly number[]): number => figures.toSorted((a, b) => a - b)[figures.length >> 1]!

interface Measured {
  readonly cells: readonly string[]
  readonly line: Line | undefined
}

async function measure(dir: string, count: number, role: Role): Promise<Measured> {
  const recovered: Recovered[] = []
  const floors: Floor[] = []
  for (let i = 0; i < runs; i++) {
    const holder = begin('hold', dir, count, role)
    await firstLine(holder)
    const killed = once(holder, 'exit')
    holder.kill('SIGKILL')
    await killed
    floors.push(await run<Floor>('floor', dir, count, role))
    recovered.push(await run<Recovered>('recover', dir, count, role))
  }
  const of = (figure: keyof Recovered): number => median(recovered.map((each) => each[figure]))
  const floorMs = median(floors.map(({ ms }) => ms))
  const floorCpuMs = median(floors.map(({ cpuMs }) => cpuMs))
  const heapBytes = Math.max(of('heap'), of('heapLooked')) / count
  const cells = [
    ...[role, count.toLocaleString('en'), `${(statSync(join(dir, `${role}.db`)).size / 1e6).toFixed(0)}`],
    ...[of('ms'), of('openMs'), of('sinceSpawnMs'), of('cpuMs'), of('lookMs'), floorMs, floorCpuMs].map(
      (ms) => ms.toFixed(0),
    ),
    ...[
      (of('ms') / floorMs).toFixed(1),
      ...[of('heap'), of('heapLooked'), of('rss')].map((bytes) => (bytes / count).toFixed(0)),
    ],
  ]
  if (count !== GOAL.leases) return { cells, line: undefined }
  const reached = of('ms') < GOAL.ms && heapBytes < GOAL.heapBytes
  const line = {
    what: `${role} back after kill -9 with ${count.toLocaleString('en')} live leases`,
    measured: `${of('ms').toFixed(0)} ms, ${heapBytes.toFixed(0)} B of heap a lease`,
    floor: `${floorMs.toFixed(0)} ms`,
    goal: { words: '< 3,000 ms, < 4,096 B', reached },
  }
  return { cells, line }
}

const all: Measured[] = []
for (const count of sizes) {
  const dir = mkdtempSync(join(tmpdir(), 'sublet-recovery-'))
  try {
    process.stderr.write(`${count.toLocaleString('en')} live leases are written\n`)
    const [code] = (await once(begin('build', dir, count), 'exit')) as [number | null]
    if (code !== 0) throw new Error(`the rows of ${count} leases could not be written`)
    for (const role of roles) {
      process.stderr.write(`${role}: killed and back with ${count.toLocaleString('en')}\n`)
      all.push(await measure(dir, count, role))
    }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
const head = [
  ...[
    'actor',
    'live leases',
    'database, MB',
    'back after, ms',
    'of it: rows read',
    'since the process began',
  ],
  ...[
    'processor time, ms',
    'then a look at all leases, ms',
    'floor, ms',
    'its processor time',
    'times the floor',
  ],
  ...['heap a lease, B', 'once all was looked at', 'RSS a lease, B'],
]
report(
  'recovery',
  `# Recovery

${markdownTable(
  head,
  all.map(({ cells }) => cells),
)}

Median of ${runs}. Production actors agree on one lease, and what each of them kept of it is written as often as the table
says, with other ids: a site has a lease, a ticket’s account, a machine and a link; a manager a lease, a machine and two
links; a broker a ticket and a link. Each begins after kill -9, its peers are up, and time runs from the opening of the
database until a command is answered. Rows are compared with their checksums, and parsed when somebody first asks for
them: the look at all leases is what that costs whoever needs them all at once. The floor is a process that lets SQLite
give it the same rows, and nothing else. Processor time is of all threads.
`,
  all.flatMap(({ line }) => line ?? []),
)
