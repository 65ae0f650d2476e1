import { closeSync, fsyncSync, linkSync, openSync, renameSync, rmSync, writeSync } from 'node:fs'
import { dirname } from 'node:path'

/** Writes a small file whole or not at all; it is on the disk when this returns. People read it where it has `spaces`. */
export function writeDurably(path: string, value: unknown, spaces = 0): void {
  writeTextDurably(path, `${JSON.stringify(value, null, spaces)}\n`)
}

/** ... of text, by default for its owner only. */
export function writeTextDurably(path: string, text: string, mode = 0o600): void {
  const fresh = `${path}.new`
  writeSynced(fresh, text, mode)
  renameSync(fresh, path)
  syncFile(dirname(path))
}

/** ... unless there is one: also what somebody else makes at the same time stays as it is. */
export function makeDurably(path: string, text: string): void {
  const fresh = `${path}.${process.pid}.new`
  writeSynced(fresh, text, 0o600)
  try {
    linkSync(fresh, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    rmSync(fresh)
  }
  syncFile(dirname(path))
}

/** A disk that is nearly full takes a part, and says so by the number of bytes alone. What is not whole is removed. */
function writeSynced(path: string, text: string, mode: number): void {
  const file = openSync(path, 'w', mode)
  try {
    for (let rest = Buffer.from(text); rest.length > 0; ) rest = rest.subarray(writeSync(file, rest))
    fsyncSync(file)
  } catch (error) {
    rmSync(path, { force: true })
    throw error
  } finally {
    closeSync(file)
  }
}

/** What a file says; of a folder its names, for a new or renamed one is on the disk only when its folder is. */
export function syncFile(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
