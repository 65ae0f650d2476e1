import type { Executor } from '../executor.ts'
import { guarded, saysMissing } from './guard.ts'
import { programMissing } from './outcome.ts'

/**
 * The same executor with words before every command, such as
 * `prefixed(local, ['nsenter', '--net=/run/netns/lab', '--'])`: commands run inside that network.
 */
export function prefixed(
  exec: Executor,
  prefix: readonly [string, ...string[]],
  name = `${exec.name} ${prefix.join(' ')}`,
): Executor {
  return {
    name,
    async run(argv, options) {
      const [program, ...rest] = prefix
      const finished = await exec.run([program, ...rest, ...guarded(argv)], options)
      if (saysMissing(finished)) throw programMissing(argv, name)
      return finished
    },
    close: () => exec.close(),
  }
}
