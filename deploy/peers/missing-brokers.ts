import type { Settings } from '../settings/config.ts'
import type { Peer } from './peers.ts'
import { rolesHere } from './peers.ts'

/** A broker that somebody here turns to, and of whom nothing is known here. */
export interface MissingBroker {
  /** The actor that turns to it. */
  readonly from: string
  readonly name: string
  /** What a peer of that name is instead; null if there is none. */
  readonly role: string | null
}

/** Brokers that the configuration names and that neither run here nor are peers: nothing is lent or held by way of them. */
export function missingBrokers(
  settings: Pick<Settings, 'site' | 'broker' | 'serviceManager' | 'guests'>,
  peers: readonly Pick<Peer, 'name' | 'role'>[],
): readonly MissingBroker[] {
  const { site, broker, serviceManager, guests } = settings
  const turnsTo: Readonly<Record<string, readonly (string | undefined)[]>> = {
    site: [site?.broker, ...Object.values(site?.types ?? {}).map((type) => type.broker)],
    'service-manager': [serviceManager?.broker, ...guests.map((guest) => guest.broker)],
  }
  return rolesHere(settings).flatMap(([from, role]) =>
    [...new Set(turnsTo[role] ?? [])].flatMap((name) => {
      if (name === undefined || name === broker?.name) return []
      const peer = peers.find((one) => one.name === name)
      return peer?.role === 'broker' ? [] : [{ from, name, role: peer?.role ?? null }]
    }),
  )
}

export const missingSentence = ({ name, role }: MissingBroker): string =>
  role === null
    ? `no broker ${name} is known here, and the configuration names it`
    : `the configuration names ${name} as a broker, and as a peer it is a ${role}`

export const missingCure = ({ name, role }: MissingBroker): string =>
  role === null
    ? `Add it with \`sublet peer add ${name} --role broker (--url URL or --poll) --key KEY\`, or correct its name in the configuration.`
    : 'Correct its role where it was given, or the name of the broker in the configuration.'
