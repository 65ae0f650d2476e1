import type { Clock, Instant, Millis } from '../../../actors/runtime/clock.ts'

/** As measured; see test/fixtures/openpbs-23.06.06. In milliseconds of the emulated server's clock. */
export const MEASURED = {
  /** From the start of a mom to a free node: 1 to 3 s. */
  momUp: 2_000,
  /** From its end to down: the connection through pbs_comm breaks. */
  momDown: 500,
  deleteIdle: 155,
  schedule: 400,
} as const

export interface PbsNode {
  readonly name: string
  readonly address: string
  resources: Record<string, string>
  comment: string
  isDown: boolean
  /** Of a new node, until its mom has been heard for the first time. */
  isUnknown: boolean
  isOffline: boolean
  isBusy: boolean
  /** cpus taken, by job. */
  readonly taken: Map<string, number>
}

export type Letter = 'Q' | 'H' | 'W' | 'R' | 'E' | 'F'

export interface PbsJob {
  readonly id: string
  readonly name: string
  readonly user: string
  letter: Letter
  holds: string
  readonly depend: string
  readonly resources: Record<string, string>
  readonly place: string
  readonly rerunable: boolean
  readonly submitArgs: string
  readonly array?: { readonly indexes?: string; readonly index?: number; readonly runMax?: number }
  readonly runsMs: Millis
  readonly submittedAt: Instant
  readonly executionTime?: Instant
  mtime: Instant
  startedAt?: Instant
  endedAt?: Instant
  exitStatus?: number
  runs: number
  comment: string
  vnodes: readonly { readonly name: string; readonly cpus: number }[]
  stop?: () => void
}

/** `2:ncpus=2+1:ncpus=1` */
export const chunksOf = (select: string): readonly { readonly count: number; readonly cpus: number }[] =>
  select.split('+').map((part) => ({
    count: Number(/^(\d+)/.exec(part)?.[1] ?? 1),
    cpus: Number(/ncpus=(\d+)/.exec(part)?.[1] ?? 1),
  }))

/** pbs_server, pbs_sched and the moms, as far as they were measured. */
export class PbsServer {
  readonly clock: Clock
  readonly name: string
  readonly nodes = new Map<string, PbsNode>()
  readonly jobs = new Map<string, PbsJob>()
  /** By id, as `pbs_rsub` made and confirmed them. */
  readonly reservations = new Map<
    string,
    { readonly nodes: readonly string[]; readonly start: Instant; readonly end: Instant }
  >()
  readonly hosts = new Map<string, string>()
  readonly moms = new Map<string, string>()
  readonly managers = new Set(['root'])
  readonly resources = new Set<string>()
  readonly settings = { scheduling: true, history: false, started: true, queryOtherJobs: true }
  readonly epilogMs: Millis
  #seq = 0
  #isTold = false

  constructor({ clock, name, epilogMs }: { clock: Clock; name?: string; epilogMs?: Millis }) {
    this.clock = clock
    this.name = name ?? 'opsrv'
    this.epilogMs = epilogMs ?? 0
  }

  // machines

  /** Seen from the server's own host. */
  listens(host: string, port: number): boolean {
    if (host === this.name) return port === 15_001 || port === 17_001
    const isMom = [...this.moms].flat().includes(host)
    return isMom && port === 15_002
  }

  startMom(name: string, address: string): void {
    this.moms.set(name, address)
    this.clock.after(MEASURED.momUp, () => this.#connect(name))
  }

  #connect(name: string): void {
    const node = this.nodes.get(name)
    if (node === undefined || this.moms.get(name) !== node.address) return
    node.isDown = node.isUnknown = false
    this.schedule()
  }

  killMom(name: string): void {
    if (!this.moms.delete(name)) return
    for (const job of this.jobs.values()) if (job.vnodes[0]?.name === name) job.stop?.()
    this.clock.after(MEASURED.momDown, () => {
      const node = this.nodes.get(name)
      if (node !== undefined && !this.moms.has(name)) node.isDown = true
    })
  }

  // nodes

