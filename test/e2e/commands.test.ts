import { afterAll, describe, expect, test } from 'vitest'
import { controller, type Ended, openPool, type Pool, until } from './pool.ts'

let pool: Pool
afterAll(() => pool.close(), 60_000)

describe('the commands with --json', { timeout: 60_000 }, () => {
  test('print one JSON value and nothing else, of a Sublet that runs and of one that has ended', async () => {
    pool = await openPool(controller({ min: 1, max: 2, term: '30s' }))
    const sublet = await pool.start()
    const id = await pool.submit(60)
    await until(
      'it runs',
      15_000,
      () => pool.trail(id),
      ({ length }) => length === 1,
    )
    const [lease] = (await pool.leases()).filter(({ state }) => state === 'active')
    const commands: readonly (readonly [readonly string[], unknown, number, number])[] = [
      [['status'], { name: 'pool', actors: [{}, {}, {}], guests: [{ jobs: { running: 1 } }] }, 0, 3],
      [['leases'], [{ id: lease?.id, state: 'active' }], 0, 3],
      [['nodes'], [{ name: 'vm1', membership: 'joined', machine: 'active', jobs: [id] }], 0, 3],
      [['ledger', '--limit', '3'], [{}, {}, {}], 0, 0],
      [
        ['explain', 'job', id],
        { what: 'job', id, sentences: [expect.stringContaining('running on vm1')] },
        0,
        3,
      ],
      [
        ['explain', 'lease', lease?.id ?? ''],
        { sentences: expect.arrayContaining([expect.stringContaining('requested')]) },
        0,
        0,
      ],
      [
        ['explain', 'node', 'vm1'],
        { sentences: expect.arrayContaining([expect.stringContaining('the probe passed')]) },
        0,
        0,
      ],
      [['verify'], { verified: true, ledgers: [{ faults: [] }, { faults: [] }, { faults: [] }] }, 0, 0],
      [['explain', 'node', 'vm99'], { error: { code: 'unknown-id' } }, 1, 1],
      [['explain', 'lease', 'lease-none'], { error: { code: 'unknown-id' } }, 1, 1],
      [['ledger', '--actor', 'nobody'], { error: { code: 'unknown-id' } }, 1, 1],
    ]
    const all = (): Promise<readonly Ended[]> =>
      Promise.all(commands.map(([words]) => pool.ask(...words, '--json')))
    const whileRunning = await all()
    for (const [i, [words, shape, code]] of commands.entries()) {
      expect({ words, code: whileRunning[i]?.code }).toEqual({ words, code })
      expect(whileRunning[i]?.out).toMatch(/^[^\n]+\n$/)
      expect(JSON.parse(whileRunning[i]?.out ?? '')).toMatchObject(shape as object)
      if (code === 0) expect(whileRunning[i]?.err).toBe('')
    }

    expect(await pool.ask('stop', '--json')).toMatchObject({
      code: 0,
      out: `{"stopped":true,"pid":${sublet.pid},"released":false}\n`,
    })
    const whenStopped = await all()
    for (const [i, [words, shape, , code]] of commands.entries()) {
      expect({ words, code: whenStopped[i]?.code }).toEqual({ words, code })
      expect(whenStopped[i]?.out).toMatch(/^[^\n]+\n$/)
      const value = JSON.parse(whenStopped[i]?.out ?? '')
      if (code === 3)
        expect(value).toMatchObject({ error: { code: 'not-running', cure: expect.any(String) } })
      else expect(value).toMatchObject(shape as object)
    }
  })
})
