import { SubletError } from '../../actors/runtime/errors.ts'
import { both } from '../batch/both.ts'
import type { HeldBy } from '../batch-system.ts'
import type { Commands } from './commands.ts'
import { hostsArgs, parseHosts } from './parse-hosts.ts'
import { JOBS_ARGS, parseDetails, parseIds, parseJobs } from './parse-jobs.ts'
import { parseReservations, type Reservation } from './parse-reservations.ts'
import { parseAccounting } from './parse-text.ts'
import type { Memory, Records } from './parse-xml.ts'
import { parseQuotas, type Quota } from './quotas.ts'
import type { AccountedJob, HostRecord, JobDetail, JobRow } from './records.ts'
import { HOLDS } from './states.ts'

/** Reads jobs, hosts and all that belongs to them. */
export interface Reader {
  jobs(signal: AbortSignal): Promise<Records<JobRow>>
  /** `complexes`: all there are. */
  hosts(
    complexes: Iterable<string>,
    signal: AbortSignal,
  ): Promise<Records<HostRecord> & { readonly global: HostRecord | undefined }>
  /** One host with our complexes, under GridEngine’s own spelling; undefined if it is no execution host. */
  host(name: string, complexes: readonly string[], signal: AbortSignal): Promise<HostRecord | undefined>
  /** What holds the waiting jobs, by `id.tasks`. */
  holds(rows: readonly JobRow[], signal: AbortSignal): Promise<Holds>
  details(ids: readonly string[], signal: AbortSignal): Promise<Records<JobDetail>>
  /** The next advance reservation of each host that has one. */
  reservations(signal: AbortSignal): Promise<ReadonlyMap<string, Reservation>>
  /** Resource quotas that are in use. */
  quotas(signal: AbortSignal): Promise<readonly Quota[]>
  /** The last jobs that the accounting file tells of; none where it cannot be read. */
  accounted(file: string, signal: AbortSignal): Promise<readonly AccountedJob[]>
}

export type Holds = ReadonlyMap<string, { readonly heldBy: HeldBy; readonly words: string }>

/** Some thousand jobs. */
export const ACCOUNTING_BYTES = 400_000

export function gridengineReader(commands: Commands): Reader {
  const memory: Memory<JobRow> = { last: new Map() }
  const hostMemory: Memory<HostRecord> = { last: new Map() }

  return {
    jobs: async (signal) => parseJobs(await commands.ask('qstat', JOBS_ARGS, signal), signal, memory),
    hosts: async (complexes, signal) =>
      parseHosts(await commands.ask('qhost', hostsArgs(complexes), signal), signal, hostMemory),

    async host(name, complexes, signal) {
      const args = ['-q', '-F', complexes.join(','), '-h', name, '-xml']
      const done = await commands.run('qhost', args, signal)
      if (done.exitCode !== 0) {
        if (/can't resolve hostname/.test(done.stderr)) return undefined
        throw commands.refused('qhost -h', done)
      }
      const { records, warnings } = await parseHosts(done.stdout, signal)
      if (warnings[0] !== undefined) throw new SubletError('middleware-garbage', warnings[0])
      // GridEngine has looked the name up: its record stands under the spelling that counts.
      return records.find((host) => host.name === name) ?? records[0]
    },

    async holds(rows, signal) {
      const waiting = rows.filter((row) => row.queueInstance === '')
      const asked = waiting.some((row) => row.word.includes('h')) ? HOLDS : HOLDS.slice(-1)
      const found = new Map<string, { heldBy: HeldBy; words: string }>()
      if (waiting.length === 0) return found
      const ask = async ([filter]: (typeof HOLDS)[number]): Promise<readonly string[]> =>
        parseIds(await commands.ask('qstat', ['-u', '*', '-s', filter, '-xml'], signal), signal)
      const [first, rest] = await both(
        signal,
        () => Promise.all(asked.slice(0, 3).map(ask)),
        () => Promise.all(asked.slice(3).map(ask)),
      )
      for (const [at, ids] of [...first, ...rest].entries()) {
        const [, heldBy = 'unknown', words = ''] = asked[at] ?? []
        for (const id of ids) if (!found.has(id)) found.set(id, { heldBy, words })
      }
      return found
    },

    async details(ids, signal) {
      if (ids.length === 0) return { records: [], warnings: [] }
      // Jobs that are gone are left out; if all are, exit status or root element say so.
      const done = await commands.run('qstat', ['-j', ids.join(','), '-xml'], signal)
      if (done.exitCode !== 0 && /do(?:es)? not exist/.test(done.stderr)) return { records: [], warnings: [] }
      if (done.exitCode !== 0) throw commands.refused('qstat -j', done)
      return parseDetails(done.stdout, signal)
    },

    async reservations(signal) {
      const listed = await commands.ask('qrstat', ['-u', '*', '-xml'], signal)
      const ids = [...listed.matchAll(/<id>(\d+)<\/id>/g)].map(([, id = '']) => id)
      if (ids.length === 0) return new Map()
      const done = await commands.run('qrstat', ['-ar', ids.join(','), '-xml'], signal)
      return done.exitCode === 0 ? parseReservations(done.stdout, signal) : new Map()
    },

    async quotas(signal) {
      return parseQuotas(await commands.ask('qquota', ['-u', '*', '-xml'], signal), signal)
    },

    async accounted(file, signal) {
      const done = await commands.other(['tail', '-c', String(ACCOUNTING_BYTES), '--', file], signal)
      return done.exitCode === 0 ? parseAccounting(done.stdout) : []
    },
  }
}
