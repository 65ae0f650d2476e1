import type { Clock } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { readInSlices } from '../batch/slices.ts'
import type { ExpectedNode } from '../batch-system.ts'
import { type Commands, complaint, isRefused, together } from '../pbs/commands.ts'
import type { Dialect, Facts } from '../pbs/dialect.ts'
import { kept } from '../pbs/kept.ts'
import { KEPT, ourNote } from '../pbs/marks.ts'
import { isListed } from '../pbs/privilege.ts'
import type { NodeRecord, Records } from '../pbs/records.ts'
import { remembered } from '../pbs/remembered.ts'
import { liveIn, parseServer, parseSettings } from '../pbs/settings.ts'
import type { TorqueConfig } from './config.ts'
import { markProperty } from './marks.ts'
import { jobOf } from './parse-jobs.ts'
import { nodeOf } from './parse-nodes.ts'
import { pieces } from './parse-xml.ts'

/** `pbsnodes` of a server that never had a node, and of one whose last was deleted: both mean none. */
const NO_NODES = /Server has no node list|No nodes found/i
const NO_SUCH_NODE = /Unknown node|cannot locate specified node|No nodes found|Server has no node list/i
/** Said of a job that is back in the queue already. */
const NOT_RUNNING = /not running|Request invalid for state|Unknown Job/i

/** qmgr reads names as words of its own language. */
const NODE_NAME = /^[A-Za-z0-9][A-Za-z0-9.-]*$/
const checked = (name: string): string => {
  if (!NODE_NAME.test(name)) throw new Error(`not the name of a Torque node: “${name}”`)
  return name
}

/** Also of a record that cannot be read. */
const nameOf = (piece: string): string => /<name>([^<]*)<\/name>/.exec(piece)?.[1]?.trim() ?? ''

