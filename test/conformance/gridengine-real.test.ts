import { systemClock } from '../../actors/runtime/clock.ts'
import type { Executor } from '../../adapters/executor.ts'
import { gridengine } from '../../adapters/gridengine/batch-system.ts'
import type { GridengineConfig } from '../../adapters/gridengine/config.ts'
import { gridenginePrivileges } from '../../adapters/gridengine/privileges.ts'
import { batchSystemLaw } from './batch-system.ts'
import { cutJobsCases } from './cut-jobs.ts'
import { type DeadNodeBench, deadNodeCases } from './dead-node.ts'
import {
  clearLab,
  closeLab,
  gridengineSkip,
  labMachines,
  never,
  openLab,
  PATIENCE_MS,
  title,
} from './gridengine-bench.ts'
import { lawBench, lawConfig } from './gridengine-law.ts'
import { type JoinBench, joinLaw } from './join.ts'
import { listedOnly } from './listed.ts'

function open(runId: string): () => Promise<DeadNodeBench> {
  return async () => {
    const lab = await openLab(runId)
    const config = lawConfig(lab)
    const listed = (of: GridengineConfig): Executor =>
      listedOnly(lab.onHead, gridenginePrivileges(of, 'g[0-9]+'))
    const away = { ...config, qmasterPort: 7777 }
    return lawBench(lab, config, {
      exec: listed(config),
      unreachable: () => gridengine(away, listed(away), { clock: systemClock }),
    })
  }
}

batchSystemLaw(title('GridEngine 8.1.9'), open('lawg'), { skip: gridengineSkip })

deadNodeCases(title('GridEngine 8.1.9'), open('deadg'), {
  ...{ skip: gridengineSkip, runsMs: 4_000, leavesJobs: true, startsAgain: false },
})

cutJobsCases(title('GridEngine 8.1.9'), open('cutg'), gridengineSkip)

joinLaw(
  title('sge_execd in a namespace of its own'),
  async (): Promise<JoinBench> => {
    const lab = await openLab('lawx')
    const machines = labMachines(lab)
    let slot = 0
    return {
      join: machines.handler,
      anyUnit: true,
      patienceMs: PATIENCE_MS,
      async machine() {
        slot += 1
        const name = `g${slot}`
        await machines.boot(name)
        // What the batch system does when it expects the machine.
        await lab.shell(`qconf -ah ${name}`, never)
        return machines.unit(name)
      },
      killMachine: ({ name }) => machines.kill(name),
      async registered({ name }) {
        const pings = await lab.shell(`(echo >/dev/tcp/${name}/6445) 2>&1 || true`, never)
        return /refused|route|timed out/i.test(pings) ? 0 : 1
      },
      clear: async () => {
        await machines.killAll()
        await clearLab(lab)
      },
      close: () => closeLab(lab),
    }
  },
  { skip: gridengineSkip },
)
