import { openTorqueBench } from '../emulated/torque/bench.ts'
import { batchSystemLaw } from './batch-system.ts'

batchSystemLaw('Torque 6.1.3, emulated', () => openTorqueBench('6.1.3'))
batchSystemLaw('Torque 4.2.10, emulated', () => openTorqueBench('4.2.10'))
