import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { processOf, unlessAbsent } from './cgroups.ts'
import { writeDurably } from './durable.ts'

/**
 * What is written down about a machine before anything of it is made, and once more when it answers.
 *
 *   (none) ──▶ begun: no pid ──▶ made: pid and start time        begun and found again = half done, ended first
 *
 * A pid alone proves nothing: the same number may be another process, of another boot. It is our machine
 * only if boot, start time and nonce agree.
 */
const record = z.object({
  unitId: z.string(),
  leaseId: z.string(),
  name: z.string(),
  nonce: z.string(),
  bootId: z.string(),
  /** What the site gave it. */
  place: z.object({ slot: z.int(), host: z.string(), vector: z.record(z.string(), z.number()) }).optional(),
  made: z
    .object({ pid: z.number(), startTicks: z.string(), facts: z.record(z.string(), z.string()) })
    .optional(),
})
export type MachineRecord = z.infer<typeof record>

const FILE = 'machine.json'

export async function readRecord(folder: string): Promise<MachineRecord | undefined> {
  const text = await unlessAbsent(readFile(join(folder, FILE), 'utf8'))
  if (text === undefined) return undefined
  try {
    return record.parse(JSON.parse(text))
  } catch {
    // A record that cannot be read names no machine; what runs under its mark is found by its control groups.
    return undefined
  }
}

export const writeRecord = (folder: string, it: MachineRecord): Promise<void> =>
  writeDurably(join(folder, FILE), `${JSON.stringify(it, undefined, 2)}\n`)

export const bootId = async (): Promise<string> =>
  (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()

/** The machine's pid 1, if it is the one that was written down and it lives. */
export async function livingInit(it: MachineRecord | undefined): Promise<number | undefined> {
  if (it?.made === undefined || it.bootId !== (await bootId())) return undefined
  const process = await processOf(it.made.pid)
  if (process === undefined || 'ZX'.includes(process.state) || process.startTicks !== it.made.startTicks)
    return undefined
  const { SUBLET_NONCE } = await environmentOf(it.made.pid)
  return SUBLET_NONCE === it.nonce ? it.made.pid : undefined
}

/** What init was started with: it carries the machine's name, also when the record was lost. */
export async function environmentOf(pid: number): Promise<Readonly<Record<string, string | undefined>>> {
  const text = (await unlessAbsent(readFile(`/proc/${pid}/environ`, 'utf8'))) ?? ''
  return Object.fromEntries(
    text
      .split('\0')
      .filter((line) => line.includes('='))
      .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]),
  )
}
