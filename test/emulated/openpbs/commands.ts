import { sleep } from '../../../actors/runtime/clock.ts'
import { type Answer, type Asked, failed, getent, knocked, said } from '../answer.ts'
import { header, jobRecord, json, nodeRecord, reservationsIn, stateOf } from './print.ts'
import { chunksOf, MEASURED, type PbsJob, type PbsServer } from './server.ts'

/** What is not known here is not emulated; a test that asks it has to learn so. */
const unknown = ({ program, args }: Asked): never => {
  throw new Error(`not emulated: ${program} ${args.join(' ')}`)
}

export const PROGRAMS = [
  'date',
  'getent',
  'uname',
  'bash',
  'qstat',
  'pbsnodes',
  'pbs_rstat',
  'qmgr',
  'qsub',
  'qdel',
  'qrerun',
  'qrls',
] as const

/** One command of OpenPBS, answered as the real one answers; see test/unit/openpbs-emulation.test.ts. */
export async function answer(server: PbsServer, asked: Asked): Promise<Answer> {
  switch (asked.program) {
    case 'date':
      return said(`${Math.floor(server.clock.now() / 1000)}\n`)
    case 'getent':
      return getent(server.hosts, asked)
    case 'uname':
      return said(`${server.name}\n`)
    case 'bash':
    case 'timeout':
      return knocked(
        new Map([...server.hosts, [server.name, '127.0.0.1']]),
        (host, port) => server.listens(host, port),
        asked,
      )
    case 'qstat':
      return qstat(server, asked)
    case 'pbsnodes':
      return pbsnodes(server, asked)
    case 'pbs_rstat':
      return asked.args.join(' ') === '-F' ? said(reservationsIn(server)) : unknown(asked)
    case 'qmgr':
      return qmgr(server, asked)
    case 'qsub':
      return qsub(server, asked)
    case 'qdel':
    case 'qrerun':
    case 'qrls':
      return onJobs(server, asked)
    default:
      return unknown(asked)
  }
}

const fullId = (server: PbsServer, id: string): string => (id.includes('.') ? id : `${id}.${server.name}`)

function qstat(server: PbsServer, asked: Asked): Answer {
  const { args } = asked
  const flags = new Set(args.filter((arg) => arg.startsWith('-')))
  const ids = args.filter((arg) => !arg.startsWith('-') && arg !== 'json').map((id) => fullId(server, id))
  if (flags.has('-B')) return flags.has('-F') ? said(`${json(serverRecord(server))}\n`) : unknown(asked)
  for (const id of ids) {
    const job = server.jobs.get(id)
    if (job === undefined) return failed(153, `qstat: Unknown Job Id ${id}`)
    if (job.letter === 'F' && !flags.has('-x'))
      return failed(35, `qstat: ${id} Job has finished, use -x or -H to obtain historical job information`)
  }
  const isListed = (job: PbsJob): boolean => {
    if (ids.length > 0) return ids.includes(job.id)
    if (job.array?.index !== undefined && !flags.has('-t')) return false
    return job.letter !== 'F' || (flags.has('-x') && server.settings.history)
  }
  const jobs = [...server.jobs.values()].filter(isListed)
  if (!flags.has('-F')) return said(table(server, jobs))
  const Jobs = Object.fromEntries(jobs.map((job) => [job.id, jobRecord(job, server)]))
  return said(`${json(jobs.length === 0 ? header(server) : { ...header(server), Jobs })}\n`)
}

const table = (server: PbsServer, jobs: readonly PbsJob[]): string =>
  jobs.length === 0
    ? ''
    : [
        'Job id            Name             User              Time Use S Queue',
        '----------------  ---------------- ----------------  -------- - -----',
        ...jobs.map((job) => {
          const begun =
            job.array?.indexes !== undefined && server.tasksOf(job.id).some(({ letter }) => letter !== 'Q')
          const time = job.startedAt !== undefined && !begun ? '00:00:00' : '0'
          return `${job.id.padEnd(17)} ${job.name.padEnd(16)} ${job.user.padEnd(17)} ${time.padStart(8)} ${begun ? 'B' : job.letter} workq`
        }),
        '',
      ].join('\n')

function serverRecord(server: PbsServer) {
  const all = [...server.jobs.values()].filter((job) => job.array?.index === undefined)
  const count = (letter: string): number => all.filter((job) => job.letter === letter).length
  return {
    ...header(server),
    Server: {
      [server.name]: {
        server_state: 'Active',
        scheduling: server.settings.scheduling ? 'True' : 'False',
        total_jobs: all.length,
        state_count: `Transit:0 Queued:${count('Q')} Held:${count('H')} Waiting:${count('W')} Running:${count('R')} Exiting:${count('E')} Begun:0 `,
        default_queue: 'workq',
        pbs_version: '23.06.06',
      },
    },
  }
}

