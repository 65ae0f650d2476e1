import { z } from 'zod'
import { type Clock, sleep } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { ControlClient } from '../control/control-client.ts'
import { EXIT, printJson, tell } from './terminal.ts'

const STOP_MS_MAX = 180_000
const LOOK_MS = 50

/** Returns when the process has ended. */
export async function stop(
  client: ControlClient,
  order: { readonly release: boolean; readonly reason: string },
  json: boolean,
  clock: Clock,
): Promise<number> {
  const { release } = order
  const { pid } = z.object({ pid: z.int() }).parse(await client.post('/stop', order))
  tell(release ? 'giving all leases back ...' : 'stopping ...')
  const until = clock.monotonic() + STOP_MS_MAX
  while (isThere(pid)) {
    if (clock.monotonic() > until)
      throw new SubletError(
        'deadline-missed',
        `the process ${pid} has not ended within ${STOP_MS_MAX / 1000} s`,
        {
          cure: 'Look into sublet.log; if it hangs, end the process: leases and jobs go on, and the next start takes them up.',
        },
      )
    await sleep(clock, LOOK_MS)
  }
  if (json) printJson({ stopped: true, pid, released: release })
  else tell('stopped')
  return EXIT.done
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Another user's process is there all the same.
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
