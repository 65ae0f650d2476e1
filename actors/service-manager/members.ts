import type { NodeMark } from '../../adapters/batch-system.ts'
import type { MemberState, Refusal } from '../../controllers/controller.ts'
import { RETIRE_MS, tell } from '../leases/correspondence.ts'
import type { Body } from '../leases/messages.ts'
import type { Instant } from '../runtime/clock.ts'
import type { EffectOutcome } from '../runtime/mind.ts'
import { isWorthSaying } from '../runtime/sentence.ts'
import type { ServiceManagerConfig } from './config.ts'
import type { JoinOutcome, LeaveOutcome, MemberEffectArgs, Parting } from './membership.ts'
import { overOn, rivalOf, takenBy } from './one-machine.ts'
import { againFrom } from './pace.ts'
import { parted } from './parted.ts'
import { mayJoinLater } from './restoring.ts'
import type { LeaseRow, ServiceManagerDraft, UnitRow } from './rows.ts'
import { isGivenBack } from './steps.ts'
import { factsNow } from './where.ts'

type Report = Body<'lease-update'>['units'][number]
type Named = Pick<Report, 'id' | 'name' | 'vector' | 'facts'>

/** As a look at the middleware shows it. */
export interface MarkedNode {
  readonly name: string
  readonly mark: NodeMark
  readonly responding: boolean
}

type Wasted = (unit: UnitRow, reason: string, draft: ServiceManagerDraft, code?: Refusal['code']) => void

const JOIN_RETRY_FACTOR_MAX = 8

/**
 * The units of our leases as members of the guest's middleware, one verb at a time each:
 *
 *   awaited ──active──▶ joining ──▶ joined ◀─resume─ ─drain─▶ draining ──▶ leaving ──▶ left
 *      └──── ended ────────┴──────────┴─────────────────────────┴──────────▶ lost
 *
 * A unit that does not join leaves as well; if it does not even do that, it is given up as lost, alive.
 */
export class Members {
  readonly #config: ServiceManagerConfig
  /** A unit is out of the middleware, or its node is removed and its jobs are back. */
  readonly #out: (unit: UnitRow, draft: ServiceManagerDraft) => void
  /** A machine came to nothing. */
  readonly #wasted: Wasted
  readonly #joined: (leaseId: string, draft: ServiceManagerDraft) => void

  constructor(
    config: ServiceManagerConfig,
    out: (unit: UnitRow, draft: ServiceManagerDraft) => void,
    wasted: Wasted,
    joined: (leaseId: string, draft: ServiceManagerDraft) => void,
  ) {
    this.#config = config
    this.#out = out
    this.#wasted = wasted
    this.#joined = joined
  }

