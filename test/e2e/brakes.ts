import { describe, expect, test } from 'vitest'
import { allEnded, allRanOnce, controller, givesAllBack, openPool, until } from './pool.ts'

describe.concurrent('a person who holds the controller back', { timeout: 150_000 }, () => {
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
    await until('it has run', 40_000, pool.records, allEnded)

    const [node] = await pool.nodes()
    expect(await pool.ask('pin', node!.name, '--until', '10m', '--reason', 'its disk')).toMatchObject({
      code: 0,
    })
    expect((await pool.ask('nodes')).out).toMatch(
      new RegExp(`^${node!.name} .*pinned until .*: its disk`, 'm'),
    )
    // Long enough to be drained for being idle, and to be extended: it is kept.
    const first = (await pool.leases())[0]!
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
})
