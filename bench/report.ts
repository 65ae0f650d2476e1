import { writeFileSync } from 'node:fs'
import { loadNow, machineLine } from './this-machine.ts'

/** One line of what has to be true, beside what came out. */
export interface Line {
  readonly what: string
  readonly measured: string
  /** What was measured beside it in the same run. */
  readonly floor: string
  /** Undefined: nothing is asked for but that it is measured. */
  readonly goal?: { readonly words: string; readonly reached: boolean } | undefined
}

/** What a part of `npm run bench` tells the process that runs all parts. */
export interface Told {
  readonly lines: readonly Line[]
}

export const isQuick = process.argv.includes('--quick')
const begun = { load: loadNow(), at: new Date() }

/** Prints what came out and tells it on; keeps it in results/NAME.md unless it was only a look. */
export function report(name: string, text: string, lines: readonly Line[]): void {
  const whole = `${text.trimEnd()}

## Where and when

- ${whenAndWhere(`npm run bench:${name}`).join('\n- ')}
`
  process.stdout.write(`${whole}\n`)
  if (!isQuick) writeFileSync(new URL(`./results/${name}.md`, import.meta.url), whole)
  process.send?.({ lines } satisfies Told)
}

export const whenAndWhere = (command: string): readonly string[] => [
  `${begun.at.toISOString().slice(0, 16)}Z, \`${command}${isQuick ? ' -- --quick' : ''}\`, ${tookOf(begun.at)}`,
  machineLine(),
  `load of the last minute: ${begun.load.toFixed(2)} at the start, ${loadNow().toFixed(2)} at the end`,
]

const tookOf = (from: Date): string => `${((Date.now() - from.getTime()) / 60_000).toFixed(1)} minutes`
