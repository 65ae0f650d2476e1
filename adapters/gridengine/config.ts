import { z } from 'zod'
import { duration } from '../../actors/runtime/settings.ts'

/** A word that may stand in an object of qconf: no blanks, commas, quotes or equals signs. */
const word = z.string().regex(/^[A-Za-z0-9_.-]+$/, 'expected a word of letters, digits and _ . -')

const path = z.string().startsWith('/', 'expected an absolute path')

export const gridengineConfig = z.strictObject({
  /** SGE_ROOT for every command. */
  root: path.default('/var/lib/gridengine'),
  /** SGE_CELL. */
  cell: word.default('default'),
  /** Where qmaster and the execution daemons listen, if not by /etc/services. */
  qmasterPort: z.int().min(1).max(65_535).optional(),
  execdPort: z.int().min(1).max(65_535).optional(),
  /** The cluster queue whose jobs are to be served. */
  queue: word,
  /** The host group in that queue's hostlist that our machines come into; nobody else's hosts belong there. */
  hostGroup: z
    .string()
    .regex(/^@[A-Za-z0-9_.-]+$/, 'expected the name of a host group, such as @sublet')
    .default('@sublet'),
  /** The complexes of type RESTRING in which lease and unit, and the reason of our drain, are kept. */
  markComplex: word.default('sublet'),
  drainComplex: word.default('sublet_drain'),
  /** Requests that are memory, the first that a job makes counts. */
  memoryComplexes: z.array(word).max(20).default(['h_vmem', 'mem_free', 'virtual_free', 'mem_total']),
  /** Requests that every machine satisfies that can be had, by the names of their complexes. */
  satisfied: z.array(word).max(100).default(['arch']),
  /** The slots of the machines that are lent: spreads jobs whose environment fills hosts up. */
  cpusOfMachine: z.int().positive().optional(),
  /** Qmaster's accounting file as the commands' machine sees it; by default that in the cell's common folder. */
  accountingFile: path.optional(),
  /** No command of GridEngine may take longer. */
  commandTimeout: duration.default(10_000),
  /** Where qstat, qhost and qconf are, if not in PATH. */
  bin: path.optional(),
  /** Holds the file whose lock is the pool's one seat. */
  lockFolder: path.default('/run/lock'),
  /**
   * Folders and files on this machine whose change means that the queue changed: the folder of
   * qmaster's database (`spooldb`) and its accounting file. GridEngine itself tells nobody.
   */
  watchPaths: z.array(path).max(20).default([]),
})
export type GridengineConfig = z.infer<typeof gridengineConfig>
