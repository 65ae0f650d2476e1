import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { endIn, giveOrder } from '../../adapters/namespace/dead-man.ts'

describe('the end of a namespace machine', () => {
  let folder = ''
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'sublet-end-'))
    mkdirSync(join(folder, 'run'))
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  test('is known to its host as it was ordered last, whatever its guest writes', async () => {
    expect(await endIn(folder)).toBeUndefined()
    for (const endsAt of [5_000, 9_000])
      await giveOrder(folder, { token: `t${endsAt}`, endsAt, graceMs: 700 }, systemClock)
    writeFileSync(join(folder, 'run', 'answer'), 't 99999999 1\n')
    expect(await endIn(folder)).toEqual({ endsAt: 9_000, graceMs: 700 })
  })

  test('is not told if what was written of it cannot be read', async () => {
    writeFileSync(join(folder, 'end.json'), '{"endsAt":')
    expect(await endIn(folder)).toBeUndefined()
  })
})
