/** Bad luck around Sublet: of machines and of the batch system. */
import './machines.ts'
import './batch.ts'
