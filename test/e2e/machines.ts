import { describe, expect, test } from 'vitest'
import { sleep } from '../../actors/runtime/clock.ts'
import {
  agree,
  allEnded,
  allRanOnce,
  clock,
  controller,
  givesAllBack,
  openPool,
  type Pool,
  until,
  views,
} from './pool.ts'

const kindsOf = async (
  pool: Pool,
  kind: string,
): Promise<readonly { readonly at: number; readonly reason: string }[]> =>
  (await pool.ledger()).filter((entry) => entry.kind === kind)

describe.concurrent('a machine that does not come up', { timeout: 450_000 }, () => {
  test('because its image is broken is tried again ever more slowly, with the image named', async () => {
    const pool = await openPool({
      site: { machines: { images: { plain: { bootFails: 1 } }, bootMs: [50, 100] } },
      ...controller({ min: 0, retry: { first: '1s', most: '30s' } }),
    })
    await pool.start()
    await pool.submit(1)
    await sleep(clock, 9_000)
    const boots = await kindsOf(pool, 'unit assigned')
    const failures = await kindsOf(pool, 'image failed')
    // The first again at once, then after pauses of 1, 2, 4 ... seconds.
    expect(boots.length).toBeGreaterThanOrEqual(3)
    expect(boots.length).toBeLessThanOrEqual(5)
    expect(failures.at(-1)?.reason).toMatch(
      /in a row; the next attempt waits \d+ s: setup failed: .*kernel panic/,
    )
    await until(
      'it says when it will try again',
      15_000,
      async () => (await pool.status()).guests[0]?.reason ?? '',
      (reason) => /asked again at [^;]*; \d+ failures in a row of image plain, /.test(reason),
    )
    await givesAllBack(pool)
  })

  test('and one that fails the probe under one name, are replaced by another, and the job runs', async () => {
    const probe = 'test "$SUBLET_NODE" != vm1 || { echo no disk on vm1 >&2; exit 1; }'
    const pool = await openPool({
      site: { probe: [{ run: ['sh', '-c', probe] }] },
      ...controller({ min: 0 }),
    })
    await pool.start()
    const id = await pool.submit(0.5)
    await until('the job has run', 20_000, pool.records, allEnded)
    expect(await allRanOnce(pool, [id])).toEqual([])
    expect((await pool.record(id))?.attempts[0]?.nodes).not.toEqual(['vm1'])
    const [failed] = await kindsOf(pool, 'image failed')
    expect(failed?.reason).toContain('exit 1: no disk on vm1')
    expect((await pool.ask('explain', 'node', 'vm1')).out).toMatch(
      /unit lost: the probe .* failed: exit 1: no disk on vm1/,
    )
    await givesAllBack(pool)
  })

  test('in the batch system, though it boots, is given back and tried again until it joins', async () => {
    const pool = await openPool({
      serviceManager: { join: '1s', joinFailuresMax: 2 },
      guests: [{ join: { kind: 'embedded', socket: 'j/sock' }, controller: { min: 0 } }],
    })
    await pool.start()
    const id = await pool.submit(0.5)
    await until(
      'two have failed',
      20_000,
      () => pool.ledger(),
      (entries) =>
        entries.filter(({ kind, reason }) => kind === 'unit leaving' && reason.startsWith('it never joined'))
          .length >= 2,
    )
    const boots = await kindsOf(pool, 'unit assigned')
    expect(boots.length).toBeLessThanOrEqual(3)
    expect((await kindsOf(pool, 'join failed')).map(({ reason }) => reason)).toContain(
      'vm1 (2): join took longer than 1 s',
    )
    pool.linkBatchAs('j')
    await until('the job has run', 20_000, pool.records, allEnded)
    expect(await allRanOnce(pool, [id])).toEqual([])
    await givesAllBack(pool)
  })
})

