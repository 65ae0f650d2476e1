import { type Clock, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { Random } from '../../actors/runtime/random.ts'
import type {
  BatchNode,
  BatchPicture,
  BatchSystem,
  ExpectedNode,
  Job,
  NodeMark,
} from '../../adapters/batch-system.ts'
import type { JoinHandler } from '../../adapters/join.ts'
import type { Faults } from './faults.ts'
import type { Machine } from './machines.ts'
import type { World } from './world.ts'

interface Task {
  readonly id: string
  readonly nodes: number
  readonly runMs: number
  readonly submittedAt: number
  readonly walltimeMs: number | undefined
  readonly requeueable: boolean
  /** Its machine was lost under it, and it may not run again. */
  failed: boolean
  state: 'pending' | 'running' | 'ended'
  attempt: number
  completions: number
  startedAt: number | undefined
  on: Machine[]
}

interface Record_ {
  readonly mark: NodeMark
  expected: boolean
  drained: string | undefined
  /** An administrator has drained it. */
  theirs: boolean
  /** The machine whose daemon is registered under this name. */
  machine: Machine | undefined
}

/**
 * A small batch system in virtual time: first come first served, one job a node, a node that is lost
 * keeps its jobs until it is removed. It outlives the actors.
 */
export class Middleware {
  readonly tasks: Task[] = []
  readonly nodes = new Map<string, Record_>()
  /** Sentences about what must never happen. */
  readonly violations: string[] = []
  readonly #world: World
  readonly #machineOf: (unitId: string) => Machine | undefined
  readonly #random: Random
  readonly #faults: () => Faults
  #changed: (() => void) | undefined

  constructor(
    world: World,
    machineOf: (unitId: string) => Machine | undefined,
    random: Random,
    faults: () => Faults,
  ) {
    this.#world = world
    this.#machineOf = machineOf
    this.#random = random
    this.#faults = faults
  }

  submit(
    nodes: number,
    runMs: number,
    {
      walltimeMs,
      requeueable = true,
    }: { readonly walltimeMs?: number | undefined; readonly requeueable?: boolean } = {},
  ): void {
    const id = String(this.tasks.length + 1)
    const { now: submittedAt } = this.#world
    this.tasks.push({
      id,
      nodes,
      runMs,
      submittedAt,
      walltimeMs,
      requeueable,
      failed: false,
      state: 'pending',
      attempt: 0,
      completions: 0,
      startedAt: undefined,
      on: [],
    })
    this.#settle()
  }

  batch(clock: Clock): BatchSystem {
    const wait = (low: number, high: number, signal: AbortSignal): Promise<void> =>
      sleep(clock, low + this.#random.int(high - low), signal)
    return {
      name: 'the simulated batch system',
      capabilities: { events: true, nodes: 'self', requeue: true, settleMs: 50 },
      check: async () => [],
      observe: async (signal) => {
        const startedAt = clock.now()
        await wait(2, 60, signal)
        if (this.#world.strikes('lookFails', this.#faults().lookFails, this.#random))
          throw new SubletError('middleware-unreachable', 'no answer')
        const picture = this.#picture(startedAt, clock.now())
        await wait(2, 60, signal)
        return picture
      },
      expect: async (node, signal) => {
        this.#expect(node)
        while (this.nodes.get(node.name)?.machine === undefined) await wait(20, 60, signal)
        if (this.#world.strikes('joinFails', this.#faults().joinFails, this.#random))
          throw new SubletError('middleware-refused', 'the registration failed')
      },
      drain: async (name, mark, reason, signal) => {
        await wait(2, 40, signal)
        const node = this.#ours(name, mark)
        if (node !== undefined && !node.theirs) node.drained = reason
        this.#settle()
      },
      resume: async (name, mark, signal) => {
        await wait(2, 40, signal)
        const node = this.#ours(name, mark)
        if (node !== undefined) node.drained = undefined
        this.#settle()
      },
      remove: async (name, mark, { lost }, signal) => {
        await wait(2, 40, signal)
        const node = this.#ours(name, mark)
        if (node === undefined) return
        const jobs = this.#jobsOn(node)
        if (jobs.length > 0 && !lost)
          throw new SubletError('node-busy', `${name} runs ${jobs.map((job) => job.id).join(' ')}`)
        if (node.machine?.running === true && jobs.length > 0)
          this.violations.push(
            `${name} was given up as lost while ${jobs.map((job) => job.id).join(' ')} ran there`,
          )
        for (const job of jobs) this.#lose(job)
        this.nodes.delete(name)
        if (this.#world.strikes('nodeComesBack', this.#faults().nodeComesBack, this.#random))
          this.#world.after(this.#random.int(20_000), () => this.#comeBack(name, node))
        this.#settle()
      },
      requeue: async (jobIds, _reason, signal) => {
        await wait(2, 40, signal)
        const mine = this.tasks.filter((job) => jobIds.includes(job.id) && job.state === 'running')
        for (const job of mine) if (job.requeueable) this.#requeue(job)
        return mine
          .filter((job) => !job.requeueable)
          .map(({ id }) => ({ id, reason: 'it may not be requeued' }))
      },
      watch: (onChange, signal) => {
        this.#changed = onChange
        signal.addEventListener('abort', () => {
          if (this.#changed === onChange) this.#changed = undefined
        })
      },
      claim: async () => undefined,
      close: async () => undefined,
    }
  }

  /** The node daemon: registers under the machine's name. */
  join(clock: Clock): JoinHandler {
    return {
      join: async (unit, signal) => {
        await sleep(clock, 20 + this.#random.int(200), signal)
        const machine = this.#machineOf(unit.unitId)
        if (!machine?.running) throw new SubletError('machine-unreachable', `${unit.name} does not answer`)
        while (machine.frozenUntil > this.#world.now) await sleep(clock, 100, signal)
        const node = this.nodes.get(unit.name)
        if (node?.mark.unitId === unit.unitId) this.#register(node, machine)
        else this.#world.after(50, () => this.#registerLater(unit.name, unit.unitId, machine))
      },
      leave: async (_unit, signal) => sleep(clock, 5, signal),
      close: async () => undefined,
    }
  }

  /** An administrator drains a node, or takes his drain back. */
  adminDrain(name: string, drained: boolean): void {
    const node = this.nodes.get(name)
    if (node !== undefined) node.theirs = drained
    this.#settle()
  }

  /** The server starts without its state: nodes that are not in its configuration are forgotten. */
  coldStart(): void {
    for (const task of this.tasks) if (task.state === 'running') this.#lose(task)
    this.nodes.clear()
    this.#tell()
  }

  /** An administrator removes dead nodes of leases that nobody remembers; their jobs go back into the queue. */
  removeDead(isNobodys: (leaseId: string) => boolean): void {
    for (const [name, node] of this.nodes) {
      if (node.machine?.running === true || !isNobodys(node.mark.leaseId)) continue
      for (const job of this.#jobsOn(node)) this.#lose(job)
      this.nodes.delete(name)
      this.#world.count('forgotten node removed by hand')
    }
    this.#settle()
  }

  #registerLater(name: string, unitId: string, machine: Machine): void {
    const node = this.nodes.get(name)
    if (node?.mark.unitId === unitId && machine.running) this.#register(node, machine)
  }

  #comeBack(name: string, record: Record_): void {
    if (!this.nodes.has(name)) this.nodes.set(name, { ...record, drained: undefined, machine: undefined })
    this.#tell()
  }

  #register(node: Record_, machine: Machine): void {
    node.machine = machine
    machine.onEnd = () => this.#tell()
    this.#settle()
  }

  #expect(node: ExpectedNode): void {
    const known = this.nodes.get(node.name)
    if (known !== undefined && known.mark.unitId !== node.mark.unitId) {
      if (known.machine?.running || this.#jobsOn(known).length > 0)
        throw new SubletError('node-not-ours', `${node.name} is still the node of ${known.mark.unitId}`)
      this.nodes.delete(node.name)
    }
    const kept = this.nodes.get(node.name)
    if (kept !== undefined) Object.assign(kept, { expected: true, drained: undefined })
    else
      this.nodes.set(node.name, {
        mark: node.mark,
        expected: true,
        drained: undefined,
        theirs: false,
        machine: undefined,
      })
  }

  #ours(name: string, mark: NodeMark): Record_ | undefined {
    const node = this.nodes.get(name)
    if (node !== undefined && node.mark.unitId !== mark.unitId) return undefined
    return node
  }

  #jobsOn(node: Record_): Task[] {
    return this.tasks.filter(
      (task) => task.state === 'running' && node.machine !== undefined && task.on.includes(node.machine),
    )
  }

  #requeue(task: Task): void {
    for (const machine of task.on) machine.jobs.delete(task.id)
    task.on = []
    task.state = 'pending'
    task.startedAt = undefined
  }

  #lose(task: Task): void {
    this.#requeue(task)
    if (task.requeueable) return
    task.state = 'ended'
    task.failed = true
  }

  /** Starts what can start; completions are events of their own. */
  #settle(): void {
    const free = [...this.nodes.values()].filter(
      (node) => this.#accepting(node) && this.#jobsOn(node).length === 0,
    )
    for (const task of this.tasks) {
      if (task.state !== 'pending') continue
      if (task.nodes > free.length) break
      this.#start(
        task,
        free.splice(0, task.nodes).map((node) => node.machine!),
      )
    }
    this.#tell()
  }

  #start(task: Task, machines: Machine[]): void {
    task.state = 'running'
    task.attempt += 1
    task.on = machines
    task.startedAt = this.#world.now
    for (const machine of machines) machine.jobs.add(task.id)
    const { attempt } = task
    const finish = (): void => {
      if (task.state !== 'running' || task.attempt !== attempt) return
      if (!machines.every((machine) => machine.running)) return
      const thaw = Math.max(...machines.map((machine) => machine.frozenUntil))
      if (thaw > this.#world.now) return void this.#world.after(thaw - this.#world.now, finish)
      for (const machine of machines) machine.jobs.delete(task.id)
      task.state = 'ended'
      task.completions += 1
      this.#settle()
    }
    this.#world.after(task.runMs, finish)
  }

  #accepting(node: Record_): boolean {
    return node.expected && node.drained === undefined && !node.theirs && this.#responds(node)
  }

  #responds({ machine }: Record_): boolean {
    return machine?.running === true && machine.frozenUntil <= this.#world.now
  }

  #tell(): void {
    const changed = this.#changed
    if (changed !== undefined) this.#world.after(1, changed)
  }

  #picture(startedAt: number, at: number): BatchPicture {
    return {
      startedAt,
      at,
      jobs: this.tasks.map(jobOf),
      nodes: this.#pictured(),
      warnings: [],
      trust: 'confirmed',
    }
  }

  #pictured(): BatchNode[] {
    return [...this.nodes].map(([name, node]) => {
      const jobs = this.#jobsOn(node).map((task) => task.id)
      const responding = this.#responds(node)
      return {
        name,
        mark: node.mark,
        vendorState: responding ? 'up' : 'down',
        responding,
        accepting: this.#accepting(node),
        empty: jobs.length === 0,
        collectingFor: undefined,
        drained: node.theirs ? 'theirs' : node.drained === undefined ? 'no' : 'ours',
        drainReason: node.drained ?? '',
        cpus: 1,
        cpusInUse: jobs.length,
        memoryMiB: 1024,
        jobs,
      }
    })
  }
}

const jobOf = (task: Task): Job => ({
  id: task.id,
  state: task.state,
  vendorReason: '',
  user: 'user',
  queue: 'batch',
  nodes: task.nodes,
  cpusPerNode: 1,
  memoryMiBPerNode: 0,
  walltimeMs: task.walltimeMs,
  submittedAt: task.submittedAt,
  startedAt: task.startedAt,
  endedAt: undefined,
  nodeNames: task.on.map((machine) => machine.spec.name),
  requeueable: task.requeueable,
  restarts: Math.max(0, task.attempt - 1),
  tasks: 1,
})
