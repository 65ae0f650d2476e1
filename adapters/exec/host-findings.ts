import type { Millis } from '../../actors/runtime/clock.ts'
import { period } from '../../actors/runtime/sentence.ts'
import { type Examination, type Finding, fine, missing, unseen } from '../finding.ts'
import { isSameHost } from '../presence.ts'
import type { HostAsk } from './host-ask.ts'
import { type Door, portFindings } from './port-findings.ts'

/** What is to be looked at from a host. */
export interface HostLook extends Pick<Examination, 'names' | 'skewMsMax'> {
  /** The hosts of the batch system’s own daemons, where they are known. */
  readonly servers: readonly string[]
  readonly doors: readonly Door[]
}

/** Each is two commands, and where DNS does not answer each takes seconds. */
const NAMES_MAX = 24
const AT_ONCE = 4
/** `date +%s` leaves out the rest of the second. */
const SECOND_MS: Millis = 1000

export async function hostFindings(
  host: HostAsk,
  { names, skewMsMax, servers, doors }: HostLook,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  return [
    await clockFinding(host, skewMsMax, signal),
    ...(await nameFindings(host, names, signal)),
    ...(await elsewhere(host, servers, signal)),
    ...(await portFindings(host, doors, signal)),
  ]
}

/** What a daemon sees is told only by the host it runs on. */
async function elsewhere(
  host: HostAsk,
  servers: readonly string[],
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const { stdout } = await host.run(['uname', '-n'], signal)
  const here = stdout.trim()
  const addressesHere = new Set([LOOPBACK, ...(await words(host, here, signal)).slice(0, 1)])
  const away: string[] = []
  for (const server of servers) {
    if (here === '' || isSameHost(here, server)) continue
    const [address] = await words(host, server, signal)
    if (address !== undefined && !addressesHere.has(address) && !/^127\.|^::1$/.test(address))
      away.push(server)
  }
  return away.length === 0
    ? []
    : [
        unseen(
          'names',
          `The commands run on ${here}, and daemons on ${away.join(', ')}: which names, ports and hour are seen there was not looked at.`,
          `Have the commands run on ${away[0]} (batch.ssh), or look there by hand: date; getent hosts NAME, and the address that it prints.`,
        ),
      ]
}

const LOOPBACK = '127.0.0.1'

async function clockFinding(host: HostAsk, skewMsMax: Millis, signal: AbortSignal): Promise<Finding> {
  const before = host.clock.now()
  const { stdout: printed } = await host.run(['date', '+%s'], signal)
  const after = host.clock.now()
  const theirs = Number(printed.trim()) * 1000
  if (!/^\d+$/.test(printed.trim()))
    return missing('clock', `“date +%s” printed “${printed.slice(0, 40)}”.`, 'Run it by hand there.')
  // It was somewhere in that second, at some time between.
  const ahead = Math.max(0, theirs - after)
  const behind = Math.max(0, before - (theirs + SECOND_MS))
  const off = Math.max(ahead, behind)
  const words = ahead > 0 ? 'ahead of' : 'behind'
  return off > skewMsMax
    ? missing(
        'clock',
        `The clock of ${host.title} is ${period(off)} ${words} ours; ${period(skewMsMax)} is the most (skewMax).`,
        'Keep both by NTP.',
      )
    : fine('clock', `The clock of ${host.title} agrees with ours to within ${period(skewMsMax)}.`)
}

/** Evenly spread, the first and the last among them. */
export const spread = <T>(all: readonly T[], most: number): readonly T[] =>
  all.length <= most
    ? all
    : Array.from({ length: most }, (_, at) => all[Math.round((at * (all.length - 1)) / (most - 1))] as T)

async function nameFindings(
  host: HostAsk,
  names: readonly string[],
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const asked = spread(names, NAMES_MAX)
  const unknown: string[] = []
  const strange: string[] = []
  const one = async (name: string): Promise<void> => {
    const [address] = await words(host, name, signal)
    if (address === undefined) return void unknown.push(name)
    const [, ...back] = await words(host, address, signal)
    if (!back.some((each) => isSameHost(each, name)))
      strange.push(`${name} is ${address}, which is ${back[0] ?? 'nobody'}`)
  }
  for (let at = 0; at < asked.length; at += AT_ONCE) await Promise.all(asked.slice(at, at + AT_ONCE).map(one))
  if (asked.length === 0) return []
  const found: Finding[] = []
  if (unknown.length > 0)
    found.push(
      host.nameless(
        'names',
        `${capital(host.title)} does not know ${unknown.length} of ${asked.length} names of machines, such as ${unknown.slice(0, 3).join(', ')}.`,
        'Put them all into its /etc/hosts or DNS, with the addresses that the site gives.',
      ),
    )
  if (strange.length > 0)
    found.push(
      host.nameless(
        'names',
        `Of ${strange.length} machines the address does not lead back to the name: ${strange.slice(0, 3).join('; ')}.`,
        'Make addresses and names lead to each other.',
      ),
    )
  return found.length > 0
    ? found
    : [
        fine(
          'names',
          `${asked.length} of ${names.length} names of machines lead to an address and back on ${host.title}.`,
        ),
      ]
}

const capital = (text: string): string => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`

/** `getent hosts X`: the address, the name and the other names. */
async function words(host: HostAsk, what: string, signal: AbortSignal): Promise<readonly string[]> {
  const { exitCode, stdout } = await host.run(['getent', 'hosts', what], signal)
  return exitCode === 0 ? (stdout.split('\n')[0]?.trim().split(/\s+/) ?? []) : []
}
