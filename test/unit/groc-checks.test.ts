import { describe, expect, test } from 'vitest'
import { writtenGroc } from '../../controllers/guests/groc/config.ts'
import type { Written } from '../../deploy/settings/config.ts'
import { grocChecks } from '../../deploy/settings/groc-checks.ts'

const site = { types: { small: { units: 8 } } } as unknown as NonNullable<Written['site']>

const complaints = (over: object, kind = 'slurm', of: Written['site'] | null = site): readonly string[] =>
  grocChecks(
    { kind } as Written['guests'][number]['batch'],
    { kind: 'groc', ...writtenGroc.parse({ type: 'small', max: 8, ...over }) },
    of ?? undefined,
    (...path) => path,
  ).map(
    ({ path, grave, sentence }) => `${grave ? 'error' : 'warning'} ${path.slice(1).join('.')}: ${sentence}`,
  )

const night = { from: '0 20 * * *', for: '8h' }

describe('thresholds that do not do what was meant', () => {
  test('are not there by default', () => {
    expect(complaints({})).toEqual([])
    expect(complaints({ min: 1 }, 'torque')).toEqual([])
    expect(complaints({ windows: [{ ...night, max: 8, min: 8 }] })).toEqual([])
  })

  test.each([
    ['a Torque without nodes', {}, 'torque', /^warning min: is 0, and a Torque server/],
    [
      'a Torque without nodes by night',
      { min: 1, windows: [{ ...night, min: 0 }] },
      'torque',
      /^warning windows\.0\.min: is 0, and a Torque/,
    ],
    ['a cap above max', { userMax: 9 }, 'slurm', /^warning userMax: found 9, and max is 8/],
    [
      'a wait that leaves no time for the target',
      { grow: { wait: '1m', target: '2m' } },
      'slurm',
      /^warning grow\.target: found 2 min/,
    ],
    [
      'a reserve that eats the budget',
      { reserve: 2, budget: { nodeHours: 47, per: '24h' } },
      'slurm',
      /^warning reserve: found 2: with min 0 that alone takes 48 node-hours/,
    ],
    [
      'a window with more than there is',
      { windows: [{ ...night, max: 9 }] },
      'slurm',
      /^warning windows\.0\.max: found 9, and the site lends 8/,
    ],
    [
      'a window that keeps more than there is',
      { windows: [{ ...night, max: 9, min: 9 }] },
      'slurm',
      /^error windows\.0\.min: found 9, and the site lends 8/,
    ],
  ])('%s', (_, over, kind, complaint) => {
    expect(complaints(over, kind).join('\n')).toMatch(complaint)
  })

  test('nothing is said of a site elsewhere, and a reserve keeps a Torque from being empty', () => {
    expect(complaints({ windows: [{ ...night, max: 9 }] }, 'slurm', null)).toEqual([])
    expect(complaints({ reserve: 1 }, 'torque')).toEqual([])
  })
})
