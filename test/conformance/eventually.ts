import { sleep, systemClock } from '../../actors/runtime/clock.ts'

/** On a busy machine everything takes longer; what never comes is found all the same. */
const PATIENCE = 3

/** Asks again every 25 ms until the answer is yes; throws after `withinMs` of a machine that is not busy. */
export async function eventually(holds: () => Promise<boolean>, withinMs: number): Promise<void> {
  const until = systemClock.monotonic() + withinMs * PATIENCE
  while (!(await holds())) {
    if (systemClock.monotonic() > until) throw new Error(`It did not come true within ${withinMs} ms`)
    await sleep(systemClock, 25)
  }
}
