import type { Instant } from '../runtime/clock.ts'
import type { LedgerEntry } from '../runtime/commit.ts'
import { smallest } from '../runtime/extremes.ts'
import { unitsOfLease } from './explain.ts'
import { openOf, type Roles } from './story-open.ts'
import { type UnitStory, unitStory } from './story-unit.ts'
import { dayOf, inOrder, length, list, moment, numberField, textField } from './story-words.ts'
import { UsageCount } from './usage.ts'

/** A line that only repeats what another actor has written first is left out, if that one's ledger is there. */
const ECHOES: Readonly<Record<string, readonly [teller: keyof Roles, by: keyof Roles, first: string]>> = {
  asked: ['broker', 'manager', 'requested'],
  ticketed: ['manager', 'broker', 'ticket granted'],
  'extension ticketed': ['manager', 'broker', 'ticket granted'],
  'extension asked': ['broker', 'manager', 'extension asked'],
  'extension returned': ['manager', 'broker', 'extension unused'],
  extended: ['manager', 'site', 'extended'],
  active: ['manager', 'site', 'lease active'],
  'recall planned': ['broker', 'manager', 'recalled'],
  'lease closing': ['site', 'manager', 'leaving'],
  closing: ['manager', 'manager', 'leaving'],
  'lease closed': ['manager', 'site', 'lease closed'],
  finished: ['manager', 'broker', 'ticket closed'],
  refused: ['manager', 'broker', 'refused'],
  modified: ['site', 'manager', 'modification done'],
}

const WORDS: Readonly<Record<string, string>> = {
  ticketed: 'has the ticket',
  redeemed: 'takes the ticket',
  'lease waits': 'cannot give all of it yet',
  'placed together': 'places machines of it',
  'site restores': 'hears of a power cut at its site',
  'lease active': 'has it ready',
  'lease grows': 'lets it grow',
  'lease incomplete': 'lets it go on',
  active: 'has it ready',
  'extension asked': 'hears that it is to be extended',
  'extension ticketed': 'has the ticket to extend it',
  'extension refused': 'does not extend it',
  'extension returned': 'gives the extension back',
  'extension unused': 'has the extension back',
  'extension undone': 'takes the extension back',
  extended: 'extends it',
  refused: 'refuses it',
  asked: 'hears the request',
  waits: 'lets it wait',
  'awaits approval': 'waits for a person to approve it',
  approved: 'has it approved',
  disapproved: 'has it refused',
  recalled: 'hears of a recall',
  'recall planned': 'hears what will be given back',
  leaving: 'lets everything leave',
  'lease closing': 'ends it',
  closing: 'closes it at the site',
  'lease closed': 'has spoken the last word',
  'ticket closed': 'has the ticket back',
  'jobs at the end': 'tells what became of the jobs on it',
  finished: 'is done with it',
  blocked: 'keeps the ticket',
  'modification asked': 'asks for other properties',
  'modification done': 'has the other properties',
  'modification refused': 'does not get the other properties',
  'modification failed': 'has the other properties only in part',
  'modification unanswered': 'does not know whether it has the other properties',
  modified: 'changes its properties',
}

/**
 * The life of a lease in connected sentences, from the request to the last word, over the lines of all actors whose
 * ledgers are there; what is still open says since when and what it waits for.
 *
 *   lines of lease and units ──▶ by whom? ──▶ no echoes ──▶ sentences, one for each machine ──▶ sums ──▶ what is open
 */
export function storyOf(leaseId: string, lines: readonly LedgerEntry[], now: Instant): string[] {
  const units = unitsOfLease(lines, leaseId)
  const mine = inOrder(lines.filter(({ subject }) => subject === leaseId))
  const ofUnits = new Map(units.map((id) => [id, lines.filter(({ subject }) => subject === id)]))
  const first = mine[0] ?? inOrder([...ofUnits.values()].flat())[0]
  if (first === undefined) return []
  const begun = first.at
  const roles = rolesOf(mine, ofUnits)
  const machines = machinesOf(mine, ofUnits, begun, now, roles.manager !== undefined)
  const nameOfUnit = (id: string): string => nameOf(ofUnits.get(id) ?? []) ?? id
  const told = mine.filter((entry) => !isEcho(entry, mine, roles))
  const happened = [
    ...told.map((entry) => ({
      at: entry.at,
      text: `${moment(entry.at, begun)}  ${sentenceOf(entry, roles, nameOfUnit)}`,
    })),
    ...machines.map(({ from, sentence }) => ({ at: from, text: `${moment(from, begun)}  ${sentence}` })),
  ].toSorted((a, b) => a.at - b.at)
  const open = openOf(mine, roles, begun, now)
  return [
    `${leaseId} began on ${dayOf(begun)}${open === undefined ? ` and took ${length(mine.at(-1)!.at - begun)}` : ''}.`,
    ...happened.map(({ text }) => text),
    ...sumsOf([...mine, ...[...ofUnits.values()].flat()], machines.length, roles, now),
    ...(open === undefined ? [] : [`Still open: ${open}.`]),
    ...machines.flatMap((machine) => (machine.open === undefined ? [] : [`Still open: ${machine.open}.`])),
    ...missedOf(roles),
  ]
}

