import { type Outcome, runHere } from './crew.ts'
import type { TrialOptions } from './trial.ts'

// Messages are lost by the thousand here, each an error. Whoever repeats one seed in a process of its own sees where from.
Error.stackTraceLimit = 0

/** A process of the crew: runs what it is sent, and sends back what came of it. */
process.on('message', (options: TrialOptions) => {
  void runHere(options).then((outcome: Outcome) => process.send?.(outcome))
})