  /** Takes in what the site says of a unit. Repeated and late reports change nothing. */
  reported(lease: LeaseRow, report: Report, sentAt: Instant, draft: ServiceManagerDraft): void {
    const known = draft.get('unit', report.id)
    if (known !== undefined && known.leaseId !== lease.id)
      return draft.note('message refused', lease.id, `${report.id} is a unit of ${known.leaseId}`)
    const awaited = known ?? this.#newUnit(lease, report, draft)
    // Of an older store: it may be in the middleware since.
    const isOld = lease.unsure === true || (lease.unheard === true && known === undefined)
    const isForgotten = isOld && awaited.state === 'awaited'
    const before = isForgotten ? { ...awaited, mayBeIn: true } : awaited
    const unit = withLeaveBy(before, lease, report, sentAt, draft)
    if (unit !== known) draft.put('unit', unit)
    switch (report.report) {
      case 'coming':
        if (unit.state === 'awaited' && isGivenBack(lease)) this.#tooLate(unit, lease, draft)
        return
      case 'active':
        return this.#active(
          { ...unit, ...factsNow(unit, report.facts, draft), suspect: undefined },
          lease,
          draft,
        )
      case 'suspect':
        if (unit.suspect === undefined && !isOut(unit))
          draft.note('unit suspect', unit.id, `the site doubts ${unit.name}: ${report.reason}`)
        return draft.put('unit', { ...unit, suspect: report.reason })
      case 'ended':
        return this.#ended(unit, report.reason, draft)
    }
  }

  /** No new jobs. */
  drain(unit: UnitRow, reason: string, draft: ServiceManagerDraft): void {
    if (unit.state !== 'joined') return
    this.#enter(unit, 'draining', reason, draft)
    this.#do(unit.id, 'drain', this.#config.leaveMs, draft)
  }

  resume(unit: UnitRow, reason: string, draft: ServiceManagerDraft): void {
    if (unit.state !== 'draining' || unit.mustLeave || unit.doing === 'resume') return
    draft.put('unit', { ...unit, reason })
    draft.note('unit resuming', unit.id, reason)
    this.#do(unit.id, 'resume', this.#config.leaveMs, draft)
  }

  /** Out of the middleware as soon as it is empty; from `requeueFrom` on its jobs are put back into the queue. */
  leave(
    unit: UnitRow,
    requeueFrom: Instant | undefined,
    mustLeave: boolean,
    reason: string,
    draft: ServiceManagerDraft,
  ): void {
    if (isOut(unit)) return
    const from = Math.min(
      requeueFrom ?? Number.POSITIVE_INFINITY,
      unit.requeueFrom ?? Number.POSITIVE_INFINITY,
    )
    const firm: UnitRow = {
      ...unit,
      requeueFrom: Number.isFinite(from) ? from : undefined,
      mustLeave: unit.mustLeave || mustLeave,
    }
    if (isOutside(unit)) {
      draft.put('unit', firm)
      this.#enter(firm, 'left', `${reason}; it had not joined yet`, draft)
      return this.#out(unit, draft)
    }
    draft.put('unit', firm)
    if (unit.state === 'leaving' || (unit.state === 'draining' && unit.doing === 'leave')) return
    this.#enter(firm, 'leaving', reason, draft)
    this.#do(unit.id, 'leave', this.#config.leaveMs, draft)
  }

  /** The site has spoken its final word on the whole lease: whatever has not left is gone. */
  allGone(lease: LeaseRow, reason: string, draft: ServiceManagerDraft): void {
    for (const id of lease.units) {
      const unit = draft.get('unit', id)
      if (unit !== undefined) this.#ended(unit, reason, draft)
    }
  }

  /** Its node is in the middleware again though it has gone from there. */
  removeAgain(unit: UnitRow, draft: ServiceManagerDraft): void {
    draft.put('unit', { ...unit, since: draft.now })
    this.#do(unit.id, 'lost', this.#config.leaveMs, draft)
  }

  /**
   * The lease is over, and its node is in the middleware though an older store had no row of it. Its machine may run as
   * long as the site lets work there end, and a frozen one does not answer either: it is gone if it does not for longer.
   */
  forgotten(
    lease: LeaseRow,
    { name, mark: { unitId: id }, responding }: MarkedNode,
    draft: ServiceManagerDraft,
  ): void {
    const { leaveBudgetMs, quarantineMs } = this.#config
    const known = draft.get('unit', id)
    if (known === undefined) {
      const unit = { ...this.#newUnit(lease, { id, name, vector: {}, facts: {} }, draft), mayBeIn: true }
      const until = lease.term === undefined ? draft.now + quarantineMs : lease.term.end + lease.graceMs
      const reason = `${name} is in the middleware, and its lease is over`
      return this.leave(unit, until - leaveBudgetMs, true, reason, draft)
    }
    const isGivenUp = known.state === 'lost' && known.alive === true
    if (responding || known.leaseId !== lease.id || known.mayBeIn !== true) return
    if (isOut(known) && !isGivenUp) return
    if (draft.now < (known.requeueFrom ?? known.since) + leaveBudgetMs + quarantineMs) return
    this.#ended(known, `${name} does not answer, long after the end of its lease`, draft)
  }

  /** The lease need not wait for another one any more. */
  mayJoin(leaseId: string, draft: ServiceManagerDraft): void {
    const lease = draft.get('lease', leaseId)!
    for (const id of lease.units) {
      const unit = draft.get('unit', id)
      if (unit?.ready === true) this.#active({ ...unit, ready: undefined }, lease, draft)
    }
  }

  due(unit: UnitRow, draft: ServiceManagerDraft): void {
    const rested: UnitRow = { ...unit, due: undefined }
    draft.put('unit', rested)
    if (unit.doing !== undefined) return
    if (unit.state === 'awaited' && unit.ready === true)
      return this.#active(rested, draft.get('lease', unit.leaseId)!, draft)
    if (unit.state === 'joining') {
      const rival = rivalOf(rested, draft)
      if (rival !== undefined)
        return this.#failed(rested, 'join', takenBy(rested, rival, draft), draft, 'machine-taken')
      return this.#do(unit.id, 'join', this.#config.joinMs, draft)
    }
    if (unit.state === 'lost' && !unit.settled) return this.#do(unit.id, 'lost', this.#config.leaveMs, draft)
    if (unit.state === 'draining' && unit.mustLeave)
      return this.#do(unit.id, 'leave', this.#config.leaveMs, draft)
    if (unit.state === 'draining') return this.#do(unit.id, 'drain', this.#config.leaveMs, draft)
    if (unit.state === 'leaving') return this.#do(unit.id, 'leave', this.#config.leaveMs, draft)
  }

  answered(unitId: string, verb: string, outcome: EffectOutcome, draft: ServiceManagerDraft): void {
    const row = draft.get('unit', unitId)
    if (row === undefined || row.doing !== verb)
      return draft.note('outcome noted', unitId, `${verb} ended, but ${row?.doing ?? 'nothing'} is under way`)
    const unit: UnitRow = { ...row, doing: undefined, due: undefined }
    if (outcome.kind === 'failed') return this.#failed(unit, verb, outcome.reason, draft)
    switch (verb) {
      case 'join':
        return this.#entered(unit, outcome.value as JoinOutcome | undefined, draft)
      case 'drain':
        // The look that shows it drained has to begin after this.
        return draft.put('unit', { ...unit, since: draft.now })
      case 'resume':
        return this.#enter({ ...unit, failures: 0, resumeFrom: undefined }, 'joined', unit.reason, draft)
      case 'leave':
        return this.#left(unit, outcome.value as LeaveOutcome, draft)
      case 'lost':
        draft.put('unit', { ...unit, settled: true })
        return this.#removed({ ...unit, settled: true }, outcome.value as Parting | undefined, draft)
    }
  }

  #entered(unit: UnitRow, named: JoinOutcome | undefined, draft: ServiceManagerDraft): void {
    const node = named?.node ?? unit.node
    const joined: UnitRow = { ...unit, joinedAt: draft.now, failures: 0, ...(node !== undefined && { node }) }
    draft.put('unit', joined)
    const as = node === undefined ? '' : `, as ${node}`
    this.#enter(joined, 'joined', `${unit.name} takes jobs${as}`, draft)
    this.#joined(unit.leaseId, draft)
  }

  #active(unit: UnitRow, lease: LeaseRow, draft: ServiceManagerDraft): void {
    draft.put('unit', unit)
    if (unit.state !== 'awaited') return
    if (isGivenBack(lease) || unit.mustLeave) return this.#tooLate(unit, lease, draft)
    if (lease.afterJoin !== undefined) return draft.put('unit', { ...unit, ready: true })
    const rival = rivalOf(unit, draft)
    if (rival !== undefined) return this.#taken(unit, rival, draft)
    const fresh: UnitRow = { ...unit, ready: undefined, due: undefined, failures: 0 }
    this.#enter(fresh, 'joining', `the site says that ${unit.name} is ready`, draft)
    this.#do(unit.id, 'join', this.#config.joinMs, draft)
  }

  /** Nothing is run there. What that site or the other one says of its lease may be on its way yet: it is tried again. */
  #taken(unit: UnitRow, rival: UnitRow, draft: ServiceManagerDraft): void {
    // Said again by the site meanwhile.
    if (unit.due !== undefined && unit.due > draft.now) return
    const reason = takenBy(unit, rival, draft)
    this.#failed({ ...unit, ready: true, reason }, 'join', reason, draft, 'machine-taken')
  }

  #tooLate(unit: UnitRow, lease: LeaseRow, draft: ServiceManagerDraft): void {
    const reason = 'it came when the lease was already being given back'
    if (!isOutside(unit)) {
      const requeueFrom = lease.term!.end + lease.graceMs - this.#config.leaveBudgetMs
      return this.leave(unit, requeueFrom, true, reason, draft)
    }
    this.#enter(unit, 'left', reason, draft)
    this.#out(unit, draft)
  }

  #ended(unit: UnitRow, reason: string, draft: ServiceManagerDraft): void {
    // Given up by us before, and now gone: its jobs, if any, are free to go.
    if (unit.state === 'lost' && unit.alive === true) return draft.put('unit', { ...unit, alive: undefined })
    if (unit.state === 'left' || unit.state === 'lost') return
    const neverThere = isOutside(unit)
    this.#enter({ ...unit, settled: neverThere }, 'lost', reason, draft)
    if (neverThere) {
      this.#wasted(unit, reason, draft)
      return this.#out(unit, draft)
    }
    this.#do(unit.id, 'lost', this.#config.leaveMs, draft)
  }

  #removed(row: UnitRow, jobs: Parting | undefined, draft: ServiceManagerDraft): void {
    const unit = parted(row, jobs, draft)
    const cut = unit.parted?.cut.length ?? 0
    const became = cut === 0 ? 'its jobs are back in the queue' : `${someJobs(cut)} cut with it`
    draft.note('node removed', unit.id, `${unit.name} is out of the middleware; ${became}`)
    this.#out(unit, draft)
  }

  #left(row: UnitRow, outcome: LeaveOutcome, draft: ServiceManagerDraft): void {
    if (outcome.kind === 'left') {
      const unit = parted({ ...row, state: 'left' }, outcome, draft)
      this.#enter(unit, 'left', `${unit.name} was empty and has left`, draft)
      return this.#out(unit, draft)
    }
    const unit = parted(row, outcome, draft)
    const reason = `${unit.name} cannot leave yet: ${running(outcome.jobs)} there`
    const due = unit.mustLeave ? draft.now + this.#config.retryMs : undefined
    // Where work runs it has joined, though nothing was heard of that: it is not given up as one that never did.
    const there: UnitRow = { ...unit, due, joinedAt: unit.joinedAt ?? draft.now }
    // Work may run for days: what was said of it once is not said again at each try.
    if (unit.state === 'draining' && unit.reason === reason) return draft.put('unit', there)
    this.#enter(there, 'draining', reason, draft)
  }

  #failed(
    unit: UnitRow,
    verb: string,
    reason: string,
    draft: ServiceManagerDraft,
    code?: Refusal['code'],
  ): void {
    const failures = unit.failures + 1
    if (isWorthSaying(failures))
      draft.note(`${verb} failed`, unit.id, `${unit.name} (${failures}): ${reason}`)
    const factor = Math.min(JOIN_RETRY_FACTOR_MAX, 2 ** (failures - 1))
    const again: UnitRow = { ...unit, failures, due: draft.now + this.#config.retryMs * factor }
    // Its controller tries it again, if it still wishes so then.
    if (verb === 'resume') {
      const resumeFrom = againFrom(failures, this.#config.retryMs, draft.now)
      return draft.put('unit', { ...unit, failures, resumeFrom })
    }
    const lease = draft.get('lease', unit.leaseId)
    const isPatient = verb === 'join' && code === undefined && mayJoinLater(lease ?? {}, draft.now)
    const hopeless = unit.joinedAt === undefined && failures >= this.#config.joinFailuresMax && !isPatient
    if (verb === 'join' && hopeless) return this.#neverJoined(unit, `it never joined: ${reason}`, draft, code)
    // One that an older store awaits may have joined, and leaves as any other: its work is waited for.
    if (verb === 'leave' && hopeless && unit.mayBeIn !== true) return this.#giveUp(unit, draft)
    draft.put('unit', again)
  }

  /** A join that failed may have let jobs in all the same: it leaves as any other, when it is empty. */
  #neverJoined(unit: UnitRow, why: string, draft: ServiceManagerDraft, code: Refusal['code']): void {
    this.#wasted(unit, why, draft, code)
    this.leave({ ...unit, failures: 0 }, undefined, true, why, draft)
  }

  /** It answers neither a join nor a leave. Its machine goes back to the site once its node is gone. */
  #giveUp(unit: UnitRow, draft: ServiceManagerDraft): void {
    this.#enter({ ...unit, failures: 0, alive: true }, 'lost', `${unit.reason}, and it does not leave`, draft)
    this.#do(unit.id, 'lost', this.#config.leaveMs, draft)
  }

  #enter(unit: UnitRow, state: MemberState, reason: string, draft: ServiceManagerDraft): void {
    draft.put('unit', { ...unit, state, reason, since: draft.now })
    draft.note(`unit ${state}`, unit.id, reason, { leaseId: unit.leaseId, name: unit.name })
  }

  #do(
    unitId: string,
    verb: NonNullable<UnitRow['doing']>,
    timeoutMs: number,
    draft: ServiceManagerDraft,
  ): void {
    const unit = draft.get('unit', unitId)!
    draft.put('unit', { ...unit, doing: verb, due: undefined })
    const { id, leaseId, vector, facts } = unit
    const name = unit.node ?? unit.name
    const requeue = unit.requeueFrom !== undefined && draft.now >= unit.requeueFrom
    const over = verb === 'join' ? overOn(unit, draft) : []
    const args: MemberEffectArgs = {
      guest: unit.guest,
      unit: { unitId: id, leaseId, name, vector, facts, ...(over.length > 0 ? { over } : {}) },
      reason: unit.reason.slice(0, 200),
      requeue,
      ...(unit.alive === true ? { alive: true } : {}),
      ...(unit.joinedAt !== undefined || unit.mayBeIn === true ? { wasIn: true } : {}),
    }
    draft.effect({ key: id, verb, args, timeoutMs })
  }

  #newUnit(lease: LeaseRow, report: Named, draft: ServiceManagerDraft): UnitRow {
    draft.put('lease', {
      ...draft.get('lease', lease.id)!,
      units: [...draft.get('lease', lease.id)!.units, report.id],
    })
    return {
      id: report.id,
      leaseId: lease.id,
      guest: lease.guest,
      name: report.name,
      vector: report.vector,
      facts: report.facts,
      state: 'awaited',
      since: draft.now,
      joinedAt: undefined,
      suspect: undefined,
      reason: 'the site sets it up',
      doing: undefined,
      failures: 0,
      settled: false,
      requeueFrom: undefined,
      mustLeave: false,
    }
  }
}

