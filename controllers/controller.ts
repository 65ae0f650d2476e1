import type { Supply } from '../actors/leases/calendar.ts'
import type { Properties, RequestGroup } from '../actors/leases/properties.ts'
import type { Vector } from '../actors/leases/resources.ts'
import type { Term } from '../actors/leases/term.ts'
import type { Instant, Millis } from '../actors/runtime/clock.ts'

/**
 * Controllers are the clocked policies of the three roles. Each is a pure function: same input, same
 * answer, no clock, no I/O. The role applies what it returns and writes the reasons to its ledger.
 * The same functions run live, in a dry run, in a replay and in the simulator.
 */

// ── guests: what to ask for ────────────────────────────────────────────────────────────────────────

/**
 * One unit as the service manager knows it.
 *
 *   awaited ──▶ joining ──▶ joined ──▶ draining ──▶ leaving ──▶ left
 *      └───────────┴───────────┴──────────┴────────────┴──────▶ lost
 *
 * awaited: the site is setting it up · joining: our join handler and the middleware's registration run ·
 * joined: takes jobs · draining: takes no new jobs · leaving: being removed from the middleware ·
 * left: out of the middleware · lost: the site reports it dead, or it never came; never returns.
 */
export const MEMBER_STATES = ['awaited', 'joining', 'joined', 'draining', 'leaving', 'left', 'lost'] as const
export type MemberState = (typeof MEMBER_STATES)[number]

export interface HeldUnit {
  readonly id: string
  /** Its node name in the middleware. */
  readonly name: string
  readonly state: MemberState
  /**
   * When it entered `state`, by our clock; now, while a drain or a resume is still being done. A look that began
   * before this instant says nothing of it.
   */
  readonly since: Instant
  readonly joinedAt: Instant | undefined
  /** The site's doubts about it (a failed repeated probe); take no new work there. */
  readonly suspect: string | undefined
  /** Its host is to be worked on: the site wants it empty by then. */
  readonly leaveBy?: Instant | undefined
  /** Then it goes, by the terms of its lease; otherwise that is advice, and it may stay as long as its ticket. */
  readonly leaveBinding?: boolean | undefined
  /** It leaves as soon as its work has ended, and no resume takes that back. */
  readonly mustLeave?: boolean | undefined
  /** A person wants it kept until then: it is never given back for being idle. */
  readonly pinned?: { readonly until: Instant; readonly reason: string; readonly by: string } | undefined
}

/** Other properties for a live lease, and what came of them. */
export interface Modification {
  readonly askedAt: Instant
  readonly properties: Properties
  /** failed: the units in `failed` kept what they had · unanswered: it may be done, nobody has said so. */
  readonly state: 'asked' | 'done' | 'failed' | 'refused' | 'unanswered'
  readonly reason: string
  readonly failed: readonly string[]
}

export interface HeldLease {
  readonly id: string
  /** requested: no ticket yet · ticketed: ticket held, site setting up (or waits, see `blockedOn`) · active · closing: no way back. */
  readonly state: 'requested' | 'ticketed' | 'active' | 'closing'
  readonly type: string
  /** Units asked for; once ticketed, units granted. */
  readonly units: number
  /** Undefined until ticketed. */
  readonly term: Term | undefined
  readonly requestedAt: Instant
  /** An extension has been asked for and is not yet answered, or is agreed and has not yet begun. */
  readonly extending: boolean
  /** Whose units they are; undefined until ticketed. */
  readonly site?: string | undefined
  /** Asking for an extension after this is too late; undefined until ticketed. */
  readonly extendBy: Instant | undefined
  /** Why the last extension was refused, and when; asking again at once would be refused again. */
  readonly extendRefused: { readonly at: Instant; readonly reason: string } | undefined
  /** A recall that the holder has to answer by letting so many units go before `by`. */
  readonly recall: { readonly units: number; readonly by: Instant } | undefined
  /** What other requests call it. */
  readonly label?: string | undefined
  /** What it waits for, of leases of the same guest, before it is redeemed or its units join. */
  readonly blockedOn?: string | undefined
  /** The latest one. */
  readonly modification?: Modification | undefined
  /** Its site had a power cut (first heard of at `since`), and sets up again what was lost, until then at the latest. */
  readonly restoring?: { readonly since: Instant; readonly until: Instant } | undefined
  readonly held: readonly HeldUnit[]
}

