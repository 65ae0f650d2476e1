import type { Clock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { readInSlices } from '../batch/slices.ts'
import type { ExpectedNode } from '../batch-system.ts'
import { type Commands, complaint, isRefused, together } from '../pbs/commands.ts'
import type { Dialect, Facts } from '../pbs/dialect.ts'
import { kept } from '../pbs/kept.ts'
import { markWord } from '../pbs/marks.ts'
import { isListed } from '../pbs/privilege.ts'
import type { JobRecord, NodeRecord, Records } from '../pbs/records.ts'
import { remembered } from '../pbs/remembered.ts'
import { liveIn, parseSettings } from '../pbs/settings.ts'
import type { OpenpbsConfig } from './config.ts'
import { arrayIdOf, arrayLimitOf, jobOf } from './parse-jobs.ts'
import { type Json, objectOf, pieces, wordOf } from './parse-json.ts'
import { nodeOf } from './parse-nodes.ts'
import { recentlyEnded } from './recently-ended.ts'
import { reservationsOf } from './reservations.ts'

/** Exit statuses are the server's errors, modulo 256. */
const EXIT = {
  unknownJob: 153,
  hasFinished: 35,
  unknownNode: 214,
  nodeExists: 218,
  busy: 179,
  unknownResource: 187,
} as const

const NO_NODES = /Server has no node list/i
const NO_SUCH_NODE = /Unknown node|Server has no node list/i
const NOT_RUNNING = /not running|invalid for state|has finished|Unknown Job/i

/** qmgr reads names as words of its own language. */
const NODE_NAME = /^[A-Za-z0-9][A-Za-z0-9.-]*$/
const checked = (name: string): string => {
  if (!NODE_NAME.test(name)) throw new Error(`not the name of an OpenPBS node: “${name}”`)
  return name
}

/** Also of a record that cannot be read. */
const nameOf = (piece: string): string => /^\s*"([^"]*)"/.exec(piece)?.[1] ?? ''

interface ServerSays {
  readonly name: string
  readonly version: string
  readonly stateCount: string
}

