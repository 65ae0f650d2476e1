import { coded, type ErrorCode } from '../runtime/errors.ts'
import type { Amount, AuthorityDraft, Unknown } from './rows.ts'
import type { Holding } from './words.ts'

/** Characters that are kept of what one peer says; what else it holds is not known. */
export const HEARD_CHARS_MAX = 250_000_000
/** Of them, those that are kept with tickets whose keys are not known here: whoever invents leases invents keys, too. */
export const HEARD_UNKNOWN_CHARS_MAX = 10_000_000
/** ... and such keys. */
export const UNKNOWN_KEYS_MAX = 4
/** Leases that are named where there may be very many. */
const NAMES_MAX = 3
export const SILENT: Amount = { chars: 0, unproven: 0, names: [] }
const NO_KEYS: Unknown = { keys: [], chars: 0 }

/** With a lease of which no ticket is signed. */
export const unprovenWith = (leaseId: string, amount: Amount): Amount => ({
  ...{ ...amount, unproven: amount.unproven + 1 },
  names: amount.names.length < NAMES_MAX ? [...amount.names, leaseId] : amount.names,
})

/** With one that may be signed with an unknown key; undefined if there are too many of these. */
export function unknownWith(
  key: string,
  holding: Holding,
  { unknown = NO_KEYS }: Amount,
): Unknown | undefined {
  const keys = unknown.keys.includes(key) ? unknown.keys : [...unknown.keys, key]
  const chars = unknown.chars + JSON.stringify(holding).length
  if (keys.length > UNKNOWN_KEYS_MAX || chars > HEARD_UNKNOWN_CHARS_MAX) return undefined
  return { ...unknown, keys, chars }
}

export const unprovenOf = (peer: string, count: number, names: readonly string[]): string => {
  const leases = count === 1 ? 'one lease' : `${count} leases`
  const some = `${names.join(', ')}${count > names.length ? ' ...' : ''}`
  return `${peer} tells of ${leases} not known here (${some}), and shows no ticket that its broker signed`
}

/** That there is more of these is written down once. */
export function noteUnknown(from: string, amount: Amount, draft: AuthorityDraft): Amount {
  const { unknown = NO_KEYS } = amount
  if (unknown.full) return amount
  const code: ErrorCode = 'too-many-holdings'
  const most = `of tickets with keys of brokers that are not known here, ${UNKNOWN_KEYS_MAX} keys and ${HEARD_UNKNOWN_CHARS_MAX} characters of it are kept, and it has more`
  draft.note('holdings refused', from, coded(code, most), { code })
  return { ...amount, unknown: { ...unknown, full: true } }
}
