import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { SubletError } from '../../actors/runtime/errors.ts'
import { readPublicKey } from '../peers/keys.ts'
import { brokerOf, type Written } from './config.ts'
import { type CrossComplaint, error, hint, type Path, warning } from './cross-complaint.ts'

/** Which actors run here, and whether those that do not can be reached. */
export const networkChecks = (written: Written): readonly CrossComplaint[] => [
  ...roles(written),
  ...ways(written),
  ...certificates(written),
  ...ports(written),
]

function roles(written: Written): readonly CrossComplaint[] {
  const { site, guests, serviceManager, peers } = written
  const broker = brokerOf(written)
  const found: CrossComplaint[] = []
  if (site === undefined && guests.length === 0 && broker.here === undefined)
    found.push(error([], 'describes none of the three actors, expected “site”, “broker” or “guests”'))
  if (serviceManager !== undefined && guests.length === 0)
    found.push(error(['serviceManager'], 'holds leases for guests, and there are none'))
  const brokers = [
    ...(broker.here === undefined ? [] : [broker.here.name]),
    ...peers.flatMap(({ name, role }) => (role === 'broker' ? [name] : [])),
  ]
  const asked: readonly [boolean, Path, string | undefined][] = [
    [site !== undefined, ['site'], site?.broker],
    [guests.length > 0, ['serviceManager'], serviceManager?.broker],
  ]
  const named: readonly (readonly [Path, string | undefined])[] = [
    ...asked.flatMap(([isHere, path, name]) => (isHere ? [[path, name] as const] : [])),
    ...Object.entries(site?.types ?? {}).map(([type, one]) => [['site', 'types', type], one.broker] as const),
    ...guests.map((guest, i) => [['guests', i], guest.broker] as const),
  ]
  for (const [path, name] of named)
    if (name !== undefined && !brokers.includes(name))
      // A peer may also be added by a command.
      found.push({
        ...warning(
          [...path, 'broker'],
          `“${name}” is no broker that is known here${brokers.length === 0 ? '; name it among the peers, or add it with `sublet peer add`' : hint(name, brokers)}`,
        ),
        unlessBroker: name,
      })
  for (const [isHere, path, name] of asked)
    if (isHere && name === undefined && broker.name === undefined)
      found.push(
        error(
          [...path, 'broker'],
          brokers.length === 0
            ? 'is missing: no broker runs here and no peer is one'
            : `is missing, expected one of ${brokers.join(', ')}`,
        ),
      )
  return found
}

function ways({ peers, listen }: Written): readonly CrossComplaint[] {
  const found: CrossComplaint[] = []
  for (const [i, { url, poll, key, keyFile }] of peers.entries()) {
    const at = (...path: PropertyKey[]): Path => ['peers', i, ...path]
    if (url === undefined && !poll)
      found.push(error(at(), 'expected “url” (where it is called) or “poll: true” (it comes and fetches)'))
    if (url === undefined && poll && listen === undefined)
      found.push(
        error(at('poll'), 'comes to fetch, and nothing listens here: give “listen”, or the peer’s “url”'),
      )
    if ((key === undefined) === (keyFile === undefined))
      found.push(error(at(), 'expected either “key” or “keyFile”: what its signatures are checked with'))
  }
  return found
}

/**
 * Whether a key is in each file that is to hold one. Only who starts has to have them: `keygen` comes before the keys of
 * others are here, and who only looks may not be allowed to read them.
 */
export function keyFileChecks({ peers }: Written, file: string): readonly CrossComplaint[] {
  return peers.flatMap(({ keyFile }, i) => {
    if (keyFile === undefined) return []
    try {
      readPublicKey(resolve(dirname(resolve(file)), keyFile))
      return []
    } catch (wrong) {
      if (!(wrong instanceof SubletError)) throw wrong
      return [error(['peers', i, 'keyFile'], wrong.message)]
    }
  })
}

/** ... and whether the files that TLS is made of can be read. */
export function certificateFileChecks({ listen, dial }: Written, file: string): readonly CrossComplaint[] {
  const base = dirname(resolve(file))
  const named: readonly (readonly [Path, string | undefined])[] = [
    ...Object.entries(listen?.tls ?? {}).map(([key, path]) => [['listen', 'tls', key], path] as const),
    ...Object.entries(dial).map(([key, path]) => [['dial', key], path] as const),
  ]
  return named.flatMap(([at, path]) => {
    if (path === undefined) return []
    try {
      readFileSync(resolve(base, path))
      return []
    } catch (wrong) {
      const { code = String(wrong) } = wrong as NodeJS.ErrnoException
      return [error(at, `${resolve(base, path)} cannot be read (${code})`)]
    }
  })
}

function ports({ listen, metrics }: Written): readonly CrossComplaint[] {
  if (listen === undefined || metrics === undefined || listen.port === 0 || listen.port !== metrics.port)
    return []
  return [error(['metrics', 'port'], `found ${metrics.port}, which is that of “listen” already`)]
}

export const LOOPBACK = /^(127\.\d+\.\d+\.\d+|::1|localhost)$/

function certificates({ listen, dial, peers }: Written): readonly CrossComplaint[] {
  const found: CrossComplaint[] = []
  if (listen !== undefined && !LOOPBACK.test(listen.host) && listen.tls === undefined)
    found.push(
      warning(
        ['listen', 'host'],
        `${listen.host} is reached from other machines, and without listen.tls whoever is on the way can read the messages (nobody can change them: they are signed)`,
      ),
    )
  if ((dial.certFile === undefined) !== (dial.keyFile === undefined))
    found.push(error(['dial'], 'expected both “certFile” and “keyFile”, or neither'))
  for (const [i, { url }] of peers.entries())
    if (url !== undefined && /^http:/i.test(url) && !LOOPBACK.test(new URL(url).hostname))
      found.push(
        warning(
          ['peers', i, 'url'],
          'is on another machine, and without https whoever is on the way can read the messages',
        ),
      )
  return found
}
