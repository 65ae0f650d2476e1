import { afterAll, afterEach, beforeAll } from 'vitest'
import type { World } from './world.ts'

/** Opens the world before the tests of a file, and closes it after them: what is kept of it says why one failed. */
export function standing(world: World, ready: () => void = () => undefined): void {
  let failed = false
  beforeAll(async () => {
    await world.open()
    ready()
    await world.until(
      'the site lends to the broker',
      () => Object.keys(world.rows('broker')),
      (keys) => keys.includes('delegation site/vm.small'),
    )
  }, 180_000)
  afterEach(({ task }) => {
    failed ||= task.result?.state === 'fail'
  })
  afterAll(() => world.close(failed), 30_000)
}
