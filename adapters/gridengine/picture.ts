import { inOneLine } from '../../actors/runtime/errors.ts'
import type { Steps } from '../batch/slices.ts'
import type { BatchNode, Job } from '../batch-system.ts'
import { bounded } from '../job-bounds.ts'
import type { GridengineConfig } from './config.ts'
import { countsOf, groupsOf, jobOf, takenOn } from './jobs.ts'
import { isOfQueue, type Look } from './look.ts'
import { isClosed, isOurs, nodeOf } from './nodes.ts'

export interface Seen {
  readonly jobs: readonly Job[]
  readonly nodes: readonly BatchNode[]
  readonly warnings: readonly string[]
}

/** In steps, for there are tens of thousands of jobs. */
export function* pictureOf(look: Look, config: GridengineConfig): Steps<Seen> {
  const { facts } = look
  const warnings = new Set<string>()
  const ourHosts = new Set(look.hosts.filter((host) => isOurs(host, config)).map(({ name }) => name))
  const groups = yield* groupsOf(look.rows)
  const counts = countsOf(groups, facts)
  const taken = takenOn(groups, facts)
  const closed = isClosed(look, config.queue)
  const jobs: Job[] = []
  const onHost = new Map<string, string[]>()
  const put = (host: string, id: string): void => {
    const there = onHost.get(host)
    if (there === undefined) onHost.set(host, [id])
    else there.push(id)
  }
  for (const group of groups) {
    yield
    let read: ReturnType<typeof jobOf>
    try {
      read = jobOf(group, counts, look, config, closed)
    } catch (error) {
      warnings.add(`Job ${group.row.id} could not be read: ${inOneLine(error)}`)
      for (const name of group.slotsOn.keys()) put(name, group.row.id)
      continue
    }
    const { unknown, ...told } = read
    const job = bounded(told)
    if (unknown !== undefined)
      warnings.add(
        `Job ${job.id} has the state “${group.row.word}”, which is not known; it counts as ${job.state}`,
      )
    for (const name of job.nodeNames) put(name, job.id)
    if (isOfQueue(group.row, facts, config.queue, ourHosts)) jobs.push(job)
  }
  const collecting = collectors(jobs, look)
  const nodes: BatchNode[] = []
  for (const host of look.hosts) {
    yield
    const { node, unknown } = nodeOf(
      host,
      { jobs: onHost.get(host.name) ?? [], taken: taken.get(host.name) ?? new Map() },
      look,
      config,
    )
    for (const letter of unknown)
      warnings.add(
        `Node ${host.name} has the state “${letter}”, which is not known; it counts as not accepting`,
      )
    nodes.push({ ...node, collectingFor: collecting(node) })
  }
  return { jobs, nodes, warnings: [...warnings] }
}

/**
 * GridEngine does not say which host it keeps free for whom. A wide job that asked for it (`-R y`) has the
 * scheduler keep every host that it could use, as many as it needs, and gets them before anybody else.
 */
function collectors(jobs: readonly Job[], look: Look): (node: BatchNode) => string | undefined {
  const wide = look.facts.reserves
    ? jobs.filter(
        (job) =>
          job.state === 'pending' && job.nodes > 1 && look.details.get(job.id.split('.')[0] ?? '')?.reserves,
      )
    : []
  const wanted = wide.map((job) => ({ job, nodes: job.nodes }))
  return (node) => {
    if (!node.accepting || !node.empty) return undefined
    const taker = wanted.find(({ job, nodes }) => nodes > 0 && job.cpusPerNode <= node.cpus)
    if (taker === undefined) return undefined
    taker.nodes -= 1
    return taker.job.id
  }
}
