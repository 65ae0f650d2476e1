import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../../actors/runtime/clock.ts'
import type { BatchSystem } from '../../../adapters/batch-system.ts'
import { localExecutor } from '../../../adapters/exec/local.ts'
import type { Executor } from '../../../adapters/executor.ts'
import { torque } from '../../../adapters/torque/batch-system.ts'
import { type TorqueConfig, torqueConfig } from '../../../adapters/torque/config.ts'
import type { BatchBench, BenchJob } from '../../conformance/batch-system.ts'
import { scaledClock } from '../clocks.ts'
import { type Door, door } from '../door.ts'
import { answer, PROGRAMS } from './commands.ts'
import type { Version } from './model.ts'
import { TorqueServer } from './server.ts'

/** So many seconds of the emulated server in one of ours. */
export const TIMES = 40
const START = Date.UTC(2026, 10, 21, 20)
const USER = 'tquser1'

/** What the programs do when there is no pbs_server, or no trqauthd. */
const DEAD = (
  dir: string,
): string => `nobody() { printf '\\nUnable to communicate with tqsrv(127.0.0.1)\\nCannot connect to specified server host %s.\\n' "'tqsrv'" >&2; }
unanswered() { case "$me" in
  qstat) nobody; nobody; nobody; echo 'qstat: cannot connect to server tqsrv (errno=111) Connection refused' >&2
    echo 'qstat: Error (111 - Connection refused) ' >&2; exit 111 ;;
  pbsnodes) nobody; echo 'pbsnodes: cannot connect to server tqsrv, error=111 (Connection refused)' >&2; exit 1 ;;
  date) exec /bin/date "$@" ;;
  qmgr) nobody; echo 'qmgr: cannot connect to server  (errno=111) Connection refused' >&2; exit 3 ;;
  *) nobody; echo "$me: cannot connect to server tqsrv (errno=111) Connection refused" >&2; exit 111 ;;
esac; }
[ -e '${dir}/no-trqauthd' ] && case "$me" in
  qstat) for i in 1 2 3; do echo 'socket_connect_unix failed: 15137' >&2; done
    echo 'qstat: cannot connect to server (null) (errno=15137) could not connect to trqauthd' >&2
    echo 'qstat: Error (15137 - could not connect to trqauthd) ' >&2; exit 33 ;;
  pbsnodes) echo 'socket_connect_unix failed: 15137' >&2
    echo 'pbsnodes: cannot connect to server tqsrv, error=15137 (could not connect to trqauthd)' >&2; exit 1 ;;
esac`

export interface TorqueBench extends BatchBench {
  readonly server: TorqueServer
  readonly door: Door
  readonly dir: string
  /** Where the commands are found first; for another executor. */
  readonly env: Readonly<Record<string, string>>
  system2(over: Partial<TorqueConfig>, exec?: Executor): BatchSystem
}

const NAMES = ['n1', 'n2', 'n3']
const address = (name: string): string => `10.88.0.${100 + Number(name.slice(1))}`

export async function openTorqueBench(
  version: Version,
  makeExec?: (env: Readonly<Record<string, string>>) => Executor,
): Promise<TorqueBench> {
  const dir = mkdtempSync(join(tmpdir(), 'sublet-torque-'))
  const clock = scaledClock(TIMES, START)
  const epilogMs = 200
  const server = new TorqueServer({ clock, version, keepCompletedMs: 300_000, epilogMs: epilogMs * TIMES })
  const opened = await door(dir, {
    programs: PROGRAMS,
    readsInput: '"qmgr "|qsub*',
    dead: DEAD(dir),
    answer: (asked) => answer(server, asked),
  })
  for (const name of NAMES) server.hosts.set(name, address(name))
  server.hosts.set('static1', '10.88.0.1')
  server.createNode('static1', 1, [], '')
  server.startMom('static1', '10.88.0.1')
  // Up, not offline, and no job of the law lands there.
  const own = server.nodes.get('static1')
  if (own !== undefined) Object.assign(own, { isBusy: true, isOffline: false })
  server.queue.transit = true

  const env = { PATH: `${opened.bin}:${process.env.PATH ?? '/usr/bin:/bin'}` }
  const exec = makeExec?.(env) ?? localExecutor({ clock: systemClock, env })
  const config = torqueConfig.parse({ commandTimeout: '10s', settle: '100ms', lockFolder: dir })
  const system2 = (over: Partial<TorqueConfig>, other = exec): BatchSystem =>
    torque({ ...config, ...over }, other, { clock: systemClock })
  const ask = async (
    program: string,
    args: readonly string[],
    user = 'root',
    input = '',
  ): Promise<string> => {
    const done = await answer(server, { program, args, user, input })
    if (done.exitCode !== 0) throw new Error(`${program} ${args.join(' ')}: ${done.stderr}`)
    return done.stdout.trim()
  }

  return {
    ...{ server, door: opened, dir, env, system2 },
    system: system2({}),
    names: NAMES,
    can: {
      epilogMs,
      collecting: false,
      notRequeueable: true,
      arrays: true,
      dependencies: true,
      staticNode: 'static1',
    },
    patienceMs: 10_000,
    node: (name) => ({
      ...{ name, address: address(name), cpus: 2, memoryMiB: 1000 },
      mark: { leaseId: 'lease-law', unitId: `unit-${name}` },
    }),
    startMachine: async (name) => server.startMom(name, address(name)),
    killMachine: async (name) => server.killMom(name),
    submit: ({
      runsMs,
      nodes = 1,
      cpusPerNode = 1,
      walltimeMs,
      held,
      requeueable,
      after,
      tasks,
    }: BenchJob) => {
      const time =
        walltimeMs === undefined ? '' : `,walltime=00:${String(walltimeMs / 60_000).padStart(2, '0')}:00`
      const args = ['-N', 'law', '-l', `nodes=${nodes}:ppn=${cpusPerNode}${time}`]
      if (held) args.push('-h')
      if (requeueable === false) args.push('-r', 'n')
      if (after !== undefined) args.push('-W', `depend=afterany:${after}`)
      if (tasks !== undefined && tasks > 1) args.push('-t', `1-${tasks}`)
      return ask('qsub', args, USER, `sleep ${(runsMs * TIMES) / 1000}`)
    },
    cancel: async (id) => void (await ask('qdel', [id], USER)),
    adminDrain: async (name, reason) => void (await ask('pbsnodes', ['-o', '-N', reason, name])),
    adminResume: async (name) => void (await ask('pbsnodes', ['-c', '-N', '', name])),
    another: async () => system2({}),
    unreachable: async () => {
      const elsewhere = await door(join(dir, 'nobody'), {
        ...{ programs: PROGRAMS, readsInput: 'qsub*', dead: DEAD(join(dir, 'nobody')) },
        answer: () => Promise.reject(new Error('nobody is here')),
      })
      await elsewhere.shut()
      const path = { PATH: `${elsewhere.bin}:${process.env.PATH ?? ''}` }
      return system2({}, localExecutor({ clock: systemClock, env: path }))
    },
    async clear() {
      for (const job of [...server.jobs.values()]) server.forget(job)
      for (const name of NAMES) {
        server.killMom(name)
        server.nodes.get(name)?.checkDown?.()
        server.nodes.delete(name)
      }
    },
    async close() {
      for (const { name } of [...server.moms.values()]) server.killMom(name)
      await opened.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
