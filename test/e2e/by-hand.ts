import { describe, expect, test } from 'vitest'
import type { HandReport } from '../../deploy/control/by-hand.ts'
import { allEnded, allRanOnce, always, type Ended, givesAllBack, openPool, until } from './pool.ts'

const refusal = ({ code, out }: Ended) => ({ exit: code, ...(JSON.parse(out) as object) })

describe.concurrent('a guest without a controller of its own', { timeout: 450_000 }, () => {
  test('is given what is asked for by hand, and keeps it until it is given back', async () => {
    const pool = await openPool({ guests: [{ controller: 'by-hand' }] })
    await pool.start()
    const want = (...words: readonly string[]) =>
      pool.json<HandReport>('request', '--type', 'vm.small', ...words)
    const ask = (...words: readonly string[]) =>
      pool.ask('request', '--type', 'vm.small', ...words, '--json').then(refusal)
    const job = await pool.submit(3)
    await always('nothing is asked for by itself', 2_000, pool.leases, ({ length }) => length === 0)
    expect((await pool.ask('explain', 'job', job)).out).toContain('Nothing asks for machines by itself here')

    const first = await want('--units', '2', '--for', '60s', '--label', 'web', '--reason', 'a class')
    expect(first).toMatchObject({ state: 'granted', units: 2, type: 'vm.small', site: 'rack' })
    await until('the job has ended', 25_000, pool.records, allEnded)
    expect(await allRanOnce(pool, [job])).toEqual([])
    const story = (await pool.ask('explain', first.leaseId)).out
    expect(story).toContain('asks for 2 of vm.small for 1 min, for batch: a class.')

    // Of four units two are left.
    expect(await ask('--units', '3', '--for', '60s')).toMatchObject({
      exit: 4,
      error: {
        code: 'no-capacity',
        sentence: expect.stringMatching(/ is refused: .*earliest start that would work/),
      },
    })
    expect(await ask('--units', '1', '--for', '60s', '--label', 'web')).toMatchObject({
      exit: 2,
      error: { sentence: expect.stringMatching(/is not even sent: lease-.* is called web already$/) },
    })
    expect(await ask('--units', '1', '--for', '2s')).toMatchObject({ exit: 2, error: { code: 'usage' } })
    expect(await ask('--units', '1', '--for', '60s', '--guest', 'x')).toMatchObject({
      exit: 1,
      error: { sentence: 'no guest is named x; there is: batch' },
    })
    expect(await ask('--units', '1', '--for', '60s', '--group', 'g')).toMatchObject({
      error: { sentence: '--group and --group-size belong together' },
    })
    const elastic = await want('--units', '3', '--elastic', '1', '--for', '30s', '--after', 'web')
    expect(elastic).toMatchObject({ state: 'granted', units: 2 })
    expect(await pool.json('extend', first.leaseId, '--for', '30s')).toMatchObject({
      state: 'granted',
      units: 2,
    })
    const later = await want('--units', '4', '--for', '20s', '--deadline', '10m')
    expect(later.state).toBe('waiting')

    for (const { leaseId } of [later, elastic, first])
      expect(await pool.json('release', leaseId)).toMatchObject({ leaseId, state: 'given back' })
    await until('all is given back', 30_000, pool.leases, (leases) =>
      leases.every(({ state }) => state === 'closed'),
    )
    expect(await pool.ask('release', first.leaseId, '--json').then(refusal)).toMatchObject({
      exit: 1,
      error: { code: 'lease-ended' },
    })
    expect(await pool.ask('release', 'lease-9', '--json').then(refusal)).toMatchObject({
      exit: 1,
      error: { code: 'unknown-id' },
    })
    await givesAllBack(pool)
  })

  test('is given nothing of a type that is withdrawn, and gives back what is reclaimed', async () => {
    const pool = await openPool({ guests: [{ controller: 'by-hand' }] })
    await pool.start()
    const want = () => pool.ask('request', '--type', 'vm.small', '--units', '1', '--for', '60s', '--json')
    const held = JSON.parse((await want()).out) as HandReport
    expect(await pool.json('withdraw', '--type', 'vm.small', '--reason', 'sold')).toEqual({ promised: 4 })
    expect((await pool.ask('status')).out).toContain('lent      0 units of vm.small, 1 held, withdrawn: sold')
    expect(refusal(await want())).toMatchObject({ exit: 4, error: { code: 'no-capacity' } })
    expect((await pool.ask('lend', '--type', 'vm.small')).out).toBe('4 units of vm.small lent now\n')
    expect((await pool.ask('lend', '--type', 'vm.small')).err).toContain('vm.small is not withdrawn')
    expect((await want()).code).toBe(0)
    expect((await pool.ask('reclaim', '--type', 'vm.small', '--by', '6s')).out).toMatch(
      /^nothing of vm\.small is given away any more; asked back by .*: 4 units$/m,
    )
    await until('nothing is held', 30_000, pool.nodes, (nodes) =>
      nodes.every(({ machine }) => machine === null || machine === 'ended'),
    )
    expect((await pool.ask('explain', held.leaseId)).out).toContain('hears of a recall')
    await givesAllBack(pool)
  })

  test('is given a group of requests at one start', async () => {
    const pool = await openPool({ guests: [{ controller: 'by-hand' }] })
    await pool.start()
    const member = (...words: readonly string[]) =>
      pool.json<HandReport>(
        ...['request', '--type', 'vm.small', '--for', '30s', '--deadline', '10m', '--wait', '1s'],
        ...['--group', 'g', '--group-size', '2', ...words],
      )
    const one = await member('--units', '1')
    expect(one).toMatchObject({ state: 'waiting', term: null })
    const other = await member('--units', '2')
    const [a, b] = await until(
      'both are granted',
      10_000,
      async () => (await pool.leases()).filter(({ id }) => id === one.leaseId || id === other.leaseId),
      (leases) => leases.every(({ start }) => start !== null),
    )
    expect(a?.start).toBe(b?.start)
    await givesAllBack(pool)
  })
})
