import type { Claim } from '../leases/claim.ts'
import type { Conditions } from '../leases/conditions.ts'
import type { Body } from '../leases/messages.ts'
import type { Place } from '../leases/pages.ts'
import type { Properties, RequestGroup } from '../leases/properties.ts'
import type { RecallOrder } from '../leases/recall-order.ts'
import type { Vector } from '../leases/resources.ts'
import type { Proof, Ticket } from '../leases/ticket.ts'
import type { Instant, Millis } from '../runtime/clock.ts'
import type { Draft } from '../runtime/draft.ts'
import type { RequestProof } from '../runtime/proof.ts'
import type { Row } from '../runtime/rows.ts'
import type { TicketState } from './machine.ts'

/** What a site lends of one type. `id` is `site/type`. */
export interface DelegationRow extends Row {
  readonly site: string
  readonly type: string
  readonly units: number
  readonly vector: Vector
  readonly conditions: Conditions
  /** The longest term that the site takes a ticket for; undefined if it did not say. */
  readonly termMsMax?: Millis | undefined
  /** How many they were before they were none, as of a type that is withdrawn. */
  readonly lent?: number | undefined
  /** What tickets are drawn from; absent while nothing is lent, and of a site that speaks protocol 1. */
  readonly claim?: Delegated | undefined
  /** The one before, until `claim` begins. */
  readonly before?: Delegated | undefined
  /** Units that it has taken for recalls and not lent again, as its offers show. */
  readonly owed?: number | undefined
  /** By ticket: units that were promised back for those, and that it has not said it counts no more. Absent: all of them. */
  readonly keeps?: Readonly<Record<string, number>> | undefined
  /** Recalls that it has taken, the last ones: holders may answer for them only then. */
  readonly took?: readonly string[] | undefined
  /** By ticket: units that were given back for a recall, and that it said it counts no more. */
  readonly back?: Readonly<Record<string, number>> | undefined
}

export interface Delegated {
  readonly hash: string
  readonly claim: Claim
  /** A ticket was drawn from it: it is kept as long as that may be asked for. */
  readonly drawn: boolean
}

/** A claim that is no longer drawn from, and from which there are tickets. `id` is its hash. */
export interface ClaimRow extends Row {
  readonly claim: Claim
}

/** One lease as the broker sees it: a request, then a ticket, then its extensions. `id` is the lease's. */
export interface TicketRow extends Row {
  readonly holder: string
  readonly state: TicketState
  readonly type: string
  readonly arrivedAt: Instant
  /** Counts the requests in order of arrival: which came first of those of one millisecond. */
  readonly turn?: number | undefined
  /** The question that is open; undefined when there is none. */
  readonly asked: Asked | undefined
  /** Why it waits, as last decided. */
  readonly waitReason: string
  /** What is granted, oldest first; an extension follows the ticket it names. Past ones are dropped. */
  readonly tickets: readonly Ticket[]
  /** Units that the holder promised to give back, from then on. */
  readonly reduced:
    | {
        readonly units: number
        readonly from: Instant
        readonly plannedAt: Instant
        /** Of how many they are. */
        readonly of?: number | undefined
        /** By ticket that it had at a promise: how many fewer it counts. Rows of earlier programs lack it. */
        readonly off?: Readonly<Record<string, number>> | undefined
        /** By ticket: how many of these were gone when the last were promised, and since when. */
        readonly since?:
          | { readonly from: Instant; readonly off: Readonly<Record<string, number>> }
          | undefined
        /** In those: ids of the tickets that it had then. Of still older ones they are those issued until `plannedAt`. */
        readonly tickets?: readonly string[] | undefined
      }
    | undefined
  readonly group?: RequestGroup | undefined
  /** Units that were asked back of it and on which its holder has not answered, by recall. */
  readonly askedBack?: Readonly<Record<string, number>> | undefined
  /** What its holder promised back for each recall, be that over: promised again, it is not more. The last ones. */
  readonly promised?: readonly { readonly recallId: string; readonly units: number }[] | undefined
  /** How often it was recalled since then; counted anew after an hour. */
  readonly recalls?: { readonly since: Instant; readonly times: number } | undefined
  /** When somebody last showed its ticket to a broker that was restored from an older store. */
  readonly heardAt?: Instant | undefined
  /** The property `guest`: whom its holder asks for. */
  readonly guest?: string | undefined
  /** The property `priority`: how urgent it was asked for, which its extensions are, too. */
  readonly priority?: string | undefined
}

export interface Asked {
  readonly units: number
  readonly unitsMin: number
  readonly durationMs: Millis
  readonly start: Instant
  readonly startBy: Instant
  readonly properties?: Properties | undefined
  /** Where it is to start as things are, as last decided. */
  readonly planned?: { readonly site: string; readonly start: Instant } | undefined
  /** Who asked, as he signed it; absent where he speaks protocol 1. */
  readonly proof?: Pick<Proof, 'holderKey' | 'request'> | undefined
  /** A person has to approve it first; it waits since then, for this reason. */
  readonly approval?: { readonly since: Instant; readonly reason: string } | undefined
}

