import { describe, expect, test } from 'vitest'
import type { HeldLease, Refusal } from '../../controllers/controller.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import { firstMemory } from '../../controllers/guests/groc/memory.ts'
import {
  configOf,
  decideOn,
  inShort,
  jobOf,
  jobsOf,
  leaseOf,
  MINUTE,
  refusalOf,
  requestsIn,
  SECOND,
  T0,
  unitOf,
  viewOf,
} from './groc-world.ts'

/** So many failures at one site, ten seconds apart, the last one five seconds ago. */
const failures = (site: string, count: number, over: Partial<Refusal> = {}): readonly Refusal[] =>
  Array.from({ length: count }, (_, i) =>
    refusalOf(`${site}-${i}`, T0 - 5 * SECOND - i * 10 * SECOND, {
      ...{ by: 'site', site, reason: 'no boot' },
      ...over,
    }),
  )

const at = (site: string, joinedAt = T0 - 30 * MINUTE): HeldLease =>
  leaseOf(`of-${site}`, [unitOf(`u-${site}`, { joinedAt })], { site })

const on = (
  refusals: readonly Refusal[],
  leases: readonly HeldLease[] = [at('good')],
  over: Record<string, unknown> = {},
  jobs = jobsOf(3),
) => decideOn(viewOf(leases, { jobs }, { refusals }), configOf(over))

const asked = (...args: Parameters<typeof on>) =>
  requestsIn(on(...args).intents).map(({ units, properties }) => ({ units, ...properties }))

describe('machines that fail at one site', () => {
  test('are no reason not to order at another one, and the broker is asked to avoid the bad one', () => {
    const decision = on(failures('bad', 2))
    const [request] = requestsIn(decision.intents)
    expect(request?.properties).toEqual({ 'sites.avoid': 'bad' })
    expect(request?.reason).toContain(
      'not at bad (2 failures in a row of image debian, all at bad, the last at 2026-03-02T07:59:55Z (no boot))',
    )
  })

  test('once are no reason for anything', () => {
    expect(asked(failures('bad', 1))).toEqual([{ units: 3 }])
  })

  test('are not made up for by good ones elsewhere, and are by good ones there', () => {
    const good = at('good', T0 - SECOND)
    expect(asked(failures('bad', 2), [good])).toEqual([{ units: 3, 'sites.avoid': 'bad' }])
    expect(asked(failures('bad', 2), [good, at('bad', T0 - SECOND)])).toEqual([{ units: 3 }])
  })

  test('do not add up over sites', () => {
    expect(asked([...failures('bad', 1), ...failures('worse', 1)])).toEqual([{ units: 3 }])
  })

  test('are tried again when the pause is over, which doubles', () => {
    const ago = (count: number, ms: number) =>
      failures('bad', count).map((one) => ({ ...one, at: one.at - ms }))
    expect(asked(ago(2, 24 * SECOND))[0]).toHaveProperty(['sites.avoid'])
    expect(asked(ago(2, 25 * SECOND))).toEqual([{ units: 3 }])
    expect(asked(ago(3, 54 * SECOND))[0]).toHaveProperty(['sites.avoid'])
    expect(asked(ago(3, 55 * SECOND))).toEqual([{ units: 3 }])
  })

  describe('so often that the breaker opens', () => {
    const config = { breaker: 3, retry: { first: '10s', most: '1m' } }
    const old = failures('bad', 3).map((one) => ({ ...one, at: one.at - 55 * SECOND }))

    test('are avoided however long ago, and one unit is on trial besides what others are asked for', () => {
      expect(asked(failures('bad', 3), undefined, config)).toEqual([{ units: 3, 'sites.avoid': 'bad' }])
      expect(asked(old, undefined, config)).toEqual([
        { units: 1, 'sites.prefer': 'bad' },
        { units: 3, 'sites.avoid': 'bad' },
      ])
    })

    test('are not tried again while nobody has answered what was asked for, nor when it came from elsewhere', () => {
      const intent = on(old, undefined, config).intents.find(({ kind }) => kind === 'request')
      const label = intent?.kind === 'request' ? intent.label : undefined
      expect(label).toMatch(/^trial\.bad\./)
      for (const over of [{ state: 'requested' }, { state: 'ticketed', site: 'good' }] as const) {
        const trial = leaseOf('trial', [], { ...over, units: 1, label, requestedAt: T0 - SECOND })
        expect(asked(old, [at('good'), trial], config)).toEqual([{ units: 2, 'sites.avoid': 'bad' }])
      }
    })

    test('are not tried again while the trial is under way', () => {
      const trial = leaseOf('trial', [], {
        ...{ state: 'ticketed', units: 1, site: 'bad', requestedAt: T0 - SECOND },
      })
      expect(asked(old, [at('good'), trial], config)).toEqual([{ units: 2, 'sites.avoid': 'bad' }])
    })
  })

  test('are avoided with each type for itself, and a wide job, too', () => {
    const wide = [jobOf('w', { nodes: 3 })]
    expect(asked(failures('bad', 2), undefined, {}, wide)).toEqual([{ units: 3, 'sites.avoid': 'bad' }])
    expect(asked(failures('bad', 2, { type: 'other' }))).toEqual([{ units: 3 }])
  })
})

