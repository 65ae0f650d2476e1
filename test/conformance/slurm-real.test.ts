import { join } from 'node:path'
import { systemClock } from '../../actors/runtime/clock.ts'
import { slurm } from '../../adapters/slurm/batch-system.ts'
import { slurmPrivileges } from '../../adapters/slurm/privileges.ts'
import { batchSystemLaw } from './batch-system.ts'
import { cutJobsCases } from './cut-jobs.ts'
import { type DeadNodeBench, deadNodeCases } from './dead-node.ts'
import { type JoinBench, joinLaw } from './join.ts'
import { listedOnly } from './listed.ts'
import {
  clearLab,
  closeLab,
  FIXED,
  hardwareHere,
  LISTED_NAMES,
  LISTED_PARTITION,
  labMachines,
  listedConf,
  type MoreOfLab,
  openLab,
  PATIENCE_MS,
  parkNames,
  shell,
  slurmSkip,
  title,
} from './slurm-bench.ts'
import { lawBench, lawConfig } from './slurm-law.ts'

type Kind = 'self' | 'fixed' | 'FUTURE' | 'CLOUD'

function open(
  format: 'json' | 'text',
  kind: Kind,
  runId: string,
  more: MoreOfLab = {},
): () => Promise<DeadNodeBench> {
  return async () => {
    const listed = kind === 'FUTURE' || kind === 'CLOUD' ? kind : undefined
    const nodes = kind === 'FUTURE' || kind === 'CLOUD' ? 'listed' : kind
    const hardware = await hardwareHere()
    const lab = await openLab(runId, listed && listedConf(listed, hardware), more)
    if (listed === 'CLOUD') await parkNames(lab)
    const its = listed && { names: LISTED_NAMES, partition: LISTED_PARTITION }
    const config = lawConfig(lab, { format, nodes, ...its })
    const nowhere = { ...config, confFile: join(lab.dir, 'no-such.conf'), commandTimeout: 1500 }
    return lawBench(lab, labMachines(lab, nodes === 'fixed' ? FIXED : { nodes }), config, {
      exec: listedOnly(lab.onHead, slurmPrivileges(config, 'n[0-9]+')),
      unreachable: () => slurm(nowhere, lab.onHead, { clock: systemClock }),
      listed: listed && { kind: listed, cpus: hardware.cpus },
    })
  }
}

batchSystemLaw(
  title('Slurm 22.05, read as JSON, with nodes that come by themselves'),
  open('json', 'self', 'lawj'),
  {
    skip: slurmSkip,
  },
)
batchSystemLaw(
  title('Slurm 22.05, read as text, with nodes whose records we make'),
  open('text', 'fixed', 'lawt'),
  {
    skip: slurmSkip,
  },
)

// Slurm pings each third of its time limit, and gives a node up by itself when that is over.
deadNodeCases(
  title('Slurm 22.05, before its SlurmdTimeout'),
  open('json', 'self', 'deads', { slurmdTimeoutSeconds: 60 }),
  {
    skip: slurmSkip,
    runsMs: 40_000,
    patienceMs: 150_000,
    leavesJobs: false,
    hung: 'over',
    startsAgain: false,
  },
)

for (const kind of ['FUTURE', 'CLOUD'] as const)
  batchSystemLaw(
    title(`Slurm 22.05 with names that slurm.conf lists as ${kind}`),
    open('text', kind, `law${kind[0]?.toLowerCase()}`),
    {
      skip: slurmSkip,
    },
  )

cutJobsCases(title('Slurm 22.05'), open('json', 'self', 'cuts'), slurmSkip)

joinLaw(
  title('slurmd in a namespace of its own'),
  async (): Promise<JoinBench> => {
    const lab = await openLab('lawd')
    const machines = labMachines(lab)
    let slot = 0
    return {
      join: machines.handler,
      anyUnit: true,
      patienceMs: PATIENCE_MS,
      async machine() {
        slot += 1
        await machines.boot(`n${slot}`)
        return machines.unit(`n${slot}`)
      },
      killMachine: ({ name }) => machines.kill(name),
      async registered({ name, unitId }) {
        const printed = await shell(lab, 'scontrol -o show node')
        const isHeard = (line: string): boolean =>
          line.includes(`NodeName=${name} `) && line.includes(`_${unitId} `)
        const records = printed.split('\n').filter(isHeard).length
        if (records === 0) return 0
        // A record outlives its slurmd; the daemon itself answers or not.
        const pings = await shell(lab, `(echo >/dev/tcp/${name}/6818) 2>&1 || true`)
        return pings.includes('refused') ? 0 : records
      },
      clear: async () => {
        await machines.killAll()
        await clearLab(lab, PATIENCE_MS)
      },
      close: () => closeLab(lab),
    }
  },
  { skip: slurmSkip },
)
