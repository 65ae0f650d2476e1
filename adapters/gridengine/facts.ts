import type { Clock, Millis } from '../../actors/runtime/clock.ts'
import { type Commands, complaint } from './commands.ts'
import type { GridengineConfig } from './config.ts'
import { parseComplexes, parseEnvironment, parseList, parseObject } from './parse-text.ts'
import type { Complex, Environment } from './records.ts'
import { durationOf } from './sizes.ts'

/** What seldom changes about the cell. */
export interface Facts {
  readonly complexes: ReadonlyMap<string, Complex>
  /** The environments that the queue is in. */
  readonly environments: readonly Environment[]
  readonly queue:
    | {
        readonly walltimeMs: Millis | undefined
        readonly rerun: boolean
        /** Host groups and hosts. */
        readonly hosts: readonly string[]
        /** New queue instances come up disabled. */
        readonly closed: boolean
      }
    | undefined
  /** Jobs of one user that may run at once, and tasks of one array; Infinity without a limit. */
  readonly jobsOfUserMax: number
  readonly tasksOfArrayMax: number
  /** The scheduler keeps hosts free for jobs that ask for it (`-R y`). */
  readonly reserves: boolean
  /** The scheduler says why it passes jobs over. */
  readonly explains: boolean
}

/** Between two askings. */
const KEEP_MS: Millis = 60_000

const limitOf = (text: string | undefined): number => Number(text) || Number.POSITIVE_INFINITY

export function factsOf(
  commands: Commands,
  config: Pick<GridengineConfig, 'queue'>,
  clock: Clock,
): { read(signal: AbortSignal): Promise<Facts>; recent(signal: AbortSignal): Promise<Facts> } {
  let kept: { readonly facts: Facts; readonly at: Millis } | undefined

  const queueOf = async (signal: AbortSignal): Promise<ReadonlyMap<string, string> | undefined> => {
    const done = await commands.run('qconf', ['-sq', config.queue], signal)
    if (done.exitCode === 0) return parseObject(done.stdout)
    if (/No cluster queue|does not exist|no cqueue|matching/i.test(complaint(done))) return undefined
    throw commands.refused('qconf -sq', done)
  }

  const read = async (signal: AbortSignal): Promise<Facts> => {
    const complexes = parseComplexes(await commands.ask('qconf', ['-sc'], signal))
    const scheduler = parseObject(await commands.ask('qconf', ['-ssconf'], signal))
    const global = parseObject(await commands.ask('qconf', ['-sconf'], signal))
    const queue = await queueOf(signal)
    const environments: Environment[] = []
    // A list may have values of its own for hosts: `smp mpi,[g1=mpi]`.
    for (const name of parseList((queue?.get('pe_list') ?? '').replaceAll(/,?\[[^\]]*\]/g, '')))
      environments.push(parseEnvironment(await commands.ask('qconf', ['-sp', name], signal)))
    const facts: Facts = {
      complexes,
      environments,
      queue: queue && {
        walltimeMs: durationOf((queue.get('h_rt') ?? '').split(',')[0] ?? ''),
        rerun: /^TRUE/i.test(queue.get('rerun') ?? ''),
        hosts: parseList((queue.get('hostlist') ?? '').replaceAll(/,?\[[^\]]*\]/g, '')),
        closed: /^disabled/i.test(queue.get('initial_state') ?? ''),
      },
      jobsOfUserMax: limitOf(scheduler.get('maxujobs')),
      tasksOfArrayMax: limitOf(global.get('max_aj_instances')),
      reserves: Number(scheduler.get('max_reservation')) > 0,
      explains: /^(?:true|job_list)/i.test(scheduler.get('schedd_job_info') ?? ''),
    }
    kept = { facts, at: clock.monotonic() }
    return facts
  }

  return {
    read,
    recent: async (signal) =>
      kept !== undefined && clock.monotonic() - kept.at < KEEP_MS ? kept.facts : read(signal),
  }
}
