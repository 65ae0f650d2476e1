import { type Answer, type Asked, failed, said } from '../answer.ts'
import type { TorqueServer } from './server.ts'

const KNOWN = new Set(['nodes', 'procs', 'walltime', 'mem', 'vmem', 'pmem', 'pvmem', 'gpus'])
const TOO_BIG =
  'qsub: submit error (Job exceeds queue resource limits MSG=cannot locate feasible nodes (nodes file is empty, all systems are busy, or no nodes have the requested feature))'
const TOO_BIG_PROMISED =
  'qsub: submit error (Job exceeds queue resource limits MSG=cannot locate feasible nodes (nodes file is empty or requested nodes exceed all systems))'

/** The job's script is read for one word only: `sleep SECONDS`. */
export function qsub(server: TorqueServer, { args, user, input }: Asked): Answer {
  if (user === 'root') return failed(1, 'qsub can not be run as root')
  const given = new Map<string, string>()
  const flags = new Set<string>()
  for (let at = 0; at < args.length; at++) {
    const arg = args[at] ?? ''
    if (arg === '-h') flags.add(arg)
    else if (/^-[NlatqrW]$/.test(arg)) given.set(arg, args[++at] ?? '')
  }
  const refuse = (exitCode: number, message: string): Answer => {
    server.takeNumber()
    return failed(exitCode, message)
  }
  if ((given.get('-q') ?? 'batch') !== 'batch')
    return refuse(172, 'qsub: submit error (Unknown queue MSG=requested queue not found)')
  const resources: Record<string, string> = {}
  for (const part of (given.get('-l') ?? '').split(',').filter((each) => each !== '')) {
    const [key = '', ...value] = part.split('=')
    if (!KNOWN.has(key))
      return refuse(189, `qsub: submit error (Unknown resource type  Resource_List.${key})`)
    resources[key] = value.join('=')
  }
  if (resources.walltime !== undefined && !/^[\d:]+$/.test(resources.walltime))
    return refuse(168, 'qsub: submit error (Illegal attribute or resource value for Resource_List.walltime)')
  // Without -l nodes there is the queue's default, nodes=1, which is not looked at.
  const id = server.submit({
    ...{ name: given.get('-N') ?? 'STDIN', user, resources, submitArgs: args.join(' ') },
    rerunable: given.get('-r') !== 'n',
    holds: flags.has('-h') ? 'u' : 'n',
    depend: (given.get('-W') ?? '').replace(/^depend=/, ''),
    executionTime: timeOf(given.get('-a')),
    array: given.get('-t'),
    runsMs: Number(/sleep ([\d.]+)/.exec(input)?.[1] ?? 0) * 1000,
  })
  if (id === undefined) {
    const isBeyond = (resources.nodes ?? '').includes(':ppn=') && server.settings.nodect > 0
    return failed(190, isBeyond ? TOO_BIG_PROMISED : TOO_BIG)
  }
  return said(`${id}\n`)
}

/** `202611212011`, in universal time here. */
function timeOf(text: string | undefined): number | undefined {
  const [, year, month, day, hour, minute] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(text ?? '') ?? []
  return year === undefined
    ? undefined
    : Date.UTC(Number(year), Number(month) - 1, Number(day), Number(hour), Number(minute))
}
