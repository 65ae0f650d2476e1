import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { allEnded, allRanOnce, controller, givesAllBack, openPool, until } from './pool.ts'

describe.concurrent('a person who holds the controller back', { timeout: 450_000 }, () => {
  test('freezes and thaws it, keeps a node, and finds who did what in the ledger', async () => {
    const pool = await openPool(controller({ min: 0, max: 2, term: '30s' }))
    await pool.start()
    const frozen = await pool.ask('freeze', '--reason', 'the room gets hot')
    expect(frozen).toMatchObject({ code: 0, out: 'frozen: batch\n' })
    expect((await pool.ask('status')).out).toMatch(/^ {2}frozen {2}since .* by uid \d+: the room gets hot$/m)
    const jobs = [await pool.submit(1)]
    await until('it says why it asks for nothing', 20_000, pool.status, ({ guests }) =>
      guests[0]!.reason.includes('Nothing is asked for: frozen since'),
    )
    expect(await pool.leases()).toEqual([])
    expect((await pool.ask('explain', 'job', jobs[0]!)).out).toContain('the room gets hot')

    expect((await pool.ask('freeze', '--pool', 'bacth')).err).toMatch(
      /^error: no guest is named bacth; there is: batch\n {2}code: unknown-id\n {2}cure: /,
    )
    expect(await pool.ask('thaw', '--pool', 'batch')).toMatchObject({ code: 0, out: 'thawed: batch\n' })
    expect(await pool.ask('thaw')).toMatchObject({ code: 0, out: 'nothing was frozen\n' })
    // Pinned while work is on it, for it would soon be drained.
    jobs.push(await pool.submit(20))
    await until('a job runs', 40_000, pool.records, (records) =>
      records.some(({ state }) => state === 'running'),
    )

    const node = (await pool.nodes()).find(({ membership }) => membership === 'joined')
    expect(await pool.ask('pin', node!.name, '--until', '10m', '--reason', 'its disk')).toMatchObject({
      code: 0,
    })
    expect((await pool.ask('nodes')).out).toMatch(
      new RegExp(`^${node!.name} .*pinned until .*: its disk`, 'm'),
    )
    await until('all have run', 60_000, pool.records, allEnded)
    // Long enough to be drained for being idle, and to be extended: it is kept.
    const first = (await pool.leases()).find(({ id }) => id === node!.leaseId)!
    await until('its lease is extended though nothing waits', 40_000, pool.leases, (leases) =>
      leases.some(({ id, end }) => id === first.id && (end ?? 0) > (first.end ?? 0)),
    )
    expect((await pool.nodes()).map(({ name, membership }) => [name, membership])).toContainEqual([
      node!.name,
      'joined',
    ])
    expect(await pool.ask('unpin', node!.name)).toMatchObject({
      code: 0,
      out: `${node!.name} is pinned no more\n`,
    })
    await until('it goes', 40_000, pool.leases, (leases) => leases.every(({ state }) => state === 'closed'))
    const told = (await pool.ledger()).filter(({ kind }) =>
      ['frozen', 'thawed', 'pinned', 'unpinned'].includes(kind),
    )
    expect(told.map(({ kind, reason }) => [kind, /uid \d+: (.*)$/.exec(reason)?.[1]])).toEqual([
      ['frozen', 'the room gets hot'],
      ['thawed', 'thawed by the operator'],
      ['pinned', 'its disk'],
      ['unpinned', 'unpinned by the operator'],
    ])
    expect(await allRanOnce(pool, jobs)).toEqual([])
    await givesAllBack(pool)
  })

  test('has it decide by a changed file, or by nothing of it', async () => {
    const pool = await openPool(controller({ min: 0, max: 1, term: '60s' }))
    await pool.start()
    const jobs = await Promise.all([25, 25].map((seconds) => pool.submit(seconds)))
    await until(
      'one of the two runs, and there may be no more',
      30_000,
      pool.records,
      (records) => records.filter(({ state }) => state === 'running').length === 1,
    )
    const before = readFileSync(pool.config, 'utf8')
    const changed = before.replace(/("?)max\1: ?1\b/, '$1max$1: 2')
    expect(changed).not.toBe(before)
    writeFileSync(pool.config, changed.replace(/("?)term\1: ?"?60s"?/, '$1term$1: 0s'))
    expect(await pool.ask('reload')).toMatchObject({
      code: 2,
      err: expect.stringMatching(/controller\.term: /),
    })
    writeFileSync(pool.config, changed)
    const dry = await pool.ask('reload', '--dry-run')
    expect(dry.out).toBe('guests.batch.controller.max: 1 → 2\nthis would change; nothing was changed\n')
    expect(await pool.json('reload')).toMatchObject({
      changes: [{ path: 'guests.batch.controller.max', from: '1', to: '2' }],
    })
    await until(
      'both run',
      30_000,
      pool.records,
      (records) => records.filter(({ state }) => state === 'running').length === 2,
    )
    await until('both have run', 60_000, pool.records, allEnded)
    expect(await allRanOnce(pool, jobs)).toEqual([])
    const [line] = (await pool.ledger()).filter(({ kind }) => kind === 'configured')
    expect(line!.reason).toMatch(/^uid \d+: guests\.batch\.controller\.max: 1 → 2$/)
    await givesAllBack(pool)
  })
})