describe.concurrent('a machine under a job', { timeout: 450_000 }, () => {
  test('that is killed is cleaned up, its node goes, and its job runs once to its end elsewhere', async () => {
    const pool = await openPool(controller({ min: 1, term: '20s' }))
    await pool.start()
    const id = await pool.submit(3)
    await until(
      'it runs',
      20_000,
      () => pool.trail(id),
      ({ length }) => length === 1,
    )
    const [before] = pool.machines()
    process.kill(pool.supervisorOf(before?.name ?? ''), 'SIGKILL')
    await until('the job has run', 25_000, pool.records, allEnded)
    expect(await allRanOnce(pool, [id])).toEqual([])
    expect(await pool.record(id)).toMatchObject({ attempt: 2, restarts: 1 })
    expect(pool.trail(id).map(({ mark }) => mark)).toEqual(['begun', 'begun', 'done'])
    const { out } = await pool.ask('explain', 'node', before?.name ?? '')
    expect(out).toMatch(/unit suspect: the site doubts vm1: the machine vm1 no longer runs\n/)
    expect(out).toMatch(/node removed: vm1 is out of the middleware; its jobs are back in the queue\n/)
    expect(out).toMatch(/unit ended: nothing of vm1 is left\n/)
    await until(
      'all agree',
      15_000,
      () => views(pool),
      (seen) => agree(seen) && seen.held.length === 1,
    )
    await givesAllBack(pool)
  })

  test('that hangs for a while and comes back keeps its job', async () => {
    const pool = await openPool(controller({ min: 0, term: '20s' }))
    await pool.start()
    const id = await pool.submit(8)
    await until(
      'it runs',
      20_000,
      () => pool.trail(id),
      ({ length }) => length === 1,
    )
    const pid = pool.supervisorOf('vm1')
    process.kill(pid, 'SIGSTOP')
    await until('its site doubts it', 10_000, pool.nodes, ([node]) => node?.suspect !== null)
    process.kill(pid, 'SIGCONT')
    await until('the job has run', 15_000, pool.records, allEnded)
    expect(await allRanOnce(pool, [id])).toEqual([])
    expect(await pool.record(id)).toMatchObject({ attempt: 1, restarts: 0 })
    await givesAllBack(pool)
  })
})

describe.concurrent('a machine that hangs for good', { timeout: 450_000 }, () => {
  test('without work is replaced at once and ends with its lease', async () => {
    const pool = await openPool({ site: { terms: { grace: '4s' } }, ...controller({ min: 1, term: '6s' }) })
    await pool.start()
    await until(
      'all agree',
      20_000,
      () => views(pool),
      (seen) => agree(seen) && seen.held.length === 1,
    )
    process.kill(pool.supervisorOf('vm1'), 'SIGSTOP')
    await until(
      'another takes jobs',
      10_000,
      () => pool.node('vm2'),
      (node) => node?.accepting === true,
    )
    await until('it has ended', 25_000, pool.machines, (found) => found.every(({ name }) => name !== 'vm1'))
    await until(
      'all agree',
      15_000,
      () => views(pool),
      (seen) => agree(seen) && seen.held.length === 1,
    )
    await givesAllBack(pool)
  })

  test('under a job is ended with its lease and the grace, and then the job runs elsewhere', async () => {
    const pool = await openPool({
      site: { terms: { grace: '3s' } },
      ...controller({ min: 0, term: '6s', missing: '2s' }),
    })
    await pool.start()
    const id = await pool.submit('[ "$SUBLET_NODE" = vm1 ] && sleep 60 || sleep 1')
    await until(
      'it runs',
      20_000,
      () => pool.record(id),
      (job) => job?.state === 'running',
    )
    process.kill(pool.supervisorOf('vm1'), 'SIGSTOP')
    await until('the job has run', 45_000, pool.records, allEnded)
    expect(await allRanOnce(pool, [id])).toEqual([])
    expect(await pool.record(id)).toMatchObject({ attempt: 2, restarts: 1 })
    await givesAllBack(pool)
  })
})

describe.concurrent('a node', { timeout: 450_000 }, () => {
  test('on which job after job fails at once is drained with the reason, and the others do the work', async () => {
    const pool = await openPool(
      controller({
        min: 2,
        max: 3,
        shrink: { idle: '8s' },
        term: '20s',
        blackHole: { jobs: 4, within: '500ms' },
      }),
    )
    await pool.start()
    await until(
      'two nodes take jobs',
      20_000,
      pool.picture,
      ({ nodes }) => nodes.filter(({ accepting }) => accepting).length === 2,
    )
    const command = 'if [ "$SUBLET_NODE" = vm1 ]; then sleep 0.2; exit 1; else sleep 1; fi'
    await pool.user.submit({ command, cpusPerNode: 2, tasks: 14 })
    await until(
      'vm1 is drained',
      20_000,
      async () => (await kindsOf(pool, 'unit draining')).map(({ reason }) => reason),
      (reasons) =>
        reasons.some((reason) =>
          /vm1 takes no more work: jobs in a row ended on vm1 right after their start/.test(reason),
        ),
    )
    await until('all have ended', 30_000, pool.records, allEnded)
    const failed = (await pool.records()).filter(({ attempts }) => attempts.at(-1)?.outcome === 'failed')
    expect(failed.every(({ attempts }) => attempts[0]?.nodes[0] === 'vm1')).toBe(true)
    expect(failed.length).toBeLessThan(10)
    expect((await pool.ask('explain', 'node', 'vm1')).out).toMatch(
      /unit draining: vm1 takes no more work: jobs in a row ended on vm1/,
    )
    await givesAllBack(pool)
  })
})
