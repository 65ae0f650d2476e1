import type { Settings } from '../settings/config.ts'
import type { Role } from '../settings/network-config.ts'
import { type Peer, rolesHere } from './peers.ts'

/** A kind of actor of which somebody here knows nobody. */
export interface MissingCounterpart {
  readonly from: string
  /** Of which kind, in words. */
  readonly peer: string
  readonly sentence: string
  readonly cure: string
}

/** Whom each has to know besides its broker, and what does not go on while it knows nobody of them. */
const NEEDS: Readonly<Partial<Record<Role, readonly (readonly [Role, string])[]>>> = {
  'service-manager': [['site', 'tickets are for sites, and one for a site that is no peer is refused']],
  site: [['service-manager', 'whoever holds a ticket and is no peer gets no lease']],
  broker: [
    ['site', 'nothing is there to be lent'],
    ['service-manager', 'whoever asks and is no peer gets no ticket'],
  ],
}

/** Where not one of a kind is known; that one of several is missing nobody can tell from here. */
export function missingCounterparts(
  settings: Pick<Settings, 'site' | 'broker' | 'serviceManager'>,
  peers: readonly Pick<Peer, 'role'>[],
): readonly MissingCounterpart[] {
  const here = rolesHere(settings)
  const isKnown = (wanted: Role): boolean =>
    here.some(([, role]) => role === wanted) || peers.some(({ role }) => role === wanted)
  return here.flatMap(([from, role]) =>
    (NEEDS[role] ?? [])
      .filter(([wanted]) => !isKnown(wanted))
      .map(([wanted, because]) => ({
        ...{ from, peer: `${wanted.replace('-', ' ')}s` },
        sentence: `none is known here: ${because}`,
        cure: `Add each with \`sublet peer add NAME --role ${wanted} (--url URL or --poll) --key KEY\`; it has to add ${from} likewise.`,
      })),
  )
}
