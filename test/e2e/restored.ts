import { chmodSync, existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { agree, allEnded, allRanOnce, controller, givesAllBack, openPool, until, views } from './pool.ts'

describe.concurrent('a Sublet of which an older backup is put back', { timeout: 450_000 }, () => {
  test('of the site, finds its machines again, loses no job, runs none twice and leaves nothing behind', async () => {
    const pool = await openPool(controller({ max: 3, term: '20s' }))
    const first = await pool.start()
    const ids = [await pool.submit(1)]
    await until('the first job has ended', 20_000, pool.records, allEnded)

    const backup = join(pool.dir, 'backup')
    expect(await pool.ask('backup', '--to', backup)).toMatchObject({ code: 0 })
    expect(existsSync(backup)).toBe(true)

    // More leases, that the backup has never heard of.
    ids.push(...(await Promise.all([15, 15, 15].map((seconds) => pool.submit(seconds)))))
    await until(
      'three jobs run',
      20_000,
      pool.records,
      (jobs) => jobs.filter(({ state }) => state === 'running').length === 3,
    )
    const machines = pool.machines()
    await pool.kill(first)
    expect(await pool.ask('restore', backup, '--actor', 'rack')).toMatchObject({ code: 0 })

    // As what an earlier program restored from a copy that anybody may read.
    const database = join(pool.dir, 's', 'rack.db')
    expect(statSync(database).mode & 0o777).toBe(0o600)
    chmodSync(database, 0o644)
    await pool.start()
    expect(statSync(database).mode & 0o777).toBe(0o600)
    ids.push(await pool.submit(1))
    await until('all jobs have ended', 60_000, pool.records, allEnded)
    expect(await allRanOnce(pool, ids)).toEqual([])
    expect(machines.length).toBeGreaterThan(0)
    const kinds = new Set((await pool.ledger()).map(({ kind }) => kind))
    expect([...kinds]).toEqual(expect.arrayContaining(['store restored', 'recovering', 'recovered']))
    await until(
      'machines, leases and nodes agree',
      30_000,
      () => views(pool),
      (seen) => agree(seen) && seen.held.length === 1,
    )
    await givesAllBack(pool)
  })
})