function pbsnodes(server: PbsServer, { args, user }: Asked): Answer {
  const names: string[] = []
  const flags = new Set<string>()
  let comment: string | undefined
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? ''
    if (arg === '-C') comment = args[++at] ?? ''
    else if (arg === '-F') flags.add(`-F ${args[++at]}`)
    else if (arg === '-x') return failed(1, "pbsnodes: invalid option -- 'x'")
    else if (arg.startsWith('-')) flags.add(arg)
    else names.push(arg)
  }
  if (flags.has('-o') || flags.has('-r') || flags.has('-c')) {
    for (const name of names) {
      const node = server.nodes.get(name)
      if (!server.managers.has(user)) return failed(1, `Error marking node ${name} - Unauthorized Request `)
      if (node === undefined) return failed(1, `Error marking node ${name} - Unknown node `)
      if (comment !== undefined) node.comment = comment
      node.isOffline = flags.has('-o')
      if (!node.isOffline) server.schedule()
    }
    return said()
  }
  if (server.nodes.size === 0)
    return names.length === 0
      ? failed(1, 'pbsnodes: Server has no node list')
      : failed(1, `Node: ${names[0]},  Error: Server has no node list`)
  const wanted = names.length === 0 ? [...server.nodes.keys()] : names
  const absent = wanted.find((name) => !server.nodes.has(name))
  if (absent !== undefined) return failed(1, `Node: ${absent},  Error: Unknown node `)
  const found = wanted.map((name) => server.nodes.get(name)!)
  if (flags.has('-l'))
    return said(
      found
        .filter((node) => node.isDown || node.isOffline)
        .map((node) => `${node.name.padEnd(20)} ${stateOf(node)}\n`)
        .join(''),
    )
  const nodes = Object.fromEntries(found.map((node) => [node.name, nodeRecord(node, server)]))
  return said(`${json({ ...header(server), nodes })}\n`)
}

async function qmgr(server: PbsServer, { args, user }: Asked): Promise<Answer> {
  const line = args[args.indexOf('-c') + 1] ?? ''
  const [, verb = '', kind = '', name = '', rest = ''] = /^(\w+) (\w+) ?(\S*) ?(.*)$/.exec(line) ?? []
  const refuse = (code: number, why: string): Answer =>
    failed(code % 256, `qmgr obj=${name} svr=default: ${why} \nqmgr: Error (${code}) returned from server`)
  if (/^p/.test(verb) && /^s/.test(kind)) return said(printServer(server))
  if (verb === 'list' && kind === 'resource')
    return server.resources.has(name)
      ? said(`Resource ${name}\n    type = string\n    flag = h\n\n`)
      : refuse(15035, 'Unknown resource')
  if (!server.managers.has(user)) return refuse(15007, 'Unauthorized Request')
  if (kind === 'node') {
    const node = server.nodes.get(name)
    const set = new Map(
      [...rest.matchAll(/([\w.]+) ?= ?([^,]*)/g)].map(([, key = '', value = '']) => [key, value] as const),
    )
    if (verb === 'create') {
      const resources: Record<string, string> = {}
      for (const [key, value] of set) {
        const [, resource] = /^resources_available\.(\w+)$/.exec(key) ?? []
        if (resource === undefined) return refuse(15002, 'Undefined attribute')
        if (!['ncpus', 'mem'].includes(resource) && !server.resources.has(resource))
          return refuse(15035, 'Unknown resource')
        resources[resource] = value
      }
      if (!server.hosts.has(name)) return refuse(15062, 'Unknown node')
      if (node !== undefined) return refuse(15066, 'Node name already exists')
      server.createNode(name, { ncpus: '1', ...resources })
      return said()
    }
    if (node === undefined) return refuse(15062, 'Unknown node')
    if (verb === 'delete') {
      if (node.taken.size > 0) return refuse(15027, 'Cannot delete busy object')
      await sleep(server.clock, MEASURED.deleteIdle)
      server.nodes.delete(name)
      return said()
    }
    if (set.get('state') === 'offline') node.isOffline = true
    return said()
  }
  if (verb === 'create' && kind === 'resource') server.resources.add(name)
  const [, scheduling] = /^set server scheduling ?= ?(\w+)/.exec(line) ?? []
  if (scheduling !== undefined) {
    server.settings.scheduling = /true/i.test(scheduling)
    server.schedule()
  }
  return said()
}

