import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { type Clock, type Millis, sleep } from '../../actors/runtime/clock.ts'

/**
 * Every process of a machine carries the machine's mark in its environment, whatever group or session it
 * went to. One that threw its environment away is still known by its session, or by the folder it stands
 * in, unless a terminal is attached to it: that is somebody looking around.
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

/** Every living process of any machine of the site; `sinceTicks` spares the look at those that are older. */
export function markedProcesses(site: string, sinceTicks = 0): MarkedProcess[] {
  const living = readdirSync('/proc').flatMap((entry) =>
    /^\d+$/.test(entry) ? (look(Number(entry), sinceTicks) ?? []) : [],
  )
  const found = living.map((process) => ({ process, owner: ownerByMark(process, site) }))
  const bySession = new Map(
    found.flatMap(({ process, owner }) => (owner ? [[process.session, owner] as const] : [])),
  )
  return found.flatMap(({ process, owner }) => {
    const { pid, startTicks } = process
    if (owner !== undefined) return [{ pid, startTicks, ...owner }]
    const other = bySession.get(process.session) ?? ownerByFolder(process, site)
    return other === undefined ? [] : [{ pid, startTicks, ...other, isSupervisor: false }]
  })
}

interface Living {
  readonly pid: number
  readonly startTicks: number
  readonly session: number
  readonly terminal: number
  readonly environment: ReadonlyMap<string, string>
}

type Owner = Omit<MarkedProcess, 'pid' | 'startTicks'>

function look(pid: number, sinceTicks: number): Living | undefined {
  const stat = pid === process.pid ? undefined : readStat(pid)
  if (stat === undefined || stat.state === 'Z' || stat.state === 'X' || stat.startTicks < sinceTicks)
    return undefined
  const environment = readIfThere(() => readEnvironment(readFileSync(`/proc/${pid}/environ`, 'latin1')))
  return { pid, ...stat, environment: environment ?? new Map() }
}

function ownerByMark({ environment }: Living, site: string): Owner | undefined {
  const unit = environment.get('SUBLET_UNIT') ?? environment.get('SUBLET_GUARD')
  if (unit === undefined || environment.get('SUBLET_SITE') !== site) return undefined
  const colon = unit.lastIndexOf(':')
  return {
    unitId: unit.slice(0, colon),
    nonce: unit.slice(colon + 1),
    leaseId: environment.get('SUBLET_LEASE') ?? '',
    name: environment.get('SUBLET_NODE') ?? '',
    isSupervisor: environment.get('SUBLET_ROLE') === 'supervisor',
    part: environment.get('SUBLET_PART') ?? '',
  }
}

function ownerByFolder({ pid, terminal }: Living, site: string): Owner | undefined {
  const folder = terminal === 0 ? readIfThere(() => readlinkSync(`/proc/${pid}/cwd`)) : undefined
  if (folder === undefined || !folder.startsWith(`${site}/`)) return undefined
  const [unitId = ''] = folder.slice(site.length + 1).split('/')
  return { unitId, nonce: '', leaseId: '', name: '', isSupervisor: false, part: '' }
}

const GONE_OR_FOREIGN = new Set(['ENOENT', 'ESRCH', 'EACCES', 'EPERM'])

/** Undefined if the process ended while we looked, or belongs to another user. */
function readIfThere<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch (error) {
    if (error instanceof Error && 'code' in error && GONE_OR_FOREIGN.has(String(error.code))) return undefined
    throw error
  }
}

function readEnvironment(raw: string): Map<string, string> {
  return new Map(
    raw.split('\0').map((entry) => [entry.slice(0, entry.indexOf('=')), entry.slice(entry.indexOf('=') + 1)]),
  )
}

export interface Stat {
  readonly state: string
  readonly session: number
  /** 0 if no terminal is attached. */
  readonly terminal: number
  readonly startTicks: number
}

/** Undefined if there is no such process. */
export function readStat(pid: number): Stat | undefined {
  return readIfThere(() => {
    // The name, in parentheses, may itself hold spaces and parentheses.
    const raw = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = raw.slice(raw.lastIndexOf(')') + 2).split(' ')
    return {
      state: fields[0] ?? '',
      session: Number(fields[3]),
      terminal: Number(fields[4]),
      startTicks: Number(fields[19]),
    }
  })
}

export const bootId = (): string => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()

export function isAlive(pid: number, startTicks: number): boolean {
  const stat = readStat(pid)
  return stat !== undefined && stat.startTicks === startTicks && stat.state !== 'Z' && stat.state !== 'X'
}

/** Kills this very process; absence is success. One that may not be killed is found again by whoever sweeps. */
export function killProcess(pid: number, startTicks: number): void {
  if (isAlive(pid, startTicks)) readIfThere(() => process.kill(pid, 'SIGKILL'))
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
