import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs'
import { appendFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * The files of one recording, which together are never longer than they may be:
 *
 *   append ──room in the part──▶ it grows
 *      └──────none, or another day──▶ the oldest parts go until there is room for a whole one ──▶ a new part
 */
export class Parts {
  readonly #folder: string
  readonly #partMax: number
  readonly #bytesMax: number
  /** The one that grows; undefined: it is to be looked up. */
  #part: Part | undefined

  constructor(folder: string, bytesMax: number) {
    this.#folder = folder
    this.#bytesMax = bytesMax
    this.#partMax = Math.ceil(bytesMax / PARTS)
  }

  /** Appends lines; the lengths, in bytes, of those left out, each longer than a part. Throws what the system says. */
  async append(day: string, lines: string): Promise<readonly number[]> {
    const { chunks, tooLong } = this.#chunksOf(lines)
    for (const text of chunks) {
      const bytes = Buffer.byteLength(text)
      const part = this.#roomFor(day, bytes)
      // Of a write that fails nobody knows how much was written.
      this.#part = undefined
      await appendFile(join(this.#folder, part.name), text, { mode: 0o600 })
      this.#part = { ...part, bytes: part.bytes + bytes }
    }
    return tooLong
  }

  #roomFor(day: string, bytes: number): Part {
    const part = this.#part
    if (part?.day === day && part.bytes + bytes <= this.#partMax) return part
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 })
    const parts = partsIn(this.#folder)
    const last = parts.findLast((one) => one.day === day)
    const goesOn = last !== undefined && last.bytes + bytes <= this.#partMax
    let sum = parts.reduce((all, one) => all + one.bytes, 0)
    for (const one of parts) {
      if (sum + this.#partMax <= this.#bytesMax) break
      if (goesOn && one === last) continue
      rmSync(join(this.#folder, one.name), { force: true })
      sum -= one.bytes
    }
    if (goesOn) return last
    const number = (last?.number ?? 0) + 1
    return { day, number, bytes: 0, name: number === 1 ? `${day}.jsonl` : `${day}.${number}.jsonl` }
  }

  /** Whole lines, as many as go into a part. */
  #chunksOf(lines: string): { readonly chunks: readonly string[]; readonly tooLong: readonly number[] } {
    if (Buffer.byteLength(lines) <= this.#partMax) return { chunks: [lines], tooLong: [] }
    const chunks: string[] = []
    const tooLong: number[] = []
    let chunk = ''
    let bytes = 0
    for (const line of lines.match(/[^\n]*\n/g) ?? []) {
      const more = Buffer.byteLength(line)
      if (more > this.#partMax) {
        tooLong.push(more)
        continue
      }
      if (bytes + more > this.#partMax) {
        chunks.push(chunk)
        chunk = ''
        bytes = 0
      }
      chunk += line
      bytes += more
    }
    return { chunks: chunk === '' ? chunks : [...chunks, chunk], tooLong }
  }
}

interface Part {
  readonly name: string
  readonly day: string
  readonly number: number
  readonly bytes: number
}

/** What is let go at once is an eighth. */
const PARTS = 8
const FILE = /^(\d{4}-\d\d-\d\d)(?:\.([1-9]\d{0,8}))?\.jsonl$/

const partsIn = (folder: string): readonly Part[] =>
  readdirSync(folder)
    .flatMap((name) => {
      const [, day, number] = FILE.exec(name) ?? []
      if (day === undefined) return []
      const bytes = statSync(join(folder, name), { throwIfNoEntry: false })?.size ?? 0
      return [{ name, day, number: Number(number ?? 1), bytes }]
    })
    .sort((a, b) => (a.day < b.day ? -1 : a.day > b.day ? 1 : a.number - b.number))

/** The parts of a recording, oldest first. */
export const filesIn = (folder: string): readonly string[] => partsIn(folder).map(({ name }) => name)
