import { accessSync, constants, statSync } from 'node:fs'
import type { Clock } from '../../actors/runtime/clock.ts'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import { own } from '../../actors/runtime/plain.ts'
import { some } from '../../controllers/sentence.ts'
import { type ControlClient, controlClient } from '../control/control-client.ts'
import { afterText, explainParams } from '../control/control-protocol.ts'
import { explainDecision } from '../control/explain-decision.ts'
import { type KeysOptions, knownKeys } from '../peers/known-keys.ts'
import { EXPORTED, exportedLines } from '../reports/exported-lines.ts'
import {
  allLines,
  explainLease,
  explainUnit,
  type LedgerVerdict,
  linesOf,
  type NamedLedger,
  openLedgers,
  verifyAll,
  verifyLines,
} from '../reports/ledgers.ts'
import { onOneLine } from '../reports/printable.ts'
import { showEntry, showVerdicts } from '../reports/show.ts'
import { inDir } from '../settings/work-files.ts'
import { inspected } from '../upkeep/work-folder.ts'
import { EXIT, print, printJson, shapeOfError, tell, tellError } from './terminal.ts'

/** The commands that read ledgers: from the running Sublet, or from the databases that it left. */

const FOLLOW_MS = 20_000
const VERIFY_MS_MAX = 600_000

/** Asks the running Sublet; if there is none, reads its databases. */
async function either<T>(
  dir: string,
  live: (client: ControlClient) => Promise<unknown>,
  dead: (ledgers: readonly NamedLedger[]) => Promise<T>,
): Promise<T> {
  try {
    return (await live(controlClient(inDir(dir).socket))) as T
  } catch (error) {
    if (!(error instanceof SubletError && error.code === 'not-running')) throw error
  }
  const { ledgers, close } = await openLedgers(dir)
  try {
    return await dead(ledgers)
  } finally {
    await close()
  }
}

export interface LedgerOptions {
  readonly json?: true
  readonly actor?: string
  readonly subject?: string
  readonly limit: number
  readonly follow?: true
}

export async function ledger(dir: string, options: LedgerOptions): Promise<number> {
  const { json, actor, subject, limit, follow } = options
  const show = (entries: readonly LedgerEntry[]): void => {
    for (const entry of entries) json ? printJson(entry) : print(showEntry(entry))
  }
  if (follow) return followLedger(controlClient(inDir(dir).socket), options, show)
  const entries = await either(
    dir,
    (client) => client.get(ledgerPath(options)) as Promise<readonly LedgerEntry[]>,
    (ledgers) => linesOf(ledgers, { actor, subject, limit }),
  )
  if (subject !== undefined && entries.length === 0) throw nothingAbout(subject, actor)
  if (json) printJson(entries)
  else show(entries)
  return EXIT.done
}

/** What is mistyped must not look as if nothing had happened. */
const nothingAbout = (subject: string, actor: string | undefined): SubletError =>
  new SubletError(
    'unknown-id',
    `no line of ${actor === undefined ? 'a ledger' : `the ledger of ${actor}`} here is about ${subject}`,
    {
      cure: 'Look for the id with `sublet leases --all`, `sublet nodes --all` or `sublet ledger`; other processes have ledgers of their own.',
    },
  )

/** JSON is one entry a line here. Ends when Sublet does. */
async function followLedger(
  client: ControlClient,
  options: LedgerOptions,
  show: (entries: readonly LedgerEntry[]) => void,
): Promise<number> {
  const status = (await client.get('/status')) as { actors: { name: string; ledger: number }[] }
  const after = Object.fromEntries(status.actors.map(({ name, ledger: seq }) => [name, seq]))
  const take = (entries: readonly LedgerEntry[]): void => {
    show(entries)
    for (const { actor, seq } of entries) after[actor] = Math.max(own(after, actor) ?? 0, seq)
  }
  take((await client.get(ledgerPath(options))) as readonly LedgerEntry[])
  for (;;) {
    try {
      const path = `${ledgerPath(options)}&after=${encodeURIComponent(afterText(after))}&waitMs=${FOLLOW_MS}`
      take((await client.get(path, { timeoutMs: FOLLOW_MS + 10_000 })) as readonly LedgerEntry[])
    } catch (error) {
      if (!(error instanceof SubletError && error.code === 'not-running')) throw error
      tell('Sublet has ended')
      return EXIT.done
    }
  }
}

function ledgerPath({ actor, subject, limit }: LedgerOptions): string {
  const query = new URLSearchParams({ limit: String(limit) })
  if (actor !== undefined) query.set('actor', actor)
  if (subject !== undefined) query.set('subject', subject)
  return `/ledger?${query}`
}

