import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { chain, type LedgerEntry } from '../../actors/runtime/commit.ts'
import { verifyFile } from '../../deploy/commands/read-ledger.ts'
import { exportedLines } from '../../deploy/reports/exported-lines.ts'

let dir = ''
const file = (): string => join(dir, 'lines')
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-exported-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

const line = chain({ kind: 'started', subject: 'site', reason: 'it ü begins' }, 1, 'site', {
  seq: 0,
  hash: '',
})

test.each([
  ['null', 'null'],
  ['a number', '1'],
  ['a list', '[]'],
  ['a text', '"line"'],
  ['no JSON', '{'],
  ['no actor', JSON.stringify({ ...line, actor: undefined })],
  ['an actor that is no name', JSON.stringify({ ...line, actor: { name: 'site' } })],
  ['no number', JSON.stringify({ ...line, seq: undefined })],
])('what an exporter wrote is told with its place where it is no line: %s', async (_, text) => {
  writeFileSync(file(), `${JSON.stringify(line)}\n${text}\n`)
  await expect(verifyFile(file(), { key: [] })).rejects.toMatchObject({
    ...{ code: 'usage', message: expect.stringContaining(`${file()}:2 is no line of a ledger`) },
    cure: 'Give a file that `sublet ledger --export` wrote.',
  })
})

test('lines are read as they were written, with or without an end of the last one', async () => {
  const texts = [line, { ...line, seq: 2 }].map((one) => JSON.stringify(one))
  for (const text of [texts.join('\n'), `${texts.join('\r\n')}\r\n`, `\n${texts.join('\n\n')}\n`]) {
    writeFileSync(file(), text)
    const read: LedgerEntry[] = []
    for await (const one of exportedLines(file())) read.push(one)
    expect(read).toEqual([line, { ...line, seq: 2 }])
  }
})

test('a line that never ends is not waited for', async () => {
  const read = async (): Promise<void> => {
    for await (const one of exportedLines('/dev/zero', 1_000_000)) expect(one).toBeUndefined()
  }
  await expect(read()).rejects.toThrow('/dev/zero has a line of more than 1000000 characters')
})
