import { type Outcome, runHere } from './crew.ts'
import type { TrialOptions } from './trial.ts'

/** A process of the crew: runs what it is sent, and sends back what came of it. */
process.on('message', (options: TrialOptions) => {
  void runHere(options).then((outcome: Outcome) => process.send?.(outcome))
})
