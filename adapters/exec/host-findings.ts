import type { Clock, Millis } from '../../actors/runtime/clock.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { period } from '../../actors/runtime/sentence.ts'
import { type Examination, type Finding, fine, missing } from '../finding.ts'

/** The host where the commands of a batch system run, which is best its server’s. */
export interface HostAsk {
  readonly clock: Clock
  /** What a short program printed; `exec-failed` if it ended with another status than 0. */
  readonly ask: (argv: readonly [string, ...string[]], signal: AbortSignal) => Promise<string>
  /** What a machine that cannot be found by its name means there. */
  readonly nameless: (about: 'names', sentence: string, cure: string) => Finding
}

/** Each is two commands, and where DNS does not answer each takes seconds. */
const NAMES_MAX = 24
const AT_ONCE = 4
/** `date +%s` leaves out the rest of the second. */
const SECOND_MS: Millis = 1000

export async function hostFindings(
  host: HostAsk,
  { names, skewMsMax }: Examination,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  return [await clockFinding(host, skewMsMax, signal), ...(await nameFindings(host, names, signal))]
}

async function clockFinding(host: HostAsk, skewMsMax: Millis, signal: AbortSignal): Promise<Finding> {
  const before = host.clock.now()
  const printed = await host.ask(['date', '+%s'], signal)
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
        `The clock of the batch system’s host is ${period(off)} ${words} ours; ${period(skewMsMax)} is the most (skewMax).`,
        'Keep both by NTP.',
      )
    : fine('clock', `The clock of the batch system’s host agrees with ours to within ${period(skewMsMax)}.`)
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
        `The batch system’s host does not know ${unknown.length} of ${asked.length} names of machines, such as ${unknown.slice(0, 3).join(', ')}.`,
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
          `${asked.length} of ${names.length} names of machines lead to an address and back there.`,
        ),
      ]
}

const isSameHost = (found: string, name: string): boolean =>
  found === name || found.split('.')[0] === name || found === name.split('.')[0]

/** `getent hosts X`: the address, the name and the other names. */
async function words(host: HostAsk, what: string, signal: AbortSignal): Promise<readonly string[]> {
  try {
    return (await host.ask(['getent', 'hosts', what], signal)).split('\n')[0]?.trim().split(/\s+/) ?? []
  } catch (error) {
    if (error instanceof SubletError && error.code === 'exec-failed') return []
    throw error
  }
}
