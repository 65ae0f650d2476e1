import type { Claim } from '../leases/claim.ts'
import type { Conditions } from '../leases/conditions.ts'
import type { Body } from '../leases/messages.ts'
import type { Place } from '../leases/pages.ts'
import type { Properties } from '../leases/properties.ts'
import type { Vector } from '../leases/resources.ts'
import type { Term } from '../leases/term.ts'
import type { Ticket } from '../leases/ticket.ts'
import type { Instant } from '../runtime/clock.ts'
import type { Draft } from '../runtime/draft.ts'
import type { Envelope } from '../runtime/envelope.ts'
import type { Row } from '../runtime/rows.ts'
import type { LeaseState, UnitState } from './machines.ts'

export interface LeaseRow extends Row {
  readonly holder: string
  readonly state: LeaseState
  /** The ticket it stands on, and the one that takes its place at its end. */
  readonly ticket: Ticket
  readonly next: Ticket | undefined
  /** The place of the message by which `next` was agreed in all that its holder said; not known before protocol 2. */
  readonly nextSeq?: number | undefined
  /** Units that go at the boundary to `next`. */
  readonly victims: readonly string[]
  /** From the first start to the last end that was accepted. */
  readonly term: Term
  readonly unitsMin: number
  readonly image: string
  readonly properties: Properties
  readonly units: readonly string[]
  /** Setups and probes that failed. */
  readonly failures: number
  readonly closeReason: string
  /** The holder said that nothing of it runs there any more. */
  readonly vacated: boolean
  /** Why some of its units are still to come, as last written down. */
  readonly waits?: string | undefined
  /** Units that it would have if there were room. */
  readonly short?: number | undefined
  /** It begins later than it was redeemed. */
  readonly awaited?: boolean | undefined
  /** Its ticket is for more units than the one before, and they have not all been assigned yet. */
  readonly growing?: boolean | undefined
  /** Units that were lost since its ticket began, and when the next one is replaced. */
  readonly repairs?: number | undefined
  readonly repairNotBefore?: Instant | undefined
  /** It was written down that it goes on with fewer units. */
  readonly incomplete?: boolean | undefined
  /** The latest change of its properties. */
  readonly modificationId?: string | undefined
}

export interface UnitRow extends Row {
  readonly leaseId: string
  readonly holder: string
  readonly state: UnitState
  readonly type: string
  readonly name: string
  readonly slot: number
  readonly host: string
  readonly vector: Vector
  readonly image: string
  readonly assignedAt: Instant
  /** When it entered its state. A sweep that began before says nothing of it. */
  readonly since: Instant
  /** The guest has been told that it may use it: only proof that it is gone ends it for the guest. */
  readonly wasActive: boolean
  readonly facts: Properties
  /** Its holder said that it does not use it: it is not replaced. */
  readonly givenUp?: boolean | undefined
  /** Given back for a recall, or taken by one, then: tickets issued before are for that many fewer. */
  readonly recalledAt?: Instant | undefined
  /** ... and the place of the message that said so in all that its holder said: what he asked for later is without it. */
  readonly recalledSeq?: number | undefined
  /** Its holder has named it among those that are out of his middleware: he need not hear of its end any more. */
  readonly released?: boolean | undefined
  /** It served, and the site lost it or took it away: it may be replaced within the term. */
  readonly lost?: 'died' | 'moved' | undefined
  /** It went under an earlier ticket: the present one does not count it. */
  readonly past?: boolean | undefined
  /** ... and what that one was signed for. */
  readonly pastConditions?: Conditions | undefined
  /** The change of properties that it has acknowledged, the one that it has not, and how often it was tried. */
  readonly pushedModification?: string | undefined
  readonly failedModification?: string | undefined
  readonly modifyFailures?: number | undefined
  /** What the site says of it. */
  readonly reason: string
  /** The verb under way, if any. */
  readonly doing: 'setup' | 'probe' | 'modify' | 'teardown' | undefined
  /** The lease end that its dead-man has acknowledged. */
  readonly pushedEnd: Instant
  /** The end that it was told and has not acknowledged. */
  readonly unheardEnd: Instant
  /** Teardown no longer asks whether work runs there from this instant on; undefined until teardown is wanted. */
  readonly forceFrom: Instant | undefined
  /** Teardowns that failed in a row. */
  readonly teardownFailures: number
  readonly probedAt: Instant
}

