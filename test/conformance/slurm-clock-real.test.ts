import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../actors/runtime/clock.ts'
import { SlurmSite } from '../../deploy/labs/slurm/slurm-site.ts'
import { slurmSkip, title } from './slurm-bench.ts'
import { clockOff } from './slurm-clocks.ts'

const cli = fileURLToPath(new URL('../../deploy/cli.ts', import.meta.url))

/** The head's and the machines' clocks: slurm-image-real.test.ts. */
describe.skipIf(slurmSkip !== undefined)(
  title('a whole Sublet whose clock is ten minutes behind that of a real Slurm'),
  { timeout: 120_000 },
  () => {
    let site: SlurmSite
    let env: Readonly<Record<string, string>>
    beforeAll(async () => {
      env = clockOff('-600s')
      site = new SlurmSite({
        ...{ clock: systemClock, max: 2, termSeconds: 60, epilogSeconds: 0, say: () => undefined },
        ...{ sampled: false, subletEnv: env },
      })
      await site.up([cli, 'start', '--config'])
      await site.sublet.up()
    }, 60_000)
    afterAll(async () => {
      await site?.down(false)
      expect(site?.lab.leftovers()).toEqual({ processes: 0, netns: 0, mounts: 0, cgroups: 0 })
    }, 60_000)

    test('gets machines for new jobs at once all the same, and gives them back', async () => {
      for (let i = 0; i < 3; i++) await site.lab.submit('sleep 1', { args: ['-c2'] }, site.signal)
      await site.until('the end of the jobs', () => site.queueIsEmpty(), 60_000)
      await site.until('an empty pool', () => site.poolIsEmpty(), 60_000)
      expect(site.lab.jobRecords().map(({ state }) => state)).toEqual(Array(3).fill('COMPLETED'))
    })

    test('is told so by check middleware', () => {
      const done = spawnSync(process.execPath, [cli, 'check', 'middleware', '--config', site.config], {
        ...{ encoding: 'utf8', env: { ...process.env, ...env } },
      })
      expect(done.stdout).toMatch(
        /missing +clock +The clock of the batch system’s host is 10 min ahead of ours/,
      )
      expect(done.status).toBe(1)
    })
  },
)
