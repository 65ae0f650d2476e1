import type { Steps } from '../../adapters/batch/slices.ts'

/** Work that may be set aside, without being set aside. */
export function atOnce<R>(steps: Steps<R>): R {
  for (;;) {
    const step = steps.next()
    if (step.done === true) return step.value
  }
}