export function torqueDialect(config: TorqueConfig, commands: Commands, clock: Clock): Dialect {
  const { scheduler, cpusOfMachine, drainTag } = config
  const readJob = remembered((piece: string) => jobOf(piece, { scheduler, cpusOfMachine }))

  const qmgr = async (line: string, signal: AbortSignal): Promise<void> => {
    await commands.ask('qmgr', ['-c', line], { signal })
  }

  const facts = kept(clock, async (signal): Promise<Facts> => {
    const [printed, server, user] = await together<[string, string, string]>(
      signal,
      (stop) => commands.ask('qmgr', ['-c', 'print server'], { signal: stop }),
      (stop) => commands.ask('qstat', ['-B', '-f'], { signal: stop }),
      (stop) => commands.other(['id', '-un'], stop),
    )
    const settings = parseSettings(printed)
    const version = parseServer(server).get('pbs_version')
    if (version === undefined)
      throw new SubletError('middleware-garbage', '“qstat -B -f” names no pbs_version')
    const name = /^Server:\s*(\S+)/m.exec(server)?.[1] ?? ''
    return {
      version,
      server: name,
      user,
      settings,
      isPrivileged: user === 'root' || isListed(user, settings),
    }
  })

  /** What a listing printed; an empty one beside words of complaint is no list of none. */
  const listing = async (
    program: 'qstat' | 'pbsnodes',
    args: readonly string[],
    signal: AbortSignal,
  ): Promise<string> => {
    const done = await commands.run(program, args, { signal })
    if (program === 'pbsnodes' && done.exitCode !== 0 && NO_NODES.test(done.stderr)) return ''
    if (isRefused(done) || (done.stdout.trim() === '' && done.stderr.trim() !== ''))
      throw commands.refusal([program, ...args].join(' '), done)
    return done.stdout
  }

  const nodesOf = async (args: readonly string[], signal: AbortSignal): Promise<Records<NodeRecord>> => {
    const printed = await listing('pbsnodes', ['-x', ...args], signal)
    return readInSlices('pbsnodes -x', pieces(printed, 'Node'), nodeOf, { clock, signal, nameOf })
  }

  const node = async (name: string, signal: AbortSignal): Promise<NodeRecord | undefined> => {
    const done = await commands.run('pbsnodes', ['-x', checked(name)], { signal })
    if (done.exitCode !== 0 && NO_SUCH_NODE.test(done.stderr)) return undefined
    if (isRefused(done)) throw commands.refusal(`pbsnodes -x ${name}`, done)
    const { records, warnings } = await readInSlices('pbsnodes -x', pieces(done.stdout, 'Node'), nodeOf, {
      ...{ clock, signal },
    })
    if (warnings[0] !== undefined) throw new SubletError('middleware-garbage', warnings[0])
    return records.find((each) => each.name === name)
  }

  const properties = (own: string): string => [own, ...config.properties].join(',')

  const makeLine = ({ name, cpus, mark, address }: ExpectedNode): string =>
    `create node ${checked(name)} np=${Math.max(1, cpus)},properties="${properties(markProperty(mark, address))}"`

  const annotate = async (name: string, note: string, signal: AbortSignal): Promise<void> => {
    await commands.ask('pbsnodes', ['-N', note, name], { signal })
  }

  const create = async (wanted: ExpectedNode, note: string, signal: AbortSignal): Promise<void> => {
    const done = await commands.run('qmgr', ['-c', makeLine(wanted)], { signal })
    if (isRefused(done) && /Unknown node/i.test(done.stderr))
      throw new SubletError('middleware-refused', `Torque’s server does not know the name ${wanted.name}`, {
        cure: `Make ${wanted.name} resolve to ${wanted.address} on the server’s host, in /etc/hosts or DNS.`,
      })
    // Another look has made it in between: the next one sees whose it is.
    if (isRefused(done) && !/already exists/i.test(done.stderr))
      throw commands.refusal(makeLine(wanted), done)
    // 4.2 leaves a new node offline for ever; the note says that this is nobody's wish.
    if (!isRefused(done)) await annotate(wanted.name, note, signal)
  }

  /** With none pbs_sched deletes what waits. */
  const lastRecord: Dialect['lastRecord'] = {
    async adopt(wanted, signal) {
      const { name, cpus, mark, address } = wanted
      await qmgr(`set node ${checked(name)} np=${Math.max(1, cpus)}`, signal)
      await qmgr(`set node ${name} properties="${properties(markProperty(mark, address))}"`, signal)
    },
    async keep(record, signal) {
      await commands.ask(
        'pbsnodes',
        ['-o', '-N', ourNote(drainTag, 'kept, for the list of nodes must not be empty', ''), record.name],
        { signal },
      )
      const own = markProperty(KEPT, record.mark?.address ?? '')
      await qmgr(`set node ${checked(record.name)} properties="${properties(own)}"`, signal)
    },
  }

  return {
    product: 'Torque',
    pool: config.server ?? 'default',
    drainTag,
    settleMs: config.settle,
    facts: facts.fresh,
    recentFacts: facts.recent,
    async jobs(signal) {
      const printed = await listing('qstat', ['-x', '-t'], signal)
      return readInSlices('qstat -x', pieces(printed, 'Job'), readJob(), { clock, signal })
    },
    nodes: (signal) => nodesOf([], signal),
    node,
    serverNow: async (signal) => Number(await commands.other(['date', '+%s'], signal)) * 1000,
    async liveJobs(signal) {
      const printed = await commands.ask('qstat', ['-B', '-f'], { signal })
      return liveIn(parseServer(printed).get('state_count') ?? '')
    },
    create,
    async renew(wanted, note, signal) {
      const { settings } = await facts.fresh(signal)
      // For a moment the list may be empty, and pbs_sched must not look then. One process, so that what was
      // switched off is switched on again even if we are gone meanwhile.
      const lines = [`delete node ${checked(wanted.name)}`, makeLine(wanted)]
      if (settings.scheduling)
        lines.splice(0, 2, 'set server scheduling = False', ...lines, 'set server scheduling = True')
      await commands.ask('qmgr', [], {
        ...{ signal, timeoutMs: config.deleteTimeout, input: `${lines.join('\n')}\n` },
      })
      await annotate(wanted.name, note, signal)
    },
    async offline(name, note, signal) {
      await commands.ask('pbsnodes', ['-o', '-N', note, checked(name)], { signal })
    },
    async online(name, note, signal) {
      await commands.ask('pbsnodes', ['-c', '-N', note, checked(name)], { signal })
    },
    async delete(name, signal) {
      try {
        const line = `delete node ${checked(name)}`
        const done = await commands.run('qmgr', ['-c', line], { signal, timeoutMs: config.deleteTimeout })
        // It is gone then, with its jobs; our caller has looked before that there are none.
        if (isRefused(done) && !/Unknown node|has been deleted/i.test(done.stderr))
          throw commands.refusal(`qmgr -c '${line}'`, done)
      } catch (error) {
        if (!(error instanceof SubletError) || error.code !== 'middleware-unreachable') throw error
        // Nobody knows what came of it but the list itself.
        if ((await node(name, signal)) !== undefined) throw error
      }
      return true
    },
    ...(scheduler === 'pbs_sched' && { lastRecord }),
    async nudge({ settings }, signal) {
      if (settings.scheduling) await qmgr('set server scheduling = True', signal)
    },
    async rerun(id, force, signal) {
      const done = await commands.run('qrerun', force ? ['-f', id] : [id], { signal })
      return !isRefused(done) || NOT_RUNNING.test(done.stderr) ? undefined : complaint(done)
    },
    async release(id, signal) {
      const done = await commands.run('qrls', ['-h', 's', id], { signal })
      return isRefused(done) ? complaint(done) : undefined
    },
    async purge(id, signal) {
      const done = await commands.run('qdel', ['-p', id], { signal })
      if (isRefused(done) && !/Unknown Job|nonexistent job/i.test(done.stderr))
        throw commands.refusal(`qdel -p ${id}`, done)
    },
  }
}
