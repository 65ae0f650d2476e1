import type { Ticket } from '../leases/ticket.ts'
import { someUnits } from '../leases/words.ts'
import type { Instant, Millis } from '../runtime/clock.ts'
import { coded } from '../runtime/errors.ts'
import { indexOf } from '../runtime/views.ts'
import type { AuthorityConfig } from './config.ts'
import { doubtGroup, place } from './place.ts'
import { leaveToStart, noteStarts, paceReason } from './power-cut.ts'
import type { AuthorityDraft, LeaseRow, UnitRow } from './rows.ts'
import { awaitRoom, isLive, isRecovering, nextEndOf, unitsOf } from './standing.ts'
import type { Units } from './units.ts'

/** In which order those that wait for room are served: what was granted before goes on before anything new begins. */
const RANKS = ['growing', 'repairing', 'new'] as const
type Rank = (typeof RANKS)[number]

const rankOf = ({ state, growing }: LeaseRow): Rank =>
  growing === true ? 'growing' : state === 'active' ? 'repairing' : 'new'

const keyOf = (rank: Rank, type: string): string => `${rank} ${type}`

/** Leases that would have more units if there were room. */
const waiting = indexOf<LeaseRow>('lease', (lease) =>
  lease.short !== undefined && (lease.state === 'pending' || lease.state === 'active')
    ? keyOf(rankOf(lease), lease.ticket.type)
    : undefined,
)

/** One that finds no room; after so many in a row the others of the type are not tried. */
const IN_VAIN_MAX = 8

/** What comes of looking after a lease's units. */
export interface Filled {
  readonly lease: LeaseRow
  readonly missing: number
  readonly added: number
  /** Nothing more will come. */
  readonly exhausted: boolean
  /** Why the lease, of which nothing is there, cannot be as it demands. */
  readonly impossible?: string | undefined
}

/**
 * Assigns what leases lack:
 *
 *   lacks units ──▶ room? ──▶ placed
 *                     └──no──▶ waits ──a unit has ended, more is lent, `retryMs`──▶ served: growing, repairing, new
 */
export class Filling {
  readonly #config: AuthorityConfig
  readonly #units: Units

  constructor(config: AuthorityConfig, units: Units) {
    this.#config = config
    this.#units = units
  }

  /** Assigns as much of what is missing as there is room for, and says in `due` when it is worth looking again. */
  fill(given: LeaseRow, draft: AuthorityDraft): Filled {
    const config = this.#config
    const { missing, exhausted } = lacking(config, given, draft)
    const begins = Math.max(draft.get('image', given.image)?.notBefore ?? 0, given.repairNotBefore ?? 0)
    const end = nextEndOf(given)
    if (missing <= 0 || exhausted) {
      const growing = missing > 0 && !exhausted ? given.growing : undefined
      const lease: LeaseRow = { ...given, waits: undefined, short: undefined, growing, due: end }
      draft.put('lease', lease)
      return { lease, missing: Math.max(0, missing), added: 0, exhausted: missing > 0 && exhausted }
    }
    // When it is over every lease that waits is looked at.
    const paused =
      draft.get('site', 'site')?.paused ??
      (isRecovering(draft)
        ? 'the site asks its peers first, and assigns nothing until they have answered'
        : undefined)
    const isPaused = paused !== undefined
    const may = begins <= draft.now && !isPaused
    const ungrouped = may ? doubtGroup(config, given, draft) : undefined
    // One that had its machines once has them again when hosts are: only a new one is given up.
    const isNew = given.state === 'pending' && !unitsOf(given, draft).some(hasServed)
    if (ungrouped?.forGood === true && isNew) return this.#unplaced(given, missing, ungrouped.reason, draft)
    const leave = leaveToStart(config, draft)
    const most = Math.min(missing, leave?.units ?? missing)
    const mayPlace = may && most > 0 && ungrouped === undefined
    const added = mayPlace ? place(config, given, most, missing, this.#reserved(given, draft), draft) : []
    noteStarts(config, added.length, draft)
    const short = missing - added.length
    const isPaced = leave !== undefined && added.length === most
    const why =
      paused ??
      (isPaced && begins <= draft.now ? paceReason(config, draft) : undefined) ??
      (ungrouped &&
        (ungrouped.forGood ? ungrouped.reason : `${ungrouped.reason}, before what leaves there has gone`))
    const waits = short > 0 ? whyShort(given, short, why, begins, draft) : undefined
    if (waits !== undefined && waits !== given.waits) draft.note('lease waits', given.id, waits)
    const lease: LeaseRow = {
      ...given,
      ...{
        waits,
        short: short > 0 && may ? short : undefined,
        growing: short > 0 ? given.growing : undefined,
      },
      units: added.length === 0 ? given.units : [...given.units, ...added.map(({ id }) => id)],
      due: short > 0 && !may && !isPaused ? Math.min(end, begins) : end,
    }
    draft.put('lease', lease)
    if (short > 0 && may) awaitRoom(isPaced ? leave.again : draft.now + config.retryMs, draft)
    for (const unit of added) this.#units.tend(unit, draft)
    return { lease: draft.get('lease', lease.id)!, missing, added: added.length, exhausted: false }
  }

  /** It demands what this site does not have. */
  #unplaced(given: LeaseRow, missing: number, why: string, draft: AuthorityDraft): Filled {
    const lease: LeaseRow = { ...given, waits: undefined, short: undefined, due: nextEndOf(given) }
    draft.put('lease', lease)
    return { lease, missing, added: 0, exhausted: false, impossible: coded('no-switch-group', why) }
  }

