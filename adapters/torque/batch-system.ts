import type { Clock } from '../../actors/runtime/clock.ts'
import type { BatchSystem } from '../batch-system.ts'
import type { Executor } from '../executor.ts'
import { toldOf } from '../finding.ts'
import { pbsSystem } from '../pbs/batch-system.ts'
import { pbsCommands } from '../pbs/commands.ts'
import { examinePbs } from '../pbs/examine.ts'
import { torqueExamined, torqueFindings } from './check.ts'
import type { TorqueConfig } from './config.ts'
import { torqueDialect } from './dialect.ts'

/** The server speaks to both ports of a mom. */
const PORTS = { server: [['pbs_server', 15_001]], mom: [15_002, 15_003] } as const

/** Torque 6.1 and 4.2 through qstat, pbsnodes and qmgr; how it goes is in ../pbs/batch-system.ts. */
export function torque(
  config: TorqueConfig,
  exec: Executor,
  { clock }: { readonly clock: Clock },
): BatchSystem {
  const commands = pbsCommands(exec, {
    product: 'Torque',
    ...{ server: config.server, bin: config.bin, timeoutMs: config.commandTimeout },
  })
  const dialect = torqueDialect(config, commands, clock)
  return pbsSystem(dialect, {
    ...{ clock, lockFolder: config.lockFolder },
    check: async (signal) => toldOf(await torqueFindings(config, commands, dialect, signal)),
    examine: async (examination, signal) =>
      examinePbs(
        () => torqueExamined(config, commands, dialect, examination, signal),
        { ...{ commands, dialect, clock, named: config.server }, ports: PORTS },
        examination,
        signal,
      ),
  })
}
