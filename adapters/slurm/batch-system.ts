import type { Clock, Millis } from '../../actors/runtime/clock.ts'
import { deadline, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { both } from '../batch/both.ts'
import { growingPauses } from '../batch/pauses.ts'
import { type Seat, seatOf } from '../batch/seat.ts'
import { inSlices } from '../batch/slices.ts'
import { watchPaths } from '../batch/watch.ts'
import type { BatchPicture, BatchSystem, ExpectedNode, NodeMark } from '../batch-system.ts'
import type { Executor } from '../executor.ts'
import { toldOf } from '../finding.ts'
import { examineSlurm, slurmFindings } from './check.ts'
import { complaint, slurmCommands } from './commands.ts'
import type { SlurmConfig } from './config.ts'
import { factsOf } from './facts.ts'
import { frameOf, nowThere } from './frame.ts'
import { featuresWith, hasNoMachine, listedNames, notOurs } from './listed.ts'
import { drainReason, isOurReason, markComment, markFeature, readMark, sameMark } from './marks.ts'
import { isBusyState, jobsOf, judgeJobs, nodesOf } from './picture.ts'
import { slurmReader } from './reader.ts'
import type { NodeRecord } from './records.ts'
import { requeuer } from './requeue.ts'
import { reservationsOf } from './reservations.ts'
import { isOnNodes, nodeFitness } from './states.ts'

/** Between two questions whether the machine has registered, at first; each costs the controller under 1 ms. */
const ASK_AGAIN_MS: Millis = 60
const ASK_AGAIN_MS_MAX: Millis = 2_000
/** How long Slurm may take to let go of a node that it was told is dead; then the caller asks again. */
const LET_GO_MS: Millis = 5_000
/** The same of a listed name, which Slurm's power saving takes up within its interval. */
const LET_GO_LISTED_MS: Millis = 20_000

/**
 * Slurm 22.05 through its own commands.
 *
 *   machine of ours        record in Slurm                       our verb
 *   ───────────────        ───────────────                       ────────
 *   slurmd -Z starts  ──▶  idle+drain, no reason, our feature
 *                          idle                              ◀── expect   (State=IDLE, not RESUME: see letIn)
 *                          idle+drain, reason “sublet: …”    ◀── drain
 *                          idle                              ◀── resume
 *                          idle+drain, then none             ◀── remove   (Slurm refuses while a job is there)
 *
 * Every change is preceded and followed by a look, because Slurm's update has no condition: between the
 * look and the change, some 10 ms, an admin's own drain could still be overwritten.
 */
export function slurm(config: SlurmConfig, exec: Executor, deps: { readonly clock: Clock }): BatchSystem {
  const { clock } = deps
  const { partition, drainTag } = config
  const commands = slurmCommands(exec, {
    confFile: config.confFile,
    bin: config.bin,
    timeoutMs: config.commandTimeout,
  })
  const facts = factsOf(commands, partition, clock)
  const reader = slurmReader(commands, { format: config.format, clock })
  const readReservations = reservationsOf(commands, clock)
  const requeue = requeuer(commands, reader, clock)
  const listed = config.nodes === 'listed' ? listedNames(config, { commands, reader, clock }) : undefined
  /** Jobs were listed in the last look: an empty list must now be confirmed. Unknown at first. */
  let hadJobs = true
  let seat: Seat | undefined

  const changed = async (args: readonly string[], signal: AbortSignal): Promise<void> => {
    await commands.ask('scontrol', args, signal)
  }

  /** The node if it is there and ours; undefined if it is not there. */
  const ours = async (name: string, mark: NodeMark, signal: AbortSignal): Promise<NodeRecord | undefined> => {
    if (listed !== undefined) return listed.ours(name, mark, signal)
    const record = await reader.node(name, signal)
    if (record === undefined || sameMark(readMark(record.features, record.comment), mark)) return record
    throw notOurs(record, mark)
  }

  const present = async (name: string, mark: NodeMark, signal: AbortSignal): Promise<NodeRecord> => {
    const record = await ours(name, mark, signal)
    if (record === undefined) throw new SubletError('middleware-refused', `Slurm has no node ${name}`)
    return record
  }

  const drainOf = (record: NodeRecord): 'no' | 'ours' | 'theirs' => {
    if (!record.states.includes('drain')) return 'no'
    return isOurReason(drainTag, record.reason) ? 'ours' : 'theirs'
  }

  /**
   * Takes a drain of ours back. RESUME and UNDRAIN make Slurm ping the node first and schedule two of its
   * one-second rounds later (1.0 to 2.1 s until a job starts); IDLE makes it available at once (0.1 to
   * 1.0 s), but is right only where no job is. `address`: that of a CLOUD node, which `scontrol reconfigure` takes
   * from one that is powered down.
   */
  const letIn = (
    record: NodeRecord,
    mark: NodeMark,
    address: string | undefined,
    signal: AbortSignal,
  ): Promise<void> => {
    const where = address !== undefined && record.states.includes('cloud') ? [`NodeAddr=${address}`] : []
    const state = record.cpusInUse === 0 && !isBusyState(record.states) ? 'IDLE' : 'UNDRAIN'
    return changed(
      ['update', `NodeName=${record.name}`, `State=${state}`, `Comment=${markComment(mark)}`, ...where],
      signal,
    )
  }

  const create = async (node: ExpectedNode, signal: AbortSignal): Promise<void> => {
    const line = [
      `NodeName=${node.name}`,
      `NodeHostname=${node.name}`,
      `NodeAddr=${node.address}`,
      `CPUs=${node.cpus}`,
      `RealMemory=${node.memoryMiB}`,
      `Feature=${config.feature},${markFeature(node.mark)}`,
      // Not CLOUD, which Slurm's own power saving would switch off.
      'State=FUTURE',
    ]
    await changed(['create', ...line], signal)
  }

  /**
   * Slurm 22.05.8 dies (SIGSEGV in sched/backfill, at its next cycle) when a node is deleted that it has
   * planned for a wide job. A node that takes no jobs loses that flag with the next cycle (bf_interval)
   * and does not get it again, so it is drained before and not deleted while it has the flag.
   */
  const isPlanned = (record: NodeRecord): boolean => record.states.includes('planned')

  /** A second source for an empty list: another format, and no cpu in use anywhere. */
  const isReallyEmpty = async (nodes: readonly NodeRecord[], signal: AbortSignal): Promise<boolean> => {
    if (nodes.some((node) => node.cpusInUse > 0 || isBusyState(node.states))) return false
    return (await reader.liveJobs(signal)) === 0
  }

  const observe = async (signal: AbortSignal): Promise<BatchPicture> => {
    signal.throwIfAborted()
    const startedAt = clock.now()
    const [[known, reserved], [jobRecords, nodeRecords]] = await both(
      signal,
      (stop) => both(stop, facts.recent, readReservations),
      (stop) => both(stop, reader.jobs, listed === undefined ? reader.nodes : listed.nodes),
    )
    const isAnyPlanned = nodeRecords.records.some(isPlanned)
    const isWideWaiting = jobRecords.records.some((job) => job.state === 'PENDING' && job.nodes > 1)
    const plans =
      isAnyPlanned || isWideWaiting ? await reader.plans(signal) : new Map<string, readonly string[]>()

    const frame = frameOf(
      config,
      { known, plans, nodes: nodeRecords.records, reservations: reserved },
      nowThere(jobRecords.records, clock.now()),
    )
    const turn = { clock, signal }
    const judged = await inSlices(judgeJobs(jobRecords.records, frame), turn)
    const { nodes, warnings } = await inSlices(nodesOf(nodeRecords.records, judged.jobs, frame), turn)
    const served = new Set(
      nodeRecords.records.filter((node) => node.partitions.includes(partition)).map((node) => node.name),
    )
    const jobs = (await inSlices(jobsOf(judged.jobs, frame), turn)).filter(
      (job) => job.queue === partition || job.nodeNames.some((name) => served.has(name)),
    )

    const doubt: string[] = []
    const isOthersSeen = jobRecords.records.some((job) => job.user !== known.user)
    if (known.hidden.includes('jobs') && !known.isPrivileged && !isOthersSeen)
      doubt.push(`PrivateData hides other users’ jobs from ${known.user}; the list of jobs proves nothing`)
    if (known.hidden.includes('nodes') && !known.isPrivileged)
      doubt.push(`PrivateData hides nodes from ${known.user}; the list of nodes proves nothing`)
    const hasJobs = judged.jobs.some(({ state }) => state !== 'ended')
    if (!hasJobs && hadJobs && !(await isReallyEmpty(nodeRecords.records, signal)))
      doubt.push('The list of jobs is empty, but another look at the cluster shows jobs')
    hadJobs = hasJobs || doubt.length > 0

    return {
      startedAt,
      at: clock.now(),
      jobs,
      nodes,
      unread: nodeRecords.unread,
      warnings: [...jobRecords.warnings, ...nodeRecords.warnings, ...judged.warnings, ...warnings, ...doubt],
      trust: doubt.length === 0 ? 'confirmed' : 'doubtful',
    }
  }

  /** The record of a machine that is to come; `known` is the name by which it was found before. */
  const expected = async (
    node: ExpectedNode,
    known: string | undefined,
    signal: AbortSignal,
  ): Promise<NodeRecord | undefined> => {
    if (listed === undefined) return ours(node.name, node.mark, signal)
    const record = known === undefined ? undefined : await reader.node(known, signal)
    const isSame = record !== undefined && sameMark(readMark(record.features, record.comment), node.mark)
    return isSame ? record : listed.take(node, signal)
  }

  /** By this feature slurmd -F finds its record. A controller that was started anew has those of slurm.conf again. */
  const call = async (record: NodeRecord, mark: NodeMark, signal: AbortSignal): Promise<void> => {
    if (listed === undefined || !record.states.includes('future')) return
    if (record.features.includes(markFeature(mark))) return
    await changed(['update', `NodeName=${record.name}`, ...featuresWith(record, mark)], signal)
  }

  const expect = async (node: ExpectedNode, signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted()
    const pauses = growingPauses(clock, ASK_AGAIN_MS, ASK_AGAIN_MS_MAX)
    let known: string | undefined
    for (;;) {
      const record = await expected(node, known, signal)
      known = record?.name
      if (record === undefined && config.nodes === 'fixed') await create(node, signal)
      else if (record !== undefined) {
        await call(record, node.mark, signal)
        const { fitness } = nodeFitness(record.states)
        if (fitness === 'works') return
        if (fitness === 'refuses' && drainOf(record) === 'ours') {
          await letIn(record, node.mark, node.address, signal)
          pauses.startOver()
          continue
        }
      }
      await pauses.next(signal)
    }
  }

  const drain = async (name: string, mark: NodeMark, reason: string, signal: AbortSignal): Promise<void> => {
    const words = drainReason(drainTag, reason)
    const before = await present(name, mark, signal)
    // A record that waits for its machine takes no jobs, and Slurm does not drain it.
    if (before.states.includes('future')) return
    if (drainOf(before) === 'theirs') return
    if (drainOf(before) === 'ours' && before.reason === words) return
    await changed(['update', `NodeName=${before.name}`, 'State=DRAIN', `Reason=${words}`], signal)
    const after = await present(name, mark, signal)
    if (drainOf(after) === 'no')
      throw new SubletError(
        'middleware-refused',
        `Node ${name} still takes jobs after it was drained; somebody else resumed it`,
      )
  }

  const resume = async (name: string, mark: NodeMark, signal: AbortSignal): Promise<void> => {
    const before = await present(name, mark, signal)
    if (drainOf(before) !== 'ours') return
    await letIn(before, mark, undefined, signal)
    const after = await present(name, mark, signal)
    if (drainOf(after) === 'ours')
      throw new SubletError('middleware-refused', `Node ${name} is still drained after it was resumed`)
  }

  /** True if the record is gone. Slurm itself refuses while a job is on the node, also one that came just now. */
  const deleted = async (record: NodeRecord, signal: AbortSignal): Promise<boolean> => {
    const { name } = record
    if (listed !== undefined) {
      // That it does not refuse: what was seen empty was drained before, or is down.
      if (record.cpusInUse > 0 || isBusyState(record.states)) return false
      return listed.giveBack(record, signal)
    }
    const done = await commands.run('scontrol', ['delete', `NodeName=${name}`], signal)
    if (done.exitCode === 0 || /Invalid node name/i.test(done.stderr)) return true
    if (/busy/i.test(done.stderr)) return false
    throw new SubletError('middleware-refused', `Slurm would not delete node ${name}: ${complaint(done)}`)
  }

  const busy = (name: string, what: string): SubletError =>
    new SubletError('node-busy', `Node ${name} is not removed: ${what}`)

  const removeIdle = async (record: NodeRecord, mark: NodeMark, signal: AbortSignal): Promise<void> => {
    const { name } = record
    const holdsIt = (seen: NodeRecord): SubletError | undefined => {
      if (seen.cpusInUse > 0 || isBusyState(seen.states))
        return busy(name, `Slurm shows it as ${seen.states.join('+')}`)
      return isPlanned(seen) ? busy(name, 'the scheduler has planned it for a waiting job') : undefined
    }
    const before = holdsIt(record)
    if (before !== undefined) throw before
    await drain(name, mark, 'leaves', signal)
    const drained = await present(name, mark, signal)
    const after = holdsIt(drained)
    if (after !== undefined) throw after
    if (!(await deleted(drained, signal)))
      throw busy(name, listed === undefined ? 'a job has just come' : 'Slurm has not yet powered it down')
  }

  /**
   * A silent node never says that a job which was put back has ended there, and Slurm holds the job as completing until it
   * gives the node up, if it ever does (SlurmdTimeout). Where nothing else is on it, and we have drained it, it is told down.
   */
  const giveUpSilent = async (jobIds: readonly string[], signal: AbortSignal): Promise<void> => {
    const nodes = (await reader.nodes(signal)).records.filter(
      (node) =>
        nodeFitness(node.states).fitness === 'silent' &&
        readMark(node.features, node.comment) !== undefined &&
        drainOf(node) === 'ours',
    )
    if (nodes.length === 0) return
    const read = await reader.jobs(signal)
    // What cannot be read may run there, and down would end it.
    if (read.warnings.length > 0) return
    const jobs = read.records.filter(({ state }) => isOnNodes(state))
    const reason = drainReason(drainTag, 'it does not answer, and its jobs were put back')
    for (const { name } of nodes) {
      const on = jobs.filter(({ nodeNames }) => nodeNames.includes(name))
      if (on.length > 0 && on.every(({ id }) => jobIds.includes(id)))
        await changed(['update', `NodeName=${name}`, 'State=DOWN', `Reason=${reason}`], signal)
    }
  }

  /** Down makes Slurm end or requeue every job of the node by itself, then the record can go. */
  const removeLost = async (lost: NodeRecord, mark: NodeMark, signal: AbortSignal): Promise<void> => {
    if (listed !== undefined && hasNoMachine(lost)) return removeIdle(lost, mark, signal)
    const { name } = lost
    const bound = await requeue.boundTo(name, signal)
    const reason = drainReason(drainTag, 'the machine is lost')
    await changed(['update', `NodeName=${name}`, 'State=DOWN', `Reason=${reason}`], signal)
    const again = bound.filter((job) => job.requeueable).map((job) => job.id)
    await requeue.letStart(again, signal)
    const late = (): SubletError => busy(name, 'it is down, but Slurm has not yet let go of it')
    const limit = deadline(clock, listed === undefined ? LET_GO_MS : LET_GO_LISTED_MS, late, signal)
    try {
      for (;;) {
        const record = await ours(name, mark, limit.signal)
        if (record === undefined || (!isPlanned(record) && (await deleted(record, limit.signal)))) return
        await sleep(clock, ASK_AGAIN_MS, limit.signal)
      }
    } finally {
      limit.done()
    }
  }

  return {
    name: `slurm ${config.cluster === undefined ? 'partition' : `cluster ${config.cluster}, partition`} ${partition}`,
    capabilities: {
      events: config.watchPaths.length > 0,
      nodes: config.nodes === 'self' ? 'self' : 'created',
      requeue: true,
      settleMs: 0,
    },
    check: async (signal) => toldOf(await slurmFindings(config, commands, { facts, listed }, signal)),
    examine: async (examination, signal) =>
      examineSlurm(
        await slurmFindings(config, commands, { facts, listed }, signal),
        { commands, facts, clock, reader, config },
        examination,
        signal,
      ),
    observe,
    ...(listed === undefined
      ? { vet: async ({ name, mark }, signal) => void (await ours(name, mark, signal)) }
      : { take: async (node, signal) => (await listed.take(node, signal)).name }),
    expect,
    drain,
    resume,
    async remove(name, mark, { lost }, signal) {
      const record = await ours(name, mark, signal)
      if (record === undefined) return
      await (lost ? removeLost(record, mark, signal) : removeIdle(record, mark, signal))
      const after = listed === undefined ? reader.node(name, signal) : listed.ours(name, mark, signal)
      if ((await after) !== undefined)
        throw new SubletError('middleware-refused', `Node ${record.name} is there again after it was removed`)
    },
    requeue: (jobIds, _reason, signal) => requeue.all(jobIds, signal, (back) => giveUpSilent(back, signal)),
    ...(config.watchPaths.length > 0 && {
      watch: (onChange: () => void, signal: AbortSignal) =>
        watchPaths(config.watchPaths, clock, onChange, signal),
    }),
    async claim(owner, signal) {
      const { cluster } = await facts.recent(signal)
      seat ??= seatOf(config.lockFolder, `slurm-${cluster}-${partition}`)
      seat.take(owner)
    },
    async close() {
      seat?.giveBack()
      seat = undefined
    },
  }
}
