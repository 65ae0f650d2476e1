import type { z } from 'zod'
import type { Term } from '../../actors/leases/term.ts'
import { type Clock, type Instant, type Millis, sleep } from '../../actors/runtime/clock.ts'
import { decoded, SubletError } from '../../actors/runtime/errors.ts'
import type { LeaseRow, ServiceManagerTables } from '../../actors/service-manager/rows.ts'
import { isFinished } from '../../actors/service-manager/steps.ts'
import type { Carried } from '../../actors/service-manager/wishes.ts'
import { hour, some, span } from '../../controllers/sentence.ts'
import type { ActorView, SiteView } from '../reports/site-view.ts'
import { OWN_PROPERTIES } from '../settings/guest-checks.ts'
import type { extendBody, releaseBody, requestBody } from './control-protocol.ts'

/** What comes of an order that a person gives a service manager. */
export interface HandReport {
  readonly leaseId: string
  /** Waiting: there is no answer yet. */
  readonly state: 'granted' | 'waiting' | 'given back'
  readonly units: number
  readonly type: string
  readonly site: string | null
  readonly term: Term | null
  /** What waits is not a new lease, but one that is held, and is to go on. */
  readonly isExtension?: true
  /** Waiting: an answer is waited for until then at the latest, and what is known of why. */
  readonly until: Instant | null
  readonly waitReason: string
}

type Manager = ActorView<ServiceManagerTables>

const LOOK_MS: Millis = 50
/** Whoever was put off longer ago was heard since. */
const PUT_OFF_MS: Millis = 60_000

