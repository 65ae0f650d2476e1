import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { chainCheck, NO_LINE } from '../../actors/ledger/chain-check.ts'
import { CheckpointCheck, type Checkpoints } from '../../actors/ledger/checkpoint-check.ts'
import { explain, namesNode, unitsOfLease } from '../../actors/ledger/explain.ts'
import { holdsCheck } from '../../actors/ledger/holds.ts'
import { storyOf } from '../../actors/ledger/story.ts'
import { TraceCheck, type Traces } from '../../actors/ledger/trace-check.ts'
import { UsageCount } from '../../actors/ledger/usage.ts'
import { type Fault, LedgerCheck } from '../../actors/ledger/verify.ts'
import type { Instant } from '../../actors/runtime/clock.ts'
import type { LedgerEntry, LedgerHead } from '../../actors/runtime/commit.ts'
import { inOneLine, SubletError } from '../../actors/runtime/errors.ts'
import { ed25519Trust, type PublicKey } from '../../actors/runtime/identity.ts'
import { own } from '../../actors/runtime/plain.ts'
import { ledgerArchive } from '../../adapters/sqlite/archive.ts'
import { sqliteLedger } from '../../adapters/sqlite/store.ts'
import { publicKeysIn } from '../peers/keys.ts'
import { inDir } from '../settings/work-files.ts'
import { withArchive } from '../upkeep/archiving.ts'
import { inspected } from '../upkeep/work-folder.ts'
import type { Ledger } from './site-view.ts'

/** A ledger, whose it is, and where it ended when it was opened. */
export interface NamedLedger {
  readonly name: string
  readonly ledger: Ledger
  readonly head: LedgerHead
  /** What the actor may have signed it with; absent: not known here. */
  readonly keys?: readonly PublicKey[] | undefined
}

export interface LedgerVerdict {
  readonly actor: string
  readonly entries: number
  readonly faults: readonly Fault[]
  readonly checkpoints?: Checkpoints
  /** Of an authority: how many of the tickets that it accepted can be traced to a signed request and claim. */
  readonly traces?: Traces
}

const PAGE = 1_000

/** Everything up to the head, page by page: what is appended meanwhile belongs to the next reading. */
async function* pagesOf({ ledger, head }: NamedLedger, subject?: string): AsyncGenerator<LedgerEntry[]> {
  for (let afterSeq = 0; ; ) {
    const page = await ledger.entries({
      afterSeq,
      limit: PAGE,
      ...(subject === undefined ? {} : { subject }),
    })
    yield page.filter(({ seq }) => seq <= head.seq)
    const last = page.at(-1)
    if (last === undefined || page.length < PAGE || last.seq >= head.seq) return
    // A line that was altered may lie about its number; what is behind it is missed, and said to be.
    if (last.seq <= afterSeq) return
    afterSeq = last.seq
  }
}

export async function entriesOf(named: NamedLedger, subject?: string): Promise<LedgerEntry[]> {
  const found: LedgerEntry[] = []
  for await (const page of pagesOf(named, subject)) for (const entry of page) found.push(entry)
  return found
}

export async function verifyAll(ledgers: readonly NamedLedger[]): Promise<readonly LedgerVerdict[]> {
  const verdicts: LedgerVerdict[] = []
  for (const named of ledgers) verdicts.push(await verifyOne(named))
  return verdicts
}

/** A ledger that cannot be read to its end has a fault there; the others are verified all the same. */
async function verifyOne(named: NamedLedger): Promise<LedgerVerdict> {
  const { check, verdict } = newVerdict(named.name, named.keys)
  let entries = 0
  try {
    for await (const page of pagesOf(named)) {
      check.read(page)
      entries += page.length
    }
  } catch (error) {
    if (!isUnreadable(error)) throw error
    const sentence = `it cannot be read on: ${inOneLine(error)}`
    return verdict(entries, [...check.faults, { actor: named.name, seq: entries + 1, sentence }])
  }
  return verdict(entries, check.end(named.head))
}

const isUnreadable = (error: unknown): error is SubletError =>
  error instanceof SubletError && (error.code === 'store-corrupt' || error.code === 'store-newer')

/** Any key may sign: whose it is, the checkpoints are compared for. */
const anyKey = ed25519Trust({})

