import { sleep, systemClock } from '../../actors/runtime/clock.ts'

/** Asks again every 25 ms until the answer is yes; throws after `withinMs`. */
export async function eventually(holds: () => Promise<boolean>, withinMs: number): Promise<void> {
  const until = systemClock.monotonic() + withinMs
  while (!(await holds())) {
    if (systemClock.monotonic() > until) throw new Error(`It did not come true within ${withinMs} ms`)
    await sleep(systemClock, 25)
  }
}
