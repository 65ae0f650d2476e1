/** A job that could start now if it had its nodes. */
export interface Waiting {
  readonly id: string
  readonly nodes: number
  readonly cpusPerNode: number
  readonly memoryMiBPerNode: number
}

/** A node that takes new jobs. */
export interface Room {
  readonly name: string
  readonly cpus: number
  readonly memoryMiB: number
  readonly cpusFree: number
  readonly memoryMiBFree: number
}

/** A node that is not there for new jobs now, but announced. */
export type Coming = Pick<Room, 'cpus' | 'memoryMiB'>

export interface Schedule {
  readonly starts: readonly { readonly jobId: string; readonly nodes: readonly string[] }[]
  /** Node → the waiting job it is kept for. */
  readonly collecting: ReadonlyMap<string, string>
}

/**
 * First come, first served, with nobody starved: a job that cannot start keeps the nodes it will need,
 * free ones first, and those behind it share what is left.
 *
 *   queue   A needs 2   B needs 1   C needs 1        nodes  n1 free   n2 busy   n3 free
 *   A takes n1 n3 and starts? yes: 2 are free.       If only n1 were free: A keeps n1 and n2, B takes n3.
 *
 * Nodes are kept only once as many as it needs are there or announced. There may never be that many, as where a pool grows
 * no further: whoever asked for a thousand nodes kept all idle, until somebody cancelled it.
 */
export function schedule(
  waiting: readonly Waiting[],
  rooms: readonly Room[],
  coming: readonly Coming[] = [],
): Schedule {
  const left = new Map(rooms.map((room) => [room.name, { ...room }]))
  const starts: { jobId: string; nodes: readonly string[] }[] = []
  const collecting = new Map<string, string>()
  for (const job of waiting) {
    if (left.size === 0) break
    const isLarge = ({ cpus, memoryMiB }: Coming): boolean =>
      cpus >= job.cpusPerNode && memoryMiB >= job.memoryMiBPerNode
    const large = [...left.values()].filter(isLarge)
    const now = large.filter(
      (room) => room.cpusFree >= job.cpusPerNode && room.memoryMiBFree >= job.memoryMiBPerNode,
    )
    if (now.length >= job.nodes) {
      // The fullest first, so that empty nodes stay empty for those who need them whole.
      const taken = now.sort((a, b) => a.cpusFree - b.cpusFree || compare(a.name, b.name)).slice(0, job.nodes)
      for (const room of taken) {
        room.cpusFree -= job.cpusPerNode
        room.memoryMiBFree -= job.memoryMiBPerNode
      }
      starts.push({ jobId: job.id, nodes: taken.map((room) => room.name) })
    } else if (rooms.filter(isLarge).length + coming.filter(isLarge).length >= job.nodes) {
      const kept = large
        .sort((a, b) => b.cpusFree - a.cpusFree || compare(a.name, b.name))
        .slice(0, job.nodes)
      for (const room of kept) {
        collecting.set(room.name, job.id)
        left.delete(room.name)
      }
    }
  }
  return { starts, collecting }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)
