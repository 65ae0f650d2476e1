import type { Supply } from '../../actors/leases/calendar.ts'
import { type Properties, type SiteChoice, sitesIn } from '../../actors/leases/properties.ts'
import type { TicketRequest } from '../controller.ts'
import { few } from '../sentence.ts'

/** By what the holder sent, which is asked for with each try. */
const choices = new WeakMap<Properties, { readonly choice: SiteChoice | undefined }>()

function choiceOf({ properties }: TicketRequest): SiteChoice | undefined {
  if (properties === undefined) return undefined
  let known = choices.get(properties)
  if (known === undefined) {
    known = { choice: sitesIn(properties) }
    choices.set(properties, known)
  }
  return known.choice
}

/** Where its units may be: the ones it prefers first, the others by name, and none that it is to avoid. */
export function sitesFor(request: TicketRequest, { sites }: Supply): readonly string[] {
  const choice = choiceOf(request)
  if (choice === undefined) return sites
  const { prefer, avoid } = choice
  const allowed = avoid.length === 0 ? sites : sites.filter((site) => !avoid.includes(site))
  if (prefer.length === 0) return allowed
  return allowed.toSorted((a, b) => rankIn(prefer, a) - rankIn(prefer, b))
}

/** The lower the sooner it is taken, where as much is to be had as soon. */
export const rankOf = (request: TicketRequest, site: string): number =>
  rankIn(choiceOf(request)?.prefer ?? NONE, site)

const NONE: readonly string[] = []

const rankIn = (prefer: readonly string[], site: string): number => {
  const at = prefer.indexOf(site)
  return at < 0 ? prefer.length : at
}

/** `, and it is to avoid bad`; empty if it is to avoid none of these. */
export function avoidedIn(request: TicketRequest, { sites }: Supply): string {
  const avoided = sites.filter((site) => choiceOf(request)?.avoid.includes(site))
  return avoided.length === 0 ? '' : `, and it is to avoid ${few(avoided)}`
}
