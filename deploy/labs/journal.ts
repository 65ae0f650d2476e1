import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * What the lab made, one line each, written BEFORE the thing is made: a run that is cut off at any
 * point leaves a journal that names at least everything it left behind.
 */
export type JournalLine =
  | { readonly kind: 'run'; readonly runId: string }
  | { readonly kind: 'netns'; readonly name: string }
  /** The process itself is found by the run's mark in its environment; the pid is for the reader. */
  | { readonly kind: 'process'; readonly what: string; readonly pid?: number }
  | { readonly kind: 'ended' }

export interface Journal {
  write(line: JournalLine): void
  lines(): readonly JournalLine[]
}

const isLine = (value: unknown): value is JournalLine =>
  typeof value === 'object' && value !== null && 'kind' in value && typeof value.kind === 'string'

export function journal(dir: string): Journal {
  const file = join(dir, 'journal.jsonl')
  return {
    write: (line) => appendFileSync(file, `${JSON.stringify(line)}\n`),
    lines() {
      if (!existsSync(file)) return []
      const found: JournalLine[] = []
      for (const text of readFileSync(file, 'utf8').split('\n')) {
        // The last line may be cut off by the crash that makes the sweep necessary.
        if (!text.endsWith('}')) continue
        const value: unknown = JSON.parse(text)
        if (isLine(value)) found.push(value)
      }
      return found
    },
  }
}
