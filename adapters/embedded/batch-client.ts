import { dirname } from 'node:path'
import { type Clock, type Millis, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { type JobRecord, PROTOCOL } from './batch-records.ts'
import { asFields, type Fields, text } from './fields.ts'
import { type Channel, dial, isNobodyThere } from './wire.ts'

const DIAL_MS = 3_000
const ASK_MS = 10_000
const GOODBYE_MS = 2_000
const REDIAL_MS_MIN = 100
const REDIAL_MS_MAX = 2_000

/** A line to the embedded batch system that is opened when needed and opened again when it broke. */
export interface BatchLine {
  ask(what: string, body: Fields, signal: AbortSignal, timeoutMs?: Millis): Promise<unknown>
  /** Calls back after every change and after every break, until the signal is aborted. */
  watch(onChange: () => void, signal: AbortSignal): void
  /** Runs first on every new connection; a refusal fails whatever was to be asked. */
  onConnect: ((channel: Channel) => Promise<void>) | undefined
  close(): Promise<void>
}

export function batchLine(socket: string, clock: Clock): BatchLine {
  const watchers = new Set<() => void>()
  let connecting: Promise<Channel> | undefined
  let watching: AbortController | undefined

  const notify = (): void => {
    for (const watcher of watchers) watcher()
  }

  async function connect(): Promise<Channel> {
    const channel = await dial(socket, {
      clock,
      who: 'The embedded batch system',
      code: 'middleware-unreachable',
      timeoutMs: DIAL_MS,
      onEvent: notify,
    }).catch((error: unknown) => {
      throw isNobodyThere(error) ? notStarted(socket, error) : error
    })
    channel.gone.addEventListener('abort', () => {
      connecting = undefined
      notify()
    })
    try {
      const { protocol } = asFields('hello', await channel.ask('hello', {}, { timeoutMs: ASK_MS }))
      if (protocol !== PROTOCOL)
        throw new SubletError(
          'middleware-schema',
          `The batch system at ${socket} speaks ${String(protocol)}, not ${PROTOCOL}.`,
        )
      await line.onConnect?.(channel)
      return channel
    } catch (error) {
      channel.hangUp()
      throw error
    }
  }

  function channel(): Promise<Channel> {
    if (connecting === undefined) {
      const attempt = connect()
      connecting = attempt
      attempt.catch(() => {
        // Whoever asked has the error; the next one is to try anew.
        if (connecting === attempt) connecting = undefined
      })
    }
    return connecting
  }

  /** Keeps a connection up, and subscribed, as long as somebody watches. */
  async function keepWatching(signal: AbortSignal): Promise<void> {
    let delayMs = REDIAL_MS_MIN
    while (!signal.aborted) {
      try {
        const connected = await channel()
        await connected.ask('watch', {}, { timeoutMs: ASK_MS, signal })
        delayMs = REDIAL_MS_MIN
        notify()
        await ended(AbortSignal.any([signal, connected.gone]))
      } catch {
        if (signal.aborted) return
        // Nobody to tell: whoever looks next gets the same error. Here it costs only time.
        await Promise.race([sleep(clock, delayMs), ended(signal)])
        delayMs = Math.min(delayMs * 2, REDIAL_MS_MAX)
      }
    }
  }

  const line: BatchLine = {
    onConnect: undefined,
    async ask(what, body, signal, timeoutMs = ASK_MS) {
      if (signal.aborted) throw signal.reason
      const connected = await orAborted(channel(), signal)
      return connected.ask(what, body, { timeoutMs, signal })
    },
    watch(onChange, signal) {
      if (signal.aborted) return
      watchers.add(onChange)
      signal.addEventListener(
        'abort',
        () => {
          watchers.delete(onChange)
          if (watchers.size === 0) {
            watching?.abort()
            watching = undefined
          }
        },
        { once: true },
      )
      if (watching !== undefined) return
      watching = new AbortController()
      void keepWatching(watching.signal)
    },
    async close() {
      watching?.abort()
      watching = undefined
      watchers.clear()
      const closing = connecting
      connecting = undefined
      try {
        const open = await closing
        // What the connection held is free when this resolves, not some time later.
        await open?.ask('goodbye', {}, { timeoutMs: GOODBYE_MS }).finally(open.hangUp)
      } catch (error) {
        // A server that cannot be told sees the line break.
        if (!(error instanceof SubletError)) throw error
      }
    },
  }
  return line
}

const notStarted = (socket: string, error: unknown): SubletError =>
  new SubletError(
    'middleware-unreachable',
    `Nothing answers at ${socket}: the embedded batch system is not started`,
    {
      cause: error instanceof Error ? error.cause : error,
      cure: `Start it with \`sublet batch start --dir ${dirname(socket)}\`.`,
    },
  )

/** The promise's outcome, unless the signal is aborted first; the connection being made is kept for others. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = (): void => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', stop))
  })
}

const ended = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })

/** What a user submits; everything but the command has a default. */
export interface Submission {
  readonly command: string
  readonly user?: string
  readonly queue?: string
  readonly nodes?: number
  readonly cpusPerNode?: number
  readonly memoryMiBPerNode?: number
  readonly walltimeMs?: Millis
  /** Default true. */
  readonly requeueable?: boolean
  readonly held?: boolean
  /** Starts only after this job has ended. */
  readonly after?: string
  /** More than one: an array; its tasks are `17_0`, `17_1`, ... */
  readonly tasks?: number
  readonly environment?: Readonly<Record<string, string>>
  /** A file to which standard output and error are appended. */
  readonly output?: string
}

/** What users and the admin of the embedded batch system can do. Not for Sublet itself, which sees the contract only. */
export interface BatchUser {
  /** Returns the job's id; of an array, the id of all its tasks together. */
  submit(job: Submission): Promise<string>
  cancel(id: string): Promise<void>
  hold(id: string): Promise<void>
  release(id: string): Promise<void>
  adminDrain(node: string, reason: string): Promise<void>
  adminResume(node: string): Promise<void>
  /** `lost`: also if jobs are there; they are requeued or failed. */
  adminDelete(node: string, options: { readonly lost: boolean }): Promise<void>
  /** Everything the middleware itself has written down of every job, ended ones included. */
  jobRecords(): Promise<readonly JobRecord[]>
  close(): Promise<void>
}

export function batchUser(socket: string, clock: Clock): BatchUser {
  const line = batchLine(socket, clock)
  const never = new AbortController().signal
  const ask = (what: string, body: Fields): Promise<unknown> => line.ask(what, body, never)
  const quietly = async (what: string, body: Fields): Promise<void> => {
    await ask(what, body)
  }
  return {
    async submit(job) {
      const order = {
        user: 'user',
        queue: 'batch',
        nodes: 1,
        cpusPerNode: 1,
        memoryMiBPerNode: 0,
        requeueable: true,
        held: false,
        tasks: 1,
        environment: {},
        ...job,
      }
      return text({ id: await ask('submit', order) }, 'id')
    },
    cancel: (id) => quietly('cancel', { id }),
    hold: (id) => quietly('hold', { id }),
    release: (id) => quietly('release', { id }),
    adminDrain: (name, reason) => quietly('admin-drain', { name, reason }),
    adminResume: (name) => quietly('admin-resume', { name }),
    adminDelete: (name, { lost }) => quietly('admin-delete', { name, lost }),
    // The protocol version was agreed on, so the shape is that of batch-records.ts.
    jobRecords: async () => (await ask('records', {})) as readonly JobRecord[],
    close: () => line.close(),
  }
}
