import { describe, expect, test } from 'vitest'
import { extend, request } from '../scenarios/scene.ts'
import { Stage } from '../scenarios/stage.ts'

const MINUTE = 60_000

/** A lease of one machine, of a site that lends for ten minutes at most. */
async function lent() {
  const stage = new Stage({ units: 4, authority: { termMsMax: 10 * MINUTE } })
  await stage.begins()
  await stage.wishes([request({ units: 1, durationMs: 10 * MINUTE })])
  await stage.runs(20)
  const [{ id } = { id: '' }] = stage.leases()
  const refused = () => stage.ledger('manager').filter(({ kind }) => kind === 'extension refused')
  return { stage, id, refused }
}

describe('an extension that is refused', () => {
  test('to a person is nothing that the controller has to answer to: it asks itself, in time', async () => {
    const { stage, id, refused } = await lent()
    const intent = extend(id, { durationMs: 1_440 * MINUTE })
    await stage.command('manager', 'wish', { guest: 'grid', by: 'uid 7', intent })
    await stage.runs(20)
    expect(refused()).toHaveLength(1)
    expect(stage.leases()[0]).toMatchObject({ state: 'active', extending: false, extendRefused: undefined })

    await stage.wishes([extend(id, { durationMs: 10 * MINUTE })])
    await stage.runs(20)
    expect(stage.ledger('manager').map(({ kind }) => kind)).toContain('extended')
  })

  test('to the controller is told to it', async () => {
    const { stage, id, refused } = await lent()
    await stage.wishes([extend(id, { durationMs: 1_440 * MINUTE })])
    await stage.runs(20)
    expect(refused()).toHaveLength(1)
    expect(stage.leases()[0]?.extendRefused?.reason).toMatch(/\S/)
  })
})
