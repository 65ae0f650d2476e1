import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import type { Role } from './recovery-rows.ts'

/**
 * How long an actor is away that was killed with so many live leases:
 *
 *   rows written ──▶ a process has them open ──kill -9──▶ a fresh one reads them, commits its start, answers
 *
 * Beside it the floor: SQLite reads the same bytes in a process of its own, in the same run.
 */
const SIZES = [1_000, 10_000, 100_000]
const RUNS = 3

const { values } = parseArgs({
  options: { sizes: { type: 'string' }, runs: { type: 'string' }, role: { type: 'string' } },
})
const sizes = values.sizes?.split(',').map(Number) ?? SIZES
const runs = Number(values.runs ?? RUNS)
const roles = (values.role === undefined ? ['broker', 'site'] : [values.role]) as Role[]

interface Recovered {
  readonly ms: number
  /** Of both threads. */
  readonly cpuMs: number
  readonly openMs: number
  readonly sinceSpawnMs: number
  readonly heap: number
  readonly rss: number
}
interface Floor {
  readonly ms: number
  readonly cpuMs: number
  readonly rows: number
  readonly chars: number
}

const script = join(import.meta.dirname, 'recovery-child.ts')

function begin(task: string, file: string, role: Role, count: number): ChildProcess {
  return spawn(process.execPath, ['--expose-gc', script, task, file, role, String(count)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

async function firstLine(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout! })
  for await (const line of lines) return line
  throw new Error('a process of the bench ended without a word')
}

async function run<T>(task: string, file: string, role: Role, count: number): Promise<T> {
  const child = begin(task, file, role, count)
  const ended = once(child, 'exit')
  const value = JSON.parse(await firstLine(child)) as T
  await ended
  return value
}

const median = (figures: readonly number[]): number => figures.toSorted((a, b) => a - b)[figures.length >> 1]!

async function measure(role: Role, count: number): Promise<string> {
  const dir = mkdtempSync(join(tmpdir(), 'sublet-recovery-'))
  const file = join(dir, `${role}.db`)
  try {
    await once(begin('build', file, role, count), 'exit')
    const recovered: Recovered[] = []
    const floors: Floor[] = []
    for (let i = 0; i < runs; i++) {
      const holder = begin('hold', file, role, count)
      await firstLine(holder)
      const killed = once(holder, 'exit')
      holder.kill('SIGKILL')
      await killed
      floors.push(await run<Floor>('floor', file, role, count))
      recovered.push(await run<Recovered>('recover', file, role, count))
    }
    const of = (figure: keyof Recovered): number => median(recovered.map((each) => each[figure]))
    const floorMs = median(floors.map(({ ms }) => ms))
    const floorCpuMs = median(floors.map(({ cpuMs }) => cpuMs))
    const cells = [
      role,
      count.toLocaleString('en'),
      `${(statSync(file).size / 1e6).toFixed(0)} MB`,
      `${of('ms').toFixed(0)} ms`,
      `${of('openMs').toFixed(0)} ms`,
      `${of('sinceSpawnMs').toFixed(0)} ms`,
      `${of('cpuMs').toFixed(0)} ms`,
      `${floorMs.toFixed(0)} ms`,
      `${floorCpuMs.toFixed(0)} ms`,
      (of('ms') / floorMs).toFixed(1),
      `${(of('heap') / count).toFixed(0)} B`,
      `${(of('rss') / count).toFixed(0)} B`,
    ]
    return `| ${cells.join(' | ')} |`
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

process.stdout.write(
  '| actor | live leases | database | recovered | of it: rows read | since the process began | processor time | floor: SQLite reads | its processor time | times the floor | heap a lease | RSS a lease |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n',
)
for (const role of roles) for (const count of sizes) process.stdout.write(`${await measure(role, count)}\n`)
