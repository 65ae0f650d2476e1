import { seededRandom } from '../../actors/runtime/random.ts'
import { liars } from './liars.ts'
import { moments } from './moments.ts'
import { restored } from './restored.ts'
import { strangers } from './strangers.ts'
import { Tally } from './tally.ts'

export const ACTORS = ['manager', 'neighbour', 'broker', 'site'] as const

/** So many messages to actors in all the states of some leases: half from people without a key, half from liars. */
export async function fuzz(count: number, seed: number): Promise<Tally> {
  const random = seededRandom(seed)
  const tally = new Tally()
  const scenes = await moments()
  const each = Math.ceil(count / 2 / scenes.length / ACTORS.length)
  for (const moment of scenes)
    for (const actor of ACTORS) {
      const own = random.child(`${moment.name} ${actor}`)
      await strangers(moment, actor, each, own.child('strangers'), tally)
      liars(moment, actor, each, own.child('liars'), tally)
    }
  await restored(Math.ceil(count / 20), random.child('restored'), tally)
  // Where nothing had been said yet, there was nothing to change; others make up for it.
  for (let round = 0; tally.total < count && round < 100; round++) {
    const moment = scenes[1 + (round % (scenes.length - 1))]!
    liars(moment, 'site', Math.min(each, count - tally.total), random.child(`round ${round}`), tally)
    if (tally.crashes > 0) break
  }
  return tally
}
