import { sleep, systemClock } from '../../actors/runtime/clock.ts'
import { restAfter } from '../../deploy/labs/rest.ts'

/** On a busy machine everything takes longer; what never comes is found all the same. */
const PATIENCE = 3

/** Asks again, every 25 ms where an answer is quick, until it is yes; throws after `withinMs` of a machine that is not busy. */
export async function eventually(holds: () => Promise<boolean>, withinMs: number): Promise<void> {
  const until = systemClock.monotonic() + withinMs * PATIENCE
  for (let began = systemClock.monotonic(); !(await holds()); began = systemClock.monotonic()) {
    if (systemClock.monotonic() > until) throw new Error(`It did not come true within ${withinMs} ms`)
    await sleep(systemClock, restAfter(systemClock.monotonic() - began, 25))
  }
}
