import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parse } from 'yaml'
import { grocConfig } from '../../controllers/guests/groc/config.ts'

const least = { type: 'small', unit: { cpus: 2, memoryMiB: 2048 }, max: 8 }

const complaints = (over: Record<string, unknown>): readonly string[] => {
  const { success, error } = grocConfig.safeParse({ ...least, ...over })
  return success ? [] : error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`)
}

describe('the configuration of GROC', () => {
  test('type, unit and max are enough', () => {
    expect(grocConfig.parse(least)).toMatchObject({
      min: 0,
      step: 4,
      grow: { wait: 5_000, sustain: 0 },
      shrink: { idle: 300_000 },
      term: 3_600_000,
      termMin: 600_000,
      retry: { first: 30_000, most: 600_000 },
    })
  })

  test('the example of the README is valid, and its table names every key', () => {
    const readme = readFileSync(new URL('../../controllers/guests/groc/README.md', import.meta.url), 'utf8')
    const [, example = ''] = /```yaml\n([\s\S]*?)```/.exec(readme) ?? []
    const config = grocConfig.parse(parse(example))
    expect(config).toMatchObject({ max: 20, queues: [{ name: 'batch', weight: 1 }, { name: 'grid' }] })
    const missing = Object.keys(config).filter((key) => !readme.includes(`\`${key}`))
    expect(missing).toEqual([])
  })

  test('a term shorter than ten minutes shortens the least extension', () => {
    expect(grocConfig.parse({ ...least, term: '6m' }).termMin).toBe(360_000)
  })

  test.each([
    ['an unknown key', { growth: {} }, /^: .*growth/],
    ['a duration without a unit', { term: '60' }, /^term: expected a duration/],
    ['max below min', { min: 9 }, /^max: max \(8\) must not be below min \(9\)/],
    ['a reserve that max does not allow', { min: 6, reserve: 3 }, /^reserve: found 3: with min 6/],
    ['a queue named twice', { queues: ['a', { name: 'a', weight: 2 }] }, /^queues\.1: “a” is there/],
    [
      'a queue that grows for less than shrinks',
      { queues: [{ name: 'a', grow: { backlog: '5m' } }], shrink: { backlog: '5m' } },
      /^queues\.0\.grow\.backlog: must be above shrink\.backlog/,
    ],
    [
      'a queue that keeps units as long as a term',
      { queues: ['b', { name: 'a', shrink: { idle: '1h' } }] },
      /^queues\.1\.shrink\.idle: must be shorter than the term/,
    ],
    [
      'a budget of a user for no time',
      { userBudget: { nodeHours: 10, per: '59m' } },
      /^userBudget\.per: must be at least 1h/,
    ],
    ['a queue that may have nothing', { queues: [{ name: 'a', max: 0 }] }, /^queues\.0/],
    ['a queue with an unknown threshold', { queues: [{ name: 'a', grow: { sustain: '1m' } }] }, /^queues\.0/],
    ['a queue without weight', { queues: [{ name: 'a', weight: 0 }] }, /^queues\.0/],
    ['a share of nothing', { ramp: { share: 0 } }, /^ramp\.share: /],
    [
      'a budget that min alone exceeds',
      { min: 2, budget: { nodeHours: 47, per: '24h' } },
      /^budget\.nodeHours: found 47, and min 2 alone takes 48/,
    ],
    [
      'a budget below a lease',
      { term: '8h', budget: { nodeHours: 4, per: '24h' } },
      /^budget\.nodeHours: found 4, and one unit for a term takes 8/,
    ],
    ['a step of nothing', { step: 0 }, /^step: /],
    [
      'thresholds that cross',
      { grow: { backlog: '5m' }, shrink: { backlog: '5m' } },
      /^grow\.backlog: must be above/,
    ],
    ['an idle hold as long as the term', { shrink: { idle: '1h' } }, /^shrink\.idle: must be shorter/],
    ['a least extension longer than the term', { termMin: '2h' }, /^termMin: must not be longer/],
    [
      'a term too short to be extended',
      { term: '40s', shrink: { idle: '10s' } },
      /^term: is too short to be extended/,
    ],
    [
      'a least extension too short to be extended',
      { termMin: '40s' },
      /^termMin: is too short to be extended/,
    ],
    ['pauses that shrink', { retry: { first: '20m' } }, /^retry\.first: must not be longer/],
    ['no pause at all', { every: '0s' }, /^every: /],
    ['no patience at all', { missing: '0s' }, /^missing: must be longer than nothing/],
  ])('refuses %s, by its path', (_, over, complaint) => {
    expect(complaints(over).join('\n')).toMatch(complaint)
  })
})
