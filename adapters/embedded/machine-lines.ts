import type { Clock, Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { asFields, text } from './fields.ts'
import type { MachineFolders } from './machine-folder.ts'
import type { MarkedProcess } from './machine-marks.ts'
import { type Channel, dial } from './wire.ts'

const DIAL_MS: Millis = 2_000

/** One who wants to hear which machines have ended. */
export interface Watcher {
  readonly onEnded: (unitId: string) => void
  readonly signal: AbortSignal
  /** The machines it holds a line to. */
  readonly following: Set<string>
}

export interface LinesParts {
  readonly clock: Clock
  readonly folders: MachineFolders
  readonly supervisorOf: (unitId: string) => MarkedProcess | undefined
}

/** Lines to machines that are processes: one for each question, and one that is held for as long as the machine lives. */
export function machineLines({ clock, folders, supervisorOf }: LinesParts) {
  return { withCall, follow }

  /** A line to the machine, proven to be to the right one. */
  async function call(unitId: string, signal: AbortSignal): Promise<Channel> {
    const who = `The machine of unit ${unitId}`
    const channel = await dial(folders.of(unitId).socket, {
      clock,
      who,
      code: 'machine-unreachable',
      timeoutMs: DIAL_MS,
      signal,
    })
    try {
      const hello = asFields('hello', await channel.ask('hello', {}, { timeoutMs: DIAL_MS, signal }))
      const nonce = folders.of(unitId).unit()?.nonce ?? supervisorOf(unitId)?.nonce
      if (text(hello, 'unitId') !== unitId || text(hello, 'nonce') !== nonce)
        throw new SubletError(
          'machine-unreachable',
          `At the socket of unit ${unitId} another machine answers.`,
        )
      return channel
    } catch (error) {
      channel.hangUp()
      throw error
    }
  }

  async function withCall<T>(
    unitId: string,
    signal: AbortSignal,
    use: (channel: Channel) => Promise<T>,
  ): Promise<T> {
    const channel = await call(unitId, signal)
    try {
      return await use(channel)
    } finally {
      channel.hangUp()
    }
  }

  /** Holds one line to the machine until it breaks. */
  async function follow(unitId: string, { onEnded, signal, following }: Watcher): Promise<void> {
    if (signal.aborted || following.has(unitId)) return
    following.add(unitId)
    try {
      const channel = await call(unitId, signal)
      await ended(AbortSignal.any([signal, channel.gone]))
      channel.hangUp()
    } catch (error) {
      // Whoever cannot be called may have ended; that is all that a hint says.
      if (!(error instanceof SubletError) && !signal.aborted) throw error
    }
    following.delete(unitId)
    if (!signal.aborted) onEnded(unitId)
  }
}

const ended = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
