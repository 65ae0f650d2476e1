import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'

const HOME = join(import.meta.dirname, '../..')
const FOLDER = join(HOME, 'docs/decisions')
const read = (name: string): string => readFileSync(join(FOLDER, name), 'utf8')
const notes = readdirSync(FOLDER)
  .filter((name) => name !== 'README.md')
  .toSorted()

describe('decisions', () => {
  test('give every dependency a line of why, and no line to what is none', () => {
    const packages = JSON.parse(readFileSync(join(HOME, 'package.json'), 'utf8')) as Record<
      'dependencies' | 'optionalDependencies' | 'devDependencies',
      Record<string, string>
    >
    const declared = [packages.dependencies, packages.optionalDependencies, packages.devDependencies]
    const rows = [...read('0005-dependencies.md').matchAll(/^\| `(.+?)` \| (.*?) \|/gm)]
    expect(rows.map(([, name]) => name).toSorted()).toEqual(declared.flatMap(Object.keys).toSorted())
    for (const [, name, why] of rows) expect(why, name).toMatch(/\w{3}/)
  })

  test('are numbered without a gap and listed on one page', () => {
    expect(notes.map((name) => Number(name.slice(0, 4)))).toEqual(notes.map((_, i) => i + 1))
    const listed = [...read('README.md').matchAll(/^\| \[\d{4}\]\((.+?)\)/gm)].map(([, name]) => name)
    expect(listed).toEqual(notes)
  })

  test('are short, and say what, why and what follows', () => {
    for (const name of notes) {
      const text = read(name)
      expect(text, name).toMatch(new RegExp(`^# ${name.slice(0, 4)} `))
      expect(text.split('\n').length, name).toBeLessThan(45)
      if (name === '0005-dependencies.md') continue
      for (const part of ['Context', 'Decision', 'Why', 'What else there was', 'Consequence'])
        expect(text, name).toContain(`**${part}.**`)
    }
  })
})
