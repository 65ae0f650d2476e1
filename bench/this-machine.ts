import { execFileSync } from 'node:child_process'
import { cpus, loadavg, release, totalmem } from 'node:os'

const GIB = 1024 ** 3

/** What the figures came from, without any name of it. */
export interface MachineFacts {
  readonly cores: string
  readonly memory: string
  readonly kernel: string
  readonly node: string
  readonly slurm: string
}

export const thisMachine = (): MachineFacts => ({
  cores: `${cpus().length} (${cpus()[0]?.model.trim() || 'model not told'})`,
  memory: `${(totalmem() / GIB).toFixed(1)} GiB`,
  kernel: `Linux ${release().split('-')[0]}`,
  node: process.version.slice(1),
  slurm: execFileSync('slurmd', ['-V'], { encoding: 'utf8' }).trim(),
})

/** Cores, memory, kernel and Node, for benches without Slurm. */
export const machineLine = (): string =>
  `${cpus().length} cores (${cpus()[0]?.model.trim() || 'model not told'}), ${(totalmem() / GIB).toFixed(1)} GiB of memory, Linux ${release().split('-')[0]}, Node ${process.version.slice(1)}`

/** Of the last minute. */
export const loadNow = (): number => loadavg()[0] ?? 0
