import type { ProbeOutcome, TeardownOutcome, UnitFacts, UnitSpec } from '../../adapters/handler.ts'
import { nextState } from '../leases/machine.ts'
import type { Instant } from '../runtime/clock.ts'
import type { EffectOutcome } from '../runtime/mind.ts'
import { isWorthSaying, period } from '../runtime/sentence.ts'
import type { AuthorityConfig } from './config.ts'
import { type UnitEvent, unitMachine } from './machines.ts'
import { backoffMs, isPatient } from './power-cut.ts'
import type { AuthorityDraft, UnitRow } from './rows.ts'
import { isLive } from './standing.ts'

/** The arguments of the handler verbs, as they are kept with the effect. */
export interface UnitEffectArgs {
  readonly spec: UnitSpec
  readonly onlyIdle: boolean
  readonly force: boolean
  /** The change of properties that the spec has in it. */
  readonly modificationId?: string | undefined
}

const TEARDOWN_FAILURES_MAX = 3
const STUCK_RETRY_FACTOR = 15
const MODIFY_FAILURES_MAX = 3

/**
 * Brings each unit into and out of service, one verb at a time:
 *
 *   setup → probe → (modify at each new end or property, probe while idle) → teardown → free
 *
 * A unit holds its slot and its share of the host until its teardown is complete.
 */
export class Units {
  readonly #config: AuthorityConfig
  /** Called when a unit changed in a way its holder or its lease has to know. */
  readonly #changed: (unit: UnitRow, draft: AuthorityDraft) => void
  readonly #withheld: (type: string, by: number, reason: string, draft: AuthorityDraft) => void

  constructor(
    config: AuthorityConfig,
    changed: (unit: UnitRow, draft: AuthorityDraft) => void,
    withheld: (type: string, by: number, reason: string, draft: AuthorityDraft) => void,
  ) {
    this.#config = config
    this.#changed = changed
    this.#withheld = withheld
  }

  /** Takes a unit out of service; until `forceFrom` it is left alone while work runs there. */
  end(unit: UnitRow, forceFrom: Instant, reason: string, draft: AuthorityDraft): void {
    if (unit.state === 'ended') return
    const at = Math.min(forceFrom, unit.forceFrom ?? forceFrom)
    const leaving = unit.state === 'teardown' || unit.state === 'stuck'
    if (leaving && unit.forceFrom === at) return
    const stop = unit.doing !== undefined && !leaving
    if (stop) draft.endEffect(unit.id)
    const doing = stop ? undefined : unit.doing
    this.step({ ...unit, doing, forceFrom: at }, 'end', reason, draft)
  }

  /** Nothing of it was found where it would be: no teardown has to prove that it is gone. */
  gone(unit: UnitRow, reason: string, draft: AuthorityDraft): void {
    if (unit.state === 'ended') return
    if (unit.doing !== undefined) draft.endEffect(unit.id)
    const idle: UnitRow = { ...unit, doing: undefined, forceFrom: unit.forceFrom ?? draft.now }
    if (isLive(unit)) this.step(idle, 'died', reason, draft, draft.now)
    else draft.put('unit', idle)
    if (unit.state === 'stuck') this.#withheld(unit.type, -1, reason, draft)
    this.step(draft.get('unit', unit.id)!, 'gone', reason, draft)
  }

