import { type Clock, type Millis, sleep } from '../../../actors/runtime/clock.ts'
import {
  indexesOf,
  MEASURED,
  type Mom,
  nodectOf,
  nodesWanted,
  type Scheduled,
  type TorqueJob,
  type TorqueNode,
  type Version,
} from './model.ts'
import { round, start } from './scheduler.ts'

export interface ServerOptions {
  readonly clock: Clock
  readonly version?: Version
  readonly name?: string
  readonly keepCompletedMs?: Millis
  /** How long a job is in state E. */
  readonly epilogMs?: Millis
  /** No pbs_sched runs. */
  readonly unscheduled?: boolean
}

/** pbs_server, pbs_sched and the moms, as far as they were measured. */
export class TorqueServer implements Scheduled {
  readonly clock: Clock
  readonly version: Version
  readonly name: string
  readonly nodes = new Map<string, TorqueNode>()
  readonly jobs = new Map<string, TorqueJob>()
  /** /etc/hosts on the server's host. */
  readonly hosts = new Map<string, string>()
  readonly moms = new Map<string, Mom>()
  readonly log: string[] = []
  readonly managers = new Set(['root'])
  readonly queue = { enabled: true, started: true, transit: false, maxUserRun: 0 }
  readonly settings = { scheduling: true, nodect: 0, queryOtherJobs: true, keepCompletedMs: 60_000 }
  isScheduled: boolean
  hadNodes = false
  readonly epilogMs: Millis
  #seq = 0
  #session = 6_000
  /** pbs_sched has been told, and has not yet looked. */
  #isTold = false

  constructor({ clock, version, name, keepCompletedMs, epilogMs, unscheduled }: ServerOptions) {
    this.clock = clock
    this.version = version ?? '6.1.3'
    this.name = name ?? 'tqsrv'
    this.epilogMs = epilogMs ?? 0
    this.isScheduled = unscheduled !== true
    if (keepCompletedMs !== undefined) this.settings.keepCompletedMs = keepCompletedMs
  }

  // machines

  /** The mom starts and reports; the server knows it by its source address only. */
  startMom(name: string, address: string): void {
    this.killMom(name)
    const mom: Mom = { name, address, stop: () => undefined }
    const report = (): void => {
      this.#heard(mom)
      mom.stop = this.clock.after(MEASURED.report, report)
    }
    mom.stop = this.clock.after(200, report)
    this.moms.set(name, mom)
  }

  /** kill -9: nobody is told, and what ran there has ended. */
  killMom(name: string): void {
    const mom = this.moms.get(name)
    mom?.stop()
    this.moms.delete(name)
    for (const job of this.jobs.values()) if (job.hosts[0]?.name === name && mom !== undefined) job.stop?.()
  }