/** What is to be explained: `lease ID`, or an id alone, which is that of a lease or else of a node. */
export function explained(what: string, id: string | undefined): readonly [what: string, id: string] {
  if (id !== undefined) return [what, id]
  if (explainParams.shape.what.safeParse(what).success)
    throw new SubletError('usage', `which ${what}? Its id comes after it`, {
      cure: `Such as \`sublet explain ${what} ID\`.`,
    })
  return [what.startsWith('lease-') ? 'lease' : 'node', what]
}

export async function explain(
  dir: string,
  [what, id]: readonly [what: string, id: string],
  { json, guest, lines }: { readonly json?: true; readonly guest?: string; readonly lines?: true },
  clock: Clock,
): Promise<number> {
  const asked = explainParams.safeParse({ what, id })
  if (!asked.success)
    throw new SubletError('usage', `“${what}” cannot be explained; a job, a lease, a node or a decision can`)
  const words = new URLSearchParams({
    ...(guest === undefined ? {} : { guest }),
    ...(lines === undefined ? {} : { lines: 'yes' }),
  })
  // Whoever asks is known for exactly one address; a question mark without words would make it another one.
  const query = words.size === 0 ? '' : `?${words}`
  const { sentences } = await either<{ readonly sentences: readonly string[] }>(
    dir,
    (client) => client.get(`/explain/${what}/${encodeURIComponent(id)}${query}`),
    async (ledgers) => {
      if (asked.data.what === 'job')
        throw new SubletError('not-running', 'what a job waits for can be told only while Sublet runs')
      if (asked.data.what === 'decision') return { sentences: await explainDecision(ledgers, id) }
      if (asked.data.what === 'node') return { sentences: await explainUnit(ledgers, id) }
      return { sentences: await explainLease(ledgers, id, lines === undefined ? clock.now() : undefined) }
    },
  )
  if (json) printJson({ what, id, sentences })
  else for (const sentence of sentences) print(onOneLine(sentence))
  return EXIT.done
}

export async function verify(dir: string, { json }: { readonly json?: true }): Promise<number> {
  const verdicts = await either<readonly LedgerVerdict[]>(
    dir,
    (client) => client.get('/verify', { timeoutMs: VERIFY_MS_MAX }),
    verifyAll,
  )
  return tellVerdicts(verdicts, json)
}

/** Of lines that `sublet ledger --export` wrote. Whose keys may have signed, `--key`, `--dir` or `--config` say. */
export async function verifyFile(
  file: string,
  options: KeysOptions & { readonly json?: true },
): Promise<number> {
  checkFile(file)
  const keysOf = await knownKeys(options)
  const verdicts = await verifyLines(exportedLines(file), keysOf)
  // Nothing at all proves nothing.
  if (verdicts.length === 0)
    throw new SubletError('usage', `${file} holds no line of a ledger, so there is nothing to verify`, {
      cure: EXPORTED,
    })
  return tellVerdicts(verdicts, options.json)
}

function checkFile(file: string): void {
  const found = inspected(file, () => statSync(file, { throwIfNoEntry: false }), EXPORTED)
  if (found === undefined) throw new SubletError('usage', `there is no file ${file}`, { cure: EXPORTED })
  if (found.isDirectory())
    throw new SubletError('usage', `${file} is a folder, not a file`, { cure: EXPORTED })
  inspected(file, () => accessSync(file, constants.R_OK), EXPORTED)
}

/** Read beside whoever writes, also while Sublet runs. */
export async function exportLedger(dir: string, actor: string | undefined): Promise<number> {
  const { ledgers, close } = await openLedgers(dir)
  try {
    for await (const entry of allLines(ledgers, actor)) printJson(entry)
  } finally {
    await close()
  }
  return EXIT.done
}

function tellVerdicts(verdicts: readonly LedgerVerdict[], json: true | undefined): number {
  const verified = verdicts.every(({ faults }) => faults.length === 0)
  const entries = verdicts.reduce((sum, verdict) => sum + verdict.entries, 0)
  const error = verified ? undefined : disproved(verdicts)
  if (json) printJson({ verified, entries, ledgers: verdicts, ...(error && { error: shapeOfError(error) }) })
  else print(`${showVerdicts(verdicts)}\n${verified ? 'verified' : 'NOT verified'}: ${some(entries, 'line')}`)
  if (error !== undefined) tellError(error)
  return verified ? EXIT.done : EXIT.disproved
}

function disproved(verdicts: readonly LedgerVerdict[]): SubletError {
  const bad = verdicts.filter(({ faults }) => faults.length > 0).map(({ actor }) => actor)
  const what = bad.length === 1 ? 'the ledger' : 'the ledgers'
  return new SubletError('disproved', `${what} of ${bad.join(', ')} cannot be relied on as a whole`)
}