/** A request that came to nothing. */
export interface Refusal {
  readonly at: Instant
  readonly leaseId: string
  readonly type: string
  /** `broker`: no ticket. `site`: ticketed, but no machine came up. */
  readonly by: 'broker' | 'site'
  readonly image: string
  readonly reason: string
  /** Whose machines did not come up; undefined if there was no ticket. */
  readonly site?: string | undefined
  /** When the lease was asked for. Absent in what earlier programs kept. */
  readonly requestedAt?: Instant | undefined
  /** Its site said that it is the machine of another lease, where nothing is run: of its type and image that says nothing. */
  readonly code?: 'machine-taken'
  /**
   * The least number of units that would have done. A refusal of few also speaks against asking for more, not
   * the other way round; without it a refusal speaks against any number.
   */
  readonly unitsMin?: number
}

export type GuestIntent =
  | {
      readonly kind: 'request'
      readonly type: string
      readonly units: number
      /** Elastic down to this many; equal to `units` if fewer will not do. */
      readonly unitsMin: number
      readonly durationMs: Millis
      /** A later start will do, until `startBy`; undefined: now or never. */
      readonly startBy: Instant | undefined
      readonly reason: string
      /** An advance reservation: not before. Undefined: now. */
      readonly startAt?: Instant | undefined
      /** What other requests of this guest call the lease in `after`. */
      readonly label?: string | undefined
      readonly group?: RequestGroup | undefined
      /**
       * `redeem`: the lease is redeemed when that one's units have joined; their facts flow to it as properties
       * `predecessor.LABEL.FACT`. `join`: its units join when that one's have.
       */
      readonly after?:
        | { readonly redeem?: string | undefined; readonly join?: string | undefined }
        | undefined
      /** Sent besides the guest's own. */
      readonly properties?: Properties | undefined
    }
  /** From the old end on, for `durationMs`, without the victims. */
  | {
      readonly kind: 'extend'
      readonly leaseId: string
      readonly durationMs: Millis
      readonly victims: readonly string[]
      readonly reason: string
      /** Units from the old end on; more than would stay without: the lease grows. Undefined: those that stay. */
      readonly units?: number | undefined
      /** Fewer will do, but none of those that stay is given up. */
      readonly unitsMin?: number | undefined
    }
  /** Other properties for the live units of the lease; the empty string takes one away. */
  | {
      readonly kind: 'modify'
      readonly leaseId: string
      readonly properties: Properties
      readonly reason: string
    }
  | { readonly kind: 'drain'; readonly unitId: string; readonly reason: string }
  | { readonly kind: 'resume'; readonly unitId: string; readonly reason: string }
  /** The unit was seen drained and empty: take it out of the middleware. */
  | { readonly kind: 'leave'; readonly unitId: string; readonly reason: string }
  /** Its node does not answer any more: put these jobs, which may start again, back into the queue. */
  | {
      readonly kind: 'requeue'
      readonly unitId: string
      readonly jobIds: readonly string[]
      readonly reason: string
    }
  /** Give the lease back; units still in the middleware leave first. */
  | { readonly kind: 'release'; readonly leaseId: string; readonly reason: string }

export interface GuestView<Observation> {
  /** The last look that may be acted on; undefined before the first. */
  readonly observation: Observation | undefined
  /** Why the latest look could not be used, and since when looks fail; undefined if it could. */
  readonly blind: { readonly since: Instant; readonly reason: string } | undefined
  /** Leases that are not closed. */
  readonly leases: readonly HeldLease[]
  /** The latest refusals, newest first, at most 50. */
  readonly refusals: readonly Refusal[]
  /** Nothing may be asked for (frozen, or just restored); drains and releases may go on. */
  readonly hold: string | undefined
  /** Nothing may be taken out for being idle either; recalls are answered, and what works goes on. */
  readonly still?: string | undefined
}

/** The figures behind a decision, for the views and the chart. */
export interface GuestFigures {
  /** Jobs that a machine would help. */
  readonly backlogJobs: number
  /** Units that would serve them at once. */
  readonly unitsWanted: number
  readonly unitsJoined: number
  /** Ordered, ticketed, booting or joining. */
  readonly unitsComing: number
  readonly oldestWaitMs: Millis
}

/** What a decision rested on, for whoever asks later why it was taken. */
export interface DecisionBasis {
  readonly look: { readonly startedAt: Instant; readonly jobs: number; readonly nodes: number }
  /** By threshold: what was found, and the bound that it was held against. Lengths of time are in ms. */
  readonly compared: Readonly<Record<string, readonly [found: number, bound: number]>>
}

