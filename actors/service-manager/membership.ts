import type { BatchSystem, Job, NodeMark } from '../../adapters/batch-system.ts'
import type { JoinHandler, JoinUnit } from '../../adapters/join.ts'
import { type Presence, presenceOf } from '../../adapters/presence.ts'
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
  /** It was let in once: a node of its name without a mark was its own. */
  readonly wasIn?: boolean
}

/** Of the verb `requeue`, which is about jobs and no unit. */
export interface RequeueEffectArgs {
  readonly guest: string
  readonly jobIds: readonly string[]
  readonly reason: string
}

/** What a machine that has joined goes by there, if not by its own name. */
export interface JoinOutcome {
  readonly node: string
}

/** A job that was not put back, or was cut, and why. */
export interface JobRefused {
  readonly id: string
  readonly reason: string
}

/** What has become of the jobs that were on a unit. */
export interface Parting {
  /** Back in the queue. */
  readonly back?: readonly string[]
  /** They run there on. */
  readonly kept?: readonly JobRefused[]
  /** Their machine was lost under them, and they do not start again. */
  readonly cut?: readonly JobRefused[]
}

export type LeaveOutcome = Parting &
  ({ readonly kind: 'left' } | { readonly kind: 'busy'; readonly jobs: readonly string[] })

/** Stands for what may run there. */
const UNREAD = '(its record cannot be read)'
const NAMELESS = '(a record of no name cannot be read, and may be its own)'

const LOOK_AGAIN_MS = 100
/** For so long a node is waited for on which jobs were put back; then it is tried again later. */
const LET_GO_MS = 3_000

/**
 * Brings a machine into and out of its guest's middleware. Every verb may run again after a crash in
 * the middle of it.
 *
 *   join   start the node daemon, wait until the node is registered and takes jobs
 *   drain  no new jobs                   resume  take our drain back
 *   leave  drain, look again a scheduler cycle later, remove the node, stop the daemon; of its jobs those that are put
 *          back, and those that cannot be, are told
 *   lost   remove the node of a machine that is gone for good; its jobs go back into the queue. Of one that
 *          was only given up (it never joined) the node goes when no job runs there
 */
