import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Clock, type Millis, systemClock } from '../../actors/runtime/clock.ts'
import { until } from './batch-system.ts'
import { never, PATIENCE_MS, shell, slurmSkip, title } from './slurm-bench.ts'
import { throughClockOff } from './slurm-clocks.ts'
import { type ImageName, openImages, USER } from './slurm-images.ts'

const MINUTE: Millis = 60_000
type Images = Awaited<ReturnType<typeof openImages>>

const offBy = (ms: Millis): Clock => ({ ...systemClock, now: () => systemClock.now() + ms })

/** One that is right and one each that is wrong in one thing: what Sublet says before it starts slurmd there. */
describe.skipIf(slurmSkip !== undefined)(
  title('machines with a root of their own'),
  { timeout: 60_000 },
  () => {
    let images: Images
    beforeAll(async () => {
      images = await openImages('img')
    }, 60_000)
    afterAll(() => images?.close(), 60_000)

    /** Joins as Sublet does, lets the node in, and takes the job of a user. */
    const worksWith = async (clock: Clock): Promise<void> => {
      const unit = await images.machine('right')
      const system = images.systemBy(clock)
      await Promise.all([system.expect(images.node(unit), never), images.joinBy(clock).join(unit, never)])
      const out = `${unit.name}-said`
      await images.lab.submit(
        `id -un >/home/ada/${out}; hostname >>/home/ada/${out}; :>/home/ada/${out}.done`,
        { uid: USER.uid, args: [`--nodelist=${unit.name}`] },
        never,
      )
      await until(
        'the job has ended',
        PATIENCE_MS,
        () => shell(images.lab, `ls /home/ada`),
        (seen) => seen.includes(`${out}.done`),
      )
      expect(readFileSync(join(images.lab.dir, 'home/ada', out), 'utf8')).toBe(`ada\n${unit.name}\n`)
      await shell(images.lab, `scontrol update nodename=${unit.name} state=drain reason=done`)
    }

    test('the right one joins and runs the job of a user, in that user’s home', () => worksWith(systemClock))

    test.each<[ImageName, string, string]>([
      ['otherUids', 'ada has uid 4002 on NAME and 4001 on the head', 'Give the image the users of the head'],
      [
        'oldSlurmd',
        'slurmd of NAME is 20.02.7, which slurmctld 22.05.8 does not accept',
        'Install slurmd 22.05.8 in the image.',
      ],
      [
        'otherKey',
        'the munge key of NAME is not that of the head (Invalid credential)',
        'Copy /etc/munge/munge.key',
      ],
      ['noMunged', 'munge does not work on NAME', 'Have the image start munged before sshd.'],
      [
        'noHome',
        '/home/ada, the home of ada, is not on NAME; /home/.shared is not on NAME',
        'Mount the homes in the image.',
      ],
      [
        'clockAhead',
        'the clock of NAME is 10 min ahead of the head’s; 30 s is the most',
        'Set the clock of NAME right',
      ],
      [
        'clockBehind',
        'the clock of NAME is 10 min behind the head’s; 30 s is the most',
        'Set the clock of NAME right',
      ],
    ])('%s is refused by name, and no node comes of it', async (image, sentence, cure) => {
      const unit = await images.machine(image)
      const named = (text: string): string => text.replaceAll('NAME', unit.name)
      const refused = images.joinBy(systemClock).join(unit, never)
      await expect(refused).rejects.toMatchObject({
        code: 'machine-unlike',
        message: expect.stringContaining(named(sentence)),
        cure: expect.stringContaining(named(cure)),
      })
      expect((await images.run(unit, 'pgrep -x slurmd')).stdout).toBe('')
      expect(await shell(images.lab, 'sinfo -h -N -p dyn -o %N')).not.toContain(unit.name)
    })

    test.each([
      10, -10,
    ])('Sublet’s own clock %i min off is told by check, and keeps no machine out', async (minutes) => {
      const clock = offBy(minutes * MINUTE)
      const found =
        (await images.systemBy(clock).examine?.({ names: [], machines: [], skewMsMax: 2000 }, never)) ?? []
      expect(found.find(({ about }) => about === 'clock')).toMatchObject({
        severity: 'missing',
        sentence: expect.stringMatching(
          minutes > 0 ? /host is 10 min behind ours/ : /host is 10 min ahead of ours/,
        ),
      })
      // Nothing but the node is missing: it is no job for later, whatever our clock says.
      const id = await images.lab.submit(':', {}, never)
      const { jobs } = await images.systemBy(clock).observe(never)
      expect(jobs.find((job) => job.id === id)).toMatchObject({ state: 'pending' })
      await shell(images.lab, `scancel ${id}`)
      await worksWith(clock)
    })
  },
)

describe.skipIf(slurmSkip !== undefined).each([
  ['+600s', 'behind'],
  ['-600s', 'ahead of'],
])(title('a head whose clock is off by %s'), { timeout: 60_000 }, (by, words) => {
  let images: Images
  beforeAll(async () => {
    images = await openImages('imgh', throughClockOff(by))
  }, 60_000)
  afterAll(() => images?.close(), 60_000)

  test('is named itself: the machine and Sublet agree', async () => {
    const unit = await images.machine('right')
    await expect(images.joinBy(systemClock).join(unit, never)).rejects.toMatchObject({
      code: 'machine-unlike',
      message: expect.stringMatching(
        `10 min ${words} the head’s; .* ours agrees with that of n1, so the head’s is wrong`,
      ),
      cure: 'Set the head’s clock right, and keep it by NTP.',
    })
  })
})
