import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { linesOf } from '../../deploy/replay/lines.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-lines-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

async function read(text: string, lengthMax: number): Promise<readonly string[]> {
  const file = join(dir, 'trace')
  writeFileSync(file, text)
  const lines: string[] = []
  for await (const line of linesOf(file, 'utf8', { lengthMax })) lines.push(line)
  return lines
}

const MIB = 1024 * 1024

test('lines are as they are, however they lie in what is read at once, and the last one needs no end', async () => {
  const long = 'x'.repeat(200_000)
  expect(await read(`a\n\n${long}\nb\r\nc`, MIB)).toEqual(['a', '', long, 'b\r', 'c'])
  expect(await read('a\n', MIB)).toEqual(['a'])
  expect(await read('', MIB)).toEqual([])
})

test('one that is too long is cut, wherever its end comes, and the next one is whole', async () => {
  expect(await read('abcdef\nxyz\nabcdef', 4)).toEqual(['abcd', 'xyz', 'abcd'])
  expect(await read(`${'x'.repeat(200_000)}\nxyz\n`, 4)).toEqual(['xxxx', 'xyz'])
})

test('one that goes on long after it is too long costs no more than the reading: 32 MiB without an end', async () => {
  const lines = await read(`${'x'.repeat(32 * MIB)}\nxyz\n`, 4 * MIB)
  expect(lines.map(({ length }) => length)).toEqual([4 * MIB, 3])
})
