import { type Answer, type Asked, failed, getent, knocked, said } from '../answer.ts'
import type { TorqueJob, TorqueNode } from './model.ts'
import { jobXml, nodeText, nodeXml, stateOf, table } from './print.ts'
import { qmgr } from './qmgr.ts'
import { qsub } from './qsub.ts'
import type { TorqueServer } from './server.ts'

/** What is not known here is not emulated; a test that asks it has to learn so. */
const unknown = ({ program, args }: Asked): never => {
  throw new Error(`not emulated: ${program} ${args.join(' ')}`)
}

/** One command of Torque, answered as the real one answers; see test/unit/torque-emulation.test.ts. */
export async function answer(server: TorqueServer, asked: Asked): Promise<Answer> {
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
    case 'qmgr':
      return qmgr(server, asked)
    case 'qsub':
      return qsub(server, asked)
    case 'qdel':
    case 'qhold':
    case 'qrls':
    case 'qrerun':
    case 'qrun':
      return onJobs(server, asked)
    default:
      return unknown(asked)
  }
}

export const PROGRAMS = [
  'date',
  'getent',
  'uname',
  'bash',
  'qstat',
  'pbsnodes',
  'qmgr',
  'qsub',
  'qdel',
  'qhold',
  'qrls',
  'qrerun',
] as const

function qstat(server: TorqueServer, asked: Asked): Answer {
  const flags = asked.args.filter((arg) => arg.startsWith('-'))
  const ids = asked.args.filter((arg) => !arg.startsWith('-'))
  if (flags[0] === '--version') return { exitCode: 0, stdout: '', stderr: `Version: ${server.version}\n` }
  if (flags.includes('-B')) return flags.includes('-f') ? said(serverText(server)) : unknown(asked)
  if (flags.includes('-Q')) {
    if (ids[0] !== undefined && ids[0] !== 'batch')
      return failed(172, `qstat: Unknown queue MSG=cannot locate queue ${ids[0]}`)
    return unknown(asked)
  }
  const all = [...server.jobs.values()].map((job) => ({ ...job, letter: server.letterOf(job) }))
  const isShown = (job: TorqueJob): boolean =>
    flags.includes('-t') ? job.array?.request === undefined : job.array?.index === undefined
  const absent = ids.filter((id) => !server.jobs.has(id))
  if (absent.length > 0)
    return failed(153, absent.map((id) => `qstat: Unknown Job Id Error ${id}`).join('\n'))
  const jobs = ids.length > 0 ? all.filter((job) => ids.includes(job.id)) : all.filter(isShown)
  if (!flags.includes('-x')) return said(table(jobs))
  if (jobs.length === 0)
    return said(server.version === '4.2.10' ? '' : '<?xml version="1.0"?>\n<Data></Data>\n')
  const data = `<Data>${jobs.map((job) => jobXml(job, server.version, server.name)).join('')}</Data>\n`
  return said(server.version === '4.2.10' ? data : `<?xml version="1.0"?>\n${data}`)
}

/** Long values go on in the next line, after a tab. */
const wrapped = (line: string): string =>
  line.length <= 79 ? line : `${line.slice(0, 78)}\n\t${wrapped(line.slice(78))}`

function serverText(server: TorqueServer): string {
  const count = (letter: string): number =>
    [...server.jobs.values()].filter((job) => job.letter === letter && job.array?.request === undefined)
      .length
  const states = `Transit:0 Queued:${count('Q')} Held:${count('H')} Waiting:${count('W')} Running:${count('R')} Exiting:${count('E')} Complete:${count('C')} `
  const lines = [
    `server_state = Active`,
    `scheduling = ${server.settings.scheduling ? 'True' : 'False'}`,
    `total_jobs = ${server.jobs.size}`,
    `state_count = ${states}`,
    `acl_hosts = ${server.name}`,
    `default_queue = batch`,
    `query_other_jobs = ${server.settings.queryOtherJobs ? 'True' : 'False'}`,
    `node_check_rate = 150`,
    `pbs_version = ${server.version}`,
    `keep_completed = ${server.settings.keepCompletedMs / 1000}`,
  ]
  return `Server: ${server.name}\n${lines.map((line) => wrapped(`    ${line}`)).join('\n')}\n\n`
}

