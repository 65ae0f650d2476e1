import { z } from 'zod'
import { duration, name } from '../../actors/runtime/settings.ts'
import { embeddedBatchConfig } from '../../adapters/embedded/batch-system.ts'
import { embeddedJoinConfig } from '../../adapters/embedded/join.ts'
import { algorithms } from '../../adapters/exec/algorithms.ts'
import { sshConfig } from '../../adapters/exec/ssh.ts'
import { gridengineConfig } from '../../adapters/gridengine/config.ts'
import { gridengineJoinConfig } from '../../adapters/gridengine/join.ts'
import { openpbsConfig } from '../../adapters/openpbs/config.ts'
import { openpbsJoinConfig } from '../../adapters/openpbs/join.ts'
import { slurmConfig } from '../../adapters/slurm/config.ts'
import { slurmJoinConfig } from '../../adapters/slurm/join.ts'
import { torqueConfig } from '../../adapters/torque/config.ts'
import { torqueJoinConfig } from '../../adapters/torque/join.ts'
import { byHandConfig } from '../../controllers/guests/by-hand/by-hand.ts'
import { writtenGroc } from '../../controllers/guests/groc/config.ts'
import { byKind } from './by-kind.ts'

/** A batch system, a way into its machines, and a controller. */

const SECOND = 1000

const head = {
  /** Put before each of its commands, such as `nsenter --net=/run/netns/lab`. */
  through: z.array(z.string().min(1)).default([]),
  /** Its head is reached over ssh; absent: its commands run here. */
  ssh: sshConfig.optional(),
}

const batch = byKind({
  embedded: embeddedBatchConfig,
  slurm: slurmConfig.extend(head),
  torque: torqueConfig.extend(head),
  openpbs: openpbsConfig.extend(head),
  gridengine: gridengineConfig.extend(head),
})

/** How the machines' sshd is reached; address, port, user and host key come from the machine itself. */
export const ssh = z.strictObject({
  privateKeyFile: z.string().min(1),
  /** The network namespace to dial from; absent: that of the machines. */
  netns: z.string().min(1).optional(),
  algorithms,
  ready: duration.default(5 * SECOND),
  keepalive: duration.default(5 * SECOND),
  channelsMax: z.int().min(1).max(10).default(10),
})

const joining = byKind({
  embedded: embeddedJoinConfig.extend({ socket: z.string().min(1).optional() }),
  'ssh-slurmd': slurmJoinConfig.extend({ ssh }),
  'ssh-torque': torqueJoinConfig.extend({ ssh }),
  'ssh-openpbs': openpbsJoinConfig.extend({ ssh }),
  'ssh-gridengine': gridengineJoinConfig.extend({ ssh }),
})

export const guest = z.strictObject({
  name,
  /** Whom tickets are asked of for it, if not the broker of all guests. */
  broker: name.optional(),
  /** `observe`: what its controller decides is written down, and nothing is done. */
  mode: z.enum(['act', 'observe']).default('act'),
  batch,
  join: joining,
  controller: byKind({ groc: writtenGroc, 'by-hand': byHandConfig }, { nameAlone: true }),
  properties: z.record(z.string().min(1).max(100), z.string().max(4000)).default({}),
})
