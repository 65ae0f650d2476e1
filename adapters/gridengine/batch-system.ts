import { type Clock, deadline, type Millis, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { both } from '../batch/both.ts'
import { checkLowerCase, unfitName } from '../batch/names.ts'
import { growingPauses } from '../batch/pauses.ts'
import { seatOf } from '../batch/seat.ts'
import { inSlices } from '../batch/slices.ts'
import { watchPaths } from '../batch/watch.ts'
import type { BatchPicture, BatchSystem, ExpectedNode, NodeMark } from '../batch-system.ts'
import type { Executor } from '../executor.ts'
import { toldOf } from '../finding.ts'
import { examineGridengine, gridengineFindings } from './check.ts'
import { gridengineCommands } from './commands.ts'
import type { GridengineConfig } from './config.ts'
import { detailsOf } from './details.ts'
import { endedJobs } from './ended.ts'
import { factsOf } from './facts.ts'
import { hostsOf } from './hosts.ts'
import { readDrain, readMark, sameMark } from './marks.ts'
import { pictureOf } from './picture.ts'
import { gridengineReader } from './reader.ts'
import type { HostRecord } from './records.ts'
import { requeuer } from './requeue.ts'
import { queueWord } from './states.ts'

/** Between two questions whether the machine has registered, at first; each is a short command. */
const ASK_AGAIN_MS: Millis = 150
const ASK_AGAIN_MS_MAX: Millis = 2_000
/** How long qmaster may take to let go of a host; then the caller asks again. */
const LET_GO_MS: Millis = 5_000

/**
 * GridEngine 8.1 through its own commands.
 *
 *   our verb   in GridEngine
 *   ────────   ─────────────
 *   expect     exec host with mark ─▶ slots ─▶ host group ─▶ administrative host; then sge_execd is heard
 *   drain      complex_values slots=0,sublet_drain=…     the host has no slot left to give
 *   resume     those two are taken away again
 *   remove     drain ─▶ look ─▶ host group ─▶ look ─▶ administrative host ─▶ exec host
 *
 * The disabled state of queue instances is the admin's, and never touched (see marks.ts).
 */
export function gridengine(
  config: GridengineConfig,
  exec: Executor,
  deps: { readonly clock: Clock },
): BatchSystem {
  const { clock } = deps
  const commands = gridengineCommands(exec, config)
  const facts = factsOf(commands, config, clock)
  const reader = gridengineReader(commands)
  const details = detailsOf(reader)
  const ended = endedJobs(config.queue)
  const hosts = hostsOf(commands, config)
  const requeue = requeuer(commands)
  const accountingFile = config.accountingFile ?? `${config.root}/${config.cell}/common/accounting`
  const ourComplexes = [config.markComplex, config.drainComplex]
  /** Jobs were listed in the last look: an empty list must now be confirmed. Unknown at first. */
  let hadJobs = true
  const seat = seatOf(config.lockFolder, `gridengine-${config.cell}-${config.queue}`)

  /** The host if it is there and ours; undefined if it is not there. */
  const ours = async (name: string, mark: NodeMark, signal: AbortSignal): Promise<HostRecord | undefined> => {
    const host = await reader.host(name, ourComplexes, signal)
    if (host === undefined) return undefined
    const found = readMark(host.values.get(config.markComplex)?.value)
    if (sameMark(found, mark)) return host
    const whose =
      found === undefined ? 'carries no mark of ours' : `is marked for ${found.leaseId}/${found.unitId}`
    throw new SubletError('node-not-ours', `Node ${name} ${whose}, not for ${mark.leaseId}/${mark.unitId}`)
  }

  const present = async (name: string, mark: NodeMark, signal: AbortSignal): Promise<HostRecord> => {
    const host = await ours(name, mark, signal)
    if (host === undefined)
      throw new SubletError('middleware-refused', `GridEngine has no execution host ${name}`)
    return host
  }

  const instanceOf = (host: HostRecord) => host.queues.find(({ queue }) => queue === config.queue)
  const drainOf = (host: HostRecord): string | undefined => {
    const value = host.values.get(config.drainComplex)?.value
    return value === undefined ? undefined : readDrain(value)
  }
  const isDisabled = (host: HostRecord): boolean => queueWord(instanceOf(host)?.letters ?? '').disabled
  const slotsUsed = (host: HostRecord): number =>
    host.queues.reduce((sum, { slotsUsed: used }) => sum + used, 0)

  /** A second source for an empty list: no slot in use anywhere, and another form of the list. */
  const isReallyEmpty = async (records: readonly HostRecord[], signal: AbortSignal): Promise<boolean> => {
    if (records.some((host) => slotsUsed(host) > 0)) return false
    const listed = await commands.ask('qstat', ['-u', '*', '-s', 'prs'], signal)
    return listed.trim() === ''
  }

  const observe = async (signal: AbortSignal): Promise<BatchPicture> => {
    signal.throwIfAborted()
    const startedAt = clock.now()
    const known = await facts.recent(signal)
    const [[jobs, quotas], [read, reservations]] = await both(
      signal,
      (stop) => both(stop, reader.jobs, reader.quotas),
      (stop) => both(stop, (end) => reader.hosts(known.complexes.keys(), end), reader.reservations),
    )
    const [holds, [learned, accounted]] = await both(
      signal,
      (stop) => reader.holds(jobs.records, stop),
      (stop) =>
        both(
          stop,
          (end) => details.learn(jobs.records, end),
          (end) => reader.accounted(accountingFile, end),
        ),
    )
    const seen = await inSlices(
      pictureOf(
        {
          rows: jobs.records,
          details: learned.details,
          messages: learned.messages,
          holds,
          hosts: read.records,
          global: read.global,
          globalNames: new Set(read.global?.values.keys()),
          reservations,
          quotas,
          facts: known,
          now: clock.now(),
        },
        config,
      ),
      { clock, signal },
    )
    const doubt: string[] = []
    if (known.queue === undefined) doubt.push(`There is no cluster queue ${config.queue}`)
    const hasJobs = jobs.records.length > 0
    if (!hasJobs && hadJobs && !(await isReallyEmpty(read.records, signal)))
      doubt.push('The list of jobs is empty, but another look at the cluster shows jobs')
    hadJobs = hasJobs || doubt.length > 0
    return {
      startedAt,
      at: clock.now(),
      jobs: [...seen.jobs, ...ended.among(seen.jobs, accounted, clock.now())],
      nodes: seen.nodes,
      unread: read.unread ?? [],
      warnings: [...jobs.warnings, ...read.warnings, ...learned.warnings, ...seen.warnings, ...doubt],
      trust: doubt.length === 0 ? 'confirmed' : 'doubtful',
    }
  }

  const vet = async ({ name, mark }: ExpectedNode, signal: AbortSignal): Promise<HostRecord | undefined> => {
    signal.throwIfAborted()
    checkLowerCase('GridEngine', name)
    return ours(name, mark, signal)
  }

  /** Before the record goes into the queue: it is ours, and has the name that its machine says. */
  const settled = async ({ name, mark }: ExpectedNode, signal: AbortSignal): Promise<void> => {
    const host = await ours(name, mark, signal)
    if (host === undefined || host.name === name) return
    // By the name that the rights to our machines are given for.
    await hosts.forget(name, signal)
    throw unfitName('GridEngine', name, `it resolves it to ${host.name}`)
  }

  const announce = (node: ExpectedNode, signal: AbortSignal): Promise<void> =>
    hosts.announce(node, () => settled(node, signal), signal)

  const expect = async (node: ExpectedNode, signal: AbortSignal): Promise<void> => {
    const before = await vet(node, signal)
    // Known to qmaster: then it also has the right that is given last.
    if (before === undefined || !before.known || instanceOf(before)?.slots !== node.cpus)
      await announce(node, signal)
    const pauses = growingPauses(clock, ASK_AGAIN_MS, ASK_AGAIN_MS_MAX)
    for (;;) {
      const host = await ours(node.name, node.mark, signal)
      // Somebody took the record away while we waited for its machine.
      if (host === undefined) await announce(node, signal)
      else {
        const instance = instanceOf(host)
        const works = instance !== undefined && queueWord(instance.letters).fitness === 'works'
        if (works && host.known && drainOf(host) === undefined) return
        if (works && host.known) {
          await hosts.undrain(node.name, signal)
          pauses.startOver()
          continue
        }
      }
      await pauses.next(signal)
    }
  }

  const drain = async (name: string, mark: NodeMark, reason: string, signal: AbortSignal): Promise<void> => {
    const before = await present(name, mark, signal)
    if (isDisabled(before) || drainOf(before) !== undefined) return
    await hosts.drain(name, reason, signal)
    if (drainOf(await present(name, mark, signal)) === undefined)
      throw new SubletError('middleware-refused', `Node ${name} still has slots after it was drained`)
  }

  const resume = async (name: string, mark: NodeMark, signal: AbortSignal): Promise<void> => {
    if (drainOf(await present(name, mark, signal)) === undefined) return
    await hosts.undrain(name, signal)
    if (drainOf(await present(name, mark, signal)) !== undefined)
      throw new SubletError('middleware-refused', `Node ${name} is still drained after it was resumed`)
  }

  const busy = (name: string, what: string): SubletError =>
    new SubletError('node-busy', `Node ${name} is not removed: ${what}`)

  /** Deletes what nothing refers to any more. */
  const forget = async (name: string, mark: NodeMark, signal: AbortSignal): Promise<void> => {
    const late = (): SubletError => busy(name, 'GridEngine has not yet let go of it')
    const limit = deadline(clock, LET_GO_MS, late, signal)
    try {
      while (!(await hosts.forget(name, limit.signal))) {
        await sleep(clock, ASK_AGAIN_MS, limit.signal)
        if ((await ours(name, mark, limit.signal)) === undefined) return
      }
    } finally {
      limit.done()
    }
  }

  const removeIdle = async (name: string, mark: NodeMark, signal: AbortSignal): Promise<void> => {
    const holdsIt = async (): Promise<void> => {
      const host = await ours(name, mark, signal)
      if (host !== undefined && slotsUsed(host) > 0)
        throw busy(name, `${slotsUsed(host)} of its slots are used`)
    }
    await holdsIt()
    // Also where the admin has disabled it: she may enable it at any moment.
    await hosts.drain(name, 'leaves', signal)
    await holdsIt()
    await hosts.takeOut(name, signal)
    try {
      // A start that qmaster had already ordered: its queue instance stays until it has ended.
      await holdsIt()
    } catch (error) {
      await hosts.putBack(name, signal)
      throw error
    }
    await forget(name, mark, signal)
  }

  const removeLost = async ({ name }: HostRecord, mark: NodeMark, signal: AbortSignal): Promise<void> => {
    await hosts.drain(name, 'the machine is lost', signal)
    await hosts.takeOut(name, signal)
    const { records } = await reader.jobs(signal)
    const bound = records.filter((row) => row.queueInstance.endsWith(`@${name}`))
    await requeue.lost(bound, signal)
    await forget(name, mark, signal)
  }

  return {
    name: `gridengine queue ${config.queue}`,
    capabilities: {
      events: config.watchPaths.length > 0,
      nodes: 'created',
      requeue: true,
      settleMs: 0,
    },
    check: async (signal) => toldOf(await gridengineFindings(config, commands, facts, signal)),
    examine: async (examination, signal) =>
      examineGridengine(
        await gridengineFindings(config, commands, facts, signal),
        { commands, facts, clock, reader, config },
        examination,
        signal,
      ),
    observe,
    vet: async (node, signal) => void (await vet(node, signal)),
    expect,
    drain,
    resume,
    async remove(name, mark, { lost }, signal) {
      const host = await ours(name, mark, signal)
      if (host === undefined) return
      await (lost ? removeLost(host, mark, signal) : removeIdle(host.name, mark, signal))
      if ((await reader.host(name, ourComplexes, signal)) !== undefined)
        throw new SubletError('middleware-refused', `Node ${name} is there again after it was deleted`)
    },
    requeue: (jobIds, _reason, signal) => requeue.all(jobIds, signal),
    ...(config.watchPaths.length > 0 && {
      watch: (onChange: () => void, signal: AbortSignal) =>
        watchPaths(config.watchPaths, clock, onChange, signal),
    }),
    async claim(owner, signal) {
      signal.throwIfAborted()
      seat.take(owner)
    },
    async close() {
      seat.giveBack()
    },
  }
}
