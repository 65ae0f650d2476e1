import { closeSync, openSync, readSync } from 'node:fs'

const PART_BYTES = 65_536

/**
 * All of a file, be it a pipe, but no more than `bytesMax`; undefined if there is more. A device has no size, and may never
 * end.
 */
export function readBounded(file: string, bytesMax: number): Buffer | undefined {
  const fd = openSync(file, 'r')
  try {
    const parts: Buffer[] = []
    let total = 0
    for (;;) {
      const part = Buffer.alloc(PART_BYTES)
      const count = readSync(fd, part)
      if (count === 0) return Buffer.concat(parts)
      total += count
      if (total > bytesMax) return undefined
      parts.push(part.subarray(0, count))
    }
  } finally {
    closeSync(fd)
  }
}
