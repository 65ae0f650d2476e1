import { describe, expect, test } from 'vitest'
import type { HostReport } from '../../deploy/reports/host-report.ts'
import { allEnded, allRanOnce, controller, givesAllBack, openPool, until } from './pool.ts'

const SMALL = { cpu: 4, memoryMiB: 4096 }
const twoHosts = {
  site: {
    hosts: [
      { name: 'host-a', ...SMALL },
      { name: 'host-b', ...SMALL },
    ],
  },
}

describe.concurrent('a host that is to be worked on', { timeout: 450_000 }, () => {
  test('gets no new units and is emptied, no job is lost, and it serves again afterwards', async () => {
    const pool = await openPool({ ...controller({ min: 0, max: 4, term: '60s' }), ...twoHosts })
    await pool.start()
    const hosts = () => pool.json<readonly HostReport[]>('host', 'list')
    const stateOf = (name: string) => (found: readonly HostReport[]) =>
      found.find((host) => host.name === name)?.state
    const jobs = [await pool.submit(30)]
    await until(
      'it runs',
      20_000,
      () => pool.trail(jobs[0]!),
      ({ length }) => length === 1,
    )
    const [busy] = (await hosts()).filter(({ units }) => units.length > 0)
    const { name: host, units } = busy!
    const { name: node, leaseId } = units[0]!

    const order = ['host', 'maintain', host, '--by', '50s', '--reason', 'a new disk']
    expect(await pool.json(...order)).toMatchObject({
      state: 'leaving',
      units: [{ name: node, binding: true }],
      maintenance: { reason: 'a new disk', withheld: { 'vm.small': 2 } },
    })
    expect((await pool.ask('host', 'list')).out).toMatch(
      new RegExp(`^${host} +leaving service +1 +${node} `, 'm'),
    )
    expect((await pool.ask('status')).out).toContain(`host      ${host} takes no new units`)

    // Only the other host serves; there is room for two there, and more is not lent.
    for (let i = 0; i < 4; i++) jobs.push(await pool.submit(1))
    await until('the host is empty', 30_000, hosts, (found) => stateOf(host)(found) === 'empty')
    await until('all jobs have ended', 30_000, pool.records, allEnded)
    expect(await allRanOnce(pool, jobs)).toEqual([])
    expect((await pool.records()).map(({ attempts }) => attempts.length)).toEqual(jobs.map(() => 1))
    const ledger = await pool.ledger()
    const ordered = ledger.find(({ kind }) => kind === 'host leaves service')!
    const later = ledger.filter(
      ({ actor, seq, kind }) => actor === 'rack' && seq > ordered.seq && kind === 'unit assigned',
    )
    expect(later.length).toBeGreaterThan(0)
    expect(later.map(({ data }) => (data as { host: string }).host)).not.toContain(host)
    for (const asked of [
      ['lease', leaseId],
      ['node', units[0]!.unitId],
    ])
      expect((await pool.ask('explain', ...asked)).out).toContain(`the host of ${node} is to be worked on`)

    expect(await pool.json('host', 'resume', host)).toEqual({ host, offered: 2 })
    expect(await pool.ask('host', 'resume', host)).toMatchObject({ code: 2, out: '' })
    const wide = [await pool.submit(3), await pool.submit(3), await pool.submit(3), await pool.submit(3)]
    await until('it serves again', 30_000, hosts, (found) =>
      found.every(({ units: there }) => there.length > 0),
    )
    await until('all jobs have ended', 30_000, pool.records, allEnded)
    expect(await allRanOnce(pool, wide)).toEqual([])
    await givesAllBack(pool)
  })

  test('has to be one of the site, and wanted at a time to come', async () => {
    const pool = await openPool({ ...controller({ min: 0, max: 4 }), ...twoHosts })
    await pool.start()
    const refusals: readonly (readonly [words: readonly string[], code: number, sentence: string])[] = [
      [['maintain', 'host-z'], 1, 'this site has no host host-z; it has host-a, host-b'],
      [['resume', 'host-z'], 1, 'this site has no host host-z; it has host-a, host-b'],
      [['resume', 'host-a'], 2, 'host host-a is in service'],
      [['maintain', 'host-a', '--by', '2020-01-01T00:00Z'], 2, '2020-01-01T00:00:00.000Z is past'],
      [
        ['maintain', 'host-a', '--by', 'soon'],
        2,
        '“soon” is no time; expected 14:00, 30m or 2026-11-21T14:00',
      ],
      [
        ['maintain', 'host-a', '--reason', ''],
        2,
        'the request: reason found “”, expected at least 1 characters',
      ],
    ]
    for (const [words, code, sentence] of refusals) {
      const ended = await pool.ask('host', ...words, '--json')
      expect({ code: ended.code, ...JSON.parse(ended.out) }).toMatchObject({ code, error: { sentence } })
    }
    const first = await pool.json<HostReport>('host', 'maintain', 'host-a')
    expect(first).toMatchObject({ state: 'empty', units: [] })
    expect(await pool.json('host', 'maintain', 'host-a')).toEqual(first)
    expect((await pool.ledger('host-a')).map(({ kind }) => kind)).toEqual(['host leaves service'])
    await givesAllBack(pool)
  })
})
