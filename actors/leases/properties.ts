import { type Instant, LATEST } from '../runtime/clock.ts'
import { SubletError } from '../runtime/errors.ts'

/** Strings by name. Unknown keys pass through the core untouched. A secret is a reference, never a value. */
export type Properties = Readonly<Record<string, string>>

/** What the core reads of a request's properties. */
export interface RequestTerms {
  /** Fewer units will do, down to `unitsMin`. */
  readonly elastic: boolean
  readonly unitsMin: number
  /** A later start will do, until `deadline` if there is one. */
  readonly deferrable: boolean
  /** The latest start. */
  readonly deadline: Instant | undefined
  readonly image: string | undefined
  /** All members of the group at one common start, or none. */
  readonly group: RequestGroup | undefined
  /** All machines on hosts of one switch: or none at all, or as far as there is room. */
  readonly switchGroup: SwitchGroup | undefined
  /** Where its units are to be, of the sites that lend the type; undefined: anywhere. */
  readonly sites: SiteChoice | undefined
}

/** Names of sites. One that is in both is avoided. */
export interface SiteChoice {
  /** These first, in this order, as long as the request gets as much and as soon there. */
  readonly prefer: readonly string[]
  /** None of these, be there no other. */
  readonly avoid: readonly string[]
}

export const SWITCH_GROUPS = ['one', 'preferred'] as const
export type SwitchGroup = (typeof SWITCH_GROUPS)[number]

export interface RequestGroup {
  readonly id: string
  /** Members, of which this request is one. */
  readonly size: number
}

/** Of all keys and values of a request together: thousands of them are kept. */
export const PROPERTIES_CHARS_MAX = 32_768
const GROUP_SIZE_MAX = 1_000
const SITES_MAX = 64

/** ORCA's names for the same thing. */
const SYNONYMS: ReadonlyMap<string, string> = new Map([
  ['request.elasticSize', 'elastic'],
  ['request.elasticTime', 'deferrable'],
])

/** Reads the known keys; a known key with a bad value is refused with its name. */
export function readRequest(properties: Properties, units: number): RequestTerms {
  const chars = Object.entries(properties).reduce((sum, [key, value]) => sum + key.length + value.length, 0)
  if (chars > PROPERTIES_CHARS_MAX)
    throw new SubletError(
      'bad-property',
      `the request’s properties are ${chars} characters long together, expected at most ${PROPERTIES_CHARS_MAX}`,
    )
  const known = new Map<string, string>()
  for (const [key, value] of Object.entries(properties)) known.set(SYNONYMS.get(key) ?? key, value)
  const elastic = readBoolean(known, 'elastic')
  const unitsMin = known.has('units.min') ? readCount(known, 'units.min') : elastic ? 1 : units
  if (unitsMin > units)
    throw bad('units.min', known.get('units.min')!, `at most the ${units} units asked for`)
  const group = readGroup(known)
  if (group !== undefined && elastic)
    throw bad('elastic', 'true', 'false, for the members of a group are not elastic')
  return {
    elastic,
    unitsMin: elastic ? unitsMin : units,
    deferrable: readBoolean(known, 'deferrable'),
    deadline: known.has('deadline') ? readInstant(known, 'deadline') : undefined,
    image: known.get('image'),
    group,
    switchGroup: readSwitchGroup(known.get('switchGroup')),
    sites: readSites(known),
  }
}

/** Of a request that was accepted, be it by an earlier program, to which any value was as good. */
export const switchGroupOf = ({ switchGroup }: Properties): SwitchGroup | undefined =>
  SWITCH_GROUPS.find((one) => one === switchGroup)

function readSwitchGroup(value: string | undefined): SwitchGroup | undefined {
  const group = SWITCH_GROUPS.find((one) => one === value)
  if (value !== undefined && group === undefined) throw bad('switchGroup', value, SWITCH_GROUPS.join(' or '))
  return group
}

/** As `sites.prefer` and `sites.avoid` say, names between blanks or commas. */
export function sitesIn(properties: Properties): SiteChoice | undefined {
  const prefer = namesIn(properties['sites.prefer'])
  const avoid = namesIn(properties['sites.avoid'])
  return prefer.length + avoid.length === 0 ? undefined : { prefer, avoid }
}

const namesIn = (text = ''): readonly string[] => text.split(/[\s,]+/).filter(Boolean)

function readSites(known: ReadonlyMap<string, string>): SiteChoice | undefined {
  for (const key of ['sites.prefer', 'sites.avoid']) {
    const names = namesIn(known.get(key))
    if (names.length > SITES_MAX || names.some((name) => !/^[!-~]{1,80}$/.test(name)))
      throw bad(key, known.get(key)!, `at most ${SITES_MAX} names of sites, with blanks or commas between`)
  }
  return sitesIn(Object.fromEntries(known))
}

/** Both keys, or none. */
function readGroup(known: ReadonlyMap<string, string>): RequestGroup | undefined {
  const id = known.get('group.id')
  if (id === undefined && !known.has('group.size')) return undefined
  if (id === undefined || !/^[!-~]{1,80}$/.test(id))
    throw bad('group.id', id ?? '', 'a word of at most 80 characters, beside group.size')
  if (!known.has('group.size')) throw bad('group.size', '', 'the number of members, beside group.id')
  const size = readCount(known, 'group.size')
  if (size > GROUP_SIZE_MAX) throw bad('group.size', known.get('group.size')!, `at most ${GROUP_SIZE_MAX}`)
  return { id, size }
}

function readBoolean(known: ReadonlyMap<string, string>, key: string): boolean {
  const value = known.get(key) ?? 'false'
  if (value !== 'true' && value !== 'false') throw bad(key, value, 'true or false')
  return value === 'true'
}

function readCount(known: ReadonlyMap<string, string>, key: string): number {
  const value = known.get(key)!
  if (!/^[1-9]\d{0,6}$/.test(value)) throw bad(key, value, 'a whole number of at least 1')
  return Number(value)
}

/** ISO 8601 with a zone, or milliseconds since the epoch. */
function readInstant(known: ReadonlyMap<string, string>, key: string): Instant {
  const value = known.get(key)!
  const at = /^\d{1,16}$/.test(value)
    ? Number(value)
    : /^\d{4}-\d{2}-\d{2}T.*(Z|[+-]\d{2}:?\d{2})$/.test(value)
      ? Date.parse(value)
      : Number.NaN
  if (!(at >= 0 && at <= LATEST))
    throw bad(key, value, 'a time such as 2026-11-21T14:00:00Z, or milliseconds since the epoch')
  return at
}

const bad = (key: string, value: string, expected: string): SubletError =>
  new SubletError(
    'bad-property',
    `the request’s property ${key} is “${value.slice(0, 80)}”, expected ${expected}`,
  )
