import { createReadStream } from 'node:fs'
import { createGunzip } from 'node:zlib'
import { BYTES_MAX, LINES_MAX, tooLarge } from './bounds.ts'

export interface LineLimits {
  /** Of a line, in characters: it is cut there. */
  readonly lengthMax: number
  /** Of all, unpacked. */
  readonly bytesMax?: number
  readonly linesMax?: number
}

/** The lines of a file, unpacked if its name ends in `.gz`. Throws `usage` at what is too much. */
export async function* linesOf(
  file: string,
  encoding: 'latin1' | 'utf8',
  { lengthMax, bytesMax = BYTES_MAX, linesMax = LINES_MAX }: LineLimits,
): AsyncGenerator<string> {
  const raw = createReadStream(file)
  const text = file.endsWith('.gz') ? raw.pipe(createGunzip()) : raw
  // An error of the file itself does not reach the end of a pipe.
  raw.on('error', (error) => text.destroy(error))
  text.setEncoding(encoding)
  const line = new Line(lengthMax)
  let bytes = 0
  let count = 0
  for await (const chunk of text as AsyncIterable<string>) {
    bytes += chunk.length
    if (bytes > bytesMax) throw tooLarge(`it has more than ${bytesMax} bytes`)
    let from = 0
    for (let end = chunk.indexOf('\n'); end >= 0; end = chunk.indexOf('\n', from)) {
      count += 1
      if (count > linesMax) throw tooLarge(`it has more than ${linesMax} lines`)
      line.add(chunk.slice(from, end))
      yield line.take()
      from = end + 1
    }
    line.add(chunk.slice(from))
  }
  const rest = line.take()
  if (rest !== '') yield rest
}

/** What has come of a line, put together once, at its end; what is too long of it is not kept. */
class Line {
  readonly #lengthMax: number
  #pieces: string[] = []
  #length = 0

  constructor(lengthMax: number) {
    this.#lengthMax = lengthMax
  }

  add(piece: string): void {
    const kept = piece.slice(0, this.#lengthMax - this.#length)
    if (kept === '') return
    this.#pieces.push(kept)
    this.#length += kept.length
  }

  take(): string {
    const text = this.#pieces.join('')
    this.#pieces = []
    this.#length = 0
    return text
  }
}