  #heard({ name, address }: Mom): void {
    const node = this.nodes.get(name)
    if (node === undefined || node.address !== address) {
      this.log.push(
        `bad attempt to connect from ${address} (address not trusted - check entry in server_priv/nodes)`,
      )
      return
    }
    node.rectime = this.clock.now()
    node.isDown = false
    if (this.version === '6.1.3') node.isNewborn = false
    node.checkDown?.()
    node.checkDown = this.clock.after(MEASURED.untilDown, () => {
      node.isDown = true
    })
  }

  /** Seen from the server's own host. */
  listens(host: string, port: number): boolean {
    const mom = this.moms.get(host) ?? [...this.moms.values()].find(({ address }) => address === host)
    if (host === this.name && port === 15_001) return true
    return mom !== undefined && (port === 15_002 || port === 15_003)
  }

  /** A node whose mom the server hears. */
  isReached(node: TorqueNode): boolean {
    return this.moms.get(node.name)?.address === node.address
  }

  // nodes

  createNode(name: string, np: number, properties: readonly string[], note: string): void {
    const node: TorqueNode = {
      ...{ name, np, properties, note, address: this.hosts.get(name) ?? '' },
      ...{ isDown: true, isBusy: false, isForgetful: false, slots: new Map(), rectime: undefined },
      isOffline: this.version === '4.2.10',
      isNewborn: this.version === '6.1.3',
    }
    this.nodes.set(name, node)
    this.hadNodes = true
    this.clock.after(MEASURED.newborn, () => {
      node.isNewborn = false
    })
  }

  /** Does not refuse a busy node. The message if its jobs were forgotten. */
  async deleteNode(node: TorqueNode): Promise<string | undefined> {
    const on = [...this.jobs.values()].filter(
      (job) => job.letter === 'R' && job.hosts.some(({ name }) => name === node.name),
    )
    const gone = (): void => {
      node.checkDown?.()
      this.nodes.delete(node.name)
    }
    if (this.version === '4.2.10') {
      await sleep(this.clock, MEASURED.delete42)
      gone()
      return undefined
    }
    const isPurged = on.some(
      (job) => !job.rerunable || !this.moms.has(job.hosts[0]?.name ?? '') || job.hosts.length === 0,
    )
    await sleep(
      this.clock,
      on.length === 0 ? MEASURED.deleteIdle : isPurged ? MEASURED.deletePurges : MEASURED.deleteWithJob,
    )
    gone()
    for (const job of on)
      if (isPurged) this.forget(job)
      else this.requeue(job)
    return isPurged
      ? 'The server was unable to communicate with the MOM to requeue or delete the job. The node has been deleted and all jobs on the node have been purged.'
      : undefined
  }

  // jobs

  /** The id, or undefined where qsub refuses: the present list of nodes cannot hold it. */
  submit(
    job: Pick<TorqueJob, 'name' | 'user' | 'resources' | 'rerunable' | 'submitArgs' | 'runsMs' | 'depend'> & {
      readonly holds: string
      readonly executionTime: number | undefined
      readonly array: string | undefined
    },
  ): string | undefined {
    const seq = this.takeNumber()
    if (!this.queue.transit && !this.#canHold(job.resources)) return undefined
    const now = this.clock.now()
    const { nodes } = job.resources
    const resources = {
      ...job.resources,
      ...(nodes !== undefined && { nodect: String(nodectOf(nodes)), neednodes: nodes }),
      walltime: job.resources.walltime ?? '01:00:00',
    }
    const { executionTime, array, ...rest } = job
    const make = (id: string, more: Partial<TorqueJob>): TorqueJob => ({
      ...{ ...rest, ...(executionTime !== undefined && { executionTime }), id, resources, queue: 'batch' },
      ...{ letter: 'Q', submittedAt: now, mtime: now, starts: 0, comment: '', session: 0, hosts: [] },
      ...more,
    })
    if (array === undefined) {
      const id = `${seq}.${this.name}`
      const isHeld = job.holds !== 'n' || job.depend !== ''
      this.jobs.set(
        id,
        make(id, {
          letter: isHeld ? 'H' : executionTime !== undefined && executionTime > now ? 'W' : 'Q',
          holds: job.holds !== 'n' ? job.holds : job.depend !== '' ? 's' : 'n',
        }),
      )
      this.schedule()
      return id
    }
    const { indexes, limit } = indexesOf(array)
    const whole = `${seq}[].${this.name}`
    this.jobs.set(whole, make(whole, { array: { request: array, slotLimit: limit } }))
    for (const [at, index] of indexes.entries()) {
      const id = `${seq}[${index}].${this.name}`
      const waits = at >= limit
      this.jobs.set(
        id,
        make(id, {
          name: `${job.name}-${index}`,
          array: { index },
          letter: waits ? 'H' : 'Q',
          holds: waits ? 'l' : 'n',
        }),
      )
    }
    this.schedule()
    return whole
  }

  /** A job that is refused uses one up too. */
  takeNumber(): number {
    return this.#seq++
  }

  /** `qrun`: without the scheduler. */
  run(job: TorqueJob): void {
    start(this, job)
  }

  #canHold({ nodes, procs }: TorqueJob['resources']): boolean {
    const all = [...this.nodes.values()]
    if (nodes === undefined) return procs !== undefined || true
    if (!/:ppn=/.test(nodes) && nodectOf(nodes) <= this.settings.nodect) return true
    return nodesWanted(nodes).every(({ count, ppn, words }) => {
      const fitting = all.filter(
        (node) =>
          node.np >= ppn && words.every((word) => word === node.name || node.properties.includes(word)),
      )
      return fitting.length >= count
    })
  }

  forget(job: TorqueJob): void {
    this.#free(job)
    job.stop?.()
    this.jobs.delete(job.id)
  }

  requeue(job: TorqueJob): void {
    this.#free(job)
    job.stop?.()
    job.hosts = []
    job.letter = 'Q'
    job.mtime = this.clock.now()
    this.schedule()
  }

  /** As by its own end or by qdel; E first if there is an epilog. */
  finish(job: TorqueJob, exitStatus: number | undefined): void {
    job.stop?.()
    const end = (): void => {
      this.#free(job)
      job.letter = 'C'
      job.mtime = this.clock.now()
      // One that never ran has ended at no time.
      if (job.hosts.length > 0) job.endedAt = job.mtime
      if (exitStatus !== undefined) job.exitStatus = exitStatus
      const isLast = (each: TorqueJob): boolean => each.letter === 'C' && this.jobs.get(each.id) === each
      this.clock.after(this.settings.keepCompletedMs, () => {
        if (isLast(job)) this.jobs.delete(job.id)
      })
      this.#letNextIn(job)
      for (const each of this.jobs.values())
        if (each.letter === 'H' && each.depend.endsWith(`:${job.id}`)) {
          each.holds = 'n'
          each.letter = 'Q'
        }
      this.schedule()
    }
    if (job.letter !== 'R' || this.epilogMs === 0) return end()
    job.letter = 'E'
    job.stop = this.clock.after(this.epilogMs, end)
  }

  /** The tasks of one array. */
  tasksOf(id: string): readonly TorqueJob[] {
    const start = id.slice(0, id.indexOf('[') + 1)
    return [...this.jobs.values()].filter(
      ({ id: each, array }) => each.startsWith(start) && array?.index !== undefined,
    )
  }

  /** Of an array with a limit the next task may wait for a node, and the array itself shows what its tasks do. */
  #letNextIn(job: TorqueJob): void {
    if (job.array?.index === undefined) return
    const next = this.tasksOf(job.id).find((each) => each.letter === 'H' && each.holds === 'l')
    if (next !== undefined) Object.assign(next, { letter: 'Q', holds: 'n' })
  }

  letterOf(job: TorqueJob): TorqueJob['letter'] {
    if (job.array?.request === undefined) return job.letter
    const letters = this.tasksOf(job.id).map(({ letter }) => letter)
    return letters.includes('R') ? 'R' : letters.every((letter) => letter === 'C') ? 'C' : 'Q'
  }

  #free(job: TorqueJob): void {
    for (const node of this.nodes.values())
      for (const [slot, id] of node.slots)
        if (id === job.id) {
          node.slots.delete(slot)
          node.isForgetful = false
        }
  }

  takeSession(): number {
    return this.#session++
  }

  // pbs_sched

  /** Woken by a new job, the end of one, and `scheduling = True`; not by a node that comes free. */
  schedule(): void {
    if (!this.isScheduled) return
    if (this.#isTold) return
    this.#isTold = true
    this.clock.after(MEASURED.schedule, () => {
      this.#isTold = false
      if (this.settings.scheduling && this.queue.started) round(this)
    })
  }
}
