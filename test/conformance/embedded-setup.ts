import { systemClock } from '../../actors/runtime/clock.ts'
import { processMachines } from '../../adapters/embedded/process-machines.ts'
import { newNonce } from './embedded-bench.ts'

/** `node embedded-setup.ts DIR UNIT-AS-JSON`: a Sublet that sets one unit up, to be killed in the middle of it. */
const [, , dir = '', unit = ''] = process.argv
await processMachines(
  { dir, bootMs: [0, 0], images: {} },
  { clock: systemClock, random: () => 0.5, nonce: newNonce },
).setup(JSON.parse(unit), AbortSignal.timeout(10_000))
