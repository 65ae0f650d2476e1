import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { type Clock, type Millis, sleep } from '../../actors/runtime/clock.ts'

/**
 * Every process of a machine carries the machine's mark in its environment, whatever group or session it
 * went to. One that threw its environment away is still known by the folder it stands in, unless a
 * terminal is attached to it: that is somebody looking around.
 */
export interface MachineMark {
  /** The folder of all machines of this site, so that two sites on one host do not meet. */
  readonly site: string
  readonly unitId: string
  readonly leaseId: string
  readonly name: string
  /** New for each start of the machine. */
  readonly nonce: string
}

export interface MarkedProcess {
  readonly pid: number
  /** Field 22 of /proc/PID/stat: together with the pid it names one process of this boot. */
  readonly startTicks: number
  readonly unitId: string
  readonly nonce: string
  readonly leaseId: string
  readonly name: string
  readonly isSupervisor: boolean
  /** `JOB.ATTEMPT`, for processes of a job; empty for others. */
  readonly part: string
}

const SWEEP_POLL_MS = 10

export const markEnvironment = (mark: MachineMark): Record<string, string> => ({
  SUBLET_SITE: mark.site,
  SUBLET_UNIT: `${mark.unitId}:${mark.nonce}`,
  SUBLET_LEASE: mark.leaseId,
  SUBLET_NODE: mark.name,
})

/** Every living process of any machine of the site. */
export function markedProcesses(site: string): MarkedProcess[] {
  return readdirSync('/proc').flatMap((entry) =>
    /^\d+$/.test(entry) ? (marked(Number(entry), site) ?? []) : [],
  )
}

function marked(pid: number, site: string): MarkedProcess | undefined {
  try {
    const environment = readEnvironment(readFileSync(`/proc/${pid}/environ`, 'latin1'))
    const stat = readStat(pid)
    if (stat === undefined || stat.state === 'Z' || stat.state === 'X' || pid === process.pid)
      return undefined
    const unit = environment.get('SUBLET_UNIT') ?? environment.get('SUBLET_GUARD')
    if (environment.get('SUBLET_SITE') === site && unit !== undefined)
      return {
        pid,
        startTicks: stat.startTicks,
        unitId: unit.slice(0, unit.lastIndexOf(':')),
        nonce: unit.slice(unit.lastIndexOf(':') + 1),
        leaseId: environment.get('SUBLET_LEASE') ?? '',
        name: environment.get('SUBLET_NODE') ?? '',
        isSupervisor: environment.get('SUBLET_ROLE') === 'supervisor',
        part: environment.get('SUBLET_PART') ?? '',
      }
    const folder = readlinkSync(`/proc/${pid}/cwd`)
    if (!folder.startsWith(`${site}/`) || stat.terminal !== 0) return undefined
    const [unitId = ''] = folder.slice(site.length + 1).split('/')
    return {
      pid,
      startTicks: stat.startTicks,
      unitId,
      nonce: '',
      leaseId: '',
      name: '',
      isSupervisor: false,
      part: '',
    }
  } catch (error) {
    // It ended while we looked, or it belongs to another user and so cannot be ours.
    if (error instanceof Error && 'code' in error && GONE_OR_FOREIGN.has(String(error.code))) return undefined
    throw error
  }
}

const GONE_OR_FOREIGN = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM'])

function readEnvironment(raw: string): Map<string, string> {
  return new Map(
    raw.split('\0').map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  )
}

/** Undefined if there is no such process. */
export function readStat(pid: number): { state: string; terminal: number; startTicks: number } | undefined {
  try {
    // The name, in parentheses, may itself hold spaces and parentheses.
    const raw = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = raw.slice(raw.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? '', terminal: Number(fields[4]), startTicks: Number(fields[19]) }
  } catch (error) {
    if (error instanceof Error && 'code' in error && GONE_OR_FOREIGN.has(String(error.code))) return undefined
    throw error
  }
}

export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

export function isAlive(pid: number, startTicks: number): boolean {
  const stat = readStat(pid)
  return stat !== undefined && stat.startTicks === startTicks && stat.state !== 'Z' && stat.state !== 'X'
}

/** Kills this very process; absence is success. */
export function killProcess(pid: number, startTicks: number): void {
  if (!isAlive(pid, startTicks)) return
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error
  }
}

/** Kills until none is left; returns those that did not end in time. */
export async function sweep(
  find: () => readonly MarkedProcess[],
  clock: Clock,
  msMax: Millis,
): Promise<readonly MarkedProcess[]> {
  const end = clock.monotonic() + msMax
  for (;;) {
    const left = find()
    if (left.length === 0 || clock.monotonic() > end) return left
    for (const { pid, startTicks } of left) killProcess(pid, startTicks)
    await sleep(clock, SWEEP_POLL_MS)
  }
}
