import { z } from 'zod'
import { duration } from '../../actors/runtime/settings.ts'

const path = z.string().startsWith('/', 'expected an absolute path')
const word = z.string().regex(/^[A-Za-z][A-Za-z0-9_-]*$/, 'expected a word of letters, digits and _ -')

export const openpbsConfig = z.strictObject({
  /** The server's name, for the commands (PBS_DEFAULT); absent: what their own pbs.conf says. */
  server: z
    .string()
    .regex(/^[A-Za-z0-9.:-]+$/, 'expected a host name')
    .optional(),
  /** Where qstat, qmgr and pbsnodes are, if not in PATH. */
  bin: path.optional(),
  /** The host-level resource that holds the mark of our nodes; the admin makes it once, as a string. */
  markResource: word.default('sublet'),
  /** More resources of our nodes, such as `{ scratch: "100gb", pool: "burst" }`. */
  resources: z.record(word, z.string().regex(/^[\w.:-]+$/, 'expected a word')).default({}),
  /** The cpus of the machines that are lent: chunks that may share a machine are packed onto such. */
  cpusOfMachine: z.int().positive().optional(),
  /** Begins the comment of every node that is offline by us. */
  drainTag: word.default('sublet'),
  /** No command may take longer. */
  commandTimeout: duration.default(20_000),
  /** From a scheduler's decision until its job is seen on the node. */
  settle: duration.default(1_000),
  /** Holds the file whose lock is the pool's one seat. */
  lockFolder: path.default('/run/lock'),
})
export type OpenpbsConfig = z.infer<typeof openpbsConfig>
