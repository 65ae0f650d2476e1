import { z } from 'zod'
import { duration } from '../../actors/runtime/settings.ts'

/** A word that may be a property of a node: a letter first, no commas, colons or blanks. */
const property = z.string().regex(/^[A-Za-z][A-Za-z0-9_.-]*$/, 'expected a word of letters, digits and _ . -')

const path = z.string().startsWith('/', 'expected an absolute path')

export const torqueConfig = z.strictObject({
  /** The server's name, for the commands (PBS_DEFAULT); absent: what their own server_name file says. */
  server: z
    .string()
    .regex(/^[A-Za-z0-9.:-]+$/, 'expected a host name')
    .optional(),
  /** Where qstat, qmgr and pbsnodes are, if not in PATH. */
  bin: path.optional(),
  /** Properties that our nodes get beside their mark, for jobs that ask for them. */
  properties: z.array(property).max(20).default([]),
  /** pbs_sched cannot start `procs=N`; Maui and Moab can. */
  scheduler: z.enum(['pbs_sched', 'maui', 'moab']).default('pbs_sched'),
  /** The cpus of the machines that are lent: spreads jobs that ask for processors but no nodes. */
  cpusOfMachine: z.int().positive().optional(),
  /** A node of the admin's own that stays in the list, offline or not, so that this is never empty. */
  ownNode: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9.-]*$/, 'expected the name of a node')
    .optional(),
  /** Begins the note of every node that is offline by us. */
  drainTag: property.default('sublet'),
  /** No command may take longer, but those that delete a node. */
  commandTimeout: duration.default(20_000),
  /** Torque itself takes up to 124 s; what takes longer has an outcome that nobody knows. */
  deleteTimeout: duration.default(150_000),
  /** From a scheduler's decision until its job is seen on the node. */
  settle: duration.default(3_000),
  /** Holds the file whose lock is the pool's one seat. */
  lockFolder: path.default('/run/lock'),
})
export type TorqueConfig = z.infer<typeof torqueConfig>