  /** It has to wait until those that are before it were served, in the next commit. */
  queue(given: LeaseRow, draft: AuthorityDraft): void {
    const { missing } = lacking(this.#config, given, draft)
    draft.put('lease', { ...given, short: Math.max(1, missing), due: nextEndOf(given) })
    awaitRoom(draft.now, draft)
  }

  /** Those that wait, in their order; `tend` looks after one. */
  serve(tend: (lease: LeaseRow, draft: AuthorityDraft) => void, draft: AuthorityDraft): void {
    draft.remove('room', 'room')
    const full = new Set<string>()
    for (const rank of RANKS)
      for (const type of Object.keys(this.#config.types)) {
        const first = draft.having(waiting, keyOf(rank, type)).sort(byTurn)
        let inVain = 0
        for (const lease of first) {
          if (full.has(type)) break
          const before = lease.short ?? 0
          tend(lease, draft)
          inVain = (draft.get('lease', lease.id)?.short ?? 0) < before ? 0 : inVain + 1
          if (inVain >= IN_VAIN_MAX) full.add(type)
        }
      }
    const { again = Number.POSITIVE_INFINITY } = leaveToStart(this.#config, draft) ?? {}
    if (this.#someoneWaits(draft)) awaitRoom(Math.min(again, draft.now + this.#config.retryMs), draft)
  }

  /** Of each of its tickets: the units that are there or may still come. */
  unitsLeft(lease: LeaseRow, draft: AuthorityDraft): { ticket: number; next: number } {
    const { ticket, next, victims } = lease
    const mine = unitsOf(lease, draft)
    const live = mine.filter((unit) => unit.past !== true && isLive(unit)).length
    const { missing } = lacking(this.#config, lease, draft)
    return {
      ticket: Math.min(ticket.units, live + Math.max(0, missing)),
      next: next === undefined ? 0 : Math.max(0, next.units - recalledOf(next, victims, lease, draft)),
    }
  }

  /** What leases that grow still lack is not given to others. */
  #reserved(lease: LeaseRow, draft: AuthorityDraft): number {
    if (rankOf(lease) === 'growing') return 0
    return draft
      .having(waiting, keyOf('growing', lease.ticket.type))
      .reduce((sum, { short = 0 }) => sum + short, 0)
  }

  #someoneWaits(draft: AuthorityDraft): boolean {
    return RANKS.some((rank) =>
      Object.keys(this.#config.types).some((type) => draft.having(waiting, keyOf(rank, type)).length > 0),
    )
  }
}

/** Units to be assigned; none that would be too many from the agreed boundary on. */
export function lacking(
  config: AuthorityConfig,
  lease: LeaseRow,
  draft: AuthorityDraft,
): { readonly missing: number; readonly exhausted: boolean } {
  const mine = unitsOf(lease, draft)
  const repairs = mayRepair(config, lease, draft.now)
  const counting = mine.filter((unit) => counts(unit, repairs)).length
  const exhausted = lease.failures >= config.failuresMax || config.types[lease.ticket.type] === undefined
  // What goes on beyond its ticket, for its machines were told so before a restore, gets nothing new.
  const isBeyond = lease.next === undefined && draft.now >= lease.ticket.term.end
  const missing = isBeyond ? 0 : lease.ticket.units - counting
  if (lease.next === undefined) return { missing, exhausted }
  const { next } = lease
  const staying = mine.filter(
    (unit) => !lease.victims.includes(unit.id) && (isLive(unit) || isRecalledOf(next, unit)),
  ).length
  return { missing: Math.min(missing, lease.next.units - staying), exhausted }
}

const byTurn = (a: LeaseRow, b: LeaseRow): number =>
  a.ticket.term.start - b.ticket.term.start || a.ticket.issuedAt - b.ticket.issuedAt || (a.id < b.id ? -1 : 1)

/** The unit is one of those that the present ticket is for: it is there, or served and is not to be replaced. */
const counts = (unit: UnitRow, repairs: boolean): boolean =>
  unit.past !== true &&
  (isLive(unit) || (hasServed(unit) && !(repairs && unit.lost !== undefined && unit.givenUp !== true)))

/**
 * The ticket was issued before the unit was given back for a recall: its broker counts one fewer of it since. One that was
 * asked for after that was issued later, whatever the clocks of the two say.
 */
export const isRecalledOf = ({ issuedAt, proof }: Ticket, unit: UnitRow): boolean => {
  const { recalledAt, recalledSeq, past } = unit
  if (past === true || recalledAt === undefined || recalledAt < issuedAt) return false
  return recalledSeq === undefined || !(Number(proof?.request.seq) > recalledSeq)
}

/** Units that were given back, or taken, for a recall and that the broker counts no more in a ticket for what follows. */
export const recalledOf = (
  next: Ticket,
  victims: readonly string[],
  lease: LeaseRow,
  draft: AuthorityDraft,
): number =>
  unitsOf(lease, draft).filter(
    (unit) => !victims.includes(unit.id) && !isLive(unit) && isRecalledOf(next, unit),
  ).length

/** Units that served and died, or that the holder gave up. */
export const hasServed = (unit: UnitRow): boolean => unit.wasActive || unit.givenUp === true

/** Whether what is lost is replaced: not for the last minutes, and not for ever. */
export const mayRepair = (config: AuthorityConfig, lease: LeaseRow, now: Instant): boolean =>
  config.repair &&
  lease.term.end - now >= config.repairMinMs &&
  (lease.repairs ?? 0) <= Math.max(config.failuresMax, lease.ticket.units)

/** The first one is replaced at once, each further one of the same ticket waits twice as long. */
export const repairDelayMs = (config: AuthorityConfig, repairs: number): Millis =>
  repairs <= 1 ? 0 : config.backoffMs * 2 ** Math.min(6, repairs - 2)

/** `paused`: what keeps it from being served whatever is free. */
function whyShort(
  lease: LeaseRow,
  short: number,
  paused: string | undefined,
  begins: Instant,
  draft: AuthorityDraft,
): string {
  const away = draft.all('host').map(({ id }) => id)
  const why =
    paused ??
    (begins > draft.now
      ? `machines of image ${lease.image} failed or died, and the next attempt waits until ${new Date(begins).toISOString()}`
      : `no slot, host or unit of the offer is free${away.length === 0 ? '' : ` while work is to be done on ${away.join(', ')}`}`)
  return `still to come: ${short} of ${someUnits(lease.ticket.units)}: ${why}`
}