describe('where no other site is known', () => {
  test('others are asked for once after each failure, then the type waits, and it is said why', () => {
    expect(asked(failures('only', 2), [])).toEqual([{ units: 3, 'sites.avoid': 'only' }])
    const refused = refusalOf('r', T0 - SECOND, { reason: 'no-capacity: none but only', unitsMin: 1 })
    const decision = on([refused, ...failures('only', 2)], [])
    expect(decision.intents).toEqual([])
    expect(decision.reason).toContain(
      'asked again at 2026-03-02T08:00:25Z; 2 failures in a row of image debian, all at only, the last at 2026-03-02T07:59:55Z (no boot); the broker chooses the site, and knows no other one for this',
    )
    const before = { ...refused, at: T0 - 6 * SECOND }
    expect(on([...failures('only', 2), before], []).reason).not.toContain('the broker chooses the site')
  })

  test('a broker that gives of the site all the same is not asked over and over', () => {
    const third = refusalOf('third', T0 - SECOND, {
      ...{ by: 'site', site: 'bad', reason: 'no boot', requestedAt: T0 - 3 * SECOND },
    })
    const decision = on([third, ...failures('bad', 2)])
    expect(decision.intents).toEqual([])
    expect(decision.reason).toContain('the broker gave of it although it was to be avoided')
    const underWay = { ...third, requestedAt: T0 - 6 * SECOND }
    expect(asked([underWay, ...failures('bad', 2)])).toEqual([{ units: 3, 'sites.avoid': 'bad' }])
  })

  test('when all sites fail, the type waits for the first of them', () => {
    const decision = on([...failures('bad', 2), ...failures('worse', 3)], [at('bad'), at('worse')])
    const avoided = requestsIn(decision.intents).map(({ properties }) => properties?.['sites.avoid'])
    expect(avoided).toEqual(['bad worse'])
    const refused = refusalOf('r', T0 - SECOND, { unitsMin: 1 })
    const waits = on([refused, ...failures('bad', 2), ...failures('worse', 3)], [at('bad'), at('worse')])
    expect(inShort(waits.intents)).toEqual([])
    expect(waits.reason).toContain('all at bad')
  })

  test('what earlier programs kept names no site, and is of the type', () => {
    const old = failures('bad', 2).map(({ site: _, ...one }) => one)
    const decision = on(old)
    expect(decision.intents).toEqual([])
    expect(decision.reason).toContain('2 failures in a row of image debian, the last')
    expect(asked(old, [at('good', T0 - SECOND)])).toEqual([{ units: 3 }])
  })
})

test('explain says which site is not asked, until when, and why', () => {
  const view = viewOf([at('good')], { jobs: jobsOf(1) }, { refusals: failures('bad', 2) })
  expect(groc.explainJob('1', view, firstMemory, configOf(), T0)).toContain(
    'Units of bad are not asked for until 2026-03-02T08:00:25Z: 2 failures in a row of image debian, all at bad, the last at 2026-03-02T07:59:55Z (no boot).',
  )
})

describe('the order of sites', () => {
  test('goes with each request', () => {
    const sites = ['near', 'far']
    expect(asked([], [], { sites })).toEqual([{ units: 3, 'sites.prefer': 'near far' }])
    expect(asked(failures('near', 2), [], { sites })).toEqual([
      { units: 3, 'sites.prefer': 'near far', 'sites.avoid': 'near' },
    ])
    const later = [
      jobOf('1', { state: 'held', heldBy: 'start-time', notBefore: T0 + 60 * MINUTE, walltimeMs: MINUTE }),
    ]
    expect(asked([], [], { sites }, later)).toEqual([{ units: 1, 'sites.prefer': 'near far' }])
    expect(asked([], [])).toEqual([{ units: 3 }])
  })

  test('names each site once', () => {
    expect(() => configOf({ sites: ['near', 'near'] })).toThrow('“near” is there before')
    expect(() => configOf({ sites: [] })).toThrow()
  })
})
