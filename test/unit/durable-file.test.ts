import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { makeDurably, writeDurably, writeTextDurably } from '../../adapters/durable-file.ts'
import { AS_ROOT, cannotBeRoot } from '../as-root.ts'

const disk = vi.hoisted(() => ({ room: Number.POSITIVE_INFINITY, atOnce: Number.POSITIVE_INFINITY }))

/** As a disk that is nearly full: it takes a part, says how much, and no error (`man 2 write`). The next call fails. */
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>()
  const writeSync = (file: number, data: string | Uint8Array, offset = 0, length?: number) => {
    const bytes = Buffer.from(data as string).subarray(
      offset,
      length === undefined ? undefined : offset + length,
    )
    if (disk.room === 0) throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' })
    const taken = Math.min(disk.room, disk.atOnce, bytes.length)
    disk.room -= taken
    return fs.writeSync(file, bytes.subarray(0, taken))
  }
  return { ...fs, writeSync }
})

const peers = (count: number) => Array.from({ length: count }, (_, i) => `peer-${i} ü`)

function inFolder(then: (dir: string) => void): void {
  const dir = mkdtempSync(join(tmpdir(), 'durable-'))
  try {
    then(dir)
  } finally {
    Object.assign(disk, { room: Number.POSITIVE_INFINITY, atOnce: Number.POSITIVE_INFINITY })
    rmSync(dir, { recursive: true })
  }
}

test('a small file is written whole, also by a disk that takes it in parts', () => {
  inFolder((dir) => {
    disk.atOnce = 1_001
    writeDurably(join(dir, 'peers.json'), peers(500))
    expect(JSON.parse(readFileSync(join(dir, 'peers.json'), 'utf8'))).toEqual(peers(500))
    makeDurably(join(dir, 'key'), 'k'.repeat(5_000))
    expect(statSync(join(dir, 'key')).size).toBe(5_000)
  })
})

test('what a full disk takes a part of only is not put in place of what was there, and leaves nothing behind', () => {
  inFolder((dir) => {
    const file = join(dir, 'peers.json')
    writeDurably(file, peers(1))
    disk.room = 3_000
    expect(() => writeDurably(file, peers(500))).toThrow('ENOSPC')
    disk.room = 3_000
    expect(() => makeDurably(join(dir, 'key'), 'k'.repeat(5_000))).toThrow('ENOSPC')
    expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(peers(1))
    expect(readdirSync(dir)).toEqual(['peers.json'])
  })
})

test.skipIf(cannotBeRoot)(`a file system that is full has the file of before ${AS_ROOT}`, () => {
  inFolder((dir) => {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=32k', 'none', dir])
    try {
      const file = join(dir, 'peers.json')
      writeDurably(file, peers(500))
      writeTextDurably(join(dir, 'other'), 'y'.repeat(12_000))
      expect(() => writeDurably(file, peers(1_000))).toThrow('ENOSPC')
      expect(JSON.parse(readFileSync(file, 'utf8'))).toEqual(peers(500))
    } finally {
      execFileSync('umount', [dir])
    }
  })
})
