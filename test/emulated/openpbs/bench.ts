import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../../actors/runtime/clock.ts'
import type { BatchSystem } from '../../../adapters/batch-system.ts'
import { localExecutor } from '../../../adapters/exec/local.ts'
import type { Executor } from '../../../adapters/executor.ts'
import { openpbs } from '../../../adapters/openpbs/batch-system.ts'
import { openpbsConfig } from '../../../adapters/openpbs/config.ts'
import type { BatchBench, BenchJob } from '../../conformance/batch-system.ts'
import { scaledClock } from '../clocks.ts'
import { door } from '../door.ts'
import { answer, PROGRAMS } from './commands.ts'
import { PbsServer } from './server.ts'

/** So many seconds of the emulated server in one of ours. */
const TIMES = 10
const START = Date.UTC(2026, 10, 21, 20)
const USER = 'tquser1'

/** Without a server qstat prints what looks like an empty list, and ends with 255. */
const DEAD = `unanswered() { echo 'Connection refused' >&2; case "$me" in
  qstat) printf '{\\n\\t"timestamp":\\t1795292217,\\n\\t"pbs_version":\\t"23.06.06",\\n\\t"pbs_server":\\t"opsrv"\\n}\\n'
    echo 'qstat: cannot connect to server opsrv (errno=15010)' >&2; exit 255 ;;
  pbsnodes) echo 'pbsnodes: cannot connect to server opsrv, error=15010' >&2; exit 1 ;;
  qmgr) echo 'qmgr: cannot connect to server ' >&2; exit 3 ;;
  *) echo "$me: cannot connect to server opsrv (errno=15010)" >&2; exit 162 ;;
esac; }`

const NAMES = ['n1', 'n2', 'n3']
const address = (name: string): string => `10.88.0.${100 + Number(name.slice(1))}`

export async function openOpenpbsBench(
  makeExec?: (env: Readonly<Record<string, string>>) => Executor,
): Promise<BatchBench & { readonly server: PbsServer }> {
  const dir = mkdtempSync(join(tmpdir(), 'sublet-openpbs-'))
  const clock = scaledClock(TIMES, START)
  const epilogMs = 200
  const server = new PbsServer({ clock, epilogMs: epilogMs * TIMES })
  server.resources.add('sublet')
  server.settings.history = true
  const opened = await door(dir, {
    ...{ programs: PROGRAMS, readsInput: 'qsub*', dead: DEAD },
    answer: (asked) => answer(server, asked),
  })
  for (const name of NAMES) server.hosts.set(name, address(name))
  server.hosts.set('static1', '10.88.0.1')
  server.startMom('static1', '10.88.0.1')
  // Up, not offline, and no job of the law lands there.
  Object.assign(server.createNode('static1', { ncpus: '1' }), {
    ...{ isBusy: true, isDown: false, isUnknown: false },
  })

  const env = { PATH: `${opened.bin}:${process.env.PATH ?? '/usr/bin:/bin'}` }
  const exec = makeExec?.(env) ?? localExecutor({ clock: systemClock, env })
  const config = openpbsConfig.parse({ commandTimeout: '10s', settle: '100ms', lockFolder: dir })
  const system = (through = exec): BatchSystem => openpbs(config, through, { clock: systemClock })
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
    server,
    system: system(),
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
      const args = ['-N', 'law', '-l', `select=${nodes}:ncpus=${cpusPerNode}${time}`, '-l', 'place=scatter']
      if (held) args.push('-h')
      if (requeueable === false) args.push('-r', 'n')
      if (after !== undefined) args.push('-W', `depend=afterany:${after}`)
      if (tasks !== undefined && tasks > 1) args.push('-J', `1-${tasks}`)
      return ask('qsub', args, USER, `sleep ${(runsMs * TIMES) / 1000}`)
    },
    cancel: async (id) => void (await ask('qdel', [id], USER)),
    adminDrain: async (name, reason) => void (await ask('pbsnodes', ['-o', '-C', reason, name])),
    adminResume: async (name) => void (await ask('pbsnodes', ['-r', '-C', '', name])),
    another: async () => system(),
    unreachable: async () => {
      const elsewhere = await door(join(dir, 'nobody'), {
        ...{ programs: PROGRAMS, readsInput: 'qsub*', dead: DEAD },
        answer: () => Promise.reject(new Error('nobody is here')),
      })
      await elsewhere.shut()
      const path = { PATH: `${elsewhere.bin}:${process.env.PATH ?? ''}` }
      return system(localExecutor({ clock: systemClock, env: path }))
    },
    async clear() {
      for (const job of server.jobs.values()) job.stop?.()
      server.jobs.clear()
      for (const name of NAMES) {
        server.killMom(name)
        server.nodes.delete(name)
      }
    },
    async close() {
      await opened.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
}