function rolesOf(mine: readonly LedgerEntry[], units: ReadonlyMap<string, readonly LedgerEntry[]>): Roles {
  const of = (...kinds: readonly string[]): string | undefined =>
    mine.find(({ kind }) => kinds.includes(kind))?.actor
  const assigned = [...units.values()].flat().find(({ kind }) => kind === 'unit assigned')
  return {
    manager: of('requested', 'ticketed', 'leaving', 'finished', 'adopted'),
    broker: of('asked', 'ticket granted', 'ticket adopted'),
    site: of('redeemed', 'redeem refused', 'lease active', 'lease closing') ?? assigned?.actor,
  }
}

function isEcho(entry: LedgerEntry, mine: readonly LedgerEntry[], roles: Roles): boolean {
  const echo = ECHOES[entry.kind]
  if (echo === undefined || entry.actor !== roles[echo[0]]) return false
  const [, by, kind] = echo
  return mine.some((other) => other.kind === kind && other.actor === roles[by])
}

function sentenceOf(entry: LedgerEntry, roles: Roles, nameOfUnit: (id: string) => string): string {
  const { actor, kind, reason } = entry
  if (kind === 'requested') {
    const [units, least] = [numberField(entry, 'units'), numberField(entry, 'unitsMin')]
    const few = least === undefined || least === units ? '' : ` (at least ${least})`
    const queue = textField(entry, 'queue')
    const guest = `${textField(entry, 'guest') ?? 'its guest'}${queue === undefined ? '' : `, queue ${queue}`}`
    return `${actor} asks for ${units} of ${textField(entry, 'type')}${few} for ${length(numberField(entry, 'durationMs') ?? 0)}, for ${guest}: ${reason}.`
  }
  if (kind === 'ticket granted') {
    const what = textField(entry, 'predecessor') === undefined ? 'grants' : 'grants the extension'
    return `${actor} ${what}: ${reason}.`
  }
  if (kind === 'extension asked' && actor === roles.manager) {
    const victims = (entry.data as { victims?: readonly string[] } | null)?.victims ?? []
    const without = victims.length === 0 ? '' : `, without ${list(victims.map(nameOfUnit))}`
    return `${actor} asks to extend it, with ${numberField(entry, 'units') ?? 'its units'}${without}: ${reason}.`
  }
  // Whoever asked writes down what others have said.
  if (kind === 'refused' && actor === roles.manager && !reason.startsWith('it is not even asked for'))
    return `${actor} hears that it is refused: ${reason}.`
  return `${actor} ${WORDS[kind] ?? `writes “${kind}”`}: ${reason}.`
}

/** A machine that is assigned after others are gone takes the place of the one that has waited longest for it. */
function machinesOf(
  mine: readonly LedgerEntry[],
  units: ReadonlyMap<string, readonly LedgerEntry[]>,
  begun: Instant,
  now: Instant,
  isHolderHere: boolean,
): readonly UnitStory[] {
  const stories: UnitStory[] = []
  const order = [...units].toSorted(([, a], [, b]) => startOf(a) - startOf(b))
  const replaced = new Set<string>()
  for (const [id, entries] of order) {
    const at = startOf(entries)
    const grown = mine.findLast((entry) => entry.kind === 'lease grows' && entry.at <= at)?.at ?? begun
    const gone = order.find(
      ([other, lines]) =>
        !replaced.has(other) && lines.some((line) => isGone(line) && line.at <= at && line.at > grown),
    )
    if (gone !== undefined) replaced.add(gone[0])
    const replaces = gone === undefined ? undefined : (nameOf(gone[1]) ?? gone[0])
    stories.push(unitStory(id, entries, begun, now, { replaces, isHolderHere }))
  }
  return stories
}

const isGone = ({ kind }: LedgerEntry): boolean => kind === 'unit teardown' || kind === 'unit ended'

const startOf = (entries: readonly LedgerEntry[]): Instant =>
  smallest(
    entries.map(({ at }) => at),
    Number.POSITIVE_INFINITY,
  )

const nameOf = (entries: readonly LedgerEntry[]): string | undefined =>
  entries.map((entry) => textField(entry, 'name')).find((name) => name !== undefined)

/** Only what somebody tells whose lines are here: of the others nothing is known, which is not nothing. */
function sumsOf(lines: readonly LedgerEntry[], machines: number, roles: Roles, now: Instant): string[] {
  const count = new UsageCount()
  count.read(inOrder(lines))
  const all = count.sum('site', { from: 0, to: Number.MAX_SAFE_INTEGER }, now)
  const sum = (of: (usage: (typeof all)[number]) => number): string =>
    String(Math.round(all.reduce((total, usage) => total + of(usage), 0) * 10) / 10)
  const { manager, broker, site } = roles
  const toCome = sum(({ toComeS }) => toComeS)
  const more = toCome === '0' ? '' : ` and ${toCome} to come`
  const figures = [
    ...(broker === undefined ? [] : [`${sum(({ grantedS }) => grantedS)} granted${more}`]),
    ...(site === undefined ? [] : [`${sum(({ heldS }) => heldS)} held at the site`]),
    ...(manager === undefined ? [] : [`${sum(({ joinedS }) => joinedS)} in the middleware`]),
  ]
  if (figures.length === 0) return []
  const among = machines === 1 ? 'one machine; ' : `${machines} machines; `
  const known = manager === undefined && site === undefined ? '' : among
  return [`In all ${known}node-seconds: ${figures.join(', ')}.`]
}

function missedOf(roles: Roles): string[] {
  const missed = (['manager', 'broker', 'site'] as const).filter((role) => roles[role] === undefined)
  const words = missed.map((role) => (role === 'manager' ? 'its holder' : `a ${role}`))
  return words.length === 0
    ? []
    : [`There is no line of ${list(words)} about it in the ledgers that are here.`]
}
