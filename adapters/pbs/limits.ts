import { amount } from './sizes.ts'

/** Attributes by name, as `qmgr -c 'print server'` tells them; `+=` adds to a list. */
export type Attributes = ReadonlyMap<string, readonly string[]>

/**
 * How much may run at once, of all jobs together or of each user, group or project:
 *
 *   Torque, old PBS       max_running = 20 · max_user_run = 4 · max_group_run = 8
 *   OpenPBS               max_run = [u:PBS_GENERIC=5], [u:ann=3], [o:PBS_ALL=20]
 *   … of a resource       max_run_res.ncpus = [g:physics=64]
 *
 * A limit by name is in the place of the generic one. Soft limits stop nothing.
 */
export interface RunLimit {
  readonly of: 'all' | 'user' | 'group' | 'project'
  /** Absent: each that has no limit of its own. */
  readonly name?: string
  /** Absent: jobs are counted. */
  readonly resource?: string
  readonly most: number
}

const WHO = { o: 'all', u: 'user', g: 'group', p: 'project' } as const
const GENERIC = new Set(['PBS_GENERIC', 'PBS_ALL'])
const OLD: Readonly<Record<string, RunLimit['of']>> = {
  max_running: 'all',
  max_user_run: 'user',
  max_group_run: 'group',
}

export function runLimits(from: Attributes): readonly RunLimit[] {
  const found: RunLimit[] = []
  for (const [key, values] of from) {
    const old = OLD[key]
    // 0 was none.
    if (old !== undefined && Number(values[0]) > 0) found.push({ of: old, most: Number(values[0]) })
    const [named, resource] = /^max_run(?:_res\.([\w-]+))?$/.exec(key) ?? []
    if (named === undefined) continue
    for (const [, who = '', name = '', text] of values
      .join(',')
      .matchAll(/\[([ugpo]):([^=\]]+)=([^\]]+)\]/g)) {
      const most = amount(text ?? '')
      if (most === undefined) continue
      found.push({
        ...{ of: WHO[who as keyof typeof WHO], most },
        ...(!GENERIC.has(name) && { name: name.replaceAll('"', '').trim() }),
        ...(resource !== undefined && { resource }),
      })
    }
  }
  return found
}

/** Of whom a job is. */
export interface Owner {
  readonly user: string
  readonly group: string
  readonly project: string
}

/** One count that a limit holds down, such as `queue batch user ann`. */
export interface Counter {
  readonly key: string
  readonly most: number
  readonly resource: string | undefined
}

/** What this owner's jobs count against, here: `server` or `queue NAME`. */
export function countersOf(limits: readonly RunLimit[], here: string, owner: Owner): readonly Counter[] {
  return limits.flatMap(({ of, name, resource, most }): Counter[] => {
    if (of === 'all') return [{ key: here, most, resource }]
    const own = owner[of]
    const applies =
      name === undefined
        ? own !== '' &&
          !limits.some((other) => other.of === of && other.name === own && other.resource === resource)
        : name === own
    return applies ? [{ key: `${here} ${of} ${own}`, most, resource }] : []
  })
}
