import type { Clock, Millis } from '../../actors/runtime/clock.ts'
import { sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { checkLowerCase, unfitName } from '../batch/names.ts'
import { growingPauses } from '../batch/pauses.ts'
import { seatOf } from '../batch/seat.ts'
import type { BatchPicture, BatchSystem, ExpectedNode, NodeMark } from '../batch-system.ts'
import { isSameHost } from '../presence.ts'
import { together } from './commands.ts'
import type { Dialect } from './dialect.ts'
import { isOurNote, noteBefore, ourNote, placeOf, sameMark } from './marks.ts'
import { drainOf, type Frame, isHeard, jobsOf, nodesOf } from './picture.ts'
import type { NodeRecord } from './records.ts'
import { removal } from './removal.ts'
import { requeue } from './requeue.ts'

/** Between two questions whether the machine has reported, at first. */
const ASK_AGAIN_MS: Millis = 250
const ASK_AGAIN_MS_MAX: Millis = 2_000

/** On a record of ours from its birth until it is let in. */
const NOT_YET = 'not yet let in'

/**
 * Torque and OpenPBS, through their own commands.
 *
 *   machine of ours                 its record                        our verb
 *   ───────────────                 ──────────                        ────────
 *                                   made, marked, “not yet let in” ◀── expect
 *   its daemon reports        ──▶   free                           ◀── expect   (offline and note cleared)
 *                                   offline, note “sublet: …”      ◀── drain
 *                                   free                           ◀── resume
 *                                   offline, then none             ◀── remove
 *
 * Every change is preceded and followed by a look: no command has a condition, Torque deletes a node with jobs
 * on it, and some of its refusals end with status 0. Between a look and the change after it an admin's own
 * change, some 50 ms, could still be overwritten.
 */
export function pbsSystem(
  dialect: Dialect,
  {
    clock,
    check,
    examine,
    lockFolder,
  }: {
    readonly clock: Clock
    readonly lockFolder: string
    readonly check: BatchSystem['check']
    readonly examine: NonNullable<BatchSystem['examine']>
  },
): BatchSystem {
  const { product, drainTag } = dialect
  const seat = seatOf(lockFolder, `${product.toLowerCase()}-${dialect.pool}`)
  /** Jobs were listed in the last look: an empty list must now be confirmed. Unknown at first. */
  let hadJobs = true

  /** The node if it is there and ours, or one that we kept; undefined if it is not there. */
  const ours = async (name: string, mark: NodeMark, signal: AbortSignal): Promise<NodeRecord | undefined> => {
    const record = await dialect.node(name, signal)
    if (record === undefined || record.isKept || sameMark(record.mark, mark)) return record
    const whose =
      record.mark === undefined
        ? 'carries no mark of ours'
        : `is marked for ${record.mark.leaseId}/${record.mark.unitId}`
    throw new SubletError('node-not-ours', `Node ${name} ${whose}, not for ${mark.leaseId}/${mark.unitId}`)
  }

  const present = async (name: string, mark: NodeMark, signal: AbortSignal): Promise<NodeRecord> => {
    const record = await ours(name, mark, signal)
    if (record === undefined || record.isKept)
      throw new SubletError('middleware-refused', `${product} has no node ${name}`)
    return record
  }

  const observe = async (signal: AbortSignal): Promise<BatchPicture> => {
    signal.throwIfAborted()
    const startedAt = clock.now()
    const [facts, jobRecords, nodeRecords, now] = await together(
      signal,
      (stop) => dialect.recentFacts(stop),
      (stop) => dialect.jobs(stop),
      (stop) => dialect.nodes(stop),
      (stop) => dialect.serverNow(stop),
    )
    const frame: Frame = { settings: facts.settings, drainTag, now }
    const { jobs, warnings } = jobsOf(jobRecords.records, frame)
    const seen = nodesOf(nodeRecords.records, jobs, frame)

    const doubt: string[] = []
    if (
      !facts.settings.queryOtherJobs &&
      !facts.isPrivileged &&
      jobs.every(({ user }) => user === facts.user)
    )
      doubt.push(
        `The server hides others’ jobs from ${facts.user} (query_other_jobs = False); the list proves nothing`,
      )
    const hasJobs = jobs.some(({ state }) => state !== 'ended')
    if (!hasJobs && hadJobs) {
      if (seen.nodes.some((node) => !node.empty))
        doubt.push('The list of jobs is empty, but nodes have jobs on them')
      else if ((await dialect.liveJobs(signal)) > 0)
        doubt.push('The list of jobs is empty, but the server counts jobs')
    }
    hadJobs = hasJobs || doubt.length > 0

    return {
      startedAt,
      at: clock.now(),
      jobs,
      nodes: seen.nodes,
      unread: nodeRecords.unread ?? [],
      warnings: [...jobRecords.warnings, ...nodeRecords.warnings, ...warnings, ...seen.warnings, ...doubt],
      trust: doubt.length === 0 ? 'confirmed' : 'doubtful',
    }
  }

  const letIn = (record: NodeRecord, signal: AbortSignal): Promise<void> =>
    dialect.online(record.name, noteBefore(drainTag, record.note), signal)

  /** The record as it has to be for this machine: made, taken over, or made anew for its new address. */
  const prepared = async (node: ExpectedNode, signal: AbortSignal): Promise<NodeRecord | undefined> => {
    const record = await ours(node.name, node.mark, signal)
    const note = ourNote(drainTag, NOT_YET, '')
    if (record === undefined) await dialect.create(node, note, signal)
    else if (record.mark?.address === placeOf(node.address)) {
      if (!record.isKept) return record
      await dialect.lastRecord?.adopt(node, signal)
    } else if (record.jobs.length > 0)
      throw new SubletError(
        'node-busy',
        `Node ${node.name} has the jobs ${record.jobs.join(', ')}, but comes back with the address ${node.address}`,
      )
    else await dialect.renew(node, note, signal)
    return undefined
  }

  /** A second record of one host, under another spelling, would take the reports of its mom away from the first. */
  const vet = async ({ name, mark }: ExpectedNode, signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted()
    checkLowerCase(product, name)
    if ((await ours(name, mark, signal)) !== undefined) return
    const { records } = await dialect.nodes(signal)
    const other = records.find((each) => each.name !== name && isSameHost(each.name, name))
    if (other !== undefined) throw unfitName(product, name, `it has ${other.name}, which is the same host`)
  }

  const expect = async (node: ExpectedNode, signal: AbortSignal): Promise<void> => {
    signal.throwIfAborted()
    checkLowerCase(product, node.name)
    const pauses = growingPauses(clock, ASK_AGAIN_MS, ASK_AGAIN_MS_MAX)
    for (;;) {
      const record = await prepared(node, signal)
      if (record === undefined) continue
      if (record.fitness !== 'silent' && (await isIn(record, signal))) return
      await pauses.next(signal)
    }
  }

  /** Lets a node in that has reported and is offline by us; true once it takes jobs. */
  const isIn = async (record: NodeRecord, signal: AbortSignal): Promise<boolean> => {
    const [facts, now] = await together(signal, dialect.recentFacts, dialect.serverNow)
    if (!isHeard(record, { settings: facts.settings, drainTag, now })) return false
    const isOurs = drainOf(record, drainTag) === 'ours'
    if (isOurs || (!record.isOffline && isOurNote(drainTag, record.note))) await letIn(record, signal)
    else if (record.isOffline || record.fitness !== 'works') return false
    // A node that has come free wakes no scheduler.
    await dialect.nudge(facts, signal)
    if (!isOurs) return true
    const after = await dialect.node(record.name, signal)
    return after !== undefined && !after.isOffline && after.fitness === 'works'
  }

  /** Looks whether a change is seen, again for a while: the server may still show what was before. */
  const shows = async (
    name: string,
    wanted: (record: NodeRecord | undefined) => boolean,
    signal: AbortSignal,
  ): Promise<boolean> => {
    const end = clock.monotonic() + dialect.settleMs
    while (!wanted(await dialect.node(name, signal))) {
      if (clock.monotonic() >= end) return false
      await sleep(clock, ASK_AGAIN_MS, signal)
    }
    return true
  }

  const drain = async (name: string, mark: NodeMark, reason: string, signal: AbortSignal): Promise<void> => {
    const before = await present(name, mark, signal)
    if (drainOf(before, drainTag) === 'theirs') return
    const note = ourNote(drainTag, reason, before.note)
    if (before.isOffline && before.note === note) return
    await dialect.offline(name, note, signal)
    if (!(await shows(name, (after) => after?.isOffline === true, signal)))
      throw new SubletError(
        'middleware-refused',
        `Node ${name} still takes jobs after it was set offline; somebody else cleared it`,
      )
  }

  const resume = async (name: string, mark: NodeMark, signal: AbortSignal): Promise<void> => {
    const before = await present(name, mark, signal)
    if (drainOf(before, drainTag) !== 'ours') return
    await letIn(before, signal)
    if (!(await shows(name, (after) => after === undefined || drainOf(after, drainTag) !== 'ours', signal)))
      throw new SubletError('middleware-refused', `Node ${name} is still offline after it was resumed`)
    await dialect.nudge(await dialect.recentFacts(signal), signal)
  }

  const { removeIdle, removeLost } = removal(dialect, { clock, drain, present })

  return {
    name: `${product.toLowerCase()} ${dialect.pool}`,
    capabilities: { events: false, nodes: 'created', requeue: true, settleMs: dialect.settleMs },
    check,
    examine,
    observe,
    vet,
    expect,
    drain,
    resume,
    async remove(name, mark, { lost }, signal) {
      const record = await ours(name, mark, signal)
      if (record === undefined || record.isKept) return
      await (lost ? removeLost(record, mark, signal) : removeIdle(record, mark, signal))
      if (!(await shows(name, (after) => after === undefined || after.isKept, signal)))
        throw new SubletError('middleware-refused', `Node ${name} is there again after it was deleted`)
    },
    requeue: (jobIds, _reason, signal) => requeue(dialect, jobIds, signal),
    async claim(owner) {
      seat.take(owner)
    },
    close: async () => seat.giveBack(),
  }
}
