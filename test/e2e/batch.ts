import { describe, expect, test } from 'vitest'
import { sleep } from '../../actors/runtime/clock.ts'
import {
  agree,
  allEnded,
  allRanOnce,
  always,
  clock,
  controller,
  givesAllBack,
  openPool,
  type Pool,
  until,
  views,
} from './pool.ts'

const leasesAskedFor = async (pool: Pool): Promise<number> =>
  (await pool.ledger()).filter(({ kind }) => kind === 'requested').length

describe.concurrent('a batch server', { timeout: 450_000 }, () => {
  test('that cannot be reached keeps Sublet from starting, in one sentence, with nothing half started', async () => {
    const pool = await openPool()
    await pool.killBatch()
    await expect(pool.start()).rejects.toThrow(
      /^Sublet did not start: error: [^\n]*\/b\/sock[^\n]*: connect ECONNREFUSED [^\n]*\n {2}code: middleware-unreachable\n {2}cure: [^\n]*\n$/,
    )
    expect(pool.processes()).toEqual([])
    expect(pool.machines()).toEqual([])
    await pool.startBatch()
    expect((await pool.picture()).nodes).toEqual([])
  })

  test('that is killed under running jobs and comes back makes nothing shrink and no order double', async () => {
    const pool = await openPool(controller({ max: 3, term: '20s' }))
    await pool.start()
    const ids = await Promise.all([4, 4, 5].map((seconds) => pool.submit(seconds)))
    await until('three jobs run', 20_000, pool.records, (jobs) =>
      jobs.every(({ state }) => state === 'running'),
    )
    const asked = await leasesAskedFor(pool)
    const machines = pool.machines()
    await pool.killBatch()
    await until('it is blind', 5_000, pool.status, ({ guests }) => guests[0]?.blindSince !== null)
    expect((await pool.status()).guests[0]?.reason).toMatch(
      /Everything is kept and nothing asked for: looks have failed/,
    )
    await always('all three machines are kept', 2_000, pool.machines, ({ length }) => length === 3)
    await pool.startBatch()
    ids.push(await pool.submit(1))
    await until('it sees again', 10_000, pool.status, ({ guests }) => guests[0]?.blindSince === null)
    expect(pool.machines()).toEqual(machines)
    await until('all jobs have ended', 20_000, pool.records, allEnded)
    expect(await allRanOnce(pool, ids)).toEqual([])
    expect(await leasesAskedFor(pool)).toBe(asked)
    expect((await pool.ledger('batch')).map(({ kind }) => kind)).toEqual(
      expect.arrayContaining(['blind', 'sees again']),
    )
    await until(
      'all agree at the minimum',
      15_000,
      () => views(pool),
      (seen) => agree(seen) && seen.held.length === 1,
    )
    await givesAllBack(pool)
  })

  test('that hangs for ten seconds is said to be blind, the last picture is kept, and nothing shrinks', async () => {
    const pool = await openPool(controller({ max: 3, term: '20s' }))
    await pool.start()
    const ids = await Promise.all([16, 16].map((seconds) => pool.submit(seconds)))
    await until('two jobs run', 20_000, pool.records, (jobs) =>
      jobs.every(({ state }) => state === 'running'),
    )
    const machines = pool.machines()
    const asked = await leasesAskedFor(pool)
    process.kill(pool.batchPid(), 'SIGSTOP')
    try {
      const frozenAt = clock.monotonic()
      await until('it is blind', 6_000, pool.status, ({ guests }) => guests[0]?.blindSince !== null)
      const [guest] = (await pool.status()).guests
      expect(guest?.jobs).toMatchObject({ running: 2 })
      expect(guest?.reason).toContain('could not be looked at within 3 s')
      while (clock.monotonic() < frozenAt + 10_500) {
        expect(pool.machines()).toEqual(machines)
        await sleep(clock, 200)
      }
    } finally {
      process.kill(pool.batchPid(), 'SIGCONT')
    }
    await until('it sees again', 10_000, pool.status, ({ guests }) => guests[0]?.blindSince === null)
    await until('all jobs have ended', 20_000, pool.records, allEnded)
    expect(await allRanOnce(pool, ids)).toEqual([])
    expect((await pool.records()).map(({ attempt }) => attempt)).toEqual([1, 1])
    expect(await leasesAskedFor(pool)).toBe(asked)
    await givesAllBack(pool)
  })
})