/** A root claim that the site has issued, kept while tickets that are drawn from it may be good. */
export interface ClaimRow extends Row {
  readonly claim: Claim
}

/** A ticket that was accepted, in the account of the claim that it is drawn from; `id` is the ticket. */
export interface DrawnRow extends Row {
  /** Empty for a ticket of protocol 1, which names none. */
  readonly claimId: string
  readonly leaseId: string
  readonly type: string
  readonly units: number
  /** As many fewer as it was signed for: they were given back for a recall. */
  readonly back?: number | undefined
  readonly term: Term
}

/** A ticket that its broker has back; `id` is the broker and the ticket. Due when the ticket ends. */
export interface ReturnedRow extends Row {
  readonly broker: string
  /** It had ended when that was said: nobody could redeem it. */
  readonly ended?: boolean | undefined
  /** Of the row that stands for those that are too many: all that were issued until then may have been given back. */
  readonly before?: Instant | undefined
}

/** What is offered of one type; `id` is the type. */
export interface OfferRow extends Row {
  /** Whom it is offered to. */
  readonly broker?: string | undefined
  /** The claim that goes with it; undefined while nothing is lent, or while its broker has no key here. */
  readonly claimId?: string | undefined
  readonly units: number
  /** Not offered because they are stuck or were recalled. */
  readonly withheld: number
  readonly settledRecalls: readonly string[]
  /** When units of it were last taken by a recall; of one that was called off, when they would have been. */
  readonly recalledAt?: Instant | undefined
  /** When more was last lent than before, be it that units which were recalled are lent again. */
  readonly lentAgainAt?: Instant | undefined
  /** Nothing is offered any more, for this reason; what was promised is kept. */
  readonly withdrawn?: string | undefined
}

/** How setups with an image went; `id` is the image. A run of failures delays the next attempt. */
export interface ImageRow extends Row {
  readonly failures: number
  readonly notBefore: Instant
}

/** Its time came while it is forgotten what happened: it may be done with. It binds nobody before it is ordered anew. */
export type Lapsed = true | undefined

/** Units that the site wants back. */
export interface RecallRow extends Row {
  readonly type: string
  readonly units: number
  readonly by: Instant
  /** Whether the notice was long enough goes by this. */
  readonly orderedAt?: Instant | undefined
  /** The offer has shrunk by it; what is too much may still let its work end. */
  readonly taken: boolean
  /** When it did. */
  readonly takenAt?: Instant | undefined
  readonly lapsed?: Lapsed
}

/** A host that is to be worked on; `id` is the host. It gets no new units. */
export interface HostRow extends Row {
  /** Wanted empty by then. */
  readonly by: Instant
  readonly orderedAt: Instant
  readonly reason: string
  /** Units by type that are not offered because the other hosts could not hold them. */
  readonly withheld: Readonly<Record<string, number>>
  readonly lapsed?: Lapsed
}

/** There is one, `room`, while leases wait for room. */
export type RoomRow = Row

/** There is one, `site`: the sweep's next time and the slot given out last. */
export interface SiteRow extends Row {
  readonly lastSlot: number
  readonly sweeping: boolean
  /** Something ended while the sweep was under way: it is done once more. */
  readonly again?: boolean | undefined
  /** The last one failed, and that was written down. */
  readonly failing?: boolean | undefined
  /** When the last list of machines that succeeded began; and since when none has, after a start or a failure. */
  readonly listedAt?: Instant | undefined
  readonly unlistedSince?: Instant | undefined
  /** The last time that most machines were dead at once, and how many were started in this stretch of its pace. */
  readonly powerCut?: PowerCut | undefined
  readonly starts?: Starts | undefined
  /** Why no unit is assigned for now. */
  readonly paused?: string | undefined
  /** When it was last noticed that the store had been put back: root claims issued before may be missing. */
  readonly restoredAt?: Instant | undefined
}

