import { inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import { printable } from '../reports/printable.ts'

/** What the shell is told. `docs/operate.md` lists the same numbers. */
export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  notRunning: 3,
  refused: 4,
  /** A proof failed: a fault in a ledger, a job lost or run twice. */
  disproved: 5,
  /** Ended at once by a second Ctrl-C. */
  interrupted: 130,
} as const

const EXIT_OF: Readonly<Record<string, number>> = {
  usage: EXIT.usage,
  'config-invalid': EXIT.usage,
  'config-missing': EXIT.usage,
  'not-running': EXIT.notRunning,
  'not-permitted': EXIT.refused,
  'already-running': EXIT.refused,
  'no-capacity': EXIT.refused,
  'extension-pending': EXIT.refused,
  'unknown-type': EXIT.refused,
  'term-too-long': EXIT.refused,
  'ticket-invalid': EXIT.refused,
  disproved: EXIT.disproved,
}

/** Data goes to standard output, everything else to standard error; neither tells the terminal what to do. */
export function print(text: string): void {
  process.stdout.write(`${printable(text)}\n`)
}

export function printJson(value: unknown): void {
  process.stdout.write(`${printable(JSON.stringify(value))}\n`)
}

export function tell(text: string): void {
  process.stderr.write(`${printable(text)}\n`)
}

/**
 * A reader that went away (`| head`) is no error of ours. Output that has no room, as behind `>` on a full disk, makes a
 * command that ends fail: half an answer is none. One that runs goes on: its work does not hang on what it says.
 */
export function outliveClosedPipes(): void {
  for (const stream of [process.stdout, process.stderr])
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE' && error.code !== 'EIO') return noRoomFor(stream, error)
      if (stream === process.stdout && onClosed !== undefined) onClosed()
    })
}

let isShort = false

function noRoomFor(stream: NodeJS.WriteStream, error: Error): void {
  if (isShort) return
  isShort = true
  process.once('exit', (code) => {
    process.exitCode = code === EXIT.done ? EXIT.failed : code
  })
  if (stream !== process.stdout) return
  tellError(
    new SubletError('usage', `the output cannot be written (${error.message})`, {
      cure: 'See to it that there is room where it is written to.',
    }),
  )
}

let onClosed: (() => void) | undefined

/** What to do when nobody reads standard output any more; by default nothing is done. */
export function whenNobodyReads(act: () => void): void {
  onClosed = act
}

/** Runs a command; sets the exit code, and prints what went wrong in the form of `sentence, code, cure`. */
export async function perform(json: boolean, command: () => Promise<number | undefined>): Promise<void> {
  try {
    process.exitCode = (await command()) ?? EXIT.done
  } catch (error) {
    process.exitCode = report(error, json)
  }
}

export function report(error: unknown, json: boolean): number {
  if (!(error instanceof SubletError)) {
    if (json) printJson({ error: { code: 'unexpected', sentence: inOneLine(error), cure: '' } })
    tell(`error: ${inOneLine(error)}`)
    tell('This is a mistake in Sublet itself; it happened here:')
    tell(error instanceof Error ? (error.stack ?? '') : '')
    return EXIT.failed
  }
  if (json) printJson({ error: shapeOfError(error) })
  tellError(error)
  return EXIT_OF[error.code] ?? EXIT.failed
}

export const shapeOfError = (error: SubletError): { code: string; sentence: string; cure: string } => ({
  code: error.code,
  sentence: inOneLine(error),
  cure: error.cure,
})

export function tellError(error: SubletError): void {
  const { code, cure } = error
  tell(`error: ${code === 'config-invalid' ? error.message : inOneLine(error)}`)
  tell(`  code: ${code}`)
  tell(`  cure: ${cure}`)
}
