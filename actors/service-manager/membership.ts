import type { BatchSystem, NodeMark } from '../../adapters/batch-system.ts'
import type { JoinHandler, JoinUnit } from '../../adapters/join.ts'
import { type Clock, sleep } from '../runtime/clock.ts'
import { SubletError } from '../runtime/errors.ts'

/** The arguments of the membership verbs, as they are kept with the effect. */
export interface MemberEffectArgs {
  readonly guest: string
  readonly unit: JoinUnit
  readonly reason: string
  /** Put running jobs back into the queue instead of waiting for them. */
  readonly requeue: boolean
  /** Of a machine that is given up: it may run, so that its node goes only when it is empty. */
  readonly alive?: boolean
}

export type LeaveOutcome =
  | { readonly kind: 'left' }
  | { readonly kind: 'busy'; readonly jobs: readonly string[] }

const LOOK_AGAIN_MS = 100

/**
 * Brings a machine into and out of its guest's middleware. Every verb may run again after a crash in
 * the middle of it.
 *
 *   join   start the node daemon, wait until the node is registered and takes jobs
 *   drain  no new jobs                   resume  take our drain back
 *   leave  drain, look again a scheduler cycle later, remove the node, stop the daemon
 *   lost   remove the node of a machine that is gone for good; its jobs go back into the queue. Of one that
 *          was only given up (it never joined) the node goes when no job runs there
 */
export class Membership {
  readonly #batch: BatchSystem
  readonly #join: JoinHandler
  readonly #clock: Clock

  constructor(batch: BatchSystem, join: JoinHandler, clock: Clock) {
    this.#batch = batch
    this.#join = join
    this.#clock = clock
  }

  async perform(verb: string, args: MemberEffectArgs, signal: AbortSignal): Promise<unknown> {
    const { unit, reason } = args
    const mark: NodeMark = { leaseId: unit.leaseId, unitId: unit.unitId }
    switch (verb) {
      case 'join':
        return this.#enter(unit, mark, signal)
      case 'drain':
        return this.#batch.drain(unit.name, mark, reason, signal)
      case 'resume':
        return this.#batch.resume(unit.name, mark, signal)
      case 'leave':
        return this.#leave(unit, mark, reason, args.requeue, signal)
      case 'lost':
        return this.#batch.remove(unit.name, mark, { lost: args.alive !== true }, signal)
      default:
        throw new Error(`membership knows no verb ${verb}`)
    }
  }

  /** Record and daemon at once: where names are fixed the record must be there before the daemon asks. */
  async #enter(unit: JoinUnit, mark: NodeMark, signal: AbortSignal): Promise<void> {
    const both = new AbortController()
    const together = AbortSignal.any([signal, both.signal])
    const node = {
      name: unit.name,
      address: unit.facts.address ?? '',
      mark,
      cpus: unit.vector.cpu ?? 1,
      memoryMiB: unit.vector.memoryMiB ?? 0,
    }
    try {
      await Promise.all([this.#batch.expect(node, together), this.#join.join(unit, together)])
    } finally {
      both.abort(new Error('the other half of the join failed'))
    }
  }

  async #leave(
    unit: JoinUnit,
    mark: NodeMark,
    reason: string,
    requeue: boolean,
    signal: AbortSignal,
  ): Promise<LeaveOutcome> {
    const known = await this.#jobsOn(unit.name, mark, signal)
    if (known !== undefined) {
      await this.#batch.drain(unit.name, mark, reason, signal)
      await sleep(this.#clock, this.#batch.capabilities.settleMs, signal)
      const busy = await this.#emptied(unit.name, mark, requeue, reason, signal)
      if (busy !== undefined) return busy
      const refused = await this.#remove(unit.name, mark, signal)
      if (refused !== undefined) return refused
    }
    await this.#join.leave(unit, signal)
    return { kind: 'left' }
  }

  /** Undefined once the node is empty; with `requeue` its jobs are put back and waited for. */
  async #emptied(
    name: string,
    mark: NodeMark,
    requeue: boolean,
    reason: string,
    signal: AbortSignal,
  ): Promise<LeaveOutcome | undefined> {
    let jobs = await this.#jobsOn(name, mark, signal)
    if (jobs === undefined || jobs.length === 0) return undefined
    if (!requeue) return { kind: 'busy', jobs }
    const kept = await this.#batch.requeue(jobs, reason, signal)
    if (kept.length > 0) return { kind: 'busy', jobs: kept.map((job) => job.id) }
    while (jobs !== undefined && jobs.length > 0) {
      await sleep(this.#clock, LOOK_AGAIN_MS, signal)
      jobs = await this.#jobsOn(name, mark, signal)
    }
    return undefined
  }

  async #remove(name: string, mark: NodeMark, signal: AbortSignal): Promise<LeaveOutcome | undefined> {
    try {
      await this.#batch.remove(name, mark, { lost: false }, signal)
      return undefined
    } catch (error) {
      if (error instanceof SubletError && error.code === 'node-busy') return { kind: 'busy', jobs: [] }
      throw error
    }
  }

  /** Jobs that run or complete on our node (an epilog counts as one without a name); undefined if it is not there. */
  async #jobsOn(name: string, mark: NodeMark, signal: AbortSignal): Promise<readonly string[] | undefined> {
    const picture = await this.#batch.observe(signal)
    if (picture.trust === 'doubtful')
      throw new SubletError(
        'middleware-garbage',
        `${this.#batch.name} shows a picture that cannot be trusted; nothing is removed on it`,
      )
    const node = picture.nodes.find((candidate) => candidate.name === name)
    if (node?.mark?.unitId !== mark.unitId) return undefined
    if (node.empty) return []
    return node.jobs.length > 0 ? node.jobs : ['(an epilog)']
  }
}
