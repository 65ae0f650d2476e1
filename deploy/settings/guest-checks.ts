import { own } from '../../actors/runtime/plain.ts'
import { weaknessOf } from '../../adapters/exec/algorithms.ts'
import { expandHosts } from '../../adapters/slurm/hostlist.ts'
import { some, span } from '../../controllers/sentence.ts'
import { managerOf, type Written } from './config.ts'
import { type CrossComplaint, error, hint, type Path, warning } from './cross-complaint.ts'
import { type Groc, grocChecks, type Place } from './groc-checks.ts'
import { roomOfType } from './resolved.ts'

/** Properties that the service manager writes itself. */
export const OWN_PROPERTIES = [
  'elastic',
  'units.min',
  'deferrable',
  'deadline',
  'request.elasticSize',
  'request.elasticTime',
]

/** An sshd of this very host, as for a key that may run the wrapper of `sublet rights` only. */
const HERE = /^(?:localhost|127\.|::1$)/

/** Which batch system a join over ssh is for. */
const JOINED = {
  'ssh-slurmd': 'slurm',
  'ssh-torque': 'torque',
  'ssh-openpbs': 'openpbs',
  'ssh-gridengine': 'gridengine',
} as const

type Guest = Written['guests'][number]

export function guestChecks(written: Written, i: number): readonly CrossComplaint[] {
  const { site, skewMax } = written
  const serviceManager = managerOf(written)
  const { batch, join: joining, controller, properties } = written.guests[i]!
  const at = (...path: PropertyKey[]): Path => ['guests', i, ...path]
  const found: CrossComplaint[] = []

  if (joining.kind === 'embedded' && batch.kind !== 'embedded')
    found.push(error(at('join', 'kind'), `machines cannot join ${batch.kind} by “embedded”`))
  if (joining.kind === 'embedded' && site !== undefined && site.machines.kind !== 'process')
    found.push(
      error(
        at('join', 'kind'),
        `“embedded” reaches machines of kind “process” only, and those of the site are of kind “${site.machines.kind}”`,
      ),
    )

  if (joining.kind !== 'embedded') {
    if (batch.kind !== JOINED[joining.kind])
      found.push(error(at('join', 'kind'), `machines cannot join ${batch.kind} by “${joining.kind}”`))
    if (site !== undefined && site.machines.kind !== 'namespace')
      found.push(
        error(
          at('join', 'kind'),
          `“${joining.kind}” needs machines with an sshd, and those of the site are of kind “${site.machines.kind}”`,
        ),
      )
    for (const key of ['nodes', 'feature'] as const)
      if (batch.kind === 'slurm' && joining.kind === 'ssh-slurmd' && joining[key] !== batch[key])
        found.push(error(at('join', key), `found ${joining[key]}, and batch.${key} is ${batch[key]}`))
  }
  if (batch.kind === 'slurm') found.push(...namesChecks(batch, controller, at))

  if (batch.kind !== 'embedded')
    found.push(...oldAlgorithms(batch.ssh?.algorithms ?? [], at('batch', 'ssh', 'algorithms')))
  if (joining.kind !== 'embedded')
    found.push(...oldAlgorithms(joining.ssh.algorithms, at('join', 'ssh', 'algorithms')))
  if (
    (batch.kind === 'slurm' || batch.kind === 'gridengine') &&
    batch.ssh !== undefined &&
    batch.watchPaths.length > 0 &&
    !HERE.test(batch.ssh.host)
  )
    found.push(
      warning(
        at('batch', 'watchPaths'),
        `are watched on this host: what ${batch.ssh.host} changes is seen at the next timed look only (serviceManager.poll)`,
      ),
    )

  for (const key of Object.keys(properties)) {
    if (OWN_PROPERTIES.includes(key))
      found.push(error(at('properties', key), 'is set by the controller with each request'))
    if (/PRIVATE KEY-----/.test(properties[key]!))
      found.push(
        error(
          at('properties', key),
          'holds a private key: properties travel in messages, so name a file instead',
        ),
      )
  }

  // Who asks by hand says with each request what it is to be.
  if (controller.kind === 'by-hand') return found
  found.push(...(site === undefined ? withoutSite(controller, at) : againstSite(site, controller, at)))
  found.push(...grocChecks(batch, controller, site, at))
  if (controller.term <= serviceManager.leaveBudget + skewMax)
    found.push(
      error(
        at('controller', 'term'),
        `found ${span(controller.term)}, and units begin to leave ${span(serviceManager.leaveBudget + skewMax)} before the end (serviceManager.leaveBudget and skewMax)`,
      ),
    )
  else if (controller.term * controller.extendMargin <= serviceManager.leaveBudget + skewMax)
    found.push(
      warning(
        at('controller', 'extendMargin'),
        `leaves ${span(controller.term * controller.extendMargin)} for an extension, and units begin to leave ${span(serviceManager.leaveBudget + skewMax)} before the end`,
      ),
    )
  return found
}

