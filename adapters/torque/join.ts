import { z } from 'zod'
import { duration } from '../../actors/runtime/settings.ts'
import type { Executor } from '../executor.ts'
import type { UnitFacts } from '../handler.ts'
import type { JoinHandler } from '../join.ts'
import { momJoin, momText } from '../pbs/join.ts'

export const torqueJoinConfig = z.strictObject({
  /** The server's name as the machines know it. */
  server: z.string().regex(/^[A-Za-z0-9.:-]+$/, 'expected a host name'),
  /** PBS_HOME on the machine. */
  home: z.string().startsWith('/').default('/var/spool/torque'),
  /** pbs_mom and its options; words in braces are the unit's. */
  command: z.tuple([z.string().min(1)], z.string()).default(['pbs_mom']),
  /**
   * mom_priv/config beside `$pbsserver`; vector and facts of the unit stand in braces. A mom reports every 45 s by
   * itself, and one that runs before its record is made joins with its next report.
   */
  momConfig: z.array(z.string()).default(['$usecp *:/home /home', '$status_update_time 15']),
  /** Added to the mom's environment. */
  env: z.record(z.string(), z.string()).default({}),
  startTimeout: duration.default(15_000),
  /** Between TERM and KILL. */
  stopTimeout: duration.default(5_000),
})
export type TorqueJoinConfig = z.infer<typeof torqueJoinConfig>

/** Torque's mom: it finds its server by `server_name` and `mom_priv/config`. */
export function torqueJoin(config: TorqueJoinConfig, connect: (facts: UnitFacts) => Executor): JoinHandler {
  const { server, home, command, momConfig, env } = config
  return momJoin(
    {
      ...{ product: 'Torque', argv: command, home, env },
      files: (unit) => [
        [`${home}/server_name`, server],
        [
          `${home}/mom_priv/config`,
          [`$pbsserver ${server}`, ...momConfig].map((line) => momText(line, unit)).join('\n'),
        ],
      ],
      ...{ startTimeoutMs: config.startTimeout, stopTimeoutMs: config.stopTimeout },
    },
    connect,
  )
}
