import type { GuestFigures, MemberState, Modification, Refusal } from '../../controllers/controller.ts'
import type { Claim } from '../leases/claim.ts'
import type { Body } from '../leases/messages.ts'
import type { Place } from '../leases/pages.ts'
import type { Properties } from '../leases/properties.ts'
import type { Vector } from '../leases/resources.ts'
import type { Term } from '../leases/term.ts'
import type { Ticket } from '../leases/ticket.ts'
import type { Instant, Millis } from '../runtime/clock.ts'
import type { Draft } from '../runtime/draft.ts'
import type { Row } from '../runtime/rows.ts'
import type { LeaseState, TicketState } from './machines.ts'

/** What may be absent came with later versions, or is of few leases. */
export interface LeaseRow extends Row {
  readonly guest: string
  /** The guest again, until the lease is finished: so those are found that a controller is shown. */
  readonly openFor?: string | undefined
  /** Whom the ticket is from; absent: the one configured. */
  readonly broker?: string | undefined
  readonly ticketState: TicketState
  readonly leaseState: LeaseState
  readonly type: string
  readonly unitsAsked: number
  readonly durationMs: Millis
  readonly properties: Properties
  /** Of its machines, as the site says; until then what was asked for, empty for the site's own choice. */
  readonly image: string
  readonly requestedAt: Instant
  /** Why it was asked for. */
  readonly reason: string
  /** An advance reservation: not before. */
  readonly startAt?: Instant | undefined
  /** What other requests of the guest call it, and since when all its units have joined. */
  readonly label?: string | undefined
  readonly joinedAt?: Instant | undefined
  /** The lease whose units have to have joined before this one is redeemed, or before its units join. */
  readonly afterRedeem?: string | undefined
  readonly afterJoin?: string | undefined
  /** GUEST/ID, until all members are ticketed. */
  readonly group?: string | undefined
  readonly groupSize?: number | undefined
  /** The last ticket that counts; an extension that is granted but not confirmed by the site is `next`. Without claims. */
  readonly ticket: Ticket | undefined
  readonly next: Ticket | undefined
  /** Until then the site may hold it by an extension that was sent and never answered. */
  readonly heldTo?: Instant | undefined
  /** ... with so many units. */
  readonly heldUnits?: number | undefined
  /** What site and broker agree on; undefined until ticketed. */
  readonly term: Term | undefined
  readonly units: readonly string[]
  readonly victims: readonly string[]
  /** What the extension that is asked for may be. */
  readonly asking?: AskedExtension | undefined
  /** Where the victims' time ends while the others' goes on; undefined when nothing shrinks. */
  readonly boundary: Instant | undefined
  readonly extendRefused: ExtensionRefused | undefined
  readonly recall: PromisedBack | undefined
  /** Recalls for which units were promised, and how many: told again they are no others. The last ones. */
  readonly answered?: readonly Pick<PromisedBack, 'recallId' | 'units'>[] | undefined
  /** The earliest time by which a unit has to leave for its host's sake. */
  readonly leaveBy?: Instant | undefined
  readonly modification?: ModificationRow | undefined
  /** The store was restored, and the site has not said yet how the lease stands. */
  readonly unsure?: boolean | undefined
  /** When that was: what the site said before may be as old as the store. */
  readonly unsureSince?: Instant | undefined
  /**
   * And it has not said so in the recovery: a unit that it names when it first does may have joined in the time that is
   * forgotten.
   */
  readonly unheard?: boolean | undefined
  readonly closeReason: string
  /** It was said what became of the jobs that ran on it to its end. */
  readonly jobsTold?: boolean | undefined
  /** The site's grace after the end, as signed in the ticket. */
  readonly graceMs: Millis
  readonly restoring?: Restoring | undefined
}

/** The site sets up again what it lost in a power cut. */
export interface Restoring {
  /** First heard of then. */
  readonly since: Instant
  readonly until: Instant
  /** All its machines are up again, as the site says; what they need to join may come later. */
  readonly over?: boolean | undefined
}

/** Units that go for a recall. */
export interface PromisedBack {
  readonly recallId: string
  readonly units: number
  readonly by: Instant
  /** The site wants them by then, and its grace may run from it; undefined where that is `by`. */
  readonly siteBy?: Instant | undefined
}

export interface AskedExtension {
  readonly units: number
  readonly unitsMin: number
  /** Units that were out, or on their way, when it was asked for: the extension is not for them. */
  readonly without?: readonly string[]
  /** A person asked, not the guest's controller. */
  readonly byHand?: true
}

export interface ExtensionRefused {
  readonly at: Instant
  readonly reason: string
  /** What a person asked for: it says nothing of what the guest's controller would ask for. */
  readonly byHand?: true
}

export interface ModificationRow extends Modification {
  readonly id: string
  /** An answer is waited for until then. */
  readonly by: Instant
}

/** The claims that a ticket is drawn from, while it has still to be sent. Under the id of the lease. */
export interface ChainRow extends Row {
  readonly chain: readonly Claim[]
}

/** How often its broker has recalled of a lease. Under the id of the lease; due when it is counted anew. */
export interface RecalledRow extends Row {
  readonly times: number
  /** Of them, those that were not written down. Rows of earlier programs lack it. */
  readonly unwritten?: number | undefined
  /** The highest number of an order of its site that was shown. */
  readonly number?: number | undefined
}

