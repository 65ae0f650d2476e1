import type { Properties } from '../leases/properties.ts'
import { fingerprint } from '../runtime/canonical.ts'
import { coded } from '../runtime/errors.ts'
import type { ServiceManagerDraft, UnitRow } from './rows.ts'

/** Where a machine is and by which key it is known, each in one spelling: two that are equal are one machine. */
export interface Place {
  readonly address: string
  readonly key: string
}

/** By the facts: they are written once and asked for each other unit that comes. */
const known = new WeakMap<Properties, Place>()

/** Machines that are reached over ssh; others say themselves which unit they are. */
export function placeOf(facts: Properties): Place | undefined {
  const { address = '', sshPort = '22', sshHostKey = '' } = facts
  if (address === '' || sshHostKey === '') return undefined
  const before = known.get(facts)
  if (before !== undefined) return before
  const place = { address: `${hostOf(address)} ${Number(sshPort)}`, key: keyOf(sshHostKey) }
  known.set(facts, place)
  return place
}

const MAPPED = /^\[::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})\]$/

/**
 * As the resolver would take it: `0x0a.77.267`, `10.77.1.11.` and `::ffff:10.77.1.11` are `10.77.1.11`. What is no
 * address at all stays as it is; nothing is reached by it.
 */
function hostOf(address: string): string {
  const bare = address
    .trim()
    .toLowerCase()
    .replace(/%.*$/, '')
    .replace(/^\[(.*)\]$/, '$1')
    .replace(/\.+$/, '')
  const url = `http://${bare.includes(':') ? `[${bare}]` : bare}`
  const host = URL.canParse(url) ? new URL(url).hostname : bare
  const [, high, low] = MAPPED.exec(host) ?? []
  return high === undefined || low === undefined ? host : [high, low].flatMap(bytesOf).join('.')
}

function bytesOf(word: string): readonly number[] {
  const value = Number.parseInt(word, 16)
  return [value >> 8, value & 255]
}

/**
 * The fingerprint of a key line, whatever its comment, or of a fingerprint with or without its padding. What is neither
 * stays as it is: no machine is ever taken for the one agreed by such a key, so nothing is run there.
 */
function keyOf(hostKey: string): string {
  if (hostKey.startsWith('SHA256:')) return hostKey.replace(/=+$/, '')
  const [, text = ''] = hostKey.split(' ')
  const bytes = Buffer.from(text, 'base64')
  return text === '' || bytes.toString('base64') !== text ? hostKey : fingerprint(bytes)
}

/**
 * What its site says of it now. Where it is stands from its join on: a unit that moved afterwards would be followed to
 * another's machine, which was not there to be compared with. It goes on where it joined, and that is noted once.
 */
export function factsNow(
  unit: UnitRow,
  said: Properties,
  draft: ServiceManagerDraft,
): Pick<UnitRow, 'facts' | 'movedTo'> {
  const { facts: before, movedTo } = unit
  if (Object.keys(said).length === 0) return { facts: before, movedTo }
  if (!isPlaced(unit)) return { facts: sameOr(before, said), movedTo: undefined }
  const facts = sameOr(before, standing(before, said))
  const to = spelling(said)
  if (to === spelling(before) || isOnePlace(placeOf(before), placeOf(said)))
    return { facts, movedTo: undefined }
  if (to === movedTo) return { facts, movedTo }
  const moved = `its site says that ${unit.name} is at ${said.address ?? 'no address'} now; it goes on at ${before.address ?? 'none'}, where it joined`
  draft.note('message refused', unit.id, coded('machine-moved', moved))
  return { facts, movedTo: to }
}

const isOnePlace = (here: Place | undefined, there: Place | undefined): boolean =>
  here !== undefined && here.address === there?.address && here.key === there.key

const WHERE = ['address', 'sshPort', 'sshHostKey'] as const

/** In the middleware, or on its way there by the facts that it has. */
const isPlaced = ({ state, doing }: UnitRow): boolean =>
  doing !== undefined || (state !== 'awaited' && state !== 'joining')

const spelling = (facts: Properties): string => WHERE.map((key) => facts[key] ?? '').join(' ')

function standing(before: Properties, said: Properties): Properties {
  const others = Object.entries(said).filter(([key]) => !WHERE.some((each) => each === key))
  const here = WHERE.flatMap((key) => (before[key] === undefined ? [] : [[key, before[key]] as const]))
  return Object.fromEntries([...others, ...here])
}

/** The same ones as before if they say the same: a row that says nothing new is not written again. */
function sameOr(before: Properties, facts: Properties): Properties {
  const keys = Object.keys(facts)
  const isSame = keys.length === Object.keys(before).length && keys.every((key) => facts[key] === before[key])
  return isSame ? before : facts
}
