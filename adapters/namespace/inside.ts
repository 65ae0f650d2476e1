import { prefixed } from '../exec/prefixed.ts'
import type { Executor } from '../executor.ts'
import { type Mark, readMark } from './names.ts'
import type { Site } from './site.ts'

const INSIDE_ENV = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/root' }
/** Under the machine's limits, and ended with it, like everything else that runs there. */
const JOIN_THEN_RUN = 'for group in $1; do echo $$ >"$group/cgroup.procs" || exit 126; done; shift; exec "$@"'

/** Runs commands in the namespaces of the machine's pid 1, as its root. */
export async function inside(site: Site, mark: Mark, pid: number): Promise<Executor> {
  const enter = ['nsenter', `--target=${pid}`, '--mount', '--uts', '--ipc', '--net', '--pid', '--']
  const paths = (await site.cgroups()).paths(mark).join(' ')
  const name = `inside ${readMark(mark)?.unitId ?? mark}`
  return {
    name,
    run(argv, { env = {}, ...options }) {
      // Nothing of Sublet's own environment goes in there.
      const settings = Object.entries({ ...INSIDE_ENV, ...env }).map(([key, value]) => `${key}=${value}`)
      const prefix = ['sh', '-c', JOIN_THEN_RUN, 'sublet', paths, ...enter, 'env', '-i', ...settings] as const
      return prefixed(site.exec, prefix, name).run(argv, options)
    },
    close: async () => undefined,
  }
}