/** Most machines were dead at one time. */
export interface PowerCut {
  /** The machines were last seen to run then. */
  readonly since: Instant
  readonly noticedAt: Instant
  readonly gone: number
  /** Machines that were to run. */
  readonly of: number
  /** Until then what fails counts against no lease. */
  readonly until: Instant
  /** Until then starts are paced at most. */
  readonly pacedUntil: Instant
  /** What was lost runs again, or the time is over. */
  readonly over?: boolean | undefined
  /** So many came one soon after the other; absent in what earlier programs kept: one. */
  readonly inRow?: number | undefined
}

/** Machines that were begun in one stretch of the pace. */
export interface Starts {
  readonly from: Instant
  readonly count: number
}

/** There is one, `recovery`, while this site finds out what it has forgotten. `due`: nobody is waited for any more. */
export interface RecoveryRow extends Row {
  readonly since: Instant
  /** First the others are heard, then the machines are listed. */
  readonly phase: 'asking' | 'listing'
  /** When the last phase began: only a list that was begun later counts. */
  readonly phaseSince: Instant
  /** How long others are waited for. */
  readonly until?: Instant | undefined
  /** The only one who says that something was forgotten, until `due`, when it is not waited for any more. */
  readonly claimant?: string | undefined
  readonly asked: Readonly<Record<string, Asked>>
  /** How much each of them has said. */
  readonly amounts?: Readonly<Record<string, Amount>> | undefined
  /** Leases of whose end the holders were being told when it began. */
  readonly lastWords?: readonly string[] | undefined
  /** Undefined before the first one. */
  readonly waiting?: HeldBack | undefined
}

/** What was kept of somebody's words, and what was not. */
export interface Amount {
  readonly chars: number
  /** Leases that are not known here, with tickets that nobody signed. */
  readonly unproven: number
  /** Some of them. */
  readonly names: readonly string[]
  /** Of what is kept, that which may be signed with keys that are not known here, and those. */
  readonly unknown?: Unknown | undefined
}

export interface Unknown {
  readonly keys: readonly string[]
  readonly chars: number
  /** There was more of it, which was written down once. */
  readonly full?: boolean | undefined
}

/** How many messages wait, how long they are, and the places given out to them: a message that is said anew gets another one. */
export interface HeldBack {
  /** By who sent them. */
  readonly of: Readonly<Record<string, number>>
  /** How long they are together; not in rows of earlier programs. */
  readonly chars?: Readonly<Record<string, number>> | undefined
  readonly places: number
}

export interface Asked {
  readonly subject: string
  readonly page: number
  /** The place after which the page begins, where that was asked for. */
  readonly after?: Place | undefined
  /** `unknown`: he is no peer and is not asked. */
  readonly state: 'asked' | 'answered' | 'silent' | 'unknown'
  /** He was restored, too, and may have forgotten what he does not name; or a page of his may have left one out. */
  readonly unsure?: boolean | undefined
}

/** What somebody said of one lease while this site recovers; `id` is the lease and who said it. */
export interface HeardRow extends Row {
  readonly from: string
  readonly holding: Body<'holdings'>['holdings'][number]
}

/**
 * A message that cannot be judged before it is known what is held. In order of `place`; once that is known each is due, at
 * its place: so long ago that they are read before all else that is due, in their order.
 */
export interface HeldBackRow extends Row {
  readonly place: number
  readonly envelope: Envelope
  /** How long it is; not in rows of earlier programs. */
  readonly chars?: number | undefined
}

export type AuthorityTables = {
  lease: LeaseRow
  unit: UnitRow
  offer: OfferRow
  claim: ClaimRow
  drawn: DrawnRow
  returned: ReturnedRow
  image: ImageRow
  recall: RecallRow
  host: HostRow
  room: RoomRow
  site: SiteRow
  recovery: RecoveryRow
  heard: HeardRow
  heldBack: HeldBackRow
}

export type AuthorityDraft = Draft<AuthorityTables>
