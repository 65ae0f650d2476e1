import { describe, expect, test } from 'vitest'
import { groc } from '../../controllers/guests/groc/groc.ts'
import { configOf, decideOn, jobOf, refusalOf, SECOND, T0, viewOf } from './groc-world.ts'

const wide = { jobs: [jobOf('wide', { nodes: 4 })] }
const small = { jobs: [jobOf('small')] }
const asked = (over: Record<string, unknown>, picture: Parameters<typeof viewOf>[1] = wide) =>
  decideOn(viewOf([], picture), configOf(over)).intents.flatMap((intent) =>
    intent.kind === 'request' ? [{ units: intent.units, properties: intent.properties }] : [],
  )

describe('machines of one lease on one switch', () => {
  test.each([
    ['the guest', { together: 'switch' }, { switchGroup: 'one' }],
    ['the guest, as far as possible', { together: 'switch-preferred' }, { switchGroup: 'preferred' }],
    ['its queue', { queues: [{ name: 'batch', together: 'switch' }] }, { switchGroup: 'one' }],
    [
      'its queue, otherwise than the guest',
      { together: 'switch', queues: [{ name: 'batch', together: 'switch-preferred' }] },
      { switchGroup: 'preferred' },
    ],
    ['nobody', {}, undefined],
    ['another queue', { queues: ['batch', { name: 'other', together: 'switch' }] }, undefined],
  ])('are asked for a wide job if %s says so', (_, over, properties) =>
    expect(asked(over)).toEqual([{ units: 4, properties }]))

  test('are not asked for small jobs', () =>
    expect(asked({ together: 'switch' }, small)).toEqual([{ units: 1, properties: undefined }]))

  describe('that a site has no switch for', () => {
    const refused = (times: number) => ({
      refusals: Array.from({ length: times }, (_, i) =>
        refusalOf(`l${i}`, T0 - (1 + 30 * i) * SECOND, {
          ...{ by: 'site' as const, unitsMin: 4 },
          reason: 'no switch has room for 4 units, 2 at most (no-switch-group)',
        }),
      ),
    })
    const config = configOf({ together: 'switch', retry: { first: '30s', most: '10m' }, breaker: 2 })
    test('are asked for again later, and later, with the reason', () => {
      const { intents, reason } = groc.decide(viewOf([], wide, refused(1)), groc.firstMemory, config, T0)
      expect(intents).toEqual([])
      expect(reason).toMatch(/4 units for a job of 4 nodes: asked again at .*no switch has room for 4 units/)
      const again = (times: number, afterMs: number) =>
        groc.decide(viewOf([], wide, refused(times)), groc.firstMemory, config, T0 + afterMs).intents.length
      expect([again(1, 30 * SECOND), again(2, 30 * SECOND), again(2, 60 * SECOND)]).toEqual([1, 0, 1])
    })
    test('are no failures of machines, and keep no small job from its own', () => {
      const { intents } = groc.decide(viewOf([], small, refused(5)), groc.firstMemory, config, T0)
      expect(intents).toMatchObject([{ kind: 'request', units: 1, unitsMin: 1 }])
      expect(intents[0]).toMatchObject({ reason: expect.not.stringContaining('on trial') })
    })
  })
})
