import { describe, expect, test } from 'vitest'
import { sleep } from '../../actors/runtime/clock.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import {
  agree,
  allEnded,
  allRanOnce,
  clock,
  controller,
  givesAllBack,
  leftovers,
  openPool,
  until,
  views,
} from './pool.ts'

/** Another one: `SUBLET_SEED=7 vitest run test/e2e/killed.test.ts`. */
const seed = Number(process.env.SUBLET_SEED ?? 1)

describe.concurrent('a Sublet that is killed', { timeout: 450_000 }, () => {
  test('check 8: at eight random moments loses no job, runs none twice and holds nothing twice', async () => {
    const random = seededRandom(seed)
    const pool = await openPool(controller({ term: '6s', termMin: '4s' }))
    const ids: string[] = []
    let sublet = await pool.start()
    for (let kill = 0; kill < 8; kill += 1) {
      for (let i = 0; i < 2; i += 1) ids.push(await pool.submit(0.5 + random.next() * 1.5))
      await sleep(clock, 100 + random.int(1_200))
      await pool.kill(sublet)
      await sleep(clock, random.int(400))
      sublet = await pool.start()
    }
    await until('all jobs have ended', 40_000, pool.records, allEnded)
    expect(await allRanOnce(pool, ids)).toEqual([])
    await until(
      'machines, leases and nodes agree',
      20_000,
      () => views(pool),
      (seen) => agree(seen) && seen.held.length === 1,
    )
    await givesAllBack(pool)
  })

  test('for good lets work go on to its end, and each machine ends by itself after its lease and its work', async () => {
    const pool = await openPool(controller({ min: 2, max: 2, term: '6s', termMin: '4s' }))
    const sublet = await pool.start()
    await until('two nodes are there', 15_000, pool.picture, ({ nodes }) => nodes.length === 2)
    const long = await pool.submit(12)
    await until(
      'it runs',
      5_000,
      () => pool.record(long),
      (job) => job?.state === 'running',
    )
    const [busy] = (await pool.record(long))?.parts.map(({ node }) => node) ?? []
    await pool.kill(sublet)

    const [last] = await until(
      'the idle machine has ended',
      15_000,
      pool.machines,
      ({ length }) => length === 1,
    )
    expect(last?.name).toBe(busy)
    expect(await pool.record(long)).toMatchObject({ state: 'running', attempt: 1 })
    await until('the other has ended', 20_000, pool.machines, ({ length }) => length === 0)
    // The batch system hears of the end of the job after its machine is gone.
    const left = () => allRanOnce(pool, [long])
    expect(await until('the job is recorded', 20_000, left, ({ length }) => length === 0)).toEqual([])
    expect(pool.processes().map((line) => line.split(' ')[0])).toEqual([String(pool.batchPid())])
    expect(await pool.json('verify')).toMatchObject({ verified: true })

    await pool.start()
    await givesAllBack(pool)
  })
})

describe.concurrent('a Sublet that is told to end', { timeout: 450_000 }, () => {
  test('by Ctrl-C says that leases go on, and the next one takes up the very same machines', async () => {
    const pool = await openPool(controller({ min: 1, max: 2, term: '20s' }))
    const first = await pool.start()
    const long = await pool.submit(60)
    await until(
      'it runs',
      15_000,
      () => pool.record(long),
      (job) => job?.state === 'running',
    )
    const before = pool.machines()
    process.kill(first.pid, 'SIGINT')
    expect(await first.ended).toMatchObject({
      code: 0,
      err: expect.stringMatching(/SIGINT: stopping; leases and jobs go on .*`sublet stop --release`/),
    })
    expect(pool.machines()).toEqual(before)
    expect(await pool.record(long)).toMatchObject({ state: 'running', attempt: 1 })

    const second = await pool.start()
    await until('all agree', 10_000, () => views(pool), agree)
    expect((await views(pool)).held).toEqual(before.map(({ unitId }) => unitId).sort())
    expect(await pool.record(long)).toMatchObject({ state: 'running', attempt: 1 })

    const stopped = await pool.ask('stop', '--release', '--json')
    expect(stopped).toMatchObject({ code: 0 })
    expect(JSON.parse(stopped.out)).toEqual({ stopped: true, pid: second.pid, released: true })
    expect(await second.ended).toMatchObject({ code: 0 })
    expect(await pool.record(long)).toMatchObject({ state: 'pending', restarts: 1 })
    expect(await leftovers(pool)).toEqual([])
  })
})