  createNode(name: string, resources: Record<string, string>): PbsNode {
    const node: PbsNode = {
      ...{ name, address: this.hosts.get(name) ?? '', resources, comment: '' },
      ...{ isDown: true, isUnknown: true, isOffline: false, isBusy: false, taken: new Map() },
    }
    this.nodes.set(name, node)
    this.clock.after(MEASURED.momUp, () => this.#connect(name))
    return node
  }

  // jobs

  submit(
    job: Pick<
      PbsJob,
      'name' | 'user' | 'resources' | 'place' | 'rerunable' | 'submitArgs' | 'runsMs' | 'depend'
    > & {
      readonly isHeld: boolean
      readonly executionTime: Instant | undefined
      readonly array: string | undefined
    },
  ): string {
    const seq = this.#seq++
    const now = this.clock.now()
    const { isHeld, executionTime, array, ...rest } = job
    const make = (id: string, more: Partial<PbsJob> = {}): PbsJob => ({
      ...{ ...rest, ...(executionTime !== undefined && { executionTime }), id },
      letter: isHeld || job.depend !== '' ? 'H' : executionTime !== undefined ? 'W' : 'Q',
      holds: isHeld ? 'u' : job.depend !== '' ? 's' : 'n',
      ...{ submittedAt: now, mtime: now, runs: 0, comment: '', vnodes: [] },
      ...more,
    })
    const id = `${seq}${array === undefined ? '' : '[]'}.${this.name}`
    const [indexes = '', most] = (array ?? '').split('%')
    const whole = { indexes, ...(most !== undefined && { runMax: Number(most) }) }
    this.jobs.set(id, make(id, array === undefined ? {} : { array: whole }))
    if (array !== undefined) {
      const [from = 0, to = 0] = indexes.split('-').map(Number)
      for (let index = from; index <= to; index++)
        this.jobs.set(
          `${seq}[${index}].${this.name}`,
          make(`${seq}[${index}].${this.name}`, { array: { index } }),
        )
    }
    this.schedule()
    return id
  }

  tasksOf(id: string): readonly PbsJob[] {
    const start = id.slice(0, id.indexOf('[') + 1)
    return [...this.jobs.values()].filter((job) => job.id.startsWith(start) && job.array?.index !== undefined)
  }

  #free(job: PbsJob): void {
    for (const node of this.nodes.values()) node.taken.delete(job.id)
  }

  requeue(job: PbsJob): void {
    job.stop?.()
    this.#free(job)
    Object.assign(job, { letter: 'Q', vnodes: [], mtime: this.clock.now() })
    this.schedule()
  }

  /** `atOnce`: nobody waits for the mom. */
  finish(job: PbsJob, exitStatus: number, atOnce = false): void {
    job.stop?.()
    const end = (): void => {
      this.#free(job)
      Object.assign(job, { letter: 'F', exitStatus, mtime: this.clock.now(), endedAt: this.clock.now() })
      for (const each of this.jobs.values())
        if (each.letter === 'H' && each.depend.endsWith(`:${job.id}`))
          Object.assign(each, { letter: 'Q', holds: 'n' })
      this.schedule()
    }
    if (job.letter !== 'R' || this.epilogMs === 0 || atOnce) return end()
    job.letter = 'E'
    job.stop = this.clock.after(this.epilogMs, end)
  }

  // pbs_sched

  schedule(): void {
    if (this.#isTold) return
    this.#isTold = true
    this.clock.after(MEASURED.schedule, () => {
      this.#isTold = false
      if (!this.settings.scheduling || !this.settings.started) return
      for (const job of this.jobs.values()) {
        if (job.letter === 'W' && (job.executionTime ?? 0) <= this.clock.now()) job.letter = 'Q'
        if (job.letter === 'Q' && job.array?.indexes === undefined && this.#mayBegin(job)) this.#start(job)
      }
    })
  }

  /** `-J 1-10%5` */
  #mayBegin({ id, array }: PbsJob): boolean {
    if (array?.index === undefined) return true
    const most = this.jobs.get(id.replace(/\[\d+\]/, '[]'))?.array?.runMax ?? Number.POSITIVE_INFINITY
    return this.tasksOf(id).filter(({ letter }) => letter === 'R' || letter === 'E').length < most
  }

  #start(job: PbsJob): void {
    const chosen = new Map<string, number>()
    const inUse = (node: PbsNode): number =>
      [...node.taken.values()].reduce((sum, cpus) => sum + cpus, 0) + (chosen.get(node.name) ?? 0)
    const ncpus = (node: PbsNode): number => Number(node.resources.ncpus ?? 0)
    const up = [...this.nodes.values()].filter((node) => !node.isDown && !node.isOffline && !node.isBusy)
    for (const { count, cpus } of chunksOf(job.resources.select ?? '1'))
      for (let at = 0; at < count; at++) {
        const node = up.find(
          (each) => ncpus(each) - inUse(each) >= cpus && !(job.place === 'scatter' && chosen.has(each.name)),
        )
        if (node === undefined) {
          job.comment = this.#whyNot(job)
          return
        }
        chosen.set(node.name, (chosen.get(node.name) ?? 0) + cpus)
      }
    for (const [name, cpus] of chosen) this.nodes.get(name)?.taken.set(job.id, cpus)
    const now = this.clock.now()
    Object.assign(job, { letter: 'R', startedAt: now, mtime: now, runs: job.runs + 1 })
    job.vnodes = [...chosen].map(([name, cpus]) => ({ name, cpus }))
    job.comment = `Job run at Sat Nov 21 at 20:15 on ${execVnode(job)}`
    if (this.moms.has(job.vnodes[0]?.name ?? ''))
      job.stop = this.clock.after(job.runsMs, () => this.finish(job, 0))
  }

  #whyNot(job: PbsJob): string {
    const all = [...this.nodes.values()].reduce((sum, node) => sum + Number(node.resources.ncpus ?? 0), 0)
    const wanted = Number(job.resources.ncpus ?? 1)
    return wanted > all && this.nodes.size > 0
      ? `Can Never Run: Insufficient amount of resource: ncpus (R: ${wanted} A: ${all} T: ${all})`
      : 'Not Running: Not enough free nodes available'
  }
}

export const execVnode = (job: PbsJob): string =>
  job.vnodes.map(({ name, cpus }) => `(${name}:ncpus=${cpus})`).join('+')
