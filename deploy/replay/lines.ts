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
  let rest = ''
  let bytes = 0
  let count = 0
  for await (const chunk of text as AsyncIterable<string>) {
    bytes += chunk.length
    if (bytes > bytesMax) throw tooLarge(`it has more than ${bytesMax} bytes`)
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    if (rest.length > lengthMax) rest = rest.slice(0, lengthMax)
    count += lines.length
    if (count > linesMax) throw tooLarge(`it has more than ${linesMax} lines`)
    yield* lines
  }
  if (rest !== '') yield rest
}