export interface GuestDecision<Memory> {
  readonly intents: readonly GuestIntent[]
  readonly memory: Memory
  /** One sentence: what the controller makes of it, also when it does nothing. */
  readonly reason: string
  readonly figures: GuestFigures
  readonly basis?: DecisionBasis | undefined
  /** Decide again at the latest after this long, even if nothing happens. */
  readonly againMs: Millis
  /**
   * The soonest instant at which the answer may be another one though nothing happens; infinite if none. Absent: not
   * known. A replay skips to it, where one that lives looks again after `againMs`.
   */
  readonly steadyUntil?: Instant | undefined
}

export interface GuestController<Observation, Memory, Config> {
  readonly name: string
  readonly firstMemory: Memory
  decide(view: GuestView<Observation>, memory: Memory, config: Config, now: Instant): GuestDecision<Memory>
  /** In sentences: is this job counted, what does it wait for, what is to serve it? Undefined if unknown. */
  explainJob(
    jobId: string,
    view: GuestView<Observation>,
    memory: Memory,
    config: Config,
    now: Instant,
  ): readonly string[] | undefined
  /**
   * Of several, by id, without the unknown ones: for controllers that have much to work out which is the same for all.
   * Absent: each is explained alone.
   */
  explainJobs?(
    jobIds: readonly string[],
    view: GuestView<Observation>,
    memory: Memory,
    config: Config,
    now: Instant,
  ): ReadonlyMap<string, readonly string[]>
  /** Of each machine that is held, by unit: what it is good for now, in a few words. Absent: where it stands says it. */
  explainMachines?(
    view: GuestView<Observation>,
    memory: Memory,
    config: Config,
    now: Instant,
  ): ReadonlyMap<string, string>
}

// ── brokers: whom to grant ─────────────────────────────────────────────────────────────────────────

/** What is granted and not over, also what begins later. */
export interface Holding {
  readonly leaseId: string
  readonly holder: string
  readonly site: string
  readonly type: string
  readonly units: number
  readonly term: Term
  /** Of the request that was granted, as the holder sent them. */
  readonly properties?: Properties | undefined
}

export interface TicketRequest {
  readonly leaseId: string
  readonly holder: string
  readonly type: string
  readonly units: number
  /** Fewer will do, down to this many. */
  readonly unitsMin: number
  readonly durationMs: Millis
  /** Not before; for an extension, the old end. */
  readonly start: Instant
  /** A later start will do, until here (equal to `start`: it will not). */
  readonly startBy: Instant
  readonly arrivedAt: Instant
  /** An extension names the site it must stay at, and how many units it holds until `start`. */
  readonly extends: { readonly site: string; readonly units: number } | undefined
  /** All members are in the batch: all at one common start, or none. */
  readonly group?: RequestGroup | undefined
  /** As the holder sent them. */
  readonly properties?: Properties | undefined
  /** What it was told in the batch before, if it was told to wait for a planned start. */
  readonly planned?: { readonly site: string; readonly start: Instant } | undefined
}

export type Allocation =
  | {
      readonly kind: 'grant'
      readonly leaseId: string
      readonly site: string
      readonly units: number
      readonly term: Term
      readonly reason: string
    }
  /** Asked again when something changes, at the latest at `startBy`. */
  | {
      readonly kind: 'wait'
      readonly leaseId: string
      readonly reason: string
      /** Where and when it is to start as things are; told again with the request in the next batch. */
      readonly planned?: { readonly site: string; readonly start: Instant }
    }
  /** Says what would work instead. */
  | {
      readonly kind: 'refuse'
      readonly leaseId: string
      readonly reason: string
      readonly earliest: Instant | undefined
      readonly unitsNow: number
    }

/**
 * Decides over the whole batch. Requests come with extensions first, then in order of arrival. `supply` is what is
 * free, with all holdings taken off; `holdings` says whose they are.
 */
export type BrokerPolicy = (
  requests: readonly TicketRequest[],
  supply: Supply,
  now: Instant,
  holdings: readonly Holding[],
) => readonly Allocation[]

// ── authorities: where to place ────────────────────────────────────────────────────────────────────

export interface HostRoom {
  readonly name: string
  readonly capacity: Vector
  readonly free: Vector
}

/** The host for each of `count` units of this size, or fewer if there is no room; pure. */
export type PlacementPolicy = (count: number, size: Vector, hosts: readonly HostRoom[]) => readonly string[]
