import type { BatchPicture } from '../../../adapters/batch-system.ts'
import type { GuestController } from '../../controller.ts'
import type { GrocConfig } from './config.ts'
import { decide } from './decide.ts'
import { explainJob, explainJobs } from './explain.ts'
import { explainMachines } from './machine-words.ts'
import type { GrocMemory } from './memory.ts'
import { firstMemory } from './memory.ts'

/** The Grid Resource Oversight Controller: sizes a batch system's pool by what waits in its queues. */
export const groc: GuestController<BatchPicture, GrocMemory, GrocConfig> = {
  name: 'groc',
  firstMemory,
  decide,
  explainJob,
  explainJobs,
  explainMachines,
}
