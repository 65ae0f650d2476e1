import type { GrocConfig } from '../../controllers/guests/groc/config.ts'
import { groc } from '../../controllers/guests/groc/groc.ts'
import { firstAskAt } from '../../controllers/guests/groc/terms.ts'
import type { Policy } from './replay.ts'

/** The very decision that runs live. */
export function grocPolicy(config: GrocConfig, name = 'groc'): Policy {
  let memory = groc.firstMemory
  return {
    name,
    type: config.types[0]!.type,
    periodMs: 0,
    settleMs: config.settle,
    restMs: (lengthMs, extendByMs) => firstAskAt({ start: 0, end: lengthMs }, extendByMs, config),
    decide(view, now) {
      const decision = groc.decide(view, memory, config, now)
      memory = decision.memory
      return decision
    },
  }
}