function newVerdict(
  actor: string,
  keys: readonly PublicKey[] | undefined,
): {
  readonly check: LedgerCheck
  readonly verdict: (entries: number, faults: readonly Fault[]) => LedgerVerdict
} {
  const checkpoints = new CheckpointCheck(anyKey.verifyBy, keys === undefined ? undefined : new Set(keys))
  const traces = new TraceCheck(anyKey)
  const check = new LedgerCheck([chainCheck(), holdsCheck(), checkpoints, traces])
  const verdict = (entries: number, faults: readonly Fault[]): LedgerVerdict => ({
    ...{ actor, entries, faults, checkpoints: checkpoints.seen, traces: traces.seen },
  })
  return { check, verdict }
}

/**
 * Lines as `sublet ledger --export` wrote them, of one or several actors. Each ledger ends where the lines do: that it
 * went on, nothing but a checkpoint that is missing by now tells.
 */
export async function verifyLines(
  lines: AsyncIterable<LedgerEntry>,
  keysOf: (actor: string) => readonly PublicKey[] | undefined = () => undefined,
): Promise<readonly LedgerVerdict[]> {
  const actors = new Map<string, ReturnType<typeof newVerdict> & { entries: number; last: LedgerEntry }>()
  for await (const entry of lines) {
    const known = actors.get(entry.actor)
    const of = known ?? { ...newVerdict(entry.actor, keysOf(entry.actor)), entries: 0, last: entry }
    of.check.read([entry])
    of.entries++
    of.last = entry
    if (known === undefined) actors.set(entry.actor, of)
  }
  return [...actors.values()].map(({ check, verdict, entries, last }) => verdict(entries, check.end(last)))
}

/** Nothing at all would look as if there were no lines of it. */
function refuseUnknownActor(ledgers: readonly NamedLedger[], actor: string | undefined): void {
  const names = ledgers.map(({ name }) => name)
  if (actor !== undefined && !names.includes(actor))
    throw new SubletError('unknown-id', `no actor is named ${actor}; there are ${names.join(', ')}`, {
      cure: 'Name one of these with --actor, or leave it out.',
    })
}

/** Every line of every ledger, oldest first of each; for `sublet ledger --export`. */
export async function* allLines(
  ledgers: readonly NamedLedger[],
  actor?: string,
): AsyncGenerator<LedgerEntry> {
  refuseUnknownActor(ledgers, actor)
  for (const named of ledgers)
    if (actor === undefined || named.name === actor) for await (const page of pagesOf(named)) yield* page
}

export async function usageOf(ledgers: readonly NamedLedger[]): Promise<UsageCount> {
  const count = new UsageCount()
  for (const named of ledgers) for await (const page of pagesOf(named)) count.read(page)
  return count
}

export interface LedgerQuery {
  readonly actor?: string | undefined
  readonly subject?: string | undefined
  /** By actor: only lines after this one. */
  readonly after?: Readonly<Record<string, number>>
  readonly limit: number
}

/** The latest lines of all ledgers together, oldest first; with `after`, the first lines after those. */
export async function linesOf(
  ledgers: readonly NamedLedger[],
  query: LedgerQuery,
): Promise<readonly LedgerEntry[]> {
  const { actor, after, limit } = query
  refuseUnknownActor(ledgers, actor)
  // A node goes by many units in turn; its name means the latest.
  const subject =
    query.subject === undefined || after !== undefined || (await isSubject(ledgers, query.subject))
      ? query.subject
      : ((await latestUnitOf(ledgers, query.subject)) ?? query.subject)
  let found: LedgerEntry[] = []
  for (const named of ledgers.filter(({ name }) => actor === undefined || name === actor)) {
    if (after !== undefined) {
      const afterSeq = own(after, named.name) ?? 0
      const ofSubject = subject === undefined ? {} : { subject }
      found = found.concat(await named.ledger.entries({ afterSeq, limit, ...ofSubject }))
    } else if (subject !== undefined) found = found.concat((await entriesOf(named, subject)).slice(-limit))
    else {
      const last = { afterSeq: Math.max(0, named.head.seq - limit), limit }
      found = found.concat(await named.ledger.entries(last))
    }
  }
  const ordered = found.toSorted(
    (a, b) => a.at - b.at || (a.actor === b.actor ? a.seq - b.seq : a.actor < b.actor ? -1 : 1),
  )
  return after === undefined ? ordered.slice(-limit) : ordered
}

