import type { FoundMachine } from '../../adapters/handler.ts'
import type { Instant } from '../runtime/clock.ts'
import type { AuthorityConfig } from './config.ts'
import type { AuthorityDraft, LeaseRow, UnitRow } from './rows.ts'
import { graceOf, isLive, unitsOf } from './standing.ts'
import { placeOf } from './sweep.ts'
import type { Units } from './units.ts'
import type { Holding, Words } from './words.ts'

type Told = Holding['units'][number]

/**
 * The units of one lease after a restore:
 *
 *   found running, and its holder uses it ──▶ active; its end is pushed anew
 *   found running, and nobody was told of it ──▶ set up again, which takes over what runs
 *   its holder has left it ──▶ ended, work there within the grace
 *   used, but nothing of it is there ──▶ ended, repaired as ever
 */
export function readopting(config: AuthorityConfig, units: Units) {
  return { place, settle, shrink }

  /**
   * What the store has and of which nothing is there has ended. First of all: what has taken its place since is taken
   * over into that place, and is not to be written down beside it.
   */
  function settle(
    told: ReadonlyMap<string, Told>,
    found: readonly FoundMachine[],
    draft: AuthorityDraft,
  ): void {
    const there = new Set(found.map(({ unitId }) => unitId))
    for (const unit of draft.all('unit')) {
      if (unit.state === 'ended' || there.has(unit.id)) continue
      const report = told.get(unit.id)?.report
      const reason = `nothing of ${unit.name} was found after the restore`
      if (report === 'ended') units.gone({ ...unit, givenUp: true }, reason, draft)
      else if (isLive(unit) && isUsed(unit, report)) units.gone({ ...unit, lost: 'died' }, reason, draft)
      else units.gone(unit, reason, draft)
    }
  }

  function place(
    lease: LeaseRow,
    { holder, isSure }: Pick<Words, 'holder' | 'isSure'>,
    machines: readonly FoundMachine[],
    draft: AuthorityDraft,
  ): void {
    const there = new Map(machines.map((one) => [one.unitId, one]))
    const running = new Map([...there].filter(([, one]) => one.running))
    const told = new Map(holder?.units.map((unit) => [unit.id, unit]))
    for (const unit of unitsOf(lease, draft))
      if (isLive(unit)) known(unit, lease, told.get(unit.id), running.get(unit.id), isSure, draft)
    const isNew = (id: string): boolean => draft.get('unit', id) === undefined
    for (const unit of told.values())
      if (isNew(unit.id) && there.has(unit.id)) forgotten(lease, unit, there.get(unit.id)!, isSure, draft)
      else if (isNew(unit.id) && unit.report !== 'ended')
        gone(lease, unit, 'nothing of it was found after the restore', draft)
    // Of what a holder does not name who may have forgotten it, he is told all, also of what has died since.
    for (const machine of machines)
      if (isNew(machine.unitId) && !told.has(machine.unitId))
        if (!isSure || (machine.running && hasRoom(lease, draft)))
          forgotten(lease, undefined, machine, isSure, draft)
    leftBehind(lease, told, draft)
  }

  /**
   * Those that were not to see the ticket that has begun since are let go, and what is still too much for it: the site
   * had given others for them, and they turned out to run.
   */
  function shrink(
    leaseId: string,
    holder: Holding | undefined,
    victims: readonly string[],
    draft: AuthorityDraft,
  ): void {
    const { ticket, next, term } = draft.get('lease', leaseId)!
    const live = (): UnitRow[] => unitsOf(draft.get('lease', leaseId)!, draft).filter(isLive)
    const boundary = ticket.term.start + ticket.conditions.graceMs
    // The first ticket has no boundary behind it.
    if (next === undefined && ticket.predecessor !== null)
      for (const unit of live().filter(({ id }) => victims.includes(id)))
        units.end({ ...unit, past: true }, boundary, 'the lease goes on without it', draft)
    const told = new Map(holder?.units.map(({ id, report }) => [id, DOUBTS.indexOf(report)]))
    const doubted = live().sort((a, b) => (told.get(b.id) ?? 0) - (told.get(a.id) ?? 0))
    const end = term.end + ticket.conditions.graceMs
    for (const unit of doubted.slice(0, Math.max(0, doubted.length - ticket.units)))
      units.end({ ...unit, lost: 'died' }, end, 'it was taken for dead, and others came for it', draft)
  }

  function hasRoom({ id, ticket }: LeaseRow, draft: AuthorityDraft): boolean {
    return unitsOf(draft.get('lease', id)!, draft).filter(isLive).length < ticket.units
  }

  function known(
    unit: UnitRow,
    lease: LeaseRow,
    told: Told | undefined,
    machine: FoundMachine | undefined,
    isSure: boolean,
    draft: AuthorityDraft,
  ): void {
    if (told?.report === 'ended') {
      const gone = { ...unit, givenUp: true }
      return units.end(gone, draft.now + graceOf(lease), 'its holder has left it', draft)
    }
    if (machine === undefined) {
      const lost = isUsed(unit, told?.report) ? ('died' as const) : undefined
      const dead: UnitRow = { ...unit, forceFrom: lastOf(unit, draft), lost }
      return units.step(dead, 'died', `the machine ${unit.name} was not found after the restore`, draft)
    }
    take(unit, told, isSure, draft)
  }

  /** Should the list be wrong, work that runs there after all is not cut off. */
  function lastOf(unit: UnitRow, draft: AuthorityDraft): Instant {
    return units.endOf(unit, draft) + units.graceOf(unit, draft)
  }

  /** It runs. What is in it of properties and ends is not known, so it is told both. */
  function take(unit: UnitRow, told: Told | undefined, isSure: boolean, draft: AuthorityDraft): void {
    const served = isUsed(unit, told?.report)
    // Of a holder who did not say for certain it may be that he works there.
    const wasActive = served || !isSure
    const taken: UnitRow = {
      ...unit,
      ...{ state: served ? 'active' : 'setup', wasActive, since: draft.now, due: undefined },
      ...{ pushedEnd: 0, unheardEnd: 0, pushedModification: undefined, failedModification: undefined },
      ...{ facts: factsOf(unit, told), reason: 'it was found running after a restore' },
    }
    draft.put('unit', taken)
    units.tend(taken, draft)
  }

  /** The old store has no row of it. */
  function forgotten(
    lease: LeaseRow,
    told: Told | undefined,
    machine: FoundMachine,
    isSure: boolean,
    draft: AuthorityDraft,
  ): void {
    const { ticket, holder, image } = lease
    const id = machine.unitId
    const name = machine.name || (told?.name ?? '')
    const vector = ticket.proof?.vector ?? config.types[ticket.type]?.vector ?? {}
    const at = placeOf(config, { vector, ...machine, name })
    const used = isUsed({ wasActive: false }, told?.report)
    const unit: UnitRow = {
      ...{ id, leaseId: lease.id, holder, state: 'setup', type: ticket.type, name, ...at, image },
      ...{ assignedAt: lease.term.start, since: draft.now, wasActive: used, facts: told?.facts ?? {} },
      ...{ reason: 'it was there before the restore', doing: undefined, pushedEnd: 0, unheardEnd: 0 },
      ...{ forceFrom: undefined, teardownFailures: 0, probedAt: draft.now },
    }
    add(unit, draft)
    const where = `found${machine.running ? ' running' : ', not running'}, slot ${at.slot}`
    draft.note('unit assigned', id, `${name}, ${where}, for ${holder}: before the store was restored`, {
      ...{ leaseId: lease.id, holder, type: unit.type, image, name, host: at.host, slot: at.slot },
      ...{ vector: at.vector, units: ticket.units, term: ticket.term },
    })
    // It has its place until it is gone.
    if (told?.report === 'ended')
      return units.end(
        { ...unit, givenUp: true },
        draft.now + graceOf(lease),
        'its holder has left it',
        draft,
      )
    if (machine.running) return take(unit, told, isSure, draft)
    const wasActive = used || !isSure
    const lost = wasActive ? ('died' as const) : undefined
    const dead: UnitRow = { ...unit, wasActive, lost, forceFrom: lastOf(unit, draft) }
    units.step(dead, 'died', `the machine ${name} does not run after the restore`, draft)
  }

  /** One that its holder knows, and that takes up no place: it is lost if he uses it, and given up if he has left it. */
  function gone(lease: LeaseRow, told: Told, reason: string, draft: AuthorityDraft): void {
    const { id, name, report } = told
    const wasActive = report !== 'coming'
    const fate = report === 'ended' ? { givenUp: true } : { lost: wasActive ? ('died' as const) : undefined }
    add(
      {
        ...{ id, leaseId: lease.id, holder: lease.holder, state: 'ended', type: lease.ticket.type, name },
        ...{ slot: 0, host: '', vector: {}, image: lease.image, assignedAt: lease.term.start, wasActive },
        ...{ since: draft.now, facts: {}, ...fate, reason, doing: undefined, pushedEnd: 0, unheardEnd: 0 },
        ...{ forceFrom: draft.now, teardownFailures: 0, probedAt: draft.now },
      },
      draft,
    )
    draft.note('unit ended', id, reason, { leaseId: lease.id, host: '', slot: 0 })
  }

  function add(unit: UnitRow, draft: AuthorityDraft): void {
    const lease = draft.get('lease', unit.leaseId)!
    draft.put('unit', unit)
    draft.put('lease', { ...lease, units: [...lease.units, unit.id] })
  }

  /** What its holder has left of a lease that stands is not replaced: nobody knows why he left it. */
  function leftBehind(lease: LeaseRow, told: ReadonlyMap<string, Told>, draft: AuthorityDraft): void {
    const current = draft.get('lease', lease.id)!
    if (current.state !== 'active') return
    const missing = current.ticket.units - unitsOf(current, draft).filter((unit) => unit.past !== true).length
    const left = [...told.values()].filter(
      ({ id, report }) => report === 'ended' && draft.get('unit', id) === undefined,
    )
    for (const unit of left.slice(0, Math.max(0, missing)))
      gone(lease, unit, 'it ended before the restore', draft)
  }
}

/** On a page of what is held there may have been no room for them. */
const factsOf = ({ facts: known }: UnitRow, { facts = {} }: Partial<Told> = {}): Told['facts'] =>
  Object.keys(facts).length === 0 ? known : facts

/** Reports of a unit, in the order in which it is let go the more readily. */
const DOUBTS: readonly Told['report'][] = ['active', 'coming', 'suspect']

/** Its holder was told that he may use it. */
const isUsed = ({ wasActive }: Pick<UnitRow, 'wasActive'>, report: Told['report'] | undefined): boolean =>
  wasActive || report === 'active' || report === 'suspect'
