import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { lublin } from '../../deploy/replay/lublin.ts'
import { readSwf } from '../../deploy/replay/swf.ts'
import type { Trace } from '../../deploy/replay/trace.ts'

/** A trace, and the pool that it runs in. KTH and HPC2N as they were; the others as small as `size.ts` finds them to do. */
export interface Course {
  readonly name: string
  readonly file: string
  readonly units: number
  readonly cpus: number
}

export const COURSES: readonly Course[] = [
  { name: 'kth', file: 'KTH-SP2-1996-2.1-cln.swf.gz', units: 100, cpus: 1 },
  { name: 'hpc2n', file: 'HPC2N-2002-2.1-cln.swf.gz', units: 240, cpus: 1 },
  { name: 'curie', file: 'CEA-Curie-2011-2.1-cln-b1.swf.gz', units: 6557, cpus: 16 },
  { name: 'wagap', file: 'alea-wagap-2013.swf.gz', units: 35, cpus: 64 },
]

/** Without traces a synthetic workload is taken. */
const SYNTHETIC: Course = { name: 'lublin', file: '', units: 64, cpus: 1 }

export const coursesIn = (folder: string | undefined, only: string | undefined): readonly Course[] =>
  folder === undefined
    ? [SYNTHETIC]
    : COURSES.filter(
        ({ name, file }) => (only === undefined || name === only) && existsSync(join(folder, file)),
      )

export async function traceOf(
  { file, units }: Course,
  folder: string | undefined,
  limit: number,
): Promise<Trace> {
  const trace =
    folder === undefined
      ? lublin({ jobs: Math.min(limit, 3000), seed: '1', processors: units, from: Date.UTC(2026, 0, 5) })
      : await readSwf(join(folder, file))
  return { ...trace, jobs: trace.jobs.slice(0, limit) }
}

/** A unit has more memory than any job asks for: traces hardly say what jobs need. */
export const MEMORY_MIB = 2 ** 40

/** What follows `--name` among the arguments. */
export const option = (name: string): string | undefined => {
  const at = process.argv.indexOf(`--${name}`)
  return at < 0 ? undefined : process.argv[at + 1]
}