async function isSubject(ledgers: readonly NamedLedger[], subject: string): Promise<boolean> {
  for (const { ledger } of ledgers)
    if ((await ledger.entries({ afterSeq: 0, limit: 1, subject })).length > 0) return true
  return false
}

/** The life of a lease and of its units, in sentences; with `now` as a story, otherwise line by line. */
export async function explainLease(
  ledgers: readonly NamedLedger[],
  leaseId: string,
  now: Instant | undefined,
): Promise<readonly string[]> {
  let found: LedgerEntry[] = []
  const units = new Set<string>()
  for (const named of ledgers) {
    for await (const page of pagesOf(named)) for (const id of unitsOfLease(page, leaseId)) units.add(id)
    found = found.concat(await entriesOf(named, leaseId))
  }
  for (const named of ledgers) for (const id of units) found = found.concat(await entriesOf(named, id))
  const told = now === undefined ? explain(found, new Set([leaseId, ...units])) : storyOf(leaseId, found, now)
  if (told.length === 0) throw new SubletError('unknown-id', `no ledger knows a lease ${leaseId}`)
  return now === undefined ? told : [...told, ...partial(ledgers)]
}

/** A lease is told of by three actors; what those elsewhere have written is not here. */
const partial = (ledgers: readonly NamedLedger[]): readonly string[] =>
  ledgers.length >= 3
    ? []
    : [
        `Only the ledger${ledgers.length === 1 ? '' : 's'} of ${ledgers.map(({ name }) => name).join(' and ')} ${ledgers.length === 1 ? 'is' : 'are'} here; ask where the others run for what they did.`,
      ]

/** The life of a unit, by its id or by its node's name: then of the latest that went by it. */
export async function explainUnit(ledgers: readonly NamedLedger[], id: string): Promise<readonly string[]> {
  const of = async (unitId: string): Promise<readonly string[]> => {
    const entries = (await Promise.all(ledgers.map((named) => entriesOf(named, unitId)))).flat()
    return explain(entries, new Set([unitId]))
  }
  const told = await of(id)
  if (told.length > 0) return told
  const named = await latestUnitOf(ledgers, id)
  if (named === undefined) throw new SubletError('unknown-id', `no ledger knows a node or unit ${id}`)
  return of(named)
}

/** A name is given again only when its unit has ended, so the unit that was first named last is the latest. */
async function latestUnitOf(ledgers: readonly NamedLedger[], name: string): Promise<string | undefined> {
  const seen = new Set<string>()
  let latest: LedgerEntry | undefined
  for (const ledger of ledgers)
    for await (const page of pagesOf(ledger))
      for (const entry of page) {
        if (seen.has(entry.subject) || !namesNode(entry, name)) continue
        seen.add(entry.subject)
        if (latest === undefined || entry.at > latest.at) latest = entry
      }
  return latest?.subject
}

/** The ledgers of a work folder whose Sublet does not run. */
export async function openLedgers(
  dir: string,
): Promise<{ readonly ledgers: readonly NamedLedger[]; close(): Promise<void> }> {
  const names = inspected(dir, () => (existsSync(dir) ? readdirSync(dir) : [])).flatMap(
    (file) => /^(.+)\.db$/.exec(file)?.[1] ?? [],
  )
  if (names.length === 0)
    throw new SubletError('not-running', `there is no Sublet in ${dir}, and no database of one`)
  const stores = names.toSorted().map((name) => ({ name, store: sqliteLedger(join(dir, `${name}.db`)) }))
  const opened: NamedLedger[] = []
  const close = async (): Promise<void> => {
    for (const { store } of stores) await store.close()
  }
  try {
    for (const { name, store } of stores) {
      const keys = publicKeysIn(inDir(dir).keys, name)
      try {
        const { base, head } = await store.open()
        const here: Ledger = { entries: store.entries, base: () => base }
        const archive = ledgerArchive(inDir(dir).archive, name)
        opened.push({ name, ledger: withArchive(here, archive), head, keys })
      } catch (error) {
        if (!isUnreadable(error)) throw error
        // Whoever reads this one is told; the others can be read.
        opened.push({ ...{ name, keys }, ledger: { entries: () => Promise.reject(error) }, head: NO_LINE })
      }
    }
  } catch (error) {
    await close()
    throw error
  }
  return { ledgers: opened, close }
}
