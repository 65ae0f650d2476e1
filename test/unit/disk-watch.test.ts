import { expect, test } from 'vitest'
import { watchDisk } from '../../deploy/upkeep/disk-watch.ts'
import { World } from '../simulation/world.ts'

const MIB = 1024 * 1024
const silent = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

/** Looks at a disk with so much room one after the other; returns what the actors were told. */
async function told(free: readonly (number | Error)[]): Promise<(string | undefined)[]> {
  const world = new World()
  const sentences: (string | undefined)[] = []
  let looks = 0
  const end = await watchDisk({
    ...{ dir: 'work', freeBytesMin: 100 * MIB, log: silent, clock: world.clock() },
    tell: async (paused) => void sentences.push(paused),
    freeBytes: () => {
      const found = free[Math.min(looks++, free.length - 1)]!
      if (found instanceof Error) throw found
      return found * MIB
    },
  })
  for (let i = 1; i < free.length; i++) {
    await world.run(world.elapsed + 10_000, () => undefined)
    await new Promise(setImmediate)
  }
  end()
  return sentences
}

const LOW = expect.stringMatching(/^only \d+ MiB are free in work: nothing new is granted/)

test('with room, the actors are told once that there is', async () => {
  expect(await told([500, 400, 100])).toEqual([undefined])
})

test('without it they are told at once, and again only when there is clearly more', async () => {
  expect(await told([99, 99, 110, 124, 125, 110])).toEqual([LOW, undefined])
})

test('a disk that cannot be looked at changes nothing, and is told anew', async () => {
  expect(await told([50, new Error('gone'), 50, 500])).toEqual([LOW, LOW, undefined])
})
