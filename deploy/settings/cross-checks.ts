import { dirname, join, resolve } from 'node:path'
import { validate as isCron } from 'node-cron'
import { fitsIn, minus, type Vector } from '../../actors/leases/resources.ts'
import { LENGTH_MS_MAX } from '../../actors/leases/term.ts'
import { cut } from '../../actors/runtime/plain.ts'
import { cronFlaw } from '../../controllers/guests/groc/cron.ts'
import { span } from '../../controllers/sentence.ts'
import { brokerOf, managerOf, type Written } from './config.ts'
import { type CrossComplaint, error, hint, type Path, warning } from './cross-complaint.ts'
import { guestChecks } from './guest-checks.ts'
import { listedTwice } from './listed-names.ts'
import { networkChecks } from './network-checks.ts'
import { policyChecks } from './policy-checks.ts'

/** Linux keeps 108 bytes for the path of a unix socket, one of them for the final zero. */
const SOCKET_BYTES_MAX = 107
/** Of what stands there instead. */
const FOUND_CHARS_MAX = 60
/** What a machine of kind `process` adds to its folder: `/`, a unit id, `/s`. */
const MACHINE_SOCKET_BYTES = 32

/** What no part of the configuration can see alone. */
export const crossChecks = (written: Written, file: string): readonly CrossComplaint[] => [
  ...names(written),
  ...(written.site === undefined ? [] : capacity(written.site)),
  ...(written.site === undefined ? [] : images(written, written.site)),
  ...times(written),
  ...policyChecks(written),
  ...approvals(written),
  ...written.guests.flatMap((_, i) => guestChecks(written, i)),
  ...listedTwice(written),
  ...paths(written, file),
  ...networkChecks(written),
  ...(cronFlaw(written.housekeeping.at) === undefined && isCron(written.housekeeping.at)
    ? []
    : [
        error(
          ['housekeeping', 'at'],
          `found “${cut(written.housekeeping.at, FOUND_CHARS_MAX)}”, expected a time as cron writes it, such as 17 3 * * *`,
        ),
      ]),
]

type Site = NonNullable<Written['site']>

/** A site elsewhere may lend types that nobody knows of here. */
function approvals({ broker, site }: Written): readonly CrossComplaint[] {
  if (site === undefined) return []
  const known = Object.keys(site.types)
  return (broker?.approval.types ?? []).flatMap((type, i) =>
    known.includes(type)
      ? []
      : [
          warning(
            ['broker', 'approval', 'types', i],
            `“${type}” is no type that the site lends${hint(type, known)}`,
          ),
        ],
  )
}

function names(written: Written): readonly CrossComplaint[] {
  const { site, guests, peers } = written
  const broker = brokerOf(written).here
  const actors: readonly [Path, string][] = [
    ...(site === undefined ? [] : [[['site', 'name'], site.name] as [Path, string]]),
    ...(broker === undefined ? [] : [[['broker', 'name'], broker.name] as [Path, string]]),
    ...(guests.length === 0 ? [] : [[['serviceManager', 'name'], managerOf(written).name] as [Path, string]]),
    ...peers.map(({ name }, i): [Path, string] => [['peers', i, 'name'], name]),
  ]
  const hosts = (site?.hosts ?? []).map(({ name }, i): [Path, string] => [['site', 'hosts', i, 'name'], name])
  const own = guests.map(({ name }, i): [Path, string] => [['guests', i, 'name'], name])
  const pools = guests.map(({ batch }, i): [Path, string] => [['guests', i, 'batch'], JSON.stringify(batch)])
  return [
    ...twice(actors, (name) => `“${name}” is the name of another actor already`),
    ...twice(hosts, (name) => `“${name}” is the name of another host already`),
    ...twice(own, (name) => `“${name}” is the name of another guest already`),
    ...twice(pools, () => 'another guest drives this batch system already'),
  ]
}

function twice(
  named: readonly (readonly [Path, string])[],
  sentence: (name: string) => string,
): CrossComplaint[] {
  const seen = new Set<string>()
  return named.flatMap(([path, name]) => {
    if (seen.has(name)) return [error(path, sentence(name))]
    seen.add(name)
    return []
  })
}

