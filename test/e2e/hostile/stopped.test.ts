import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { systemClock as clock, sleep } from '../../../actors/runtime/clock.ts'
import type { StatusReport } from '../../../deploy/reports/status.ts'
import { World } from './world.ts'

/** Three processes with a job on a leased machine; each stands still in its turn, and then a disk takes nothing more. */
const world = new World({ live: ['broker', 'site', 'manager'], played: {}, units: 2, termSeconds: 60 })
let failed = false
beforeAll(() => world.open(), 60_000)
afterEach(({ task }) => {
  failed ||= task.result?.state === 'fail'
})
afterAll(() => world.close(failed), 30_000)

const pidOf = async (place: 'broker' | 'site' | 'manager'): Promise<number> =>
  ((await world.processes[place]!.client.get('/status')) as StatusReport).pid

const stateOf = (job: string, wanted: string) =>
  world.until(
    `the job is ${wanted}`,
    () => world.jobState(job),
    (state) => state === wanted,
  )

test('each of the three stands still for a while under a live lease, and all goes on as if nothing had been', async () => {
  const job = await world.submit(10)
  await stateOf(job, 'running')
  for (const place of ['manager', 'site', 'broker'] as const) {
    const pid = await pidOf(place)
    process.kill(pid, 'SIGSTOP')
    try {
      await sleep(clock, 2_500)
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    expect(await world.processes[place]!.answers()).toBe(true)
  }
  expect(await world.jobState(job)).toBe('running')
  await stateOf(job, 'ended')
  const next = await world.submit(1)
  await stateOf(next, 'ended')
  for (const place of ['manager', 'site', 'broker'] as const) {
    expect([place, await world.faults(place)]).toEqual([place, []])
    expect(readFileSync(join(world.dir, `${place}.out`), 'utf8')).not.toMatch(
      /set aside|TypeError|unhandled/i,
    )
  }
}, 180_000)

test.skipIf(!existsSync('/usr/bin/prlimit'))(
  'a disk that takes nothing more from one moment to the next stops the site with its cure; the job goes on',
  async () => {
    const job = await world.submit(12)
    await stateOf(job, 'running')
    const pid = await pidOf('site')
    // No file of it may grow any more, neither its log nor what it prints into.
    execFileSync('prlimit', ['--pid', String(pid), '--fsize=0:0'])
    const stuck = world.processes
      .site!.client.post('/hosts/maintain', { host: 'host-b', reason: 'to have something written' })
      .then(
        () => 'done',
        () => 'refused',
      )
    expect(await world.processes.site!.ended()).toBe(1)
    expect(await stuck).toBe('refused')
    expect(await world.jobState(job)).toBe('running')
    await world.processes.site!.up()
    await stateOf(job, 'ended')
    expect(await world.faults('site')).toEqual([])
  },
  60_000,
)
