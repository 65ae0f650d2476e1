import type { Job } from '../../../adapters/batch-system.ts'

/**
 * The jobs of a look by what they do. Of 100,000 jobs as a rule nearly all wait: whoever asks for the others does
 * not go through these again.
 */
export interface Tally {
  /** The pending ones and all others. */
  readonly all: readonly Job[]
  readonly held: readonly Job[]
  /** Running and completing ones. */
  readonly running: readonly Job[]
  readonly ended: readonly Job[]
}

export function tallyOf(all: readonly Job[]): Tally {
  const held: Job[] = []
  const running: Job[] = []
  const ended: Job[] = []
  for (const job of all) {
    const { state } = job
    if (state === 'pending') continue
    if (state === 'held') held.push(job)
    else if (state === 'ended') ended.push(job)
    else running.push(job)
  }
  return { all, held, running, ended }
}
