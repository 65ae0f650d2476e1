import { type Clock, deadline, type Millis, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { NodeMark } from '../batch-system.ts'
import type { Dialect } from './dialect.ts'
import { isOurNote, ourNote } from './marks.ts'
import type { NodeRecord } from './records.ts'

interface Hands {
  readonly clock: Clock
  readonly drain: (name: string, mark: NodeMark, reason: string, signal: AbortSignal) => Promise<void>
  readonly present: (name: string, mark: NodeMark, signal: AbortSignal) => Promise<NodeRecord>
}

/** How long the server may take to let go of a lost node’s jobs; then the caller asks again. */
const LET_GO_MS: Millis = 5_000
const ASK_AGAIN_MS: Millis = 250

const busy = (name: string, what: string): SubletError =>
  new SubletError('node-busy', `Node ${name} is not removed: ${what}`)

/**
 * Taking a record away. Torque does not refuse a busy node: it waits two minutes, then forgets all its jobs, the
 * running ones too. So it is taken out of service first, and looked at again when whatever the scheduler had
 * decided just before has come.
 *
 *   look ──busy──▶ node-busy        look ──▶ offline ──(settle)──▶ look ──busy──▶ node-busy
 *                                                                  └──▶ delete, or keep if it is the last one
 */
export function removal(dialect: Dialect, { clock, drain, present }: Hands) {
  const { drainTag } = dialect

  /** The list must not become empty: pbs_sched then deletes what waits, as jobs that would never run. */
  const takenAway = async (record: NodeRecord, signal: AbortSignal): Promise<boolean> => {
    const all = (await dialect.nodes(signal)).records
    const others = all.filter((each) => each.name !== record.name)
    if (others.length === 0 && dialect.lastRecord !== undefined) {
      await dialect.lastRecord.keep(record, signal)
      return true
    }
    if (!(await dialect.delete(record.name, signal))) return false
    // Another record holds the place now.
    if (others.some((each) => !each.isKept))
      for (const kept of others.filter((each) => each.isKept && each.jobs.length === 0))
        await dialect.delete(kept.name, signal)
    return true
  }

  const holdsIt = (record: NodeRecord): void => {
    if (record.jobs.length > 0) throw busy(record.name, `jobs are on it: ${record.jobs.join(', ')}`)
  }

  const removeIdle = async (record: NodeRecord, mark: NodeMark, signal: AbortSignal): Promise<void> => {
    holdsIt(record)
    const tookJobs = !record.isOffline && record.fitness !== 'silent'
    await drain(record.name, mark, 'leaves', signal)
    if (tookJobs) await sleep(clock, dialect.settleMs, signal)
    const after = await present(record.name, mark, signal)
    holdsIt(after)
    if (!after.isOffline && after.fitness !== 'silent') throw busy(record.name, 'it takes jobs again')
    if (!(await takenAway(after, signal))) throw busy(record.name, 'a job has just come')
  }

  /**
   * The jobs first, by name: deleted with the node they would be forgotten, those that may run again too. Which they
   * are, the node’s own list says as well as theirs, for a job may be unreadable. What is known not to run again is
   * purged: its node is gone, nothing else ends it. The ids of those whose end is only not confirmed are returned.
   */
  const letGo = async ({ name, jobs }: NodeRecord, signal: AbortSignal): Promise<ReadonlySet<string>> => {
    const known = new Map((await dialect.jobs(signal)).records.map((job) => [job.id, job]))
    const bound = [...known.values()].filter(
      ({ verdict, hosts }) =>
        (verdict.state === 'running' || verdict.state === 'completing') && hosts.includes(name),
    )
    const refused: string[] = []
    for (const id of new Set([...bound.map((job) => job.id), ...jobs])) {
      if (known.get(id)?.rerunable === false) {
        await dialect.purge(id, signal)
        continue
      }
      const reason = await dialect.rerun(id, true, signal)
      if (reason !== undefined) refused.push(`${id} (${reason})`)
    }
    if (refused.length > 0) throw busy(name, `the server does not put back ${refused.join(', ')}`)
    return new Set(bound.filter(({ verdict }) => verdict.state === 'completing').map((job) => job.id))
  }

  const removeLost = async (record: NodeRecord, _mark: NodeMark, signal: AbortSignal): Promise<void> => {
    const { name } = record
    if (!record.isOffline || isOurNote(drainTag, record.note))
      await dialect.offline(name, ourNote(drainTag, 'the machine is lost', record.note), signal)
    const ended = await letGo(record, signal)
    const late = (): SubletError => busy(name, 'the server has not yet let go of its jobs')
    const limit = deadline(clock, LET_GO_MS, late, signal)
    try {
      for (;;) {
        const after = await dialect.node(name, limit.signal)
        if (after === undefined) return
        const isFree = after.jobs.every((id) => ended.has(id))
        if (isFree && (await takenAway(after, limit.signal))) return
        await sleep(clock, ASK_AGAIN_MS, limit.signal)
      }
    } finally {
      limit.done()
    }
  }

  return { removeIdle, removeLost }
}
