import { openOpenpbsBench } from '../emulated/openpbs/bench.ts'
import { batchSystemLaw } from './batch-system.ts'

batchSystemLaw('OpenPBS 23.06, emulated', () => openOpenpbsBench())
