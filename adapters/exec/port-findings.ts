import { SubletError } from '../../actors/runtime/errors.ts'
import { type Finding, fine, missing, unseen, unwise } from '../finding.ts'
import { HOST_OR_ADDRESS, like, type Word } from '../privileges.ts'
import type { HostAsk } from './host-ask.ts'

/** Where a daemon should listen. */
export interface Door {
  /** The daemon, such as `slurmctld`. */
  readonly daemon: string
  readonly host: string
  readonly port: number
  /** Nothing works without it. */
  readonly isVital: boolean
}

const SECONDS_MAX = 5
/** Opens a connection and says nothing. bash alone among what every head has can do it. */
const KNOCK = 'exec 3<>"/dev/tcp/$1/$2"'
const knock = <W extends Word>(host: W, port: W): readonly [string, ...(string | W)[]] => [
  ...(['timeout', String(SECONDS_MAX), 'bash', '-c', KNOCK, 'sublet'] as const),
  ...[host, port],
]

/** For the list of privileges; no port of the system’s own, such as that of sshd. */
export const KNOCK_WORDS = knock(like(HOST_OR_ADDRESS), like('[1-9][0-9]{3,4}'))

type Answer = 'open' | 'refused' | 'silent' | 'nameless' | { readonly untold: string }

/** `timeout` ends with 124 where it had to end the command, and with 126 or 127 where it could not start it. */
const ENDED = 124
const NOT_STARTED = new Set([125, 126, 127])

export async function portFindings(
  host: HostAsk,
  doors: readonly Door[],
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const answers = await Promise.all(
    doors.map(async (door) => [door, await answerOf(host, door, signal)] as const),
  )
  const open = answers.filter(([, answer]) => answer === 'open').map(([door]) => shown(door))
  const shut = answers.flatMap(([door, answer]) => shutFinding(host, door, answer))
  return open.length === 0
    ? shut
    : [
        ...shut,
        fine(
          'ports',
          `Seen from ${host.title}, ${open.join(', ')} ${open.length === 1 ? 'answers' : 'answer'}.`,
        ),
      ]
}

const shown = ({ daemon, host, port }: Door): string => `${daemon} on ${host}:${port}`

async function answerOf(host: HostAsk, door: Door, signal: AbortSignal): Promise<Answer> {
  try {
    const { exitCode, stderr } = await host.run(knock(door.host, String(door.port)), signal)
    if (exitCode === 0) return 'open'
    if (exitCode === ENDED) return 'silent'
    if (exitCode === null || NOT_STARTED.has(exitCode)) return { untold: stderr.trim().slice(-200) }
    if (/refused/i.test(stderr)) return 'refused'
    if (/resol|not known|No address|Temporary failure/i.test(stderr)) return 'nameless'
    return /timed out|No route|unreachable/i.test(stderr) ? 'silent' : { untold: stderr.trim().slice(-200) }
  } catch (error) {
    if (signal.aborted || !(error instanceof SubletError)) throw error
    return error.code === 'exec-missing' ? { untold: error.message } : 'silent'
  }
}

function shutFinding(host: HostAsk, door: Door, answer: Answer): readonly Finding[] {
  const { daemon, port } = door
  const tell = door.isVital ? missing : unwise
  const to = `${host.title} to ${door.host}`
  switch (answer) {
    case 'open':
      return []
    case 'refused':
      return [
        tell(
          'ports',
          `Nothing listens for ${shown(door)}: ${host.title} is refused there.`,
          `Start ${daemon} on ${door.host}, or correct its port.`,
        ),
      ]
    case 'silent':
      return [
        tell(
          'ports',
          `${shown(door)} does not answer ${host.title} within ${SECONDS_MAX} s.`,
          `Let TCP port ${port} through from ${to}, if a firewall is between; else see whether ${door.host} is up.`,
        ),
      ]
    case 'nameless':
      return [
        tell(
          'ports',
          `${shown(door)} cannot be asked: ${host.title} knows no address of ${door.host}.`,
          `Put ${door.host} into its /etc/hosts or DNS.`,
        ),
      ]
    default:
      return [
        unseen(
          'ports',
          `Whether ${shown(door)} answers was not looked at${answer.untold === '' ? '' : ` (${answer.untold})`}.`,
          `It takes bash and timeout on ${host.title}, and a wrapper of “sublet rights” that is as new as this Sublet.`,
        ),
      ]
  }
}
