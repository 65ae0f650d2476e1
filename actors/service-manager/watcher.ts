import type { BatchPicture, BatchSystem } from '../../adapters/batch-system.ts'
import { type Cancel, type Clock, deadline, type Millis } from '../runtime/clock.ts'
import { inOneLine, SubletError } from '../runtime/errors.ts'
import { period } from '../runtime/sentence.ts'
import type { Look } from './guests.ts'
import type { Traces } from './strays.ts'
import { BLIND_MS_MAX } from './view.ts'

export interface WatcherConfig {
  readonly guest: string
  /** Between two looks, while nothing tells of a change. */
  readonly pollMs: Millis
  /** A look that takes longer has failed. */
  readonly lookMs: Millis
  /** Changes that come within this long are looked at together. */
  readonly quietMs: Millis
}

/**
 * Watches one middleware for its controller: woken by the middleware, by changes of leases, and by the
 * clock; no two looks at once. What was looked at goes to the service manager, which decides.
 *
 *   poke ──quiet──▶ look ──picture──▶ decide ──again──▶ wait (poll) ──▶ look ...
 */
export class Watcher {
  readonly #config: WatcherConfig
  readonly #batch: BatchSystem
  readonly #tell: (look: Look) => Promise<{ againMs: Millis }>
  readonly #clock: Clock
  readonly #stop = new AbortController()
  #picture: BatchPicture | undefined
  /** In monotonic time, for the wall clock may be set back. */
  #pictureAt: Millis = 0
  #timer: { readonly cancel: Cancel; readonly at: Millis } | undefined
  #looking: Promise<void> | undefined
  #poked = false

  constructor(
    config: WatcherConfig,
    batch: BatchSystem,
    tell: (look: Look) => Promise<{ againMs: Millis }>,
    clock: Clock,
  ) {
    this.#config = config
    this.#batch = batch
    this.#tell = tell
    this.#clock = clock
  }

  /** The last picture that could be trusted. */
  get picture(): BatchPicture | undefined {
    return this.#picture
  }

  start(): void {
    this.#batch.watch?.(() => this.poke(), this.#stop.signal)
    this.#lookIn(0)
  }

  /** Something may have changed. */
  poke(): void {
    if (this.#looking !== undefined) this.#poked = true
    else this.#lookIn(this.#config.quietMs)
  }

  async stop(): Promise<void> {
    this.#stop.abort(new SubletError('not-running', 'the watcher stops'))
    this.#timer?.cancel()
    await this.#looking
  }

  /** The earlier of two appointments counts. */
  #lookIn(delayMs: Millis): void {
    if (this.#stop.signal.aborted) return
    const at = this.#clock.monotonic() + delayMs
    if (this.#timer !== undefined && this.#timer.at <= at) return
    this.#timer?.cancel()
    const cancel = this.#clock.after(delayMs, () => {
      this.#timer = undefined
      this.#looking = this.#look().finally(() => {
        this.#looking = undefined
      })
    })
    this.#timer = { cancel, at }
  }

  async #look(): Promise<void> {
    let againMs = this.#config.pollMs
    try {
      const answer = await this.#tell(await this.#observe())
      againMs = Math.min(againMs, answer.againMs)
    } catch (error) {
      // The actor has stopped or the controller is at fault; the actor has said so in its own words.
      if (!(error instanceof SubletError)) throw error
    }
    this.#timer?.cancel()
    this.#timer = undefined
    const poked = this.#poked
    this.#poked = false
    queueMicrotask(() => this.#lookIn(poked ? this.#config.quietMs : againMs))
  }

  async #observe(): Promise<Look> {
    const { guest, lookMs } = this.#config
    const late = (): Error =>
      new SubletError('exec-timeout', `${this.#batch.name} could not be looked at within ${period(lookMs)}`)
    const limit = deadline(this.#clock, lookMs, late, this.#stop.signal)
    try {
      const picture = await this.#batch.observe(limit.signal)
      if (picture.trust === 'doubtful')
        return this.#blind('the picture shows no jobs, and it is not proven that there are none')
      this.#picture = picture
      this.#pictureAt = this.#clock.monotonic()
      return { guest, observation: picture, failure: undefined, traces: tracesOf(picture) }
    } catch (error) {
      return this.#blind(inOneLine(error))
    } finally {
      limit.done()
    }
  }

  /** The last picture is kept for a bounded time; nothing shrinks on it. */
  #blind(failure: string): Look {
    const keep = this.#clock.monotonic() - this.#pictureAt <= BLIND_MS_MAX
    return {
      guest: this.#config.guest,
      observation: keep ? this.#picture : undefined,
      failure,
      traces: undefined,
    }
  }
}

const tracesOf = ({ startedAt, nodes, jobs }: BatchPicture): Traces => ({
  startedAt,
  nodes: nodes.flatMap(({ name, mark, responding }) =>
    mark === undefined ? [] : [{ name, mark, responding }],
  ),
  launchFailed: jobs.filter((job) => job.launchFailed).map(({ id, restarts }) => ({ id, restarts })),
})
