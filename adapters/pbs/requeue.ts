import type { Dialect } from './dialect.ts'

const AT_ONCE = 4

/** Puts running jobs back into the queue; those that could not be, with the reason. */
export async function requeue(
  dialect: Dialect,
  jobIds: readonly string[],
  signal: AbortSignal,
): Promise<readonly { id: string; reason: string }[]> {
  if (jobIds.length === 0) return []
  const jobs = new Map((await dialect.jobs(signal)).records.map((job) => [job.id, job]))
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
    const reason = await dialect.rerun(id, false, signal)
    if (reason !== undefined) refuse(reason)
  }
  for (let at = 0; at < jobIds.length; at += AT_ONCE)
    await Promise.all(jobIds.slice(at, at + AT_ONCE).map(one))
  return refused
}
