import { z } from 'zod'
import { duration, name } from '../../actors/runtime/settings.ts'
import { expandHosts } from './hostlist.ts'

/** A word that may stand in a Slurm configuration line: no blanks, commas, quotes or equals signs. */
const word = z.string().regex(/^[A-Za-z0-9_.:-]+$/, 'expected a word of letters, digits and _ . : -')

const path = z.string().startsWith('/', 'expected an absolute path')

/** Whence the record of a machine's node comes. */
export const NODES = ['self', 'fixed', 'listed'] as const
export type Nodes = (typeof NODES)[number]

const LISTED_MAX = 10_000

const hosts = z
  .string()
  .regex(/^[A-Za-z0-9_.,[\]-]+$/, 'expected names of nodes, such as cloud[1-100]')
  .refine(isShortList, `expected up to ${LISTED_MAX} names of nodes, such as cloud[1-100]`)

function isShortList(text: string): boolean {
  try {
    const { length } = expandHosts(text)
    return length > 0 && length <= LISTED_MAX
  } catch {
    return false
  }
}

export const slurmConfig = z.strictObject({
  /** Its ClusterName, checked if given; otherwise what the controller says. */
  cluster: name.optional(),
  /** SLURM_CONF for every command. */
  confFile: path.default('/etc/slurm/slurm.conf'),
  /** The partition whose jobs are to be served. It takes our nodes in by a NodeSet with `feature`. */
  partition: word,
  /** The feature of the partition's NodeSet. */
  feature: word.default('dynf'),
  /**
   * `self`: slurmd -Z brings its node's record · `fixed`: `expect` makes the record, slurmd finds it · `listed`: slurm.conf
   * has the records, and a machine takes one of `names`.
   */
  nodes: z.enum(NODES).default('self'),
  /** Of `listed`: names of FUTURE or CLOUD nodes as slurm.conf writes them, `cloud[1-100]`, for machines of ours alone. */
  names: hosts.optional(),
  /** `auto`: JSON where the commands offer it, text where they do not. */
  format: z.enum(['json', 'text', 'auto']).default('auto'),
  /** Begins the reason of every drain of ours. */
  drainTag: word.default('sublet'),
  /** No command of Slurm may take longer. */
  commandTimeout: duration.default(10_000),
  /** Where squeue, sinfo and scontrol are, if not in PATH. */
  bin: path.optional(),
  /** The cpus of the machines that are lent: spreads jobs that name a number of tasks but no nodes. */
  cpusOfMachine: z.int().positive().optional(),
  /** Holds the file whose lock is the pool's one seat. */
  lockFolder: path.default('/run/lock'),
  /**
   * Files and folders on this machine whose change means that the queue changed: of Slurm's
   * StateSaveLocation the folders hash.0 to hash.9 (a batch job came), and the log of jobcomp/filetxt (a
   * job ended). Slurm itself tells nobody.
   */
  watchPaths: z.array(path).max(20).default([]),
})
export type SlurmConfig = z.infer<typeof slurmConfig>
