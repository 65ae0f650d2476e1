import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzip, gzip } from 'node:zlib'
import type { Instant } from '../../actors/runtime/clock.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { syncFile } from '../durable-file.ts'
import type { Store } from '../store.ts'

/**
 * The old lines of one actor's ledger, in files beside its database:
 *
 *   FOLDER/ACTOR.json                   which lines are where, with the hash of the last and of the file
 *   FOLDER/ACTOR-000000001.jsonl.gz     lines 1 to 10000, one JSON object a line
 *   FOLDER/ACTOR-000010001.jsonl.gz     ...
 *
 * A file is on disk before the manifest names it, and the manifest before any line leaves the database.
 */
export interface ArchivedRange {
  readonly file: string
  readonly first: number
  readonly last: number
  /** Of the last line. */
  readonly hash: string
  /** Of the first and last line. */
  readonly from: Instant
  readonly to: Instant
  readonly bytes: number
  readonly sha256: string
}

export interface LedgerArchive {
  readonly ranges: () => readonly ArchivedRange[]
  /** Puts lines away that follow the last one in here. */
  append(lines: readonly LedgerEntry[]): Promise<ArchivedRange>
  entries: Store['entries']
  /** Puts the files with lines after this one aside: the ledger has become another from there on. */
  cut(afterSeq: number, aside: string): void
}

const zip = promisify(gzip)
const unzip = promisify(gunzip)
/** Files that are kept unpacked, for whoever reads page by page. */
const OPEN_MAX = 2

export function ledgerArchive(folder: string, actor: string): LedgerArchive {
  const manifest = join(folder, `${actor}.json`)
  const opened = new Map<string, readonly string[]>()

  function ranges(): readonly ArchivedRange[] {
    if (!existsSync(manifest)) return []
    try {
      return (JSON.parse(readFileSync(manifest, 'utf8')) as { ranges: ArchivedRange[] }).ranges
    } catch (cause) {
      throw new SubletError('store-corrupt', `the archive ${manifest} cannot be read`, { cause })
    }
  }

  async function linesOf(range: ArchivedRange): Promise<readonly string[]> {
    const known = opened.get(range.file)
    if (known !== undefined) return known
    const path = join(folder, range.file)
    let lines: readonly string[]
    try {
      const bytes = readFileSync(path)
      if (hashOf(bytes) !== range.sha256) throw new Error('it is not what was put away')
      lines = (await unzip(bytes)).toString().trimEnd().split('\n')
    } catch (cause) {
      throw new SubletError('store-corrupt', `the archive ${path} cannot be read`, { cause })
    }
    for (const file of opened.keys()) if (opened.size >= OPEN_MAX) opened.delete(file)
    opened.set(range.file, lines)
    return lines
  }

  return {
    ranges,
    async append(lines) {
      const before = ranges()
      const [first, last] = [lines[0], lines.at(-1)]
      if (first === undefined || last === undefined) throw new Error('no lines were to be archived')
      if (first.seq !== (before.at(-1)?.last ?? 0) + 1)
        throw new Error(`line ${first.seq} was to be archived behind line ${before.at(-1)?.last ?? 0}`)
      mkdirSync(folder, { recursive: true, mode: 0o700 })
      const file = `${actor}-${String(first.seq).padStart(9, '0')}.jsonl.gz`
      const bytes = await zip(`${lines.map((line) => JSON.stringify(line)).join('\n')}\n`)
      writeDurably(join(folder, file), bytes)
      const range: ArchivedRange = {
        ...{ file, first: first.seq, last: last.seq, hash: last.hash, from: first.at, to: last.at },
        ...{ bytes: bytes.length, sha256: hashOf(bytes) },
      }
      writeDurably(manifest, `${JSON.stringify({ format: 1, actor, ranges: [...before, range] }, null, 1)}\n`)
      syncFile(folder)
      return range
    },
    async entries({ afterSeq, limit, subject }) {
      const found: LedgerEntry[] = []
      // Cheaper than reading every line as JSON.
      const words = subject === undefined ? '' : `"subject":${JSON.stringify(subject)}`
      for (const range of ranges()) {
        if (range.last <= afterSeq) continue
        for (const text of await linesOf(range)) {
          if (!text.includes(words)) continue
          const entry = JSON.parse(text) as LedgerEntry
          if (entry.seq <= afterSeq || (subject !== undefined && entry.subject !== subject)) continue
          found.push(entry)
          if (found.length >= limit) return found
        }
      }
      return found
    },
    cut(afterSeq, aside) {
      const kept = ranges().filter(({ last }) => last <= afterSeq)
      const gone = ranges().filter(({ last }) => last > afterSeq)
      if (gone.length === 0) return
      copyFileSync(manifest, join(aside, `archive-${actor}.json`))
      // Before any file goes: a power cut in between must not leave what is kept without its names.
      writeDurably(manifest, `${JSON.stringify({ format: 1, actor, ranges: kept }, null, 1)}\n`)
      syncFile(folder)
      for (const { file } of gone)
        if (existsSync(join(folder, file))) renameSync(join(folder, file), join(aside, file))
      opened.clear()
    },
  }
}

const hashOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('base64url')

function writeDurably(path: string, content: Buffer | string): void {
  const unfinished = `${path}.unfinished`
  writeFileSync(unfinished, content, { mode: 0o600 })
  syncFile(unfinished)
  renameSync(unfinished, path)
}
