import { describe, expect, test } from 'vitest'
import { writtenGroc } from '../../controllers/guests/groc/config.ts'
import type { Written } from '../../deploy/settings/config.ts'
import { grocChecks } from '../../deploy/settings/groc-checks.ts'

const hosts = ['a', 'b'].map((name) => ({ name }))
const site = { hosts, types: { small: { units: 8 } } } as unknown as NonNullable<Written['site']>

const complaints = (
  over: object,
  kind = 'slurm',
  of: Written['site'] | null = site,
  batch: object = {},
): readonly string[] =>
  grocChecks(
    { kind, ...batch } as Written['guests'][number]['batch'],
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
    expect(complaints({ reserve: 1 }, 'torque')).toEqual([])
    expect(complaints({}, 'torque', site, { ownNode: 'keeper' })).toEqual([])
    // Each window alone keeps one, and they are never open together.
    const noon = { from: '0 12 * * *', for: '1h', reserve: 0 }
    expect(complaints({ min: 1, windows: [{ ...night, reserve: 1, min: 0 }, noon] }, 'torque')).toEqual([])
    expect(complaints({ windows: [{ ...night, max: 8, min: 8 }] })).toEqual([])
  })

  test.each([
    [
      'a Torque without nodes',
      {},
      'torque',
      /^error min: is 0, and a Torque without any node record .*\(min: 1\), or name a node .*\(batch\.ownNode\)$/,
    ],
    [
      'a Torque without nodes by night',
      { min: 1, windows: [{ ...night, min: 0 }] },
      'torque',
      /^error windows\.0\.min: is 0, and a Torque/,
    ],
    [
      'a Torque whose reserve goes by night',
      { reserve: 1, windows: [{ ...night, reserve: 0 }] },
      'torque',
      /^error windows\.0\.reserve: is 0, and a Torque/,
    ],
    [
      'a Torque without nodes while two windows are open together',
      {
        min: 1,
        windows: [
          { ...night, reserve: 1, min: 0 },
          { from: '0 0 * * *', for: '1h', reserve: 0 },
        ],
      },
      'torque',
      /^error windows\.1\.reserve: with windows\.0, open at the same time, is 0/,
    ],
    [
      'a queue with more than there is',
      { queues: ['a', { name: 'b', max: 9 }] },
      'slurm',
      /^warning queues\.1\.max: found 9, and max of all is 8/,
    ],
    [
      'a wait of a queue that leaves no time for the target',
      { queues: [{ name: 'b', grow: { wait: '1m' } }], grow: { target: '2m' } },
      'slurm',
      /^warning queues\.0\.grow\.wait: found 60 s, and grow\.target is 2 min/,
    ],
    [
      'a budget of a user above that of all',
      { userBudget: { nodeHours: 10, per: '24h' }, budget: { nodeHours: 60, per: '168h' } },
      'slurm',
      /^warning userBudget\.nodeHours: found 10 in 24 h, and the budget of all is 60 in 7 d/,
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
      'machines together where no host says on which switch it is',
      { together: 'switch' },
      'slurm',
      /^warning together: found switch, and no host of the site names its `switch`/,
    ],
    [
      'the same for a queue',
      { queues: ['batch', { name: 'wide', together: 'switch-preferred' }] },
      'slurm',
      /^warning queues\.1\.together: found switch-preferred, and no host/,
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