/** What its site wants of a unit for the sake of its host; by the ticket, and by the site's own clock. */
function withLeaveBy(
  unit: UnitRow,
  lease: LeaseRow,
  { report, leaveBy: by, leaveOrderedAt }: Report,
  sentAt: Instant,
  draft: ServiceManagerDraft,
): UnitRow {
  if (by == null) {
    if (unit.leaveBy === undefined) return unit
    // What leaves already leaves, whatever is done to its host.
    if (!isOut(unit) && !unit.mustLeave && report !== 'ended')
      draft.note('unit may stay', unit.id, `the site does not want ${unit.name} back any more`)
    return { ...unit, leaveBy: undefined }
  }
  if (isOut(unit)) return unit
  const { recallable, noticeMs } = lease.ticket!.conditions
  // A site that does not say when it was ordered said so at once; what was binding stays so at a later time.
  const isPutOff = unit.leaveBy?.binding === true && by >= unit.leaveBy.by
  const isNoticed =
    leaveOrderedAt == null ? isPutOff || by - sentAt >= noticeMs : by - leaveOrderedAt >= noticeMs
  const binding = recallable && isNoticed
  const orderedAt = leaveOrderedAt ?? (unit.leaveBy?.by === by ? unit.leaveBy.orderedAt : undefined) ?? sentAt
  if (unit.leaveBy?.by === by && (unit.leaveBy.binding || !binding))
    return unit.leaveBy.orderedAt === orderedAt ? unit : { ...unit, leaveBy: { ...unit.leaveBy, orderedAt } }
  const manner = binding ? 'as the terms of the lease say' : 'if it can be; it stays until the term ends'
  draft.note(
    'unit wanted back',
    unit.id,
    `the host of ${unit.name} is to be worked on: empty by ${iso(by)}, ${manner}`,
  )
  return { ...unit, leaveBy: { by, binding, orderedAt } }
}

