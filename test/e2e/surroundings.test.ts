/** Bad luck around Sublet: of machines, of the batch system, and by the hands of its administrator. */
import './machines.ts'
import './batch.ts'
import './admin.ts'
