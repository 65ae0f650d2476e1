import { Disk } from '../simulation/disk.ts'
import { World } from '../simulation/world.ts'
import { storeLaw } from './store.ts'

/** The simulator's disk keeps the law of the real one: what is proven on it holds there. */
storeLaw('the simulated disk', async () => {
  const world = new World()
  const disk = new Disk()
  return {
    store: () =>
      disk.store(
        world,
        () => true,
        () => 'done',
        () => undefined,
        () => 2,
      ),
    async soon(work) {
      let settled = false
      const mark = (): void => {
        settled = true
      }
      work.then(mark, mark)
      for (let i = 0; i < 1_000 && !settled; i++) {
        await new Promise(setImmediate)
        await world.run(world.elapsed + 1, () => undefined)
      }
      return work
    },
    end: async () => undefined,
  }
})