const printServer = ({ settings, managers, name }: PbsServer): string =>
  [
    '#\n# Create queues and set their attributes.\n#\n#\n# Create and define queue workq\n#',
    'create queue workq',
    'set queue workq queue_type = Execution',
    'set queue workq enabled = True',
    `set queue workq started = ${settings.started ? 'True' : 'False'}`,
    '#\n# Set server attributes.\n#',
    `set server scheduling = ${settings.scheduling ? 'True' : 'False'}`,
    'set server default_queue = workq',
    ...[...managers].filter((user) => user !== 'root').map((user) => `set server managers = ${user}@${name}`),
    `set server query_other_jobs = ${settings.queryOtherJobs ? 'True' : 'False'}`,
    '',
  ].join('\n')

/** The job's script is read for one word only: `sleep SECONDS`. */
function qsub(server: PbsServer, { args, user, input }: Asked): Answer {
  if (user === 'root') return failed(175, 'qsub: Bad UID for job execution')
  const given = new Map<string, string>()
  const resources: Record<string, string> = {}
  let isHeld = false
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? ''
    if (arg === '-h') isHeld = true
    else if (arg === '-l')
      for (const part of (args[++at] ?? '').split(',')) {
        const [key = '', ...value] = part.split('=')
        resources[key] = value.join('=')
      }
    else given.set(arg, args[++at] ?? '')
  }
  const bad = /(?:^|[:+])(foo)=/.exec(resources.select ?? '')?.[1]
  if (bad !== undefined) return failed(187, `qsub: Unknown resource: ${bad}`)
  // Torque's way of asking is rewritten.
  const { nodes } = resources
  const [, count = '1', ppn = '1'] = /^(\d+)(?::ppn=(\d+))?/.exec(nodes ?? '') ?? []
  const select =
    resources.select ?? (nodes === undefined ? '1:ncpus=1' : `${count}:ncpus=${ppn}:mpiprocs=${ppn}`)
  const { place = nodes === undefined ? 'free' : 'scatter', ...others } = resources
  const chunks = chunksOf(select)
  const total = chunks.reduce((sum, chunk) => sum + chunk.count * chunk.cpus, 0)
  const id = server.submit({
    ...{ name: given.get('-N') ?? 'STDIN', user, place, submitArgs: args.join(' '), isHeld },
    resources: {
      ...others,
      ...(nodes !== undefined && { mpiprocs: String(total) }),
      ncpus: String(total),
      nodect: String(chunks.reduce((sum, chunk) => sum + chunk.count, 0)),
      select,
    },
    rerunable: given.get('-r') !== 'n',
    depend: (given.get('-W') ?? '').replace(/^depend=/, ''),
    executionTime: timeOf(given.get('-a')),
    array: given.get('-J'),
    runsMs: Number(/sleep ([\d.]+)/.exec(input)?.[1] ?? 0) * 1000,
  })
  return said(`${id}\n`)
}

function timeOf(text: string | undefined): number | undefined {
  const [, year, month, day, hour, minute] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(text ?? '') ?? []
  return year === undefined
    ? undefined
    : Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute))
}

function onJobs(server: PbsServer, { program, args, user }: Asked): Answer {
  const isForced = args.includes('force')
  const id = fullId(server, args.at(-1) ?? '')
  const job = server.jobs.get(id)
  if (job === undefined) return failed(153, `${program}: Unknown Job Id ${id}`)
  if (job.letter === 'F') return failed(35, `${program}: Job has finished ${id}`)
  if (!server.managers.has(user) && job.user !== user)
    return failed(159, `${program}: Unauthorized Request  ${id}`)
  if (program === 'qdel') {
    const all = job.array?.indexes === undefined ? [job] : [job, ...server.tasksOf(id)]
    for (const each of all) if (each.letter !== 'F') server.finish(each, 271, isForced)
    return said()
  }
  if (program === 'qrls') {
    if (job.letter === 'H') Object.assign(job, { letter: 'Q', holds: 'n' })
    server.schedule()
    return said()
  }
  if (job.letter !== 'R') return failed(150, `qrerun: Request invalid for state of job ${id}`)
  if (!job.rerunable) return failed(161, `qrerun: Job is not rerunnable ${id}`)
  if (!isForced && !server.moms.has(job.vnodes[0]?.name ?? ''))
    return failed(151, `qrerun: Server could not connect to MOM ${id}`)
  server.requeue(job)
  return said()
}
