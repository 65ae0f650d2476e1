import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { sleep, systemClock } from '../../actors/runtime/clock.ts'
import { localExecutor } from '../../adapters/exec/local.ts'
import type { UnitSpec } from '../../adapters/handler.ts'
import { type NamespaceMachinesConfig, namespaceMachinesConfig } from '../../adapters/namespace/config.ts'
import { type NamespaceMachines, namespaceMachines } from '../../adapters/namespace/namespace.ts'
import { eventually } from './eventually.ts'
import type { HandlerSite } from './handler.ts'

/** Undefined if namespace machines can be made here. With SUBLET_REAL=1 nothing is skipped. */
export const noNamespaces: string | undefined =
  process.env.SUBLET_REAL === '1'
    ? undefined
    : process.getuid?.() === 0
      ? 'SUBLET_REAL=1 runs it'
      : 'needs root, and SUBLET_REAL=1'

/** What counts as work at this site: a copy of sleep by this name. */
const WORK = 'sublet-work'

export interface NamespaceSite extends HandlerSite {
  readonly config: NamespaceMachinesConfig
  readonly handler: NamespaceMachines
  readonly netns: string
}

let nonces = 0
export const machinesOf = (
  config: NamespaceMachinesConfig,
  mounts = () => readFile('/proc/mounts', 'utf8'),
): NamespaceMachines =>
  namespaceMachines(config, {
    exec: localExecutor({ clock: systemClock }),
    clock: systemClock,
    mounts,
    nonce: () => `nonce-${process.pid}-${systemClock.monotonic()}-${++nonces}`,
  })

/** A network namespace with a bridge, a folder, and an observer; all of it removed by `close`. */
export async function namespaceSite(
  over: Partial<Parameters<typeof namespaceMachinesConfig.parse>[0] & object> = {},
  mounts?: () => Promise<string>,
): Promise<NamespaceSite> {
  const dir = await mkdtemp(join(tmpdir(), 'sublet-machines-'))
  const netns = `sublet-law-${dir.slice(-6)}`
  const ip = (...words: string[]): string => execFileSync('ip', words, { encoding: 'utf8' })
  ip('netns', 'add', netns)
  for (const line of [
    'link set lo up',
    'link add br0 type bridge',
    'addr add 10.88.0.1/24 dev br0',
    'link set br0 up',
  ])
    ip('-n', netns, ...line.split(' '))
  const config = namespaceMachinesConfig.parse({
    dir,
    netns,
    bridge: 'br0',
    subnet: '10.88.0.0/24',
    images: { plain: {} },
    sshd: {},
    tmpfsMiB: 64,
    busyProcesses: [WORK],
    ...over,
  })
  const handler = machinesOf(config, mounts)
  let units = 0

  const processes = async ({ unitId }: UnitSpec): Promise<readonly number[]> => {
    const found = await Promise.all(
      (await readdir('/proc'))
        .filter((entry) => /^\d+$/.test(entry))
        .map(async (pid) => {
          // A process may end between the two looks; then it does not run.
          const groups = await readFile(`/proc/${pid}/cgroup`, 'utf8').catch(() => '')
          const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => ') Z')
          const ended = /^[ZX]/.test(stat.slice(stat.lastIndexOf(')') + 2))
          return groups.includes(`/${unitId}@`) && !ended ? Number(pid) : undefined
        }),
    )
    return found.filter((pid) => pid !== undefined)
  }

  const leftovers = async ({ unitId }: UnitSpec): Promise<readonly string[]> => {
    const folders = (existsSync(join(dir, 'units')) ? await readdir(join(dir, 'units')) : []).filter((name) =>
      name.startsWith(`${unitId}@`),
    )
    const groups = execFileSync('find', ['/sys/fs/cgroup', '-maxdepth', '4', '-name', `${unitId}@*`], {
      encoding: 'utf8',
    })
    const mounts = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry))
    const mounted = await Promise.all(
      mounts.map(async (pid) =>
        (await readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => '')).includes(`/${unitId}@`),
      ),
    )
    const links = ip('-n', netns, '-o', 'link').split('\n')
    return [
      ...folders.map((name) => `folder ${name}`),
      ...groups.split('\n').filter((line) => line !== ''),
      ...(mounted.includes(true) ? ['a mount'] : []),
      ...links.filter((line) => line.includes(`${unitId}@`)).map((line) => `interface ${line}`),
    ]
  }

  const site: NamespaceSite = {
    config,
    handler,
    netns,
    restarted: () => machinesOf(config, mounts),
    unit(over) {
      const slot = ++units
      return {
        // Other sites on this host have machines at the same time; the observer tells them apart by this.
        unitId: `unit-${dir.slice(-6)}-${slot}`,
        leaseId: `lease-${dir.slice(-6)}-${slot}`,
        name: `law${slot}`,
        slot,
        host: 'here',
        vector: { cpu: 1, memoryMiB: 256 },
        image: 'plain',
        endsAt: systemClock.now() + 3_600_000,
        graceMs: 3_600_000,
        probe: [],
        properties: {},
        ...over,
      }
    },
    processes,
    leftovers,
    async startWork(unit) {
      const inside = await handler.inside(unit)
      const command = `cp /bin/sleep /tmp/${WORK}; setsid /tmp/${WORK} 600 </dev/null >/dev/null 2>&1 & echo $!`
      const { exitCode, stdout } = await inside.run(['sh', '-c', command], {
        signal: AbortSignal.timeout(5000),
      })
      if (exitCode !== 0) throw new Error(`The work of ${unit.unitId} did not start`)
      const runs = async (): Promise<boolean> =>
        (
          await Promise.all(
            (await processes(unit)).map((pid) => readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')),
          )
        ).includes(`${WORK}\n`)
      await eventually(runs, 5000)
      return async () => {
        await inside.run(['kill', stdout.trim()], { signal: AbortSignal.timeout(5000) })
        await eventually(async () => !(await runs()), 5000)
      }
    },
    powerCut: ({ unitId }) => handler.powerCut(unitId),
    properties: async ({ unitId, leaseId }) => {
      const file = join(dir, 'units', `${unitId}@${leaseId}`, 'run', 'properties.json')
      return JSON.parse(await readFile(file, 'utf8')) as Record<string, string>
    },
    loseRecord: ({ unitId, leaseId }) => rm(join(dir, 'units', `${unitId}@${leaseId}`), { recursive: true }),
    async crashDuringSetup(unit, afterMs) {
      const script = fileURLToPath(new URL('./namespace-crash.ts', import.meta.url))
      const victim = spawn(process.execPath, [script, JSON.stringify({ config, unit })], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      const ended = once(victim, 'exit')
      await Promise.race([once(victim.stdout, 'data'), ended])
      await sleep(systemClock, afterMs)
      victim.kill('SIGKILL')
      await ended
    },
    async close() {
      const signal = AbortSignal.timeout(30_000)
      const found = await handler.list(signal)
      await Promise.all(
        found.map((machine) => handler.teardown({ ...site.unit(), ...machine }, { force: true }, signal)),
      )
      for (const group of execFileSync(
        'find',
        ['/sys/fs/cgroup', '-maxdepth', '3', '-name', `${config.namePrefix}-*`],
        { encoding: 'utf8' },
      ).split('\n'))
        if (
          group !== '' &&
          (await readdir(group, { withFileTypes: true })).every((entry) => !entry.isDirectory())
        )
          execFileSync('rmdir', [group])
      ip('netns', 'delete', netns)
      await rm(dir, { recursive: true, force: true })
    },
  }
  return site
}
