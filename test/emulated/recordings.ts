import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** One row of an index.md of test/fixtures: a command, and what the real program did. */
export interface RecordedRow {
  readonly file: string
  readonly user: string
  readonly argv: readonly string[]
  readonly exitCode: number
  readonly ms: number
  readonly endedAt: number
  readonly stdout: string
  readonly stderr: string
}

/** `qmgr -c 'create node vm01 np=2'` as its words. */
export const wordsOf = (line: string): readonly string[] =>
  [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain ?? '')

export function recorded(folder: string): readonly RecordedRow[] {
  const at = join(import.meta.dirname, '../fixtures', folder)
  const read = (file: string): string =>
    existsSync(join(at, file)) ? readFileSync(join(at, file), 'utf8') : ''
  const rows = read('index.md').matchAll(
    /^\| (\d{3}\S*) \| (\S+) \| `([^`]*)` \| (\d+) \| (\d+) \| (\d\d):(\d\d):(\d\d) \|$/gm,
  )
  return [...rows].map(([, file = '', user = '', line = '', exitCode, ms, hour, minute, second]) => ({
    ...{ file, user, argv: wordsOf(line), exitCode: Number(exitCode), ms: Number(ms) },
    endedAt: Date.UTC(2026, 10, 21, Number(hour), Number(minute), Number(second)),
    stdout: read(`${file}.out`),
    stderr: read(`${file}.err`),
  }))
}
