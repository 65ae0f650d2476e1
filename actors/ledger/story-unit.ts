import type { Instant } from '../runtime/clock.ts'
import type { LedgerEntry } from '../runtime/commit.ts'
import { inOrder, length, moment, textField } from './story-words.ts'

/** A machine of a lease, as the ledgers tell of it. */
export interface UnitStory {
  readonly name: string
  readonly from: Instant
  /** Undefined: it is still held, or the site's ledger is not there. */
  readonly to: Instant | undefined
  readonly sentence: string
  /** What is not over: since when, and what it waits for. */
  readonly open: string | undefined
}

/** Steps on the way to what is told anyway. */
const PASSED_OVER = new Set(['unit joining', 'unit setup', 'unit probing', 'unit resuming', 'outcome noted'])

/** What it does or waits for, by the last that is known of it. */
const NOW: Readonly<Record<string, string>> = {
  'unit assigned': 'is not ready yet',
  'unit probing': 'waits for its probe',
  'unit active': 'waits to be taken into the middleware',
  'unit joining': 'waits to be taken into the middleware',
  'unit joined': 'takes jobs',
  'unit suspect': 'is doubted, and waits to answer again',
  'unit draining': 'takes no new jobs, and waits for its work to end',
  'unit leaving': 'waits to be out of the middleware',
  'unit left': 'waits for its teardown',
  'unit lost': 'waits for its teardown',
  'unit teardown': 'waits for its teardown to be complete',
  'teardown waits': 'waits for its work to end',
  'teardown failed': 'waits for its teardown to be tried again',
  'unit stuck': 'is withheld, and waits for its teardown to be tried again',
}

/**
 * One sentence for a machine, from assigned to torn down:
 *
 *   assigned ─▶ ready ─▶ joined ─▶ (doubted, drained, wanted back ...) ─▶ left or lost ─▶ torn down
 */
export function unitStory(
  unitId: string,
  all: readonly LedgerEntry[],
  begun: Instant,
  now: Instant,
  { replaces, isHolderHere }: { readonly replaces: string | undefined; readonly isHolderHere: boolean },
): UnitStory {
  const entries = inOrder(all)
  const first = entries[0]!
  const name = entries.map((entry) => textField(entry, 'name')).find((one) => one !== undefined) ?? unitId
  const clauses: string[] = []
  let from = first.at
  let to: Instant | undefined
  let ready: Instant | undefined
  let joined: Instant | undefined
  for (const entry of entries) {
    const { kind, at, reason } = entry
    const when = moment(at, begun)
    if (kind === 'unit assigned') {
      from = at
      const host = textField(entry, 'host')
      const place = replaces === undefined ? '' : ` in place of ${replaces}`
      clauses.push(`assigned${host === undefined ? '' : ` on ${host}`}${place}`)
    } else if (kind === 'unit active') {
      clauses.push(ready === undefined ? `ready after ${length(at - from)}` : `well again at ${when}`)
      ready ??= at
    } else if (kind === 'unit joined') {
      const after =
        ready === undefined ? `at ${when}` : at - ready < 50 ? 'at once' : `${length(at - ready)} later`
      clauses.push(joined === undefined ? `joined ${after}` : `taking jobs again at ${when}`)
      joined ??= at
    } else if (kind === 'unit leaving' && entries.some((other) => other.kind === 'unit draining')) {
      // Its drain has said why.
    } else if (kind === 'unit ended') {
      to = at
      clauses.push(`gone at ${when}, after ${length(at - from)}`)
    } else if (kind === 'unit left' && reason === `${name} was empty and has left`) {
      clauses.push(`left empty at ${when}`)
    } else if (!PASSED_OVER.has(kind)) {
      // Who tears it down repeats what its holder said, and the other way round.
      const before = entries.slice(0, entries.indexOf(entry))
      const isSaid = before.some((other) => reason === other.reason || reason.endsWith(`: ${other.reason}`))
      clauses.push(`${clauseOf(kind)} at ${when}${isSaid ? '' : ` (${reason})`}`)
    }
  }
  const last = entries.findLast(({ kind }) => NOW[kind] !== undefined || kind === 'unit ended') ?? first
  // Where its holder's ledger is not there.
  const isGivenOver = last.kind === 'unit active' && !isHolderHere
  const does = isGivenOver ? 'is ready' : NOW[last.kind]
  const more = isGivenOver ? '; what its holder does with it is not in the ledgers that are here' : ''
  const open =
    to !== undefined || does === undefined || isOver(entries)
      ? undefined
      : `${name} ${does}, since ${moment(last.at, begun)} (${length(now - last.at)})${more}`
  return { name, from, to, sentence: `${name} (${unitId}) was ${clauses.join('; ')}.`, open }
}

const clauseOf = (kind: string): string =>
  ({
    'unit suspect': 'doubted',
    'unit draining': 'drained',
    'unit leaving': 'asked to leave',
    'unit left': 'out of the middleware',
    'unit lost': 'lost to the middleware',
    'unit teardown': 'sent to teardown',
    'unit stuck': 'stuck',
    'unit wanted back': 'wanted back',
    'unit may stay': 'allowed to stay',
  })[kind] ?? `said to have “${kind}”`

/** Of a machine of which the site's ledger is not there nothing is known once it has left. */
const isOver = (entries: readonly LedgerEntry[]): boolean =>
  !entries.some(({ kind }) => kind === 'unit assigned') &&
  entries.some(({ kind }) => kind === 'unit left' || kind === 'unit lost')