  /** Starts the next verb, if one is due and none is under way. */
  tend(unit: UnitRow, draft: AuthorityDraft): void {
    if (unit.doing !== undefined) return
    const endsAt = this.endOf(unit, draft)
    switch (unit.state) {
      case 'setup':
        return this.#do(unit, 'setup', this.#config.setupMs, draft)
      case 'probing':
        return this.#do(unit, 'probe', this.#config.probeMs, draft)
      case 'active':
      case 'suspect': {
        if (unit.pushedEnd !== endsAt || this.#isToBeModified(unit, draft))
          return this.#do(unit, 'modify', this.#config.modifyMs, draft)
        const probeAt = unit.probedAt + this.#config.probeEveryMs
        if (draft.now >= probeAt) return this.#do(unit, 'probe', this.#config.probeMs, draft)
        return draft.put('unit', { ...unit, due: probeAt })
      }
      case 'teardown':
      case 'stuck':
        return this.#do(unit, 'teardown', this.#config.teardownMs, draft)
      case 'ended':
        return
    }
  }

  answered(
    key: string,
    verb: string,
    outcome: EffectOutcome,
    args: UnitEffectArgs,
    draft: AuthorityDraft,
  ): void {
    const row = draft.get('unit', key)
    if (row === undefined || row.doing !== verb)
      return draft.note('outcome noted', key, `${verb} ended, but ${row?.doing ?? 'nothing'} is under way`)
    const unit: UnitRow = { ...row, doing: undefined, due: undefined }
    switch (verb) {
      case 'setup':
        return this.#setUp(unit, outcome, args, draft)
      case 'probe':
        return this.#probed(unit, outcome, draft)
      case 'modify':
        return this.#modified(unit, outcome, args, draft)
      case 'teardown':
        return this.#tornDown(unit, outcome, draft)
      default:
        throw new Error(`an authority has no verb ${verb}`)
    }
  }

  /** Without `due` what is to be done next is begun. */
  step(unit: UnitRow, event: UnitEvent, reason: string, draft: AuthorityDraft, due?: Instant): void {
    const state = nextState(unitMachine, unit.state, event)
    if (state === undefined) throw new Error(`a unit that is ${unit.state} knows no event ${event}`)
    const since = state === unit.state ? unit.since : draft.now
    const row: UnitRow = {
      ...unit,
      state,
      reason,
      since,
      wasActive: unit.wasActive || state === 'active',
      due,
    }
    draft.put('unit', row)
    if (state !== unit.state)
      draft.note(`unit ${state}`, unit.id, reason, {
        leaseId: unit.leaseId,
        host: unit.host,
        slot: unit.slot,
        ...(state === 'probing' ? { facts: unit.facts } : {}),
      })
    if (due === undefined) this.tend(row, draft)
    if (state !== unit.state) this.#changed(row, draft)
  }

  #setUp(unit: UnitRow, outcome: EffectOutcome, args: UnitEffectArgs, draft: AuthorityDraft): void {
    if (outcome.kind === 'failed') return this.#failed(unit, `setup failed: ${outcome.reason}`, draft)
    const facts = outcome.value as UnitFacts
    const { modificationId: pushedModification, spec } = args
    this.step(
      { ...unit, facts, pushedModification, pushedEnd: spec.endsAt },
      'made',
      `${unit.name} answers`,
      draft,
    )
  }

