import { systemClock } from '../../actors/runtime/clock.ts'
import { localExecutor } from '../../adapters/exec/local.ts'
import { prefixed } from '../../adapters/exec/prefixed.ts'
import { recordedExecutor } from '../../adapters/exec/recorded.ts'
import { executorLaw } from './executor.ts'
import { runningWith } from './processes.ts'

const close = async (): Promise<void> => undefined

executorLaw('the local executor', async () => ({
  executor: localExecutor({ clock: systemClock }),
  runningWith,
  close,
}))

executorLaw('a prefixed executor', async () => ({
  executor: prefixed(localExecutor({ clock: systemClock }), ['env', '-u', 'NOTHING']),
  runningWith,
  close,
}))

executorLaw('the recorded executor', async () => ({
  executor: recordedExecutor([
    { argv: ['echo', 'hello'], stdout: 'hello\n' },
    { argv: ['sh', '-c', '*'], exitCode: 3, stdout: 'out\n', stderr: 'err\n' },
    { argv: ['no-such-program-here', '-x'], missing: true },
    { argv: ['seq', '1', '100000'], stdout: '1\n'.repeat(100_000) },
  ]),
  recorded: true,
  close,
}))
