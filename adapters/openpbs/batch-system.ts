import type { Clock } from '../../actors/runtime/clock.ts'
import type { BatchSystem } from '../batch-system.ts'
import type { Executor } from '../executor.ts'
import { toldOf } from '../finding.ts'
import { pbsSystem } from '../pbs/batch-system.ts'
import { pbsCommands } from '../pbs/commands.ts'
import { examinePbs } from '../pbs/examine.ts'
import { openpbsExamined, openpbsFindings } from './check.ts'
import type { OpenpbsConfig } from './config.ts'
import { openpbsDialect } from './dialect.ts'

/** Server and moms speak to each other through pbs_comm, and with moms also directly. */
const PORTS = {
  server: [
    ['pbs_server', 15_001],
    ['pbs_comm', 17_001],
  ],
  mom: [15_002],
} as const

/** OpenPBS through qstat, pbsnodes and qmgr; how it goes is in ../pbs/batch-system.ts. */
export function openpbs(
  config: OpenpbsConfig,
  exec: Executor,
  { clock }: { readonly clock: Clock },
): BatchSystem {
  const commands = pbsCommands(exec, {
    product: 'OpenPBS',
    ...{ server: config.server, bin: config.bin, timeoutMs: config.commandTimeout },
  })
  const dialect = openpbsDialect(config, commands, clock)
  return pbsSystem(dialect, {
    ...{ clock, lockFolder: config.lockFolder },
    check: async (signal) => toldOf(await openpbsFindings(config, commands, dialect, signal)),
    examine: async (examination, signal) =>
      examinePbs(
        () => openpbsExamined(config, commands, dialect, examination, signal),
        { ...{ commands, dialect, clock, named: config.server }, ports: PORTS },
        examination,
        signal,
      ),
  })
}