function pbsnodes(server: TorqueServer, { args, user }: Asked): Answer {
  const names: string[] = []
  const flags = new Set<string>()
  let note: string | undefined
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? ''
    if (arg === '-N') note = args[++at] ?? ''
    else if (arg.startsWith('-')) flags.add(arg)
    else names.push(arg)
  }
  if (note !== undefined || flags.has('-o') || flags.has('-c') || flags.has('-r')) {
    // Whatever is refused, the exit status is 0.
    const complaints = names.flatMap((name) => {
      const node = server.nodes.get(name)
      if (!server.managers.has(user))
        return [
          `Error setting note attribute for ${name} - Unauthorized Request  MSG=error in permissions (PERM_OPorMGR)`,
        ]
      if (node === undefined) return [`Error setting note attribute for ${name} - Unknown node`]
      if (note !== undefined) node.note = note
      if (flags.has('-o')) node.isOffline = true
      if (flags.has('-c') || flags.has('-r')) node.isOffline = false
      return []
    })
    return { exitCode: 0, stdout: '', stderr: complaints.map((line) => `${line}\n`).join('') }
  }
  if (server.nodes.size === 0)
    return server.hadNodes
      ? failed(2, 'pbsnodes: No nodes found')
      : failed(1, "pbsnodes: Server has no node list MSG=node list is empty - check 'server_priv/nodes' file")
  const nodes = names.length === 0 ? [...server.nodes.values()] : names.map((name) => server.nodes.get(name))
  if (nodes.includes(undefined)) return failed(1, 'pbsnodes: Unknown node  MSG=cannot locate specified node')
  const found = nodes.filter((node): node is TorqueNode => node !== undefined)
  if (flags.has('-x'))
    return said(`<Data>${found.map((node) => nodeXml(node, server.version)).join('')}</Data>\n`)
  if (flags.has('-l')) {
    const isListed = (node: TorqueNode): boolean =>
      names.length > 0 || /down|offline|unknown/.test(stateOf(node))
    return said(
      found
        .filter(isListed)
        .map((node) => `${node.name.padEnd(20)} ${stateOf(node)}\n`)
        .join(''),
    )
  }
  return said(found.map((node) => nodeText(node, server.version)).join(''))
}

function onJobs(server: TorqueServer, { program, args, user }: Asked): Answer {
  const isForced = args.includes('-f') || args.includes('-p')
  const id = args.filter((arg) => !arg.startsWith('-')).at(-1) ?? ''
  const job = server.jobs.get(id)
  if (job === undefined)
    return failed(
      153,
      program === 'qdel' ? `qdel: nonexistent job id: ${id}` : `${program}: Unknown Job Id Error ${id}`,
    )
  if (program === 'qrun' && !server.managers.has(user)) return failed(2, `qrun: Unauthorized Request  ${id}`)
  if (!server.managers.has(user) && job.user !== user)
    return failed(159, `${program}: Unauthorized Request  MSG=operation not permitted ${id}`)
  if (program === 'qrun') server.run(job)
  else if (program === 'qhold') {
    if (job.letter === 'Q') Object.assign(job, { letter: 'H', holds: 'u' })
  } else if (program === 'qrls') {
    if (job.letter === 'H') Object.assign(job, { letter: 'Q', holds: 'n' })
    server.schedule()
  } else if (program === 'qdel') {
    const tasks = job.array?.request === undefined ? [job] : [...server.tasksOf(id)].reverse()
    for (const each of tasks)
      if (isForced) server.forget(each)
      else if (each.letter === 'R') server.finish(each, 271)
      else if (each.letter !== 'C' && each.letter !== 'E') server.finish(each, undefined)
  } else if (program === 'qrerun') {
    if (job.letter !== 'R') return failed(150, `qrerun: Request invalid for state of job ${id}`)
    if (!job.rerunable) return failed(161, `qrerun: Job is not rerunnable ${id}`)
    if (!isForced && !server.moms.has(job.hosts[0]?.name ?? ''))
      return failed(151, `qrerun: Server could not connect to MOM ${id}`)
    server.requeue(job)
  }
  return said()
}