/** Who was asked, after a restore, what it holds; by the id of the question. `due`: when nobody is waited for any more. */
export interface RecoveryRow extends Row {
  readonly since: Instant
  /** Nobody is waited for any more; in rows of earlier programs that is `due`. */
  readonly until?: Instant | undefined
  /** The only one who says that something was forgotten, until `due`, when it is not waited for any more. */
  readonly claimant?: string | undefined
  readonly asked: Readonly<
    Record<
      string,
      {
        readonly peer: string
        /** `unsure`: it may hold what it did not name. */
        readonly state: 'asked' | 'answered' | 'unsure' | 'silent' | 'unknown'
        /** The page that it was asked for last; not kept in rows of earlier programs. */
        readonly page?: number | undefined
        readonly after?: Place | undefined
        readonly unsure?: boolean | undefined
      }
    >
  >
}

/** A question to a broker or a site, until its answer was fetched. */
export interface QueryRow extends Row {
  readonly to: string
  readonly askedAt: Instant
  readonly answer?: Body<'query-answer'> | undefined
  /** Why there is no answer. */
  readonly failed?: string | undefined
}

export interface UnitRow extends Row {
  readonly leaseId: string
  readonly guest: string
  /** What its site calls it. */
  readonly name: string
  /** What it goes by in the middleware, where names are listed there. */
  readonly node?: string | undefined
  readonly vector: Vector
  readonly facts: Properties
  /** Where its site says that it is since it joined, which is not followed. */
  readonly movedTo?: string | undefined
  readonly state: MemberState
  readonly since: Instant
  readonly joinedAt: Instant | undefined
  readonly suspect: string | undefined
  /** The site says that it is there, and it waits for another lease, or for another unit that is the same machine. */
  readonly ready?: boolean | undefined
  /** It is awaited by an older store, and may have joined in the time that is forgotten. */
  readonly mayBeIn?: boolean | undefined
  /** The lease was extended without it: from then on no ticket stands for it. */
  readonly withoutFrom?: Instant | undefined
  /** It goes, or went, for a recall of the site. */
  readonly recalled?: boolean | undefined
  /** The site wants it empty by then; binding as a recall is. */
  readonly leaveBy?: LeaveBy | undefined
  readonly reason: string
  /** The verb under way in the middleware, if any. */
  readonly doing: 'join' | 'drain' | 'resume' | 'leave' | 'lost' | undefined
  readonly failures: number
  /** Its last resume failed: until then its controller is not heard when it wishes another one. */
  readonly resumeFrom?: Instant | undefined
  /** Of a unit that is lost: its node is removed and its jobs are back in the queue. */
  readonly settled: boolean
  /** It has to go although work may run there: jobs are put back into the queue from this instant on. */
  readonly requeueFrom: Instant | undefined
  /** It leaves as soon as it is empty, whatever the controller says. */
  readonly mustLeave: boolean
  /** A person wants it kept. */
  readonly pinned?: { readonly until: Instant; readonly reason: string; readonly by: string } | undefined
  /** What became of jobs that were on it when it had to go. */
  readonly parted?: PartedJobs | undefined
  /** Of a unit that is lost: it was given up by us, its machine may run, and no job is taken from under it. */
  readonly alive?: boolean | undefined
}

/** At most fifty of each. */
export interface PartedJobs {
  /** Back in the queue. */
  readonly back: readonly string[]
  /** They still run on a unit that has to go. */
  readonly kept: readonly { readonly id: string; readonly reason: string }[]
  readonly cut: readonly { readonly id: string; readonly reason: string }[]
}

/** A guest that is frozen; under its name. */
export interface BrakeRow extends Row {
  readonly since: Instant
  readonly by: string
  readonly reason: string
}

export interface LeaveBy {
  readonly by: Instant
  readonly binding: boolean
  /** By the site's clock. */
  readonly orderedAt?: Instant | undefined
}

/** An intent of a controller that changed nothing. */
export interface Vain {
  /** What is asked for, without the reason. */
  readonly what: string
  /** How what it is about stood. */
  readonly stood: string
  readonly until: Instant
}

/** How many decisions that do something a controller may still make. */
export interface Tokens {
  readonly left: number
  readonly at: Instant
  /** It was told that there are none. */
  readonly told?: boolean | undefined
}

export interface GuestRow extends Row {
  readonly memory: unknown
  readonly refusals: readonly Refusal[]
  readonly reason: string
  readonly figures: GuestFigures
  readonly decidedAt: Instant
  /** Of a guest that is only observed: what would be done, in short, so that it is written down when it changes. */
  readonly would?: string | undefined
  readonly blindSince: Instant | undefined
  /** What its controller wished and changed nothing; how much it may decide just now. */
  readonly vain?: readonly Vain[] | undefined
  readonly tokens?: Tokens | undefined
  /** Nodes of leases that nobody here knows, which are left alone. */
  readonly unknown?: readonly UnknownNode[] | undefined
  /** When jobs that the middleware held were last let go. */
  readonly letGoAt: Instant | undefined
}

/** A node in the middleware with our kind of mark, for a lease that nobody here knows. */
export interface UnknownNode {
  readonly name: string
  readonly leaseId: string
  readonly unitId: string
  readonly since: Instant
  readonly told: boolean
}

export type ServiceManagerTables = {
  lease: LeaseRow
  chain: ChainRow
  query: QueryRow
  recovery: RecoveryRow
  recalled: RecalledRow
  unit: UnitRow
  guest: GuestRow
  brake: BrakeRow
}

export type ServiceManagerDraft = Draft<ServiceManagerTables>