export function openpbsDialect(config: OpenpbsConfig, commands: Commands, clock: Clock): Dialect {
  const { cpusOfMachine, drainTag, markResource } = config
  const readJob = remembered((piece: string) => jobOf(piece, cpusOfMachine))

  /** `qstat -B -f -F json`: what the server says of itself. */
  const server = async (signal: AbortSignal): Promise<ServerSays> => {
    const printed = await commands.ask('qstat', ['-B', '-f', '-F', 'json'], { signal })
    try {
      const whole = objectOf(JSON.parse(printed) as Json)
      const [[name, own] = []] = Object.entries(objectOf(whole.Server))
      return {
        ...{ name: name ?? '', version: wordOf(whole, 'pbs_version') },
        stateCount: wordOf(objectOf(own), 'state_count'),
      }
    } catch (cause) {
      throw new SubletError('middleware-garbage', '“qstat -B -f -F json” printed no JSON', { cause })
    }
  }

  const facts = kept(clock, async (signal): Promise<Facts> => {
    const [printed, { version, name }, user] = await together<[string, ServerSays, string]>(
      signal,
      (stop) => commands.ask('qmgr', ['-c', 'print server'], { signal: stop }),
      server,
      (stop) => commands.other(['id', '-un'], stop),
    )
    const settings = parseSettings(printed)
    return {
      version,
      server: name,
      user,
      settings,
      isPrivileged: user === 'root' || isListed(user, settings),
    }
  })

  /** A dead server's qstat prints a header that looks like an empty list: only its exit status tells. */
  const jobs = async (args: readonly string[], signal: AbortSignal): Promise<Records<JobRecord>> => {
    const printed = await commands.ask('qstat', ['-t', '-f', '-F', 'json', ...args], { signal })
    const read = readJob()
    const limits = new Map<string, NonNullable<JobRecord['array']>>()
    const make = (piece: string): JobRecord | undefined => {
      const array = arrayLimitOf(piece)
      if (array !== undefined) limits.set(array.id, array)
      return read(piece)
    }
    const found = await readInSlices('qstat -f', pieces(printed, 'Jobs'), make, { clock, signal })
    if (limits.size === 0) return found
    const limited = (job: JobRecord): JobRecord => {
      const array = job.id.includes('[') ? limits.get(arrayIdOf(job.id)) : undefined
      return array === undefined ? job : { ...job, array }
    }
    return { ...found, records: found.records.map(limited) }
  }

  const ended = recentlyEnded(clock, async (ids, signal) => {
    const done = await commands.run('qstat', ['-x', '-f', '-F', 'json', ...ids], { signal })
    // Without a history, or when one of them is unknown, nothing is known of them: they have ended all the same.
    const isAnswered = done.exitCode === 0 || done.exitCode === EXIT.unknownJob
    if (!isAnswered || !done.stdout.trimEnd().endsWith('}')) return []
    const make = (piece: string) => jobOf(piece, cpusOfMachine)
    return (await readInSlices('qstat -x', pieces(done.stdout, 'Jobs'), make, { clock, signal })).records
  })

  const nodesOf = async (args: readonly string[], signal: AbortSignal): Promise<Records<NodeRecord>> => {
    const done = await commands.run('pbsnodes', [...args], { signal })
    if (done.exitCode !== 0 && NO_NODES.test(done.stderr)) return { records: [], warnings: [] }
    if (isRefused(done)) throw commands.refusal(`pbsnodes ${args.join(' ')}`, done)
    const make = (piece: string) => nodeOf(piece, markResource)
    return readInSlices('pbsnodes', pieces(done.stdout, 'nodes'), make, { clock, signal, nameOf })
  }

  const reserved = reservationsOf(commands, clock)

  const node = async (name: string, signal: AbortSignal): Promise<NodeRecord | undefined> => {
    const done = await commands.run('pbsnodes', ['-F', 'json', checked(name)], { signal })
    if (done.exitCode !== 0 && NO_SUCH_NODE.test(done.stderr)) return undefined
    if (isRefused(done)) throw commands.refusal(`pbsnodes ${name}`, done)
    const make = (piece: string) => nodeOf(piece, markResource)
    const { records, warnings } = await readInSlices('pbsnodes', pieces(done.stdout, 'nodes'), make, {
      ...{ clock, signal },
    })
    if (warnings[0] !== undefined) throw new SubletError('middleware-garbage', warnings[0])
    return records.find((each) => each.name === name)
  }

  const create = async (wanted: ExpectedNode, note: string, signal: AbortSignal): Promise<void> => {
    const { name, cpus, mark, address } = wanted
    const resources = Object.entries({
      ...config.resources,
      ncpus: String(cpus),
      [markResource]: markWord(mark, address),
    }).map(([key, value]) => `resources_available.${key}=${value}`)
    const line = `create node ${checked(name)} ${resources.join(',')}`
    const done = await commands.run('qmgr', ['-c', line], { signal })
    if (done.exitCode === EXIT.unknownNode)
      throw new SubletError('middleware-refused', `OpenPBS’s server does not know the name ${name}`, {
        cure: `Make ${name} resolve to ${address} on the server’s host, in /etc/hosts or DNS.`,
      })
    if (done.exitCode === EXIT.unknownResource)
      throw new SubletError('middleware-refused', `OpenPBS has no resource ${markResource}`, {
        cure: makeResource(markResource),
      })
    // Another look has made it in between: the next one sees whose it is.
    if (isRefused(done) && done.exitCode !== EXIT.nodeExists) throw commands.refusal(line, done)
    // Else jobs would start on it before it is let in.
    if (!isRefused(done)) await commands.ask('pbsnodes', ['-o', '-C', note, name], { signal })
  }

  const remove = async (name: string, signal: AbortSignal): Promise<boolean> => {
    const done = await commands.run('qmgr', ['-c', `delete node ${checked(name)}`], { signal })
    if (done.exitCode === 0 || done.exitCode === EXIT.unknownNode) return true
    if (done.exitCode === EXIT.busy) return false
    throw commands.refusal(`qmgr -c 'delete node ${name}'`, done)
  }

  return {
    product: 'OpenPBS',
    pool: config.server ?? 'default',
    drainTag,
    settleMs: config.settle,
    facts: facts.fresh,
    recentFacts: facts.recent,
    async jobs(signal) {
      const { records, warnings } = await jobs([], signal)
      return { records: [...records, ...(await ended(records, signal))], warnings }
    },
    nodes: async (signal) => reserved(await nodesOf(['-a', '-F', 'json'], signal), signal),
    node,
    serverNow: async () => clock.now(),
    liveJobs: async (signal) => liveIn((await server(signal)).stateCount),
    create,
    async renew(wanted, note, signal) {
      if (!(await remove(wanted.name, signal)))
        throw new SubletError('node-busy', `Node ${wanted.name} is busy, but comes back as ${wanted.address}`)
      await create(wanted, note, signal)
    },
    async offline(name, note, signal) {
      await commands.ask('pbsnodes', ['-o', '-C', note, checked(name)], { signal })
    },
    async online(name, note, signal) {
      await commands.ask('pbsnodes', ['-r', '-C', note, checked(name)], { signal })
    },
    delete: remove,
    async nudge({ settings }, signal) {
      if (settings.scheduling) await commands.ask('qmgr', ['-c', 'set server scheduling = True'], { signal })
    },
    async rerun(id, force, signal) {
      const done = await commands.run('qrerun', force ? ['-W', 'force', id] : [id], { signal })
      return !isRefused(done) || NOT_RUNNING.test(done.stderr) ? undefined : complaint(done)
    },
    async release(id, signal) {
      const done = await commands.run('qrls', ['-h', 's', id], { signal })
      return isRefused(done) ? complaint(done) : undefined
    },
    async purge(id, signal) {
      const done = await commands.run('qdel', ['-W', 'force', id], { signal })
      const isGone = done.exitCode === EXIT.unknownJob || done.exitCode === EXIT.hasFinished
      if (isRefused(done) && !isGone) throw commands.refusal(`qdel -W force ${id}`, done)
    },
  }
}

export const makeResource = (name: string): string =>
  `As a manager: qmgr -c 'create resource ${name} type=string,flag=h'.`