// ── does what is lent fit into what there is? ────────────────────────────────────────────────────────

function capacity(site: Site): readonly CrossComplaint[] {
  const found: CrossComplaint[] = []
  const rooms = site.hosts.map(({ capacity }) => capacity)
  const types = Object.entries(site.types)
  if (types.length === 0) found.push(error(['site', 'types'], 'lists no type, expected at least one'))
  for (const [name, { vector, units }] of types) {
    const path = ['site', 'types', name]
    if (!rooms.some((room) => fitsIn(vector, room))) {
      found.push(error(path, `needs ${show(vector)}, and no host has that much`))
      continue
    }
    const most = packed([{ vector, units }], rooms)
    if (most < units)
      found.push(error([...path, 'units'], `found ${units}, and the hosts have room for ${most}`))
  }
  const all = types.reduce((sum, [, { units }]) => sum + units, 0)
  if (found.length === 0 && types.length > 1) {
    const most = packed(
      types.map(([, type]) => type),
      rooms,
    )
    if (most < all)
      found.push(
        warning(
          ['site', 'types'],
          `lend ${all} units together, and the hosts have room for ${most}: some tickets may find no room`,
        ),
      )
  }
  if (all > site.names.slots)
    found.push(
      error(
        ['site', 'names', 'slots'],
        `found ${site.names.slots}, and ${all} units are lent: each needs a name`,
      ),
    )
  return found
}

/** First fit, the largest first: how many of the units find a place. */
function packed(
  types: readonly { readonly vector: Vector; readonly units: number }[],
  rooms: readonly Vector[],
): number {
  const total = rooms.reduce((sum, room) => sum + Object.values(room).reduce((a, b) => a + b, 0), 0)
  const weight = ({ vector }: { vector: Vector }): number =>
    Object.values(vector).reduce((a, b) => a + b, 0) / total
  const free = [...rooms]
  let placed = 0
  for (const { vector, units } of types.toSorted((a, b) => weight(b) - weight(a)))
    for (let i = 0; i < units; i++) {
      const at = free.findIndex((room) => fitsIn(vector, room))
      if (at < 0) break
      free[at] = minus(free[at]!, vector)
      placed += 1
    }
  return placed
}

const show = (vector: Vector): string =>
  Object.entries(vector)
    .map(([dimension, amount]) => `${dimension} ${amount}`)
    .join(', ')

// ── images, times, guests ────────────────────────────────────────────────────────────────────────────

function images({ guests }: Written, site: Site): readonly CrossComplaint[] {
  const known = Object.keys(site.machines.images)
  // An image of a machine of kind `process` is a name without content.
  if (site.machines.kind === 'process') return []
  const named: [Path, string][] = [
    ...Object.entries(site.types).map(([name, { image }]): [Path, string] => [
      ['site', 'types', name, 'image'],
      image,
    ]),
    ...guests.flatMap(({ properties }, i): [Path, string][] =>
      properties.image === undefined ? [] : [[['guests', i, 'properties', 'image'], properties.image]],
    ),
  ]
  return named
    .filter(([, image]) => !known.includes(image))
    .map(([path, image]) => error(path, `“${image}” is no image of site.machines${hint(image, known)}`))
}

