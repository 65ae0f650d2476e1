import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { systemClock as clock, sleep } from '../../actors/runtime/clock.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { controlClient } from '../../deploy/control/control-client.ts'
import { Federation } from '../../deploy/labs/federation/federation.ts'
import { ROLES } from '../../deploy/labs/federation/site-texts.ts'
import type { PeerFinding, PeersReport } from '../../deploy/peers/peer-reports.ts'
import { historyOf } from '../../deploy/reports/job-history.ts'
import { countJobs } from '../../deploy/reports/report.ts'

/** Another one: `SUBLET_SEED=7 vitest run test/e2e/federation.test.ts`. */
const random = seededRandom(Number(process.env.SUBLET_SEED ?? 1))
const KILLS_EACH = 3

let lab: Federation | undefined
afterEach(async (context) => {
  await lab?.down(context.task.result?.state === 'fail')
  lab = undefined
}, 180_000)

test('three processes over HTTP, one pair outbound only, do all jobs once though each is killed', async () => {
  lab = new Federation({ clock, poolMax: 4, termSeconds: 15 })
  const { processes } = lab
  await lab.up()
  for (let i = 0; i < 4; i++) await lab.submit(0.5)
  await lab.until('the first jobs have ended', 60_000, async () =>
    (await lab!.records()).every(({ state }) => state === 'ended'),
  )

  const ask = <T>(name: string, path: string): Promise<T> =>
    controlClient(join(lab!.dir, name, 'control.sock')).get(path) as Promise<T>
  const findings = await Promise.all(ROLES.map((name) => ask<readonly PeerFinding[]>(name, '/peers/check')))
  expect(findings.flat().filter(({ ok }) => !ok)).toEqual([])
  expect(findings.map((some) => some.length)).toEqual([2, 2, 2])
  const { peers } = await ask<PeersReport>('site', '/peers')
  expect(peers.find(({ name }) => name === 'manager')).toMatchObject({
    ...{ url: null, poll: true, silentSince: null },
    fetchedAt: expect.any(Number),
  })

  for (let round = 0; round < KILLS_EACH; round++)
    for (const name of ROLES) {
      await lab.submit(0.5 + random.next())
      await sleep(clock, random.int(600))
      await processes[name].kill()
      await sleep(clock, random.int(300))
      processes[name].start()
      if (random.next() < 0.7) await processes[name].up()
    }
  await Promise.all(ROLES.map((name) => processes[name].up()))
  await lab.until('all jobs have ended', 90_000, async () =>
    (await lab!.records()).every(({ state }) => state === 'ended'),
  )
  await lab.until('the pool is empty', 60_000, async () => (await lab!.machines()).length === 0)
  await lab.release()

  const jobs = countJobs(lab.jobs, (await lab.records()).map(historyOf), lab.trails())
  expect(jobs).toMatchObject({
    submitted: 4 + 3 * KILLS_EACH,
    completed: 4 + 3 * KILLS_EACH,
    lost: 0,
    runTwice: 0,
  })
  expect([...lab.doubles]).toEqual([])
  expect((await lab.verdicts()).map(({ faults }) => faults)).toEqual([[], [], []])
  expect(lab.leftovers()).toEqual([])
}, 300_000)
