import { own } from '../actors/runtime/plain.ts'
import { span } from '../controllers/sentence.ts'
import { managerOf, type Written } from './config.ts'
import { type CrossComplaint, error, hint, type Path, warning } from './cross-complaint.ts'

/** Properties that the service manager writes itself. */
export const OWN_PROPERTIES = [
  'elastic',
  'units.min',
  'deferrable',
  'deadline',
  'request.elasticSize',
  'request.elasticTime',
]

/** Which batch system a join over ssh is for. */
const JOINED = { 'ssh-slurmd': 'slurm', 'ssh-torque': 'torque' } as const

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
  if (site !== undefined) found.push(...againstSite(site, controller, at))
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

/** Of a site elsewhere nothing is known here: what it does not lend it will refuse. */
function againstSite(
  site: NonNullable<Written['site']>,
  controller: Extract<Written['guests'][number]['controller'], { kind: 'groc' }>,
  at: (...path: PropertyKey[]) => Path,
): readonly CrossComplaint[] {
  const found: CrossComplaint[] = []
  const type = own(site.types, controller.type)
  if (type === undefined) {
    found.push(
      error(
        at('controller', 'type'),
        `“${controller.type}” is no type of the site${hint(controller.type, Object.keys(site.types))}`,
      ),
    )
    return found
  }
  const { cpu = 0, memoryMiB = 0 } = type.vector
  const { cpus, memoryMiB: memory } = controller.unit
  if (cpus > cpu)
    found.push(
      error(at('controller', 'unit', 'cpus'), `found ${cpus}, and a unit of ${controller.type} has ${cpu}`),
    )
  if (memory > memoryMiB)
    found.push(
      error(
        at('controller', 'unit', 'memoryMiB'),
        `found ${memory}, and a unit of ${controller.type} has ${memoryMiB}`,
      ),
    )
  if (controller.min > type.units)
    found.push(
      error(
        at('controller', 'min'),
        `found ${controller.min}, and the site lends ${type.units} units of ${controller.type}`,
      ),
    )
  else if (controller.max > type.units)
    found.push(
      warning(
        at('controller', 'max'),
        `found ${controller.max}, and the site lends ${type.units} units of ${controller.type}`,
      ),
    )
  if (controller.term > site.terms.max)
    found.push(
      error(
        at('controller', 'term'),
        `found ${span(controller.term)}, and site.terms.max is ${span(site.terms.max)}`,
      ),
    )
  return found
}
