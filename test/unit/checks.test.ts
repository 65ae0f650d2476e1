import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'

const TESTS = join(import.meta.dirname, '..')
const rows = readFileSync(join(TESTS, 'CHECKS.md'), 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .map((line) => line.split('|').map((cell) => cell.trim()))

/** `file “words”` in a cell. */
const namedIn = (cell: string): readonly (readonly [file: string, words: string])[] =>
  [...cell.matchAll(/`([a-z0-9/-]+(?:\.test)?\.ts)` “([^”]+)”/g)].map(([, file = '', words = '']) => [
    file,
    words,
  ])

test('each of the twelve checks has a test by its number', () => {
  const checks = rows.filter(([, number = '']) => /^\d+$/.test(number))
  expect(checks.map(([, number]) => Number(number))).toEqual(Array.from({ length: 12 }, (_, i) => i + 1))
  for (const [, number, , shown = ''] of checks) {
    const named = namedIn(shown)
    expect(named.filter(([, words]) => new RegExp(`^check ${number}\\b`).test(words))).not.toEqual([])
  }
})

test('each test that the tables name is there', () => {
  const named = rows.flatMap((cells) => namedIn(cells.at(-2) ?? ''))
  expect(named.length).toBeGreaterThan(40)
  const titled = /\b(?:test|describe)(?:\.each|\.skipIf)?\(/
  const missing = named.filter(([file, words]) => {
    const text = readFileSync(join(TESTS, file), 'utf8')
    return !titled.test(text) || !text.includes(words)
  })
  expect(missing).toEqual([])
})
