import { Writable } from 'node:stream'
import pino, { type Level, type Logger } from 'pino'
import type { Clock } from '../actors/runtime/clock.ts'
import { inOneLine } from '../actors/runtime/errors.ts'
import { onOneLine } from './reports/printable.ts'

/** The log of one Sublet: JSON lines in a file; warnings also go to the terminal, as text. */
export interface FileLog {
  readonly log: Logger
  /** Goes on in a new file of the same name, after the old one was renamed. */
  reopen(): void
  /** From now on nothing goes to the terminal: whoever is handed the error tells it there. */
  hush(): void
  close(): void
}

export interface LogOptions {
  readonly file: string
  readonly level: Level
  readonly clock: Clock
  /** Gets a line for each warning and error; undefined: nobody is told. */
  readonly warn: ((line: string) => void) | undefined
}

/** Of a log on a disk that is full, so much is kept for later. */
const UNWRITTEN_BYTES_MAX = 16 * 1024 * 1024

/** Keys that hold secrets are not written, should one ever get into a log line. */
const SECRETS = ['privateKey', '*.privateKey', '*.*.privateKey', 'password', '*.password', '*.*.password']

export function fileLog({ file, level, clock, warn }: LogOptions): FileLog {
  // Written at once: what was decided last is what one wants to read after a crash.
  const destination = pino.destination({
    ...{ dest: file, sync: true, mkdir: true, append: true, mode: 0o600 },
    maxLength: UNWRITTEN_BYTES_MAX,
  })
  let hushed = false
  let failing = false
  let closed = false
  // Leases matter more than what is said of them: a log that cannot be written ends nothing.
  destination.on('error', (error: Error) => {
    if (!failing && !hushed) warn?.(`warning: the log ${file} cannot be written: ${error.message}`)
    failing = true
  })
  destination.on('write', () => {
    failing = false
  })
  const streams: pino.StreamEntry[] = [{ stream: destination, level }]
  if (warn !== undefined)
    streams.push({
      stream: warnings((line) => {
        if (!hushed) warn(line)
      }),
      level: 'warn',
    })
  const log = pino(
    {
      serializers: { err: errorFields },
      level,
      base: null,
      timestamp: () => `,"at":"${new Date(clock.now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRETS, censor: '[secret]' },
    },
    pino.multistream(streams),
  )
  return {
    log,
    reopen: () => destination.reopen(),
    hush() {
      hushed = true
    },
    close() {
      if (closed) return
      closed = true
      // What ends late may still have something to say; nobody listens any more.
      log.level = 'silent'
      destination.end()
    },
  }
}

function warnings(tell: (line: string) => void): Writable {
  return new Writable({
    write(chunk, _, done) {
      tell(asText(String(chunk)))
      done()
    },
  })
}

const CAUSES_MAX = 5

/** Of an error its sentences and where it comes from; nothing else that hangs on it, for nobody knows what that is. */
function errorFields(error: unknown): object {
  try {
    const stacks: string[] = []
    for (let at = error; at instanceof Error && stacks.length < CAUSES_MAX; at = at.cause)
      stacks.push(at.stack ?? at.message)
    const code = error instanceof Error && 'code' in error ? { code: String(error.code) } : {}
    return { message: inOneLine(error), ...code, stack: stacks.join('\ncaused by: ') }
  } catch {
    return { message: 'an error that cannot be read' }
  }
}

function asText(line: string): string {
  const { level, at: _, msg, err, ...fields } = JSON.parse(line) as Record<string, unknown>
  const cause = typeof err === 'object' && err !== null && 'message' in err ? `: ${String(err.message)}` : ''
  const rest = Object.entries(fields).map(
    ([key, value]) => `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`,
  )
  const words = `${level === 'warn' ? 'warning' : level}: ${msg}${cause}${rest.length > 0 ? ` (${rest.join(', ')})` : ''}`
  return onOneLine(words)
}
