import { SubletError } from '../../actors/runtime/errors.ts'
import type { Executor } from '../executor.ts'

/**
 * What runs the commands of a batch system on its head. A head that cannot be reached is a batch system that
 * does not answer (`middleware-unreachable`): taken for a machine, it would be held against the one that joins.
 */
export const farHead = (exec: Executor): Executor => ({
  ...exec,
  async run(argv, options) {
    try {
      return await exec.run(argv, options)
    } catch (cause) {
      if (options.signal.aborted || !(cause instanceof SubletError) || cause.code !== 'ssh-unreachable')
        throw cause
      throw new SubletError('middleware-unreachable', `The head is not reached: ${cause.message}`, {
        ...{ cause, cure: cause.cure },
      })
    }
  },
})
