import type { Clock, Instant, Millis } from '../../../actors/runtime/clock.ts'

/** As measured; see test/fixtures/torque-6.1.3. In milliseconds of the emulated server's clock. */
export const MEASURED = {
  /** A new record is `offline,MOM-list-not-sent` for so long: 3 to 18 s. */
  newborn: 10_000,
  /** A mom reports when it starts, and then every so often. */
  report: 45_000,
  /** From the last report of a dead mom until its node is down. */
  untilDown: 261_000,
  deleteIdle: 2_033,
  deleteWithJob: 4_101,
  /** With a job that may not run again; then all its jobs are forgotten. */
  deletePurges: 124_274,
  delete42: 30,
  /** From qsub, or the end of another job, to a start. */
  schedule: 400,
} as const

export type Version = '6.1.3' | '4.2.10'

export interface TorqueNode {
  readonly name: string
  np: number
  properties: readonly string[]
  note: string
  /** As its name resolved when the record was made; moms are known by it alone. */
  readonly address: string
  isDown: boolean
  isOffline: boolean
  /** 6.1, in the first seconds: shown as `offline,MOM-list-not-sent`, which goes by itself. */
  isNewborn: boolean
  /** Its load is above the mom's limit. */
  isBusy: boolean
  /** `set node state=` has replaced the whole state: that its slots are taken is not shown until the next job event. */
  isForgetful: boolean
  readonly slots: Map<number, string>
  rectime: Instant | undefined
  checkDown?: () => void
}

export type Letter = 'Q' | 'H' | 'W' | 'R' | 'E' | 'C'

export interface TorqueJob {
  readonly id: string
  readonly name: string
  readonly user: string
  readonly queue: string
  letter: Letter
  holds: string
  depend: string
  resources: Record<string, string>
  readonly rerunable: boolean
  readonly submitArgs: string
  /** The array's request on the array itself, the index on its tasks. */
  readonly array?: { readonly request?: string; readonly index?: number; readonly slotLimit?: number }
  readonly runsMs: Millis
  readonly submittedAt: Instant
  readonly executionTime?: Instant
  mtime: Instant
  startedAt?: Instant
  endedAt?: Instant
  exitStatus?: number
  starts: number
  comment: string
  session: number
  /** In the order of the nodes: name and slots. */
  hosts: readonly { readonly name: string; readonly slots: readonly number[] }[]
  stop?: () => void
}

export interface Mom {
  readonly name: string
  readonly address: string
  stop: () => void
}

/** `nodes=2:ppn=2`, `1:ppn=2+2:ppn=1`, `vm02:ppn=1`, `1:xen`. */
export function nodesWanted(
  spec: string,
): readonly { readonly count: number; readonly ppn: number; readonly words: readonly string[] }[] {
  return spec.split('+').map((part) => {
    const [head = '', ...rest] = part.split(':')
    const ppn = Number(rest.find((word) => word.startsWith('ppn='))?.slice(4) ?? 1)
    const words = rest.filter((word) => !word.includes('='))
    return /^\d+$/.test(head)
      ? { count: Number(head), ppn, words }
      : { count: 1, ppn, words: [head, ...words] }
  })
}

export const nodectOf = (spec: string): number => nodesWanted(spec).reduce((sum, { count }) => sum + count, 0)

/** `1-4%2` */
export function indexesOf(request: string): { readonly indexes: readonly number[]; readonly limit: number } {
  const [range = '', limit] = request.split('%')
  const indexes = range.split(',').flatMap((part) => {
    const [from = '0', to = from] = part.split('-')
    return Array.from({ length: Number(to) - Number(from) + 1 }, (_, i) => Number(from) + i)
  })
  return { indexes, limit: limit === undefined ? Number.POSITIVE_INFINITY : Number(limit) }
}

/** What pbs_sched sees of the server. */
export interface Scheduled {
  readonly clock: Clock
  readonly nodes: ReadonlyMap<string, TorqueNode>
  readonly jobs: ReadonlyMap<string, TorqueJob>
  isReached(node: TorqueNode): boolean
  finish(job: TorqueJob, exitStatus: number | undefined): void
  takeSession(): number
}
