import type { Clock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { BatchNode, BatchSystem, Job, NodeMark } from '../../adapters/batch-system.ts'

/** A batch system of nodes and of jobs that run until the script ends them; it answers at once, and outlives the actors. */
export class Queue {
  readonly #nodes = new Map<string, { readonly mark: NodeMark; drained: string | undefined }>()
  readonly #jobs = new Map<
    string,
    { node: string | undefined; readonly requeueable: boolean; ended: boolean }
  >()

  /** A job runs there. */
  starts(id: string, node: string, { requeueable = true } = {}): void {
    this.#jobs.set(id, { node, requeueable, ended: false })
  }

  ends(id: string): void {
    Object.assign(this.#jobs.get(id)!, { ended: true, node: undefined })
  }

  /** `waits`, `runs on NODE`, `ended`. */
  stateOf(id: string): string {
    const { node, ended } = this.#jobs.get(id)!
    return ended ? 'ended' : node === undefined ? 'waits' : `runs on ${node}`
  }

  on(name: string): string[] {
    return [...this.#jobs].filter(([, job]) => job.node === name).map(([id]) => id)
  }

  batch(clock: Clock): BatchSystem {
    const nodes = this.#nodes
    const putBack = (id: string): string | undefined => {
      const job = this.#jobs.get(id)
      if (job?.requeueable === false) return 'it was submitted as not rerunable'
      if (job !== undefined) job.node = undefined
      return undefined
    }
    return {
      name: 'the queue of the scene',
      capabilities: { events: false, nodes: 'created', requeue: true, settleMs: 0 },
      check: async () => [],
      observe: async () => ({
        ...{ startedAt: clock.now(), at: clock.now(), warnings: [], trust: 'confirmed' },
        nodes: [...nodes].map(([name, { mark, drained }]) => this.#nodeOf(name, mark, drained)),
        jobs: [...this.#jobs.keys()].map((id) => this.#jobOf(id)),
      }),
      expect: async ({ name, mark }) => void nodes.set(name, { mark, drained: undefined }),
      drain: async (name, _mark, reason) => void Object.assign(nodes.get(name) ?? {}, { drained: reason }),
      resume: async (name) => void Object.assign(nodes.get(name) ?? {}, { drained: undefined }),
      remove: async (name, _mark, { lost }) => {
        if (!lost && this.on(name).length > 0) throw new SubletError('node-busy', `${name} is busy`)
        for (const id of this.on(name)) if (putBack(id) !== undefined) this.ends(id)
        nodes.delete(name)
      },
      requeue: async (ids) =>
        ids.flatMap((id) => {
          const reason = putBack(id)
          return reason === undefined ? [] : [{ id, reason }]
        }),
      claim: async () => undefined,
      close: async () => undefined,
    }
  }

  #nodeOf(name: string, mark: NodeMark, drained: string | undefined): BatchNode {
    const jobs = this.on(name)
    return {
      ...{ name, mark, vendorState: '', responding: true, accepting: drained === undefined, jobs },
      ...{
        empty: jobs.length === 0,
        collectingFor: undefined,
        drained: drained === undefined ? 'no' : 'ours',
      },
      ...{ drainReason: drained ?? '', cpus: 1, cpusInUse: jobs.length, memoryMiB: 1 },
    }
  }

  #jobOf(id: string): Job {
    const { node, requeueable, ended } = this.#jobs.get(id)!
    return {
      ...{
        id,
        state: ended ? 'ended' : node === undefined ? 'pending' : 'running',
        vendorReason: '',
        user: 'ada',
      },
      ...{
        queue: 'batch',
        nodes: 1,
        cpusPerNode: 1,
        memoryMiBPerNode: 0,
        walltimeMs: undefined,
        submittedAt: 0,
      },
      ...{ startedAt: 0, endedAt: undefined, nodeNames: node === undefined ? [] : [node], requeueable },
      ...{ restarts: 0, tasks: 1 },
    }
  }
}
