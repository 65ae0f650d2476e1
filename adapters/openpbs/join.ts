import { z } from 'zod'
import { duration } from '../../actors/runtime/settings.ts'
import type { Executor } from '../executor.ts'
import type { UnitFacts } from '../handler.ts'
import type { JoinHandler } from '../join.ts'
import { momJoin, momText } from '../pbs/join.ts'

export const openpbsJoinConfig = z.strictObject({
  /** The server's name as the machines know it. */
  server: z.string().regex(/^[A-Za-z0-9.:-]+$/, 'expected a host name'),
  /** PBS_HOME on the machine. */
  home: z.string().startsWith('/').default('/var/spool/pbs'),
  /** PBS_EXEC on the machine. */
  exec: z.string().startsWith('/').default('/opt/pbs'),
  /** The file that all of OpenPBS reads first. */
  confFile: z.string().startsWith('/').default('/etc/pbs.conf'),
  /** pbs_mom and its options. */
  command: z.tuple([z.string().min(1)], z.string()).default(['/opt/pbs/sbin/pbs_mom']),
  /** mom_priv/config beside `$clienthost`; vector and facts of the unit stand in braces. */
  momConfig: z.array(z.string()).default(['$usecp *:/home /home']),
  /** Added to the mom's environment. */
  env: z.record(z.string(), z.string()).default({}),
  startTimeout: duration.default(15_000),
  /** Between TERM and KILL. */
  stopTimeout: duration.default(5_000),
})
export type OpenpbsJoinConfig = z.infer<typeof openpbsJoinConfig>

/** OpenPBS's mom: it finds its server by pbs.conf. */
export function openpbsJoin(config: OpenpbsJoinConfig, connect: (facts: UnitFacts) => Executor): JoinHandler {
  const { server, home, exec, command, momConfig } = config
  const conf = [
    ...[`PBS_SERVER=${server}`, `PBS_EXEC=${exec}`, `PBS_HOME=${home}`],
    ...['PBS_START_SERVER=0', 'PBS_START_SCHED=0', 'PBS_START_COMM=0', 'PBS_START_MOM=1'],
  ].join('\n')
  return momJoin(
    {
      ...{ product: 'OpenPBS', argv: command, home },
      env: { ...config.env, PBS_CONF_FILE: config.confFile },
      files: (unit) => [
        [config.confFile, conf],
        [
          `${home}/mom_priv/config`,
          [`$clienthost ${server}`, ...momConfig].map((line) => momText(line, unit)).join('\n'),
        ],
      ],
      ...{ startTimeoutMs: config.startTimeout, stopTimeoutMs: config.stopTimeout },
    },
    connect,
  )
}
