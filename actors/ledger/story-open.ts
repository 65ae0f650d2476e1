import type { Instant } from '../runtime/clock.ts'
import type { LedgerEntry } from '../runtime/commit.ts'
import { field, length, moment } from './story-words.ts'

/** Who wrote which line of a lease. An actor that is not among the ledgers is missed, and others tell for it. */
export interface Roles {
  readonly manager: string | undefined
  readonly broker: string | undefined
  readonly site: string | undefined
}

/** What a lease that is not over waits for, and since when; undefined when the last word is spoken. */
export function openOf(
  mine: readonly LedgerEntry[],
  { manager, broker, site }: Roles,
  begun: Instant,
  now: Instant,
): string | undefined {
  const last = (...kinds: readonly string[]): LedgerEntry | undefined =>
    mine.findLast(({ kind }) => kinds.includes(kind))
  const since = ({ at }: LedgerEntry): string => `since ${moment(at, begun)} (${length(now - at)})`

  if (isOver(mine, manager)) return undefined
  const closed = last('lease closed')
  if (closed !== undefined)
    return manager === undefined && broker === undefined
      ? undefined
      : `the ticket is not back at ${broker ?? 'the broker'}, ${since(closed)}`
  const closing = last('closing', 'lease closing')
  if (closing !== undefined) return `${site ?? 'the site'} has not spoken its last word, ${since(closing)}`
  const leaving = last('leaving')
  if (leaving !== undefined) return `its machines leave the middleware, ${since(leaving)}`
  const extension = openExtension(mine, site)
  if (extension !== undefined) return `${extension.what}, ${since(extension.entry)}`
  const active = last('lease active', 'active')
  if (active !== undefined) return `it runs, ${since(active)}${untilOf(mine, begun)}`
  const redeemed = last('redeemed')
  const short = last('lease waits')
  if (redeemed !== undefined)
    return `${site} sets it up, ${since(redeemed)}${short === undefined ? '' : `: ${short.reason}`}`
  const blocked = last('blocked')
  if (blocked !== undefined) return `the ticket is kept, ${since(blocked)}: ${blocked.reason}`
  const granted = last('ticket granted', 'ticketed')
  if (granted !== undefined)
    return manager === undefined && site === undefined
      ? `it is granted, ${since(granted)}${untilOf(mine, begun)}; what became of it is not in the ledgers that are here`
      : `the ticket is not redeemed, ${since(granted)}`
  const waits = last('waits', 'awaits approval', 'approved')
  const asked = last('asked', 'requested')
  if (waits?.kind === 'awaits approval')
    return `a person has to approve it at ${waits.actor} (sublet approve ${waits.subject}), ${since(asked ?? waits)}: ${waits.reason}`
  if (waits?.kind === 'approved') return `${waits.actor} is to grant it, approved ${since(waits)}`
  if (waits !== undefined)
    return `${waits.actor} has not granted it, ${since(asked ?? waits)}: ${waits.reason}`
  return asked === undefined ? undefined : `${broker ?? 'the broker'} has not answered, ${since(asked)}`
}

/** The holder has spoken its last word, or, where its ledger is not there, the broker. */
function isOver(mine: readonly LedgerEntry[], manager: string | undefined): boolean {
  if (mine.some(({ kind }) => kind === 'finished')) return true
  if (manager !== undefined) return false
  return mine.some(({ kind }) => kind === 'ticket closed' || kind === 'refused' || kind === 'redeem refused')
}

/** What became of an extension, whoever says so. */
const DECIDED: ReadonlySet<string> = new Set(['extended', 'extension refused', 'extension unused'])

function openExtension(
  mine: readonly LedgerEntry[],
  site: string | undefined,
): { readonly entry: LedgerEntry; readonly what: string } | undefined {
  const entry = mine.findLast(({ kind }) => kind === 'extension asked')
  if (entry === undefined) return undefined
  const after = mine.slice(mine.indexOf(entry) + 1)
  if (after.some(({ kind }) => DECIDED.has(kind))) return undefined
  const granted = after.find(({ kind }) => kind === 'ticket granted' || kind === 'extension ticketed')
  return granted === undefined
    ? { entry, what: 'an extension is asked for and not decided' }
    : { entry: granted, what: `${site ?? 'the site'} has not confirmed the extension that was granted` }
}

function untilOf(mine: readonly LedgerEntry[], begun: Instant): string {
  const end = endOf(mine)
  return end === undefined ? '' : `, and ends at ${moment(end, begun)} unless it is extended`
}

/** Until when it is held: an extension that the site refused, or that was given back, does not count. */
function endOf(mine: readonly LedgerEntry[]): Instant | undefined {
  let agreed: Instant | undefined
  let granted: Instant | undefined
  for (const entry of mine) {
    const { kind } = entry
    const end = (field(entry, 'term') as { end?: number } | undefined)?.end
    if (kind === 'extension refused' || kind === 'extension unused') granted = undefined
    else if (kind === 'extended' || kind === 'extension undone') {
      agreed = end ?? granted ?? agreed
      granted = undefined
    } else if (end === undefined) continue
    else if (kind === 'ticketed' || kind === 'redeemed') agreed = Math.max(agreed ?? 0, end)
    else if (kind === 'extension ticketed') granted = end
    else if (kind === 'ticket granted') {
      // It follows on the one that was granted before, which so was not refused.
      agreed = granted ?? agreed
      granted = end
    }
  }
  return granted === undefined ? agreed : Math.max(granted, agreed ?? 0)
}
