import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { changeText, reload } from '../../deploy/control/reload.ts'
import { loadConfig } from '../../deploy/settings/settings-file.ts'
import { fakeSite, SITE_YAML } from './control-site.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-reload-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

const by = 'uid 7'

async function changed(change: (text: string) => string) {
  const file = join(dir, 'site.yaml')
  writeFileSync(file, SITE_YAML)
  const site = fakeSite(dir, file)
  const { settings } = loadConfig(file)
  writeFileSync(file, change(SITE_YAML))
  const taken: unknown[] = []
  const view = { ...site, settings, take: (next: unknown) => void taken.push(next) }
  const outcome = (dryRun: boolean) => reload(view, { by, reason: 'a longer term', dryRun })
  return { outcome, taken, commands: site.commands }
}
const max = (text: string): string => text.replace(/max: \d+/, 'max: 3')

test('what controllers decide by is taken over whole, once it is in the ledger', async () => {
  const { outcome, taken, commands } = await changed(max)
  const dry = await outcome(true)
  expect([taken, commands]).toEqual([[], []])
  expect(dry.changes.map(changeText)).toEqual([
    expect.stringMatching(/^guests\.[a-z]+\.controller\.max: \d+ → 3$/),
  ])
  expect(await outcome(false)).toEqual(dry)
  expect(commands).toEqual([
    {
      name: 'configured',
      args: {
        by,
        reason: 'a longer term',
        guests: [{ name: dry.changes[0]!.path.split('.')[1], changes: dry.changes.map(changeText) }],
      },
    },
  ])
  expect(taken).toMatchObject([{ guests: [{ controller: { max: 3 } }] }])
})

test('a file in which nothing has changed changes nothing', async () => {
  const { outcome, taken, commands } = await changed((text) => `# a word more\n${text}`)
  expect(await outcome(false)).toEqual({ changes: [], warnings: [] })
  expect([taken, commands]).toEqual([[], []])
})

test('a file with one change that needs a restart changes nothing, and it is named', async () => {
  const { outcome, taken, commands } = await changed((text) => `${max(text)}\nskewMax: 7s\n`)
  await expect(outcome(false)).rejects.toMatchObject({
    code: 'restart-needed',
    message: 'skewMax cannot change while Sublet runs, so nothing was changed',
  })
  expect([taken, commands]).toEqual([[], []])
})

test('a file with a mistake changes nothing, and every mistake is told with its place', async () => {
  const { outcome, taken, commands } = await changed((text) => max(text).replace('max: 3', 'max: 3, mx: 4'))
  await expect(outcome(false)).rejects.toMatchObject({
    code: 'config-invalid',
    message: expect.stringMatching(/:\d+:\d+: guests\.0\.controller\.mx: is no option here/),
  })
  expect([taken, commands]).toEqual([[], []])
})

test('what changes of a queue is told by its name', async () => {
  const { outcome } = await changed((text) =>
    text.replace('max: 4', 'max: 4, queues: [batch, { name: express, max: 2, grow: { wait: 90s } }]'),
  )
  expect((await outcome(true)).changes.map(changeText)).toEqual([
    'guests.batch.controller.queues.batch.weight: none → 1',
    'guests.batch.controller.queues.express.grow.wait: none → 90s',
    'guests.batch.controller.queues.express.max: none → 2',
    'guests.batch.controller.queues.express.weight: none → 1',
  ])
})

test('lengths of time are told as one writes them', async () => {
  const { outcome } = await changed((text) =>
    text.replace('max: 4', 'max: 4, term: 90m, grow: { wait: 20s }'),
  )
  expect((await outcome(true)).changes.map(changeText)).toEqual([
    'guests.batch.controller.grow.wait: 5s → 20s',
    'guests.batch.controller.term: 1h → 90m',
  ])
})

test('a guest that came is named once', async () => {
  const more = `  - { name: hand, batch: { kind: embedded, socket: h }, join: { kind: embedded }, controller: by-hand }\n`
  const { outcome } = await changed((text) => `${text}${more}`)
  await expect(outcome(false)).rejects.toMatchObject({
    code: 'restart-needed',
    message: 'guests.hand (new) cannot change while Sublet runs, so nothing was changed',
  })
})