export class Membership {
  readonly #batch: BatchSystem
  readonly #join: JoinHandler
  readonly #clock: Clock
  /** By unit: what was done to its jobs in tries that came to nothing; told with the next that comes to something. */
  readonly #untold = new Map<string, Required<Parting>>()

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
        return this.#told(args, await this.#leave(args, mark, signal))
      case 'lost':
        return this.#lost(args, mark, signal)
      default:
        throw new Error(`membership knows no verb ${verb}`)
    }
  }

  /**
   * Whose name it is comes first: no daemon is started under another's. Then record and daemon at once: where names are
   * fixed the record must be there before the daemon asks.
   */
  async #enter(unit: JoinUnit, mark: NodeMark, signal: AbortSignal): Promise<JoinOutcome | undefined> {
    const both = new AbortController()
    const together = AbortSignal.any([signal, both.signal])
    const node = {
      name: unit.name,
      address: unit.facts.address ?? '',
      mark,
      cpus: unit.vector.cpu ?? 1,
      memoryMiB: unit.vector.memoryMiB ?? 0,
    }
    await this.#batch.vet?.(node, signal)
    const name = (await this.#batch.take?.(node, signal)) ?? unit.name
    try {
      await Promise.all([
        this.#batch.expect({ ...node, name }, together),
        this.#join.join({ ...unit, name }, together),
      ])
    } finally {
      both.abort(new Error('the other half of the join failed'))
    }
    return name === unit.name ? undefined : { node: name }
  }

  async #leave(args: MemberEffectArgs, mark: NodeMark, signal: AbortSignal): Promise<LeaveOutcome> {
    const { unit, reason } = args
    const found = await this.#find(args, signal)
    if (found.kind === 'shown' && found.isMarked) {
      const { name } = found.node
      await this.#batch.drain(name, mark, reason, signal)
      await sleep(this.#clock, this.#batch.capabilities.settleMs, signal)
      const busy = await this.#emptied(args, signal)
      if (busy !== undefined) return busy
      const refused = await this.#remove(name, mark, signal)
      if (refused !== undefined) return refused
    } else {
      const busy = await this.#unsure(found, args, signal)
      if (busy !== undefined) return busy
    }
    await this.#join.leave(unit, signal)
    return { kind: 'left' }
  }

  /**
   * Of a node that cannot be drained: its record is not readable, or carries our mark no more. Nobody can say that no
   * job comes to it; so it stays while one is there, or may be. One without a mark still takes jobs, and one may have
   * been sent there just before the look: it has to be empty again a scheduler cycle later.
   */
  async #unsure(
    found: Presence,
    args: MemberEffectArgs,
    signal: AbortSignal,
  ): Promise<LeaveOutcome | undefined> {
    if (found.kind === 'absent') return undefined
    const { requeue } = args
    const jobs = jobsOn(found)
    if (found.kind === 'shown')
      return jobs.length === 0 ? this.#stillEmpty(args, signal) : { kind: 'busy', jobs }
    if (requeue && found.jobs.length > 0) await this.#putBack(found.jobs, args, signal)
    return { kind: 'busy', jobs }
  }

  /** Undefined if nothing has come there meanwhile; one that carries our mark again is drained at the next try. */
  async #stillEmpty(args: MemberEffectArgs, signal: AbortSignal): Promise<LeaveOutcome | undefined> {
    await sleep(this.#clock, this.#batch.capabilities.settleMs, signal)
    const after = await this.#find(args, signal)
    const jobs = jobsOn(after)
    const isMarked = after.kind === 'shown' && after.isMarked
    return isMarked || jobs.length > 0 ? { kind: 'busy', jobs } : undefined
  }

  /** Undefined once the node is empty; with `requeue` its jobs are put back and waited for. */
  async #emptied(args: MemberEffectArgs, signal: AbortSignal): Promise<LeaveOutcome | undefined> {
    let jobs = jobsOn(await this.#find(args, signal))
    if (jobs.length === 0) return undefined
    if (!args.requeue) return { kind: 'busy', jobs }
    const kept = await this.#putBack(jobs, args, signal)
    if (kept.length > 0) return { kind: 'busy', jobs: kept.map((job) => job.id) }
    const end = this.#clock.monotonic() + LET_GO_MS
    while (jobs.length > 0) {
      if (this.#clock.monotonic() > end) return { kind: 'busy', jobs }
      await sleep(this.#clock, LOOK_AGAIN_MS, signal)
      jobs = jobsOn(await this.#find(args, signal))
    }
    return undefined
  }

  /** Those that could not be. */
  async #putBack(
    jobs: readonly string[],
    { unit, reason }: MemberEffectArgs,
    signal: AbortSignal,
  ): Promise<readonly JobRefused[]> {
    const kept = await this.#batch.requeue(jobs, reason, signal)
    const names = new Set(kept.map(({ id }) => id))
    const before = this.#untold.get(unit.unitId)
    const back = jobs.filter((id) => !names.has(id) && isJob(id))
    this.#untold.set(unit.unitId, {
      back: [...new Set([...(before?.back ?? []), ...back])],
      kept: kept.filter(({ id }) => isJob(id)),
      cut: [],
    })
    return kept
  }

  /** Undefined where nobody could look what was on it. */
  async #lost(args: MemberEffectArgs, mark: NodeMark, signal: AbortSignal): Promise<Parting | undefined> {
    const lost = args.alive !== true
    if (lost) await this.#count(args, signal)
    try {
      await this.#batch.remove(args.unit.name, mark, { lost }, signal)
    } catch (error) {
      // Removed by a try whose end was never stored; the next machine has the name.
      const isOthers = error instanceof SubletError && error.code === 'node-not-ours'
      if (!isOthers || (await this.#find(args, signal)).kind !== 'absent') throw error
    }
    return this.#untold.has(args.unit.unitId) || !lost ? this.#told(args, {}) : undefined
  }

  /** What is on a machine that is lost, before its node is removed: that starts again, or is cut. Nobody may be able to look. */
  async #count(args: MemberEffectArgs, signal: AbortSignal): Promise<void> {
    const { unit, wasIn } = args
    const picture = await this.#batch.observe(signal).catch(() => undefined)
    if (picture === undefined || picture.trust === 'doubtful') return
    const there = new Set(jobsOn(presenceOf(picture, { ...unit, wasIn: wasIn === true })))
    const jobs = picture.jobs.filter(({ id }) => there.has(id))
    const before = this.#untold.get(unit.unitId)
    const isAgain = ({ state, requeueable }: Job): boolean => state === 'running' && requeueable
    const cut = jobs
      .filter((job) => !isAgain(job))
      .map(({ id, state }) => ({ id, reason: state === 'completing' ? WAS_ENDING : MAY_NOT }))
    this.#untold.set(unit.unitId, {
      back: [...new Set([...(before?.back ?? []), ...jobs.filter(isAgain).map(({ id }) => id)])],
      kept: [],
      cut: [...(before?.cut ?? []).filter(({ id }) => !there.has(id)), ...cut],
    })
  }

  /** With what was done to jobs, of earlier tries too. */
  #told<Outcome extends object>({ unit }: MemberEffectArgs, outcome: Outcome): Outcome & Parting {
    const untold = this.#untold.get(unit.unitId)
    this.#untold.delete(unit.unitId)
    const told = Object.entries(untold ?? {}).filter(([, jobs]) => jobs.length > 0)
    return { ...outcome, ...Object.fromEntries(told) }
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

  async #find({ unit, wasIn }: MemberEffectArgs, signal: AbortSignal): Promise<Presence> {
    const picture = await this.#batch.observe(signal)
    if (picture.trust === 'doubtful')
      throw new SubletError(
        'middleware-garbage',
        `${this.#batch.name} shows a picture that cannot be trusted; nothing is removed on it`,
      )
    return presenceOf(picture, { ...unit, wasIn: wasIn === true })
  }
}

/** Stands for what has no name. */
const isJob = (id: string): boolean => !id.startsWith('(')

const MAY_NOT = 'it may not start again'
const WAS_ENDING = 'it had ended there, and that was never confirmed'

/** What runs or completes there; an epilog counts as one without a name. */
function jobsOn(found: Presence): readonly string[] {
  if (found.kind === 'absent') return []
  if (found.kind === 'unread')
    return found.jobs.length > 0 ? found.jobs : [found.nameless === true ? NAMELESS : UNREAD]
  const { empty, jobs } = found.node
  if (empty) return []
  return jobs.length > 0 ? jobs : ['(an epilog)']
}