function siteTimes(site: Site, serviceManager: ReturnType<typeof managerOf>): CrossComplaint[] {
  const found: CrossComplaint[] = []
  const probes = site.probe.reduce((sum, { timeoutMs }) => sum + timeoutMs, 0)
  if (probes > site.timing.probe)
    found.push(
      warning(
        ['site', 'timing', 'probe'],
        `found ${span(site.timing.probe)}, and the probe’s commands may take ${span(probes)} together`,
      ),
    )
  for (const key of ['notice', 'repairMin'] as const)
    if (site.terms[key] > site.terms.max)
      found.push(
        warning(
          ['site', 'terms', key],
          `is longer than site.terms.max (${span(site.terms.max)}), so ${key === 'notice' ? 'no recall binds before a lease ends' : 'no machine that died is ever replaced'}`,
        ),
      )
  if (site.terms.max === 0)
    found.push(error(['site', 'terms', 'max'], 'found 0 s: nothing can be lent for so long'))
  // No offer could say it, so that its broker would refuse each.
  for (const key of ['grace', 'notice'] as const)
    if (site.terms[key] > LENGTH_MS_MAX)
      found.push(
        error(
          ['site', 'terms', key],
          `found ${span(site.terms[key])}, and ${span(LENGTH_MS_MAX)} is the most`,
        ),
      )
  const { delegation } = site.terms
  if (delegation !== undefined && delegation < 2 * site.terms.max)
    found.push(
      error(
        ['site', 'terms', 'delegation'],
        `found ${span(delegation)}, expected at least twice site.terms.max: it is told anew at half time`,
      ),
    )
  if (site.terms.grace < serviceManager.leaveBudget)
    found.push(
      warning(
        ['site', 'terms', 'grace'],
        `is shorter than serviceManager.leaveBudget (${span(serviceManager.leaveBudget)}): work on a machine is put back into the queue already before its lease ends`,
      ),
    )
  if (site.powerCut.patience > LENGTH_MS_MAX)
    found.push(
      error(
        ['site', 'powerCut', 'patience'],
        `found ${span(site.powerCut.patience)}, and ${span(LENGTH_MS_MAX)} is the most`,
      ),
    )
  for (const key of [
    'setup',
    'probe',
    'modify',
    'teardown',
    'probeEvery',
    'sweepEvery',
    'retry',
    'answer',
  ] as const)
    if (site.timing[key] < 1) found.push(error(['site', 'timing', key], 'must be longer than nothing'))
  return found
}

function times(written: Written): readonly CrossComplaint[] {
  const serviceManager = managerOf(written)
  const found: CrossComplaint[] = written.site === undefined ? [] : siteTimes(written.site, serviceManager)
  if (serviceManager.lookTimeout < serviceManager.poll / 100 || serviceManager.poll < 1)
    found.push(error(['serviceManager', 'poll'], `found ${span(serviceManager.poll)}, expected at least 1ms`))
  for (const key of ['join', 'leave', 'ask', 'retry', 'lookTimeout', 'answer'] as const)
    if (serviceManager[key] < 1) found.push(error(['serviceManager', key], 'must be longer than nothing'))
  return found
}

function paths({ name, dir, site, guests }: Written, file: string): readonly CrossComplaint[] {
  const base = dirname(resolve(file))
  const work = resolve(base, dir ?? join('.sublet', name))
  const found: CrossComplaint[] = []
  const tooLong = (path: Path, bytes: number, what: string): void => {
    if (bytes > SOCKET_BYTES_MAX)
      found.push(
        error(
          path,
          `makes the path of ${what} ${bytes} bytes long, and the system allows ${SOCKET_BYTES_MAX}: choose a shorter folder`,
        ),
      )
  }
  const machinePaths = (made: Extract<Site['machines'], { kind: 'process' }>): void => {
    const machines = made.dir === undefined ? join(work, 'm') : resolve(base, made.dir)
    tooLong(
      made.dir === undefined ? ['dir'] : ['site', 'machines', 'dir'],
      Buffer.byteLength(machines) + MACHINE_SOCKET_BYTES,
      'a machine’s socket',
    )
    const [least, longest] = made.bootMs
    if (least > longest)
      found.push(
        error(['site', 'machines', 'bootMs'], `found ${least} as the least, and the longest is ${longest}`),
      )
  }
  tooLong(['dir'], Buffer.byteLength(join(work, 'control.sock')), 'the control socket')
  if (site?.machines.kind === 'process') machinePaths(site.machines)
  for (const [i, { batch, join: joining }] of guests.entries()) {
    if (batch.kind === 'embedded')
      tooLong(['guests', i, 'batch', 'socket'], Buffer.byteLength(resolve(base, batch.socket)), 'the socket')
    if (joining.kind === 'embedded' && joining.socket !== undefined)
      tooLong(['guests', i, 'join', 'socket'], Buffer.byteLength(resolve(base, joining.socket)), 'the socket')
  }
  return found
}
