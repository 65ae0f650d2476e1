import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { PlanReport } from '../../deploy/control/plan.ts'
import { openPool, until } from './pool.ts'

describe.concurrent('a guest that is only observed', { timeout: 450_000 }, () => {
  test('has written down what would be done for it, and nothing is done', async () => {
    const pool = await openPool({ guests: [{ mode: 'observe', controller: { min: 0, max: 2 } }] })
    await pool.start()
    const id = await pool.submit(1)
    const [line] = await until(
      'it is written down',
      30_000,
      async () => (await pool.ledger()).filter(({ kind }) => kind === 'would decide'),
      (lines) => lines.some(({ data }) => (data as { intents: object[] }).intents.length > 0),
    ).then((lines) => lines.slice(-1))
    const [plan] = await pool.json<readonly PlanReport[]>('plan')
    expect(plan).toMatchObject({ guest: 'batch', mode: 'observe', jobs: [{ id }] })
    expect(plan!.intents[0]!.text).toMatch(/^ask for 1 unit of vm\.small/)
    expect((await pool.ask('plan')).out).toMatch(/^guest batch \(only observed\)\n {2}1 job waits/)
    const told = await pool.ask('explain', 'decision', String(line!.seq))
    expect(told.out).toMatch(/^Decision \d+ of batch at .*, which is only observed: nothing was done\.\n/)
    expect(told.out).toMatch(/^It would have chosen to ask for 1 unit of vm\.small/m)

    // Looks go by, and it stays so; the same is not written down again.
    const before = (await pool.status()).guests[0]!.decidedAt
    await until(
      'it looks on',
      30_000,
      pool.status,
      ({ guests }) => (guests[0]!.lookedAt ?? 0) > (before ?? 0) + 6_000,
    )
    expect(await pool.leases()).toEqual([])
    expect(pool.machines()).toEqual([])
    expect((await pool.ledger()).filter(({ kind }) => kind === 'would decide').length).toBeLessThanOrEqual(2)
    expect(await pool.record(id)).toMatchObject({ state: 'pending' })
    expect(await pool.release()).toMatchObject({ code: 0 })
    const [day] = readdirSync(join(pool.work, 'recordings', 'batch'))
    expect(readFileSync(join(pool.work, 'recordings', 'batch', day!), 'utf8')).toMatch(
      new RegExp(`"e":"submitted",.*"job":"${id}"`),
    )
  })
})
