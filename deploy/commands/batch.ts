import { resolve } from 'node:path'
import type { Clock } from '../../actors/runtime/clock.ts'
import { parseDuration } from '../../actors/runtime/durations.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { type BatchUser, batchUser } from '../../adapters/embedded/batch-client.ts'
import type { JobRecord } from '../../adapters/embedded/batch-records.ts'
import { batchSocketIn, endBatchServer, spawnBatchServer } from '../../adapters/embedded/batch-server.ts'
import { span } from '../../controllers/sentence.ts'
import { table } from '../reports/show.ts'
import { makeNamedFolder } from '../upkeep/make-folder.ts'
import { EXIT, print, printJson } from './terminal.ts'

/** The embedded batch system by hand: what `sbatch`, `squeue` and `scancel` are to Slurm. */

export interface BatchOptions {
  readonly json?: true
  readonly dir: string
}

export interface SubmitOptions extends BatchOptions {
  readonly nodes: number
  readonly cpus: number
  readonly memory: number
  readonly tasks: number
  readonly time?: string
  readonly user: string
  readonly hold?: true
}

export async function startBatch({ dir, json }: BatchOptions, clock: Clock): Promise<number> {
  makeNamedFolder(resolve(dir), 'Name another folder with --dir.')
  const { pid, socket } = await spawnBatchServer(resolve(dir), {}, clock)
  if (json) printJson({ pid, socket })
  else print(`the embedded batch system runs (pid ${pid}); its socket is ${socket}`)
  return EXIT.done
}

export async function stopBatch({ dir, json }: BatchOptions, clock: Clock): Promise<number> {
  await endBatchServer(resolve(dir), clock)
  if (json) printJson({ stopped: true })
  else print('the embedded batch system has ended; its jobs go on, and a new start takes them up')
  return EXIT.done
}

export async function submit(command: string, options: SubmitOptions, clock: Clock): Promise<number> {
  const { nodes, cpus, memory, tasks, time, hold } = options
  const walltimeMs = time === undefined ? undefined : parseDuration(time)
  if (time !== undefined && walltimeMs === undefined)
    throw new SubletError('usage', `“${time}” is no length of time; expected 90s, 10m or 2h`)
  return asUser(options, clock, async (user) => {
    const id = await user.submit({
      ...{ command, nodes, tasks, user: options.user, cpusPerNode: cpus, memoryMiBPerNode: memory },
      ...(walltimeMs === undefined ? {} : { walltimeMs }),
      held: hold === true,
    })
    if (options.json) printJson({ id })
    else print(`job ${id}`)
  })
}

export const jobs = (options: BatchOptions & { readonly all?: true }, clock: Clock): Promise<number> =>
  asUser(options, clock, async (user) => {
    const records = (await user.jobRecords()).filter(({ state }) => options.all || state !== 'ended')
    if (options.json) printJson(records)
    else print(records.length === 0 ? 'no jobs' : showJobs(records, clock.now()))
  })

export const orderJob = (
  order: 'hold' | 'release' | 'cancel',
  id: string,
  options: BatchOptions,
  clock: Clock,
): Promise<number> =>
  asUser(options, clock, async (user) => {
    await user[order](id)
    if (options.json) printJson({ id, order })
    else print(`job ${id}: ${order}`)
  })

async function asUser(
  { dir }: BatchOptions,
  clock: Clock,
  act: (user: BatchUser) => Promise<void>,
): Promise<number> {
  const user = batchUser(batchSocketIn(resolve(dir)), clock)
  try {
    await act(user)
  } finally {
    await user.close()
  }
  return EXIT.done
}

const showJobs = (records: readonly JobRecord[], now: number): string =>
  table(
    ['JOB', 'USER', 'STATE', 'AGE', 'NODES', 'COMMAND'],
    records.map((job) => [
      job.id,
      job.user,
      job.state === 'pending' && job.held ? 'held' : job.state,
      span(now - job.submittedAt),
      job.parts.map(({ node }) => node).join(',') || String(job.nodes),
      job.command,
    ]),
  )
