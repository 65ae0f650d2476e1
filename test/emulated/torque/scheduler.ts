import { MEASURED, nodectOf, nodesWanted, type Scheduled, type TorqueJob, type TorqueNode } from './model.ts'

/** One round of pbs_sched, first in first out. */
export function round(server: Scheduled): void {
  for (const job of [...server.jobs.values()]) {
    if (job.letter === 'W' && (job.executionTime ?? 0) <= server.clock.now()) job.letter = 'Q'
    if (job.letter !== 'Q' || job.array?.request !== undefined) continue
    if (server.nodes.size === 0) {
      job.comment = 'Job Deleted because it would never run'
      server.finish(job, undefined)
    } else if (job.resources.nodes === undefined && job.resources.procs !== undefined)
      job.comment = 'Not Running - PBS Error: Unknown node-attribute '
    else start(server, job)
  }
}

/** Where it fits; else the comment says why not. */
export function start(server: Scheduled, job: TorqueJob): void {
  const taken: { readonly node: TorqueNode; readonly slots: readonly number[] }[] = []
  for (const { count, ppn, words } of nodesWanted(job.resources.nodes ?? '1')) {
    const fits = (node: TorqueNode): boolean =>
      !node.isDown &&
      !node.isOffline &&
      !node.isNewborn &&
      !node.isBusy &&
      node.np - node.slots.size >= ppn &&
      words.every((word) => word === node.name || node.properties.includes(word)) &&
      taken.every((each) => each.node !== node)
    for (const node of [...server.nodes.values()].filter(fits).slice(0, count)) {
      const free = Array.from({ length: node.np }, (_, slot) => slot).filter((slot) => !node.slots.has(slot))
      taken.push({ node, slots: free.slice(0, ppn) })
    }
  }
  if (taken.length < nodectOf(job.resources.nodes ?? '1')) {
    job.comment = 'Not Running: Not enough of the right type of nodes are available'
    return
  }
  for (const { node, slots } of taken) for (const slot of slots) node.slots.set(slot, job.id)
  const now = server.clock.now()
  job.hosts = taken.map(({ node, slots }) => ({ name: node.name, slots }))
  job.letter = 'R'
  job.starts += 1
  job.startedAt = job.mtime = now
  job.comment = 'Job started on Sat Nov 21 at 20:01'
  const areReached = taken.every(({ node }) => server.isReached(node))
  // One that cannot be reached stays R, with no session, far beyond its walltime.
  if (!areReached) return
  job.session = server.takeSession()
  const [hours = 0, minutes = 0, seconds = 0] = (job.resources.walltime ?? '').split(':').map(Number)
  const limit = ((hours * 60 + minutes) * 60 + seconds) * 1000
  // The mom looks every 45 s whether the time is over.
  const killed = Math.ceil(limit / MEASURED.report) * MEASURED.report + 13_000
  job.stop = server.clock.after(Math.min(job.runsMs, killed), () =>
    server.finish(job, job.runsMs <= killed ? 0 : -11),
  )
}
