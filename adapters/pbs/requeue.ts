import type { Dialect } from './dialect.ts'
import { isHeard } from './picture.ts'

const AT_ONCE = 4

/**
 * Puts running jobs back into the queue; those that could not be, with the reason. The server asks the daemon of a job's
 * first node to let go of it; where that one does not report, nobody would answer, and the job is taken from it by force.
 * Not while a node of others is silent, or unknown: it may run on there beside its second start, on a machine that we never
 * end.
 */
export async function requeue(
  dialect: Dialect,
  jobIds: readonly string[],
  signal: AbortSignal,
): Promise<readonly { id: string; reason: string }[]> {
  if (jobIds.length === 0) return []
  const jobs = new Map((await dialect.jobs(signal)).records.map((job) => [job.id, job]))
  const mayForce = await forcing(dialect, signal)
  const refused: { id: string; reason: string }[] = []
  const one = async (id: string): Promise<void> => {
    const job = jobs.get(id)
    const refuse = (reason: string): void => void refused.push({ id, reason })
    if (job === undefined) return refuse(`${dialect.product} knows no job ${id}`)
    const { state } = job.verdict
    // The server holds it since it failed to start; else it waits already.
    if (job.verdict.heldBy === 'system' && job.starts > 0) {
      const kept = await dialect.release(id, signal)
      return kept === undefined ? undefined : refuse(kept)
    }
    if (state === 'pending' || state === 'held') return
    if (state !== 'running') return refuse(`it is ${state}`)
    if (!job.rerunable) return refuse('it was submitted as not rerunable')
    const reason = await dialect.rerun(id, mayForce(job.hosts), signal)
    if (reason !== undefined) refuse(reason)
  }
  for (let at = 0; at < jobIds.length; at += AT_ONCE)
    await Promise.all(jobIds.slice(at, at + AT_ONCE).map(one))
  return refused
}

/** Whether a job's first host does not report, and every host of it that does not is ours. */
async function forcing(
  dialect: Dialect,
  signal: AbortSignal,
): Promise<(hosts: readonly string[]) => boolean> {
  const { settings } = await dialect.recentFacts(signal)
  const now = await dialect.serverNow(signal)
  const frame = { settings, drainTag: dialect.drainTag, now }
  const { records } = await dialect.nodes(signal)
  const heard = new Set(records.filter((record) => isHeard(record, frame)).map(({ name }) => name))
  const ours = new Set(records.filter(({ mark }) => mark !== undefined).map(({ name }) => name))
  return (hosts) =>
    hosts[0] !== undefined && !heard.has(hosts[0]) && hosts.every((host) => heard.has(host) || ours.has(host))
}
