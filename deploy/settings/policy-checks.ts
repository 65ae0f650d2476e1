import { GUEST_PROPERTY } from '../../controllers/brokers/guests.ts'
import { brokerOf, managerOf, type Written } from './config.ts'
import { type CrossComplaint, error, type Path, warning } from './cross-complaint.ts'

/** Whether what a broker's policy promises can be kept, and to whom. */
export function policyChecks(written: Written): readonly CrossComplaint[] {
  const policy = brokerOf(written).here?.policy
  const path = ['broker', 'policy']
  if (policy === undefined) return []
  if (policy.kind === 'priority')
    return [
      ...named(policy.guests, policy.otherwise, path).flatMap(([at, { class: usual, most }]) =>
        most === undefined || most >= usual
          ? []
          : [error([...at, 'most'], `found ${most}, which is below the class ${usual}`)],
      ),
      ...strangers(Object.keys(policy.guests), path, written),
    ]
  if (policy.kind !== 'weighted-share') return []
  const { guests, otherwise } = policy
  const found: CrossComplaint[] = named(guests, otherwise, path).flatMap(([at, { min, max }]) =>
    max === undefined || max >= min
      ? []
      : [error([...at, 'max'], `found ${max}, which is below the minimum ${min}`)],
  )
  const minima = Object.values(guests).reduce((sum, { min }) => sum + min, 0)
  for (const [type, { units }] of Object.entries(written.site?.types ?? {}))
    if (minima > units)
      found.push(
        warning(
          [...path, 'guests'],
          `guarantee ${minima} units together, and the site lends ${units} of ${type}: then the minima are shared by weight`,
        ),
      )
  return [...found, ...strangers(Object.keys(guests), path, written), ...impatient(written)]
}

/** What is on loan beyond a share comes back to requests that wait; GROC's wait only with a target. */
function impatient({ guests, peers }: Written): readonly CrossComplaint[] {
  const holders = peers.filter(({ role }) => role === 'service-manager').length + guests.length
  if (holders < 2) return []
  return guests.flatMap(({ controller }, i) =>
    controller.kind !== 'groc' || controller.grow.target !== undefined
      ? []
      : [
          warning(
            ['guests', i, 'controller', 'grow', 'target'],
            'is not set: its requests never wait at the broker, and what others hold beyond their weighted share comes back only to requests that do',
          ),
        ],
  )
}

const named = <Setting>(
  guests: Readonly<Record<string, Setting>>,
  otherwise: Setting,
  path: Path,
): readonly (readonly [Path, Setting])[] => [
  ...Object.entries(guests).map(([name, one]) => [[...path, 'guests', name], one] as const),
  [[...path, 'otherwise'], otherwise],
]

/** Guests of the service manager that it does not have. */
function strangers(names: readonly string[], path: Path, written: Written): readonly CrossComplaint[] {
  const { guests } = written
  const manager = managerOf(written).name
  const known = guests.map(({ name, properties }) => properties[GUEST_PROPERTY] ?? name)
  return names.flatMap((name) => {
    const [holder, guest] = name.split('/')
    if (holder !== manager || guests.length === 0 || guest === undefined || known.includes(guest)) return []
    return [
      warning(
        [...path, 'guests', name],
        `“${guest}” is no guest of ${holder}, which has ${known.join(', ')}`,
      ),
    ]
  })
}