const oldAlgorithms = (allowed: readonly string[], path: Path): readonly CrossComplaint[] =>
  allowed.map((algorithm, i) =>
    warning(
      [...path, i],
      `allows ${algorithm}, and ${weaknessOf(algorithm)}: take it out once the machine has a newer sshd`,
    ),
  )

/** Names that slurm.conf lists, for as many machines as there may be. */
function namesChecks(
  { nodes, names }: Extract<Guest['batch'], { readonly kind: 'slurm' }>,
  controller: Guest['controller'],
  at: (...path: PropertyKey[]) => Path,
): readonly CrossComplaint[] {
  if (nodes !== 'listed')
    return names === undefined
      ? []
      : [error(at('batch', 'names'), `is read only where batch.nodes is listed, and that is ${nodes}`)]
  if (names === undefined)
    return [error(at('batch', 'names'), 'is missing: which of the names of slurm.conf machines may take')]
  const count = expandHosts(names).length
  return controller.kind === 'groc' && controller.max > count
    ? [
        warning(
          at('controller', 'max'),
          `found ${controller.max}, and batch.names has ${some(count, 'name')}: no more machines can be in at once`,
        ),
      ]
    : []
}

/** Where an entry of `types` stands, or what is short for it. */
const typePlace = (controller: Groc, i: number, at: Place): Place =>
  controller.isShort
    ? (...path) => at('controller', ...path)
    : (...path) => at('controller', 'types', i, ...path)

/** Of a site elsewhere nothing is known here, so what a unit offers has to be written. */
function withoutSite(controller: Groc, at: Place): readonly CrossComplaint[] {
  return controller.types.flatMap(({ type, unit }, i) =>
    unit === undefined
      ? [
          error(
            typePlace(controller, i, at)('unit'),
            `is missing: what a unit of ${type} offers is known only of a site in the same file`,
          ),
        ]
      : [],
  )
}

/** What a site elsewhere does not lend it will refuse. */
function againstSite(
  site: NonNullable<Written['site']>,
  controller: Groc,
  at: Place,
): readonly CrossComplaint[] {
  const found: CrossComplaint[] = controller.types.flatMap((entry, i) =>
    againstType(site, entry, typePlace(controller, i, at)),
  )
  const types = controller.types.map(({ type }) => type)
  const lent = types.flatMap((type) => own(site.types, type)?.units ?? [])
  if (lent.length < types.length) return found
  const units = lent.reduce((sum, one) => sum + one, 0)
  const what = `the site lends ${some(units, 'unit')} of ${types.join(' and ')}`
  if (controller.min > units)
    found.push(error(at('controller', 'min'), `found ${controller.min}, and ${what}`))
  else if (controller.max > units)
    found.push(warning(at('controller', 'max'), `found ${controller.max}, and ${what}`))
  if (controller.term > site.terms.max)
    found.push(
      error(
        at('controller', 'term'),
        `found ${span(controller.term)}, and site.terms.max is ${span(site.terms.max)}`,
      ),
    )
  return found
}

function againstType(
  site: NonNullable<Written['site']>,
  { type, unit, max }: Groc['types'][number],
  at: Place,
): readonly CrossComplaint[] {
  const lent = own(site.types, type)
  if (lent === undefined)
    return [error(at('type'), `“${type}” is no type of the site${hint(type, Object.keys(site.types))}`)]
  const found: CrossComplaint[] = []
  const room = roomOfType(site, type)!
  const tooMuch = (path: readonly string[], found: number, there: number): CrossComplaint[] =>
    found > there ? [error(at('unit', ...path), `found ${found}, and a unit of ${type} has ${there}`)] : []
  if (unit !== undefined) {
    found.push(
      ...tooMuch(['cpus'], unit.cpus, room.cpus),
      ...tooMuch(['memoryMiB'], unit.memoryMiB, room.memoryMiB),
    )
    // Of what the site does not count, what its machines have is taken at their owner's word.
    for (const [name, amount] of Object.entries(unit.consumables))
      found.push(...tooMuch(['consumables', name], amount, own(room.consumables, name) ?? amount))
  }
  if (max !== undefined && max > lent.units)
    found.push(warning(at('max'), `found ${max}, and the site lends ${some(lent.units, 'unit')} of ${type}`))
  return found
}