const iso = (at: Instant): string => new Date(at).toISOString()

/** It has never been in the middleware. */
const isOutside = (unit: UnitRow): boolean => unit.state === 'awaited' && unit.mayBeIn !== true

/** Out of the middleware, one way or the other. */
export const isOut = (unit: UnitRow): boolean => unit.state === 'left' || unit.state === 'lost'

/** Nothing more is to be done about it in the middleware. */
export const isDone = (unit: UnitRow): boolean =>
  unit.state === 'left' || (unit.state === 'lost' && unit.settled)

/** Tells the site that nothing of ours runs on these units any more, and which of them answer a recall. */
export function tellVacated(
  lease: LeaseRow,
  units: readonly UnitRow[],
  reason: string,
  draft: ServiceManagerDraft,
): void {
  if (lease.ticket === undefined || units.length === 0) return
  const recalled = units.filter((unit) => unit.recalled === true).map(({ id }) => id)
  const body = {
    ...{ units: units.map(({ id }) => id), reason: reason.slice(0, 500) },
    ...(recalled.length > 0 ? { recalled } : {}),
  }
  tell(draft, lease.ticket.site, 'vacate', lease.id, body, draft.now + RETIRE_MS)
}

const someJobs = (count: number): string => (count === 1 ? '1 job was' : `${count} jobs were`)

const running = (jobs: readonly string[]): string => {
  if (jobs.length === 0) return 'work runs'
  return jobs.length === 1 ? `job ${jobs[0]} runs` : `jobs ${jobs.join(', ')} run`
}
