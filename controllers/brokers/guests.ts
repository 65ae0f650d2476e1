import type { Properties } from '../../actors/leases/properties.ts'

/**
 * Whose a request or a holding is, for what a policy keeps by guest. A guest is its holder; where one holder asks
 * for several guests, `HOLDER/GUEST` by the property `guest` of the request, if the configuration names that.
 * A guest is never known by the property alone: nobody can ask in the name of another holder's guest.
 */
export interface Asker {
  readonly holder: string
  readonly properties?: Properties | undefined
}

export const GUEST_PROPERTY = 'guest'

export function guestOf({ holder, properties }: Asker, named: Readonly<Record<string, unknown>>): string {
  const guest = properties?.[GUEST_PROPERTY]
  const both = `${holder}/${guest}`
  return guest !== undefined && Object.hasOwn(named, both) ? both : holder
}

/** What is configured for a guest; `otherwise` for those that are not named. */
export const settingOf = <Setting>(
  guest: string,
  named: Readonly<Record<string, Setting>>,
  otherwise: Setting,
): Setting => (Object.hasOwn(named, guest) ? named[guest]! : otherwise)