  #probed(unit: UnitRow, outcome: EffectOutcome, draft: AuthorityDraft): void {
    const probed: UnitRow = { ...unit, probedAt: draft.now }
    const verdict: ProbeOutcome =
      outcome.kind === 'done'
        ? (outcome.value as ProbeOutcome)
        : { kind: 'failed', command: 'probe', reason: outcome.reason }
    if (verdict.kind === 'busy') {
      draft.put('unit', probed)
      return this.tend(probed, draft)
    }
    if (verdict.kind === 'passed') {
      if (unit.state === 'probing') draft.put('image', { id: unit.image, failures: 0, notBefore: 0 })
      return this.step(probed, 'passed', 'the probe passed', draft)
    }
    const reason = `the probe “${verdict.command}” failed: ${verdict.reason}`
    if (unit.state === 'probing') return this.#failed(probed, reason, draft)
    this.step(probed, 'suspect', reason, draft)
  }

  /** One push has both the end and the properties; what is failing is told apart by which of them is new. */
  #modified(unit: UnitRow, outcome: EffectOutcome, args: UnitEffectArgs, draft: AuthorityDraft): void {
    const { modificationId, spec } = args
    const { endsAt } = spec
    if (outcome.kind === 'done') {
      // It answers again: whether it is well the next probe says, and that comes at once.
      const probedAt = unit.state === 'suspect' ? 0 : unit.probedAt
      const isNews = unit.pushedModification !== modificationId
      const told: UnitRow = {
        ...{ ...unit, probedAt, pushedEnd: endsAt, pushedModification: modificationId },
        ...{ failedModification: undefined, modifyFailures: undefined },
      }
      this.#again(told, draft)
      if (isNews) this.#changed(draft.get('unit', unit.id)!, draft)
      return
    }
    const due = draft.now + this.#config.retryMs
    if (unit.pushedEnd === endsAt) return this.#notModified(unit, modificationId, outcome.reason, due, draft)
    const reason = `${unit.name} has not acknowledged its new end: ${outcome.reason}`
    // Once for each end: a machine that hangs is asked again and again.
    if (unit.unheardEnd !== endsAt) {
      draft.note('end not pushed', unit.id, reason)
      this.#sweepSoon(draft)
    }
    // What comes with it is not waited for.
    const failedModification = this.#isToBeModified(unit, draft) ? modificationId : unit.failedModification
    this.step({ ...unit, unheardEnd: endsAt, failedModification }, 'suspect', reason, draft, due)
  }

  /** Only properties are not there: the unit goes on with those it has. */
  #notModified(
    unit: UnitRow,
    modificationId: string | undefined,
    why: string,
    due: Instant,
    draft: AuthorityDraft,
  ): void {
    const modifyFailures = (unit.modifyFailures ?? 0) + 1
    if (modifyFailures < MODIFY_FAILURES_MAX) return draft.put('unit', { ...unit, modifyFailures, due })
    const given: UnitRow = { ...unit, failedModification: modificationId, modifyFailures: undefined }
    draft.note('unit not modified', unit.id, `${unit.name} keeps the properties it has: ${why}`, {
      modificationId,
    })
    this.#again(given, draft)
    this.#changed(draft.get('unit', unit.id)!, draft)
  }

  /** The lease has other properties since, and the unit was not told in vain. */
  #isToBeModified(unit: UnitRow, draft: AuthorityDraft): boolean {
    const wanted = draft.get('lease', unit.leaseId)?.modificationId
    return wanted !== undefined && wanted !== unit.pushedModification && wanted !== unit.failedModification
  }

  #tornDown(unit: UnitRow, outcome: EffectOutcome, draft: AuthorityDraft): void {
    if (outcome.kind === 'done') {
      const verdict = outcome.value as TeardownOutcome
      if (verdict.kind === 'gone') {
        if (unit.state === 'stuck') this.#withheld(unit.type, -1, `${unit.name} is gone at last`, draft)
        return this.step({ ...unit, teardownFailures: 0 }, 'gone', `nothing of ${unit.name} is left`, draft)
      }
      const reason = `the term is over, but ${verdict.what} runs on ${unit.name}`
      if (unit.reason !== reason) draft.note('teardown waits', unit.id, reason)
      const due = Math.min(
        draft.now + this.#config.retryMs,
        Math.max(draft.now + 1, unit.forceFrom ?? draft.now),
      )
      return draft.put('unit', { ...unit, reason, due })
    }
    const teardownFailures = unit.teardownFailures + 1
    const reason = `teardown failed (${teardownFailures}): ${outcome.reason}`
    if (isWorthSaying(teardownFailures)) draft.note('teardown failed', unit.id, reason)
    const mayGo = teardownFailures < TEARDOWN_FAILURES_MAX || isPatient(this.#config, draft)
    if (mayGo || unit.state === 'stuck') {
      const factor = unit.state === 'stuck' ? STUCK_RETRY_FACTOR : 1
      return draft.put('unit', {
        ...unit,
        teardownFailures,
        reason,
        due: draft.now + this.#config.retryMs * factor,
      })
    }
    this.#withheld(unit.type, 1, `${unit.name} cannot be torn down`, draft)
    const state = nextState(unitMachine, unit.state, 'stuck')!
    const stuck: UnitRow = { ...unit, teardownFailures, state, reason, since: draft.now }
    draft.note('unit stuck', unit.id, reason, { leaseId: unit.leaseId, host: unit.host, slot: unit.slot })
    draft.put('unit', { ...stuck, due: draft.now + this.#config.retryMs * STUCK_RETRY_FACTOR })
    this.#changed(stuck, draft)
  }

  /** A machine that did not come up counts against its image and its lease. */
  #failed(unit: UnitRow, reason: string, draft: AuthorityDraft): void {
    const failures = (draft.get('image', unit.image)?.failures ?? 0) + 1
    const patient = isPatient(this.#config, draft)
    const delayMs = backoffMs(this.#config.backoffMs * 2 ** Math.min(6, failures - 1), this.#config, draft)
    draft.put('image', { id: unit.image, failures, notBefore: draft.now + delayMs })
    const lease = draft.get('lease', unit.leaseId)
    if (lease !== undefined && !patient) draft.put('lease', { ...lease, failures: lease.failures + 1 })
    draft.note(
      'image failed',
      unit.image,
      `${failures} in a row; the next attempt waits ${period(delayMs)}: ${reason}`,
    )
    // One that was found after a restore may have work on it, though it was not known to have come up.
    const forceFrom = unit.wasActive ? this.endOf(unit, draft) + this.graceOf(unit, draft) : draft.now
    this.step({ ...unit, forceFrom, lost: unit.wasActive ? 'died' : unit.lost }, 'failed', reason, draft)
  }

  #again(unit: UnitRow, draft: AuthorityDraft): void {
    draft.put('unit', unit)
    this.tend(unit, draft)
  }

  #do(unit: UnitRow, verb: NonNullable<UnitRow['doing']>, timeoutMs: number, draft: AuthorityDraft): void {
    draft.put('unit', { ...unit, doing: verb, due: undefined })
    const force = unit.forceFrom !== undefined && draft.now >= unit.forceFrom
    const modificationId = draft.get('lease', unit.leaseId)?.modificationId
    const onlyIdle = unit.state !== 'probing'
    const args: UnitEffectArgs = {
      ...{ spec: this.#spec(unit, draft), onlyIdle, force },
      ...(modificationId === undefined ? {} : { modificationId }),
    }
    draft.effect({ key: unit.id, verb, args, timeoutMs })
  }

  #spec(unit: UnitRow, draft: AuthorityDraft): UnitSpec {
    const { id: unitId, leaseId, name, slot, host, vector, image } = unit
    const { probe } = this.#config
    const properties = draft.get('lease', leaseId)?.properties ?? {}
    const endsAt = this.endOf(unit, draft)
    return {
      unitId,
      leaseId,
      name,
      slot,
      host,
      vector,
      image,
      endsAt,
      graceMs: this.graceOf(unit, draft),
      probe,
      properties,
    }
  }

  /** Victims end at the boundary, the others with the lease. */
  endOf(unit: UnitRow, draft: AuthorityDraft): Instant {
    const lease = draft.get('lease', unit.leaseId)
    if (lease === undefined) return unit.assignedAt
    return lease.victims.includes(unit.id) ? lease.ticket.term.end : lease.term.end
  }

  /** As signed in the ticket that its end stands on. */
  graceOf(unit: UnitRow, draft: AuthorityDraft): number {
    const lease = draft.get('lease', unit.leaseId)
    if (lease === undefined) return this.#config.conditions.graceMs
    const ticket = lease.victims.includes(unit.id) ? lease.ticket : (lease.next ?? lease.ticket)
    return ticket.conditions.graceMs
  }

  #sweepSoon(draft: AuthorityDraft): void {
    const site = draft.get('site', 'site')
    if (site !== undefined && !site.sweeping) draft.put('site', { ...site, due: draft.now })
  }
}
