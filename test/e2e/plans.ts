import { describe, expect, test } from 'vitest'
import type { PlanReport } from '../../deploy/control/plan.ts'
import { allRanOnce, controller, givesAllBack, openPool, until } from './pool.ts'

describe.concurrent('a plan', { timeout: 450_000 }, () => {
  test('of a guest that would act does nothing: rows, ledger and middleware stay as they are', async () => {
    const pool = await openPool({
      ...controller({ min: 0, max: 2, grow: { wait: '6s' } }),
      serviceManager: { lookTimeout: '2m' },
    })
    await pool.start()
    const id = await pool.submit(1)
    await until('the job is seen, and is to wait a little more', 6_000, pool.status, ({ guests }) =>
      guests[0]!.reason.includes('1 more unit would help'),
    )
    // Looks hang from now on: nobody decides, and nothing that happens is of the controller's doing.
    process.kill(pool.batchPid(), 'SIGSTOP')
    const stateOf = async () => ({
      leases: await pool.leases(),
      nodes: await pool.nodes(),
      ledger: (await pool.ledger()).length,
      machines: pool.machines(),
      figures: (await pool.status()).guests[0]!.decidedAt,
    })
    const planned = async () => (await pool.client.get('/plan')) as readonly PlanReport[]
    try {
      const before = await stateOf()
      const [plan] = await until('it would ask for a machine', 20_000, planned, (plans) =>
        plans.some(({ intents }) =>
          intents.some(({ text }) => text.startsWith('ask for 1 unit of vm.small')),
        ),
      )
      expect(plan).toMatchObject({ guest: 'batch', mode: 'act', jobs: [{ id }], machines: [] })
      expect(await stateOf()).toEqual(before)
      expect(before).toMatchObject({ leases: [], nodes: [], machines: [] })
    } finally {
      process.kill(pool.batchPid(), 'SIGCONT')
    }
    expect(await pool.record(id)).toMatchObject({ state: 'pending' })
    // What was planned is done as soon as it is decided.
    await until('it runs', 60_000, pool.records, (records) => records.some(({ state }) => state === 'ended'))
    expect(await allRanOnce(pool, [id])).toEqual([])
    await givesAllBack(pool)
  })
})
