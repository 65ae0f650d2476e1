import { batchSystemLaw } from './batch-system.ts'
import { openEmbeddedBench } from './embedded-bench.ts'

batchSystemLaw('the embedded batch system', () => openEmbeddedBench({ epilogMs: 200 }))