/** Requests that start together, or not at all. `id` is `holder name`. */
export interface GroupRow extends Row {
  readonly size: number
  readonly state: 'gathering' | 'started' | 'failed'
  /** Leases, in order of arrival. */
  readonly members: readonly string[]
  /** The earliest of the latest starts. */
  readonly failBy: Instant
}

/**
 * A site wants units back from `by` on; counted as taken until its offer is smaller. Due long after `by`: nobody settles it
 * any more; or, while some of it waits to be passed on, when it is.
 */
export interface RecallRow extends Row {
  readonly site: string
  readonly type: string
  readonly units: number
  readonly by: Instant
  /** Units that holders were asked for and have not answered on, by lease. */
  readonly asked?: Readonly<Record<string, number>> | undefined
  /** By ticket: units that holders promised back for it. */
  readonly planned?: Readonly<Record<string, number>> | undefined
  /** What of it has still to be passed on: the leases that have it were asked too often of late. */
  readonly waiting?: WantedBack | undefined
}

export interface WantedBack {
  /** Units for which nobody was asked yet. */
  readonly left: number
  readonly orderedAt: Instant
  readonly order: RecallOrder
}

/** A ticket that was given back; `id` is the ticket. Due when it ends. */
export interface ReturnedRow extends Row {
  readonly leaseId: string
  readonly holder: string
  /** Absent while nobody has shown it to a broker that was restored: neither is it known then when it ends. */
  readonly site?: string | undefined
  /** When that broker was told so: what was no extension to come by then is not given back so. */
  readonly heardAt?: Instant | undefined
  /** The head of the message by which its holder said so, as he signed it, if he did. */
  readonly proof?: RequestProof | undefined
}

/** What a site is to hear of in this commit; `id` is the site. */
export interface TellingRow extends Row {
  readonly tickets: Body<'tickets-returned'>['tickets']
}

/** What a peer asks; `id` is its name. Due when it is counted anew. */
export interface AskerRow extends Row {
  readonly times: number
}

/** There is one, `round`: when it is due the policy decides over everything that is open. */
export interface RoundRow extends Row {
  readonly id: 'round'
  /** Why nothing is decided for now. */
  readonly paused?: string | undefined
  /** The `turn` of the request that came last. */
  readonly turns?: number | undefined
}

/** There is one while the broker, restored from an older store, asks others what they hold. Due: it waits no longer. */
export interface RecoveryRow extends Row {
  readonly since: Instant
  /** Nobody is waited for any more; in rows of earlier programs that is `due`. */
  readonly until?: Instant | undefined
  /** The only one who says that something was forgotten, until `due`, when it is not waited for any more. */
  readonly claimant?: string | undefined
  readonly peers: Readonly<
    Record<
      string,
      {
        readonly subject: string
        readonly page: number
        /** The place after which the page begins, where that was asked for. */
        readonly after?: Place | undefined
        /** A page before was not sure to be followed by all that was to follow. */
        readonly unsure?: boolean | undefined
        /**
         * `unsure`: he was restored, too, and may have forgotten what he does not name. `unknown`: he is no peer and is
         * not asked.
         */
        readonly state: 'asked' | 'answered' | 'unsure' | 'silent' | 'unknown'
      }
    >
  >
  /** Holders who were restored, too, and what they asked: they are told when it is known. By name. */
  readonly waiting?:
    | Readonly<Record<string, { readonly subject: string } & Body<'holdings-query'>>>
    | undefined
}

/** What a holder asked who had to wait until it was known what is held; `id` is its name. Due at once: it is told. */
export interface WaitingRow extends Row {
  readonly subject: string
  readonly query: Body<'holdings-query'>
}

/** A site that asks what is held is told anew of all tickets at it that were given back; `id` is the site. */
export interface RetellingRow extends Row {
  /** The last ticket that it was told of. */
  readonly after: string
  /** The first ticket of each message in which it was told last; of rows of earlier programs it is not known. */
  readonly told?: readonly string[] | undefined
  /** It has asked once more meanwhile. */
  readonly isAskedAgain: boolean
  /** How long it was waited for since it took the last of what it was told. */
  readonly waitedMs: Millis
}

export type BrokerTables = {
  recovery: RecoveryRow
  waiting: WaitingRow
  retelling: RetellingRow
  delegation: DelegationRow
  claim: ClaimRow
  ticket: TicketRow
  group: GroupRow
  recall: RecallRow
  returned: ReturnedRow
  telling: TellingRow
  asker: AskerRow
  round: RoundRow
}

export type BrokerDraft = Draft<BrokerTables>
