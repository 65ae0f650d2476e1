import { describe, expect, test } from 'vitest'
import {
  agree,
  allEnded,
  allRanOnce,
  always,
  controller,
  givesAllBack,
  leftovers,
  openPool,
  type Pool,
  until,
  views,
} from './pool.ts'

const runningJob = async (pool: Pool, seconds: number): Promise<string> => {
  const id = await pool.submit(seconds)
  await until(
    'it runs',
    20_000,
    () => pool.trail(id),
    ({ length }) => length === 1,
  )
  return id
}

describe.concurrent('what the administrator does', { timeout: 450_000 }, () => {
  test('a drain of a node of ours stands: neither counted nor resumed nor removed, and the pool grows around it', async () => {
    const pool = await openPool(controller({ min: 1, max: 3, term: '15s' }))
    await pool.start()
    const long = await runningJob(pool, 9)
    await pool.user.adminDrain('vm1', 'smells of smoke')
    const ids = [long, await pool.submit(1)]
    const isTheirs = async () => (await pool.node('vm1'))?.drained === 'theirs'
    await until(
      'the pool has grown around it',
      15_000,
      () => pool.record(ids[1] ?? ''),
      (job) => job?.state === 'ended',
    )
    expect((await pool.record(ids[1] ?? ''))?.attempts).toMatchObject([{ nodes: ['vm2'] }])
    expect((await pool.status()).guests[0]?.reason).toContain(
      'an administrator drained vm1 (“smells of smoke”)',
    )
    await until('all jobs have ended', 20_000, pool.records, allEnded)
    expect(await allRanOnce(pool, ids)).toEqual([])
    await always('it stays while its lease lasts', 2_000, isTheirs, (stands) => stands)
    expect(await pool.node('vm1')).toMatchObject({ drainReason: 'smells of smoke', accepting: false })
    await pool.user.adminResume('vm1')
    await until(
      'all agree at the minimum',
      20_000,
      () => views(pool),
      (seen) => agree(seen) && seen.held.length === 1,
    )
    await givesAllBack(pool)
  })

  test('a node of ours that is deleted by hand is seen, its machine goes, its job runs elsewhere', async () => {
    const pool = await openPool(controller({ min: 1, max: 3, term: '20s', missing: '2s' }))
    await pool.start()
    const id = await runningJob(pool, 3)
    await pool.user.adminDelete('vm1', { lost: true })
    await until('the job has run', 25_000, pool.records, allEnded)
    expect(await allRanOnce(pool, [id])).toEqual([])
    await until(
      'all agree at the minimum',
      20_000,
      () => views(pool),
      (seen) => agree(seen) && seen.held.length === 1,
    )
    expect((await pool.ask('explain', 'node', 'vm1')).out).toMatch(
      /the batch system has not known node vm1 for/,
    )
    await givesAllBack(pool)
  })

  test('jobs that users cancel, waiting or running, leave nothing behind', async () => {
    const pool = await openPool(controller({ min: 0, max: 2, term: '20s' }))
    await pool.start()
    const running = await runningJob(pool, 60)
    const waiting = await Promise.all([60, 60, 60].map((seconds) => pool.submit(seconds)))
    await pool.user.cancel(running)
    for (const id of waiting) await pool.user.cancel(id)
    await until('all jobs have ended', 10_000, pool.records, allEnded)
    await until(
      'nothing is held',
      20_000,
      () => views(pool),
      (seen) => agree(seen) && seen.held.length === 0,
    )
    await until(
      'every lease is closed',
      10_000,
      async () => (await pool.status()).leases,
      ({ requested, ticketed, active, closing }) => requested + ticketed + active + closing === 0,
    )
    expect(await leftovers(pool)).toEqual([expect.stringContaining('start --config')])
    expect(await pool.json('verify')).toMatchObject({ verified: true })
  })
})
