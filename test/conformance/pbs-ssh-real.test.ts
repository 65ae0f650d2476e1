import { systemClock } from '../../actors/runtime/clock.ts'
import { prefixed } from '../../adapters/exec/prefixed.ts'
import { sshExecutor } from '../../adapters/exec/ssh.ts'
import type { Executor } from '../../adapters/executor.ts'
import { openOpenpbsBench } from '../emulated/openpbs/bench.ts'
import { openTorqueBench } from '../emulated/torque/bench.ts'
import { type BatchBench, batchSystemLaw } from './batch-system.ts'
import { noSshd, sshServer } from './ssh-server.ts'

/** The same law with a real sshd between the adapter and the commands. */
async function overSsh(
  open: (makeExec: (env: Readonly<Record<string, string>>) => Executor) => Promise<BatchBench>,
): Promise<BatchBench> {
  const server = await sshServer()
  const ssh = sshExecutor(server.config, { clock: systemClock })
  const bench = await open(({ PATH }) => prefixed(ssh, ['env', `PATH=${PATH}`]))
  return {
    ...bench,
    async close() {
      await bench.close()
      await ssh.close()
      await server.close()
    },
  }
}

const title = (what: string): string =>
  `${what}, emulated, over ssh${noSshd === undefined ? '' : ` (${noSshd})`}`

batchSystemLaw(title('Torque 6.1.3'), () => overSsh((exec) => openTorqueBench('6.1.3', exec)), {
  skip: noSshd,
  untold: ['collecting', 'events'],
})
batchSystemLaw(title('OpenPBS 23.06'), () => overSsh(openOpenpbsBench), {
  skip: noSshd,
  untold: ['collecting', 'events'],
})