/** Asks for units in the name of a guest, and waits a while for what is made of it. */
export async function request(
  site: SiteView,
  body: z.output<typeof requestBody>,
  by: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<HandReport> {
  const manager = managerOf(site)
  const { guest: named, withinMs, unitsMin, startBy, ...wanted } = body
  const guest = guestOf(site, named)
  checkLength(site, body.durationMs)
  checkProperties(body.properties)
  if (unitsMin !== undefined && unitsMin > body.units)
    throw new SubletError('usage', `${unitsMin} at least of ${some(body.units, 'unit')} is more than all`, {
      cure: 'Give a least number that is at most that of --units.',
    })
  if (startBy !== undefined && startBy < (body.startAt ?? 0))
    throw new SubletError('usage', `the latest start, ${hour(startBy)}, is before the earliest`, {
      cure: 'Give a --deadline that is not before --start.',
    })
  const intent = { kind: 'request', ...wanted, unitsMin: unitsMin ?? body.units, startBy }
  const { leaseId = '', refused } = (await manager.command('wish', { guest, intent, by })) as Carried
  if (refused !== undefined)
    throw new SubletError('usage', `the request is not even sent: ${refused}`, {
      cure: 'Look at the labels and groups of this guest’s leases, and ask again.',
    })
  const row = await answered(manager, leaseId, isSettled, withinMs, clock, signal)
  if (row.ticketState !== 'asked' && (row.ticket === undefined || isOver(row)))
    throw refusedBy(row, refusalOf(manager, row))
  return reportOf(site, row, clock.now())
}

/** The broker has answered, and so has the site that the ticket is for, if it was asked yet. */
const isSettled = (row: LeaseRow): boolean => row.ticketState !== 'asked' && !awaitsSite(row)

const awaitsSite = ({ ticketState, leaseState, units, image, properties }: LeaseRow): boolean =>
  ticketState === 'held' &&
  leaseState === 'redeeming' &&
  units.length === 0 &&
  // What it says of a lease names the image.
  (image === '' || image === properties.image)

const isOver = ({ ticketState, leaseState }: LeaseRow): boolean =>
  leaseState === 'closed' || ticketState === 'returning' || ticketState === 'closed'

/** Whoever refuses says a code with it, where there is one that fits better. */
function refusedBy({ id, ticket }: LeaseRow, said: string): SubletError {
  const { code, sentence } = decoded(said)
  if (ticket === undefined) return new SubletError(code ?? 'no-capacity', `${id} is refused: ${sentence}`)
  const words = `${id} is refused by ${ticket.site}: ${sentence}`
  if (code !== undefined) return new SubletError(code, words)
  return new SubletError('ticket-invalid', words, { cure: cureOfTicket(ticket.site) })
}

/** Nearly always the broker signs with a new key that the site does not know yet. */
const cureOfTicket = (site: string): string =>
  `Give \`sublet check peers\` at ${site}: it has to know the key that the broker signs with, by \`sublet peer approve\`; then ask again.`

/** From the end of the lease on. */
export async function extend(
  site: SiteView,
  { leaseId, withinMs, ...wanted }: z.output<typeof extendBody>,
  by: string,
  clock: Clock,
  signal: AbortSignal,
): Promise<HandReport> {
  const manager = managerOf(site)
  const lease = leaseOf(manager, leaseId)
  checkLength(site, wanted.durationMs)
  const intent = { kind: 'extend', leaseId, victims: [], ...wanted }
  const { refused } = (await manager.command('wish', { guest: lease.guest, intent, by })) as Carried
  if (refused !== undefined) {
    throw unextended(leaseOf(manager, leaseId), decoded(refused), clock.now())
  }
  const isAnswered = ({ ticketState, leaseState }: LeaseRow): boolean =>
    ticketState !== 'extending' && leaseState !== 'extending'
  const row = await answered(manager, leaseId, isAnswered, withinMs, clock, signal)
  if (isAnswered(row) && row.extendRefused !== undefined) {
    const { code = 'no-capacity', sentence } = decoded(row.extendRefused.reason)
    const words = `${leaseId} is not extended, and goes on to its end: ${sentence}`
    throw code === 'no-capacity'
      ? new SubletError(code, words, { cure: FEWER })
      : new SubletError(code, words)
  }
  return { ...reportOf(site, row, clock.now(), isAnswered(row)), isExtension: true }
}

/** Its units leave when their work has ended, and it is given back; a request is given up. */
export async function release(
  site: SiteView,
  { leaseId, reason }: z.output<typeof releaseBody>,
  by: string,
): Promise<HandReport> {
  const manager = managerOf(site)
  const { guest } = leaseOf(manager, leaseId)
  const intent = { kind: 'release', leaseId, reason }
  const { refused } = (await manager.command('wish', { guest, intent, by })) as Carried
  if (refused !== undefined)
    throw new SubletError('lease-ended', `${leaseId} cannot be given back: ${refused}`, {
      cure: 'Nothing is to be done; `sublet leases --all` lists it until it is forgotten.',
    })
  return { ...reportOf(site, leaseOf(manager, leaseId), 0), state: 'given back' }
}

/** An extension begins at the end of the lease, so that there is no other start to ask for. */
const FEWER =
  'Extend it with fewer --units, or let fewer do with --elastic; `sublet query availability` tells when units come free.'

const LOOK_AT =
  'Look at the lease with `sublet explain LEASE`; ask again while units of it are held, or for others with `sublet request`.'

/** One extension after the other: the next can be asked for once the last is answered, and has begun. */
function unextended(
  { id, term, next, ticket, ticketState, leaseState }: LeaseRow,
  { code, sentence }: ReturnType<typeof decoded>,
  now: Instant,
): SubletError {
  if (code === undefined && (ticketState === 'extending' || leaseState === 'extending'))
    return new SubletError('extension-pending', `${id} is not extended: one extension is asked for already`, {
      cure: `Wait until that one is answered: \`sublet explain ${id}\` says what it waits for.`,
    })
  // One that both sides have confirmed is part of the term, and its ticket says when it begins.
  const begins = next?.term.start ?? (ticket?.predecessor ? ticket.term.start : term?.start) ?? now
  return new SubletError(code ?? 'no-capacity', `${id} is not extended: ${sentence}`, {
    cure: begins > now ? `Wait until it has begun, and ask again from ${hour(begins)} on.` : LOOK_AT,
  })
}

/** What only a service manager can do. */
function managerOf({ serviceManager }: SiteView): Manager {
  if (serviceManager !== undefined) return serviceManager
  throw new SubletError('usage', 'no service manager runs here', {
    cure: 'Give the command where one runs, with --dir or --config.',
  })
}

function guestOf({ settings }: SiteView, named: string | undefined): string {
  const names = settings.guests.map(({ name }) => name)
  if (named === undefined && names.length === 1) return names[0]!
  if (named === undefined)
    throw new SubletError('usage', `there are several guests: ${names.join(', ')}`, {
      cure: 'Name one of them with --guest.',
    })
  if (!names.includes(named))
    throw new SubletError('unknown-id', `no guest is named ${named}; there is: ${names.join(', ')}`, {
      cure: 'Name one of these with --guest.',
    })
  return named
}

function leaseOf(manager: Manager, leaseId: string): LeaseRow {
  const row = manager.rows('lease').find(({ id }) => id === leaseId)
  if (row === undefined)
    throw new SubletError('unknown-id', `no lease ${leaseId} is held or asked for here`, {
      cure: 'List them with `sublet leases --all`; one that ended an hour ago is forgotten.',
    })
  return row
}

function checkLength({ settings }: SiteView, durationMs: Millis): void {
  const { leaveBudget } = settings.serviceManager!
  const before = leaveBudget + settings.skewMax
  if (durationMs > before) return
  throw new SubletError(
    'usage',
    `units begin to leave ${span(before)} before the end, and they are asked for ${span(durationMs)}`,
    { cure: 'Ask for longer with --for, or shorten serviceManager.leaveBudget in the configuration.' },
  )
}

function checkProperties(properties: Readonly<Record<string, string>>): void {
  for (const [key, value] of Object.entries(properties)) {
    if (OWN_PROPERTIES.includes(key) || key.startsWith('group.'))
      throw new SubletError('bad-property', `the property ${key} is set by the options of the request`, {
        cure: 'Use --min, --deadline, --group and --group-size.',
      })
    if (/PRIVATE KEY-----/.test(value))
      throw new SubletError('bad-property', `the property ${key} holds a private key`, {
        cure: 'Properties travel in messages: name a file instead.',
      })
  }
}

/** The row of the lease once it is answered, or as it is when the time is over. */
async function answered(
  manager: Manager,
  leaseId: string,
  isAnswered: (row: LeaseRow) => boolean,
  withinMs: Millis,
  clock: Clock,
  signal: AbortSignal,
): Promise<LeaseRow> {
  const until = clock.monotonic() + withinMs
  for (;;) {
    const row = leaseOf(manager, leaseId)
    if (isAnswered(row) || clock.monotonic() >= until) return row
    await sleep(clock, LOOK_MS, signal)
  }
}

/** What it remembers of a refusal says also what would work. */
function refusalOf(manager: Manager, { id, guest, closeReason }: LeaseRow): string {
  const refusals = manager.rows('guest').find((row) => row.id === guest)?.refusals ?? []
  return refusals.find(({ leaseId }) => leaseId === id)?.reason ?? closeReason
}

function reportOf(
  site: SiteView,
  row: LeaseRow,
  now: Instant,
  isAnswered = row.ticket !== undefined,
): HandReport {
  return {
    leaseId: row.id,
    state: isAnswered && !isFinished(row) ? 'granted' : 'waiting',
    units: row.ticket?.units ?? row.unitsAsked,
    type: row.type,
    site: row.ticket?.site ?? null,
    term: row.term ?? null,
    until: isAnswered ? null : (row.due ?? null),
    waitReason: whyItWaits(site, row, isAnswered, now),
  }
}

/** What is known here of why there is no answer; empty when there is one. */
function whyItWaits(site: SiteView, row: LeaseRow, isAnswered: boolean, now: Instant): string {
  const { id, ticket, leaseState, group } = row
  if (isAnswered && group !== undefined) return 'the others of its group are waited for'
  if (isAnswered && leaseState === 'blocked') return 'it waits for another lease'
  if (isAnswered && !awaitsSite(row)) return ''
  if (isAnswered)
    return silenceOf(site, ticket!.site, now) ?? `${ticket!.site} has not said yet whether it lends it`
  const broker = row.broker ?? site.settings.serviceManager!.broker
  const asked =
    site.broker?.name === broker ? site.broker.rows('ticket').find((one) => one.id === id) : undefined
  if (asked?.waitReason) return asked.waitReason
  const silence = silenceOf(site, broker, now)
  if (silence !== undefined) return silence
  if (group !== undefined && asksForFewer(site, row))
    return `${broker} decides when all ${row.groupSize} requests of the group are there`
  return `${broker} has not decided yet: it may wait for units that come free, or for somebody who approves it`
}

/** Some of its group may still be to come; those that others ask for are not known here. */
function asksForFewer({ serviceManager }: SiteView, { guest, group, groupSize = 0 }: LeaseRow): boolean {
  const asked = serviceManager?.rows('lease').filter((row) => row.guest === guest && row.group === group)
  return (asked?.length ?? 0) < groupSize
}

/** Why one does not answer; undefined if it does, as far as is known. */
function silenceOf({ serviceManager, federation }: SiteView, name: string, now: Instant): string | undefined {
  const view = serviceManager?.peers?.().find(({ peer }) => peer === name)
  // Whoever fetches its messages there may have been turned away before anything was sent.
  const sight = federation?.network.peers().find((peer) => peer.name === name)
  const { silentSince, lastError } = view?.silentSince === undefined ? { ...sight } : view
  if (silentSince !== undefined)
    return `nothing came back from ${name} since ${hour(silentSince)}: ${lastError}; see \`sublet check peers\``
  const { putOff } = view ?? {}
  if (putOff !== undefined && now - putOff.lastAt < PUT_OFF_MS)
    return `${name} puts our messages off since ${hour(putOff.since)}: ${putOff.reason} (too-fast)`
  return undefined
}

/** What the person is told. */
export function handText(report: HandReport): string {
  const { leaseId, state, units, type, site, term, until, waitReason, isExtension = false } = report
  if (state === 'given back' && site === null) return `${leaseId} is given up: nothing of it was granted yet`
  if (state === 'given back')
    return `${leaseId} is given back: its units leave when their work has ended, at the latest within the grace after its term`
  if (state === 'granted' && term !== null)
    return [
      `${leaseId}: ${some(units, 'unit')} of ${type} at ${site} from ${hour(term.start)} to ${hour(term.end)}`,
      ...(waitReason === '' ? [] : [`  not confirmed yet: ${waitReason}`]),
    ].join('\n')
  const limit = until === null ? '' : `, until ${hour(until)} at the latest`
  return [
    `${leaseId} waits for an answer${limit}${waitReason === '' ? '' : `: ${waitReason}`}`,
    isExtension
      ? `  unless it is extended the lease goes on to its end; look at it with: sublet explain ${leaseId}`
      : `  look at it with: sublet explain ${leaseId}; give it up with: sublet release ${leaseId}`,
  ].join('\n')
}
