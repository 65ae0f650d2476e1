import { type Answer, type Asked, failed, said } from '../answer.ts'
import type { TorqueServer } from './server.ts'

/** `qmgr -c LINE`, or lines on standard input, which go on after one that failed. */
export async function qmgr(server: TorqueServer, { args, user, input }: Asked): Promise<Answer> {
  const at = args.indexOf('-c')
  if (at >= 0) return one(server, args[at + 1] ?? '', user)
  let answer = said()
  for (const line of input.split('\n').filter((each) => each.trim() !== '')) {
    const next = await one(server, line, user)
    answer = {
      exitCode: next.exitCode || answer.exitCode,
      stdout: answer.stdout + next.stdout,
      stderr: answer.stderr + next.stderr,
    }
  }
  return answer
}

const NO_LIST = "Server has no node list MSG=node list is empty - check 'server_priv/nodes' file"

async function one(server: TorqueServer, line: string, user: string): Promise<Answer> {
  const refuse = (name: string, why: string): Answer => failed(2, `qmgr obj=${name} svr=default: ${why}`)
  const [, verb = '', kind = '', name = '', rest = ''] = /^(\w+) (\w+) ?(\S*) ?(.*)$/.exec(line) ?? []
  if (/^p/.test(verb) && /^s/.test(kind)) return said(printServer(server))
  if (!server.managers.has(user))
    return refuse(name, 'Unauthorized Request  MSG=error in permissions (PERM_MANAGER)')
  // Abbreviations do: `create nod vm04` makes a node.
  if ('node'.startsWith(kind) && kind.startsWith('n')) {
    const node = server.nodes.get(name)
    if (verb === 'create') {
      if (!server.hosts.has(name)) return refuse(name, 'Unknown node')
      if (node !== undefined) return refuse(name, 'Node name already exists')
      const set = attributes(rest)
      server.createNode(
        name,
        Number(set.get('np') ?? 1),
        listOf(set.get('properties')),
        set.get('note') ?? '',
      )
      return said()
    }
    if (node === undefined)
      return refuse(name, verb === 'list' && server.nodes.size === 0 ? NO_LIST : 'Unknown node')
    if (verb === 'delete') {
      const message = await server.deleteNode(node)
      return message === undefined ? said() : refuse(name, message)
    }
    if (verb === 'set') {
      if (/^properties=[^"]*,/.test(rest))
        return failed(2, `qmgr: Syntax error - cannot locate attribute\n${line}\n${' '.repeat(33)}^`)
      const set = attributes(rest.replaceAll(/ ?(-?\+?=) ?/g, '$1'))
      for (const [key, value] of set) {
        if (key === 'np' && value === '0') return refuse(name, 'Illegal attribute or resource value for ')
        if (key === 'np') node.np = Number(value)
        else if (key === 'properties') node.properties = listOf(value)
        // Replaces the whole state.
        else if (key === 'state') Object.assign(node, { isOffline: value === 'offline', isForgetful: true })
        else if (key !== 'state-') return refuse(name, `Undefined attribute  ${key}`)
        else node.isOffline = false
      }
      return said()
    }
  }
  const whole = `${kind} ${name} ${rest}`.trim().replaceAll(/ ?= ?/g, '=')
  const [, nodect] = /^server resources_available\.nodect ?=?(\d*)/.exec(whole) ?? []
  if (nodect !== undefined) server.settings.nodect = Number(nodect)
  const [, transit] = /^queue batch is_transit=(\w+)/i.exec(whole) ?? []
  if (transit !== undefined) server.queue.transit = /true/i.test(transit)
  const [, started] = /^queue batch started=(\w+)/i.exec(whole) ?? []
  if (started !== undefined) server.queue.started = /true/i.test(started)
  const [, scheduling] = /^server scheduling=(\w+)/i.exec(whole) ?? []
  if (scheduling !== undefined) {
    server.settings.scheduling = /true/i.test(scheduling)
    server.schedule()
  }
  return said()
}

/** `np=2,properties="a,b"`; `state-=offline` is the key `state-`. */
const attributes = (text: string): ReadonlyMap<string, string> =>
  new Map(
    [...text.matchAll(/([\w.]+-?)\+?=(?:"([^"]*)"|([^,]*))/g)].map(
      ([, key = '', quoted, plain]) => [key, (quoted ?? plain ?? '').trim()] as const,
    ),
  )

const listOf = (text: string | undefined): readonly string[] =>
  text === undefined || text === '' ? [] : text.split(',')

const printServer = ({ settings, queue, name, managers }: TorqueServer): string =>
  [
    '#\n# Create queues and set their attributes.\n#\n#\n# Create and define queue batch\n#',
    'create queue batch',
    'set queue batch queue_type = Execution',
    ...(queue.maxUserRun > 0 ? [`set queue batch max_user_run = ${queue.maxUserRun}`] : []),
    'set queue batch resources_default.walltime = 01:00:00',
    'set queue batch resources_default.nodes = 1',
    ...(queue.transit ? ['set queue batch is_transit = True'] : []),
    `set queue batch enabled = ${queue.enabled ? 'True' : 'False'}`,
    `set queue batch started = ${queue.started ? 'True' : 'False'}`,
    '#\n# Set server attributes.\n#',
    `set server scheduling = ${settings.scheduling ? 'True' : 'False'}`,
    `set server acl_hosts = ${name}`,
    ...[...managers].filter((user) => user !== 'root').map((user) => `set server managers = ${user}@${name}`),
    'set server default_queue = batch',
    `set server query_other_jobs = ${settings.queryOtherJobs ? 'True' : 'False'}`,
    ...(settings.nodect > 0 ? [`set server resources_available.nodect = ${settings.nodect}`] : []),
    'set server node_check_rate = 150',
    `set server keep_completed = ${settings.keepCompletedMs / 1000}`,
    '',
  ].join('\n')
