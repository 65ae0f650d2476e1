import type { FoundMachine } from '../../adapters/handler.ts'
import type { AuthorityConfig } from './config.ts'
import type { AuthorityDraft, HeardRow, LeaseRow, UnitRow } from './rows.ts'
import { graceOf, isLive, unitsOf } from './standing.ts'
import { placeOf } from './sweep.ts'
import type { Units } from './units.ts'

type Holding = HeardRow['holding']
type Told = Holding['units'][number]

/**
 * The units of one lease after a restore:
 *
 *   found running, and its holder uses it ──▶ active; its end is pushed anew
 *   found running, and nobody was told of it ──▶ set up again, which takes over what runs
 *   its holder has left it ──▶ ended, work there within the grace
 *   used, but there is no machine ──▶ dead, repaired as ever
 */
export function readopting(config: AuthorityConfig, units: Units) {
  return { place, settle }

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
    holder: Holding | undefined,
    machines: readonly FoundMachine[],
    draft: AuthorityDraft,
  ): void {
    const running = new Map(machines.filter((one) => one.running).map((one) => [one.unitId, one]))
    const told = new Map(holder?.units.map((unit) => [unit.id, unit]))
    for (const unit of unitsOf(lease, draft))
      if (isLive(unit)) known(unit, lease, told.get(unit.id), running.get(unit.id), draft)
    const isNew = (id: string): boolean => draft.get('unit', id) === undefined
    for (const unit of told.values())
      if (isNew(unit.id) && unit.report !== 'ended')
        forgotten(lease, unit.id, unit, running.get(unit.id), draft)
    for (const machine of running.values())
      if (isNew(machine.unitId) && !told.has(machine.unitId) && hasRoom(lease, draft))
        forgotten(lease, machine.unitId, undefined, machine, draft)
    leftBehind(lease, told, draft)
  }

  function hasRoom({ id, ticket }: LeaseRow, draft: AuthorityDraft): boolean {
    return unitsOf(draft.get('lease', id)!, draft).filter(isLive).length < ticket.units
  }

  function known(
    unit: UnitRow,
    lease: LeaseRow,
    told: Told | undefined,
    machine: FoundMachine | undefined,
    draft: AuthorityDraft,
  ): void {
    if (told?.report === 'ended') {
      const gone = { ...unit, givenUp: true }
      return units.end(gone, draft.now + graceOf(lease), 'its holder has left it', draft)
    }
    if (machine === undefined) {
      const lost = isUsed(unit, told?.report) ? ('died' as const) : undefined
      const dead: UnitRow = { ...unit, forceFrom: draft.now + graceOf(lease), lost }
      return units.step(dead, 'died', `the machine ${unit.name} was not found after the restore`, draft)
    }
    take(unit, told, draft)
  }

  /** It runs. What is in it of properties and ends is not known, so it is told both. */
  function take(unit: UnitRow, told: Told | undefined, draft: AuthorityDraft): void {
    const served = isUsed(unit, told?.report)
    const taken: UnitRow = {
      ...unit,
      ...{ state: served ? 'active' : 'setup', wasActive: served, since: draft.now, due: undefined },
      ...{ pushedEnd: 0, unheardEnd: 0, pushedModification: undefined, failedModification: undefined },
      ...{ facts: told?.facts ?? unit.facts, reason: 'it was found running after a restore' },
    }
    draft.put('unit', taken)
    units.tend(taken, draft)
  }

  /** The old store has no row of it. */
  function forgotten(
    lease: LeaseRow,
    id: string,
    told: Told | undefined,
    machine: FoundMachine | undefined,
    draft: AuthorityDraft,
  ): void {
    const { ticket, holder, image } = lease
    const name = machine?.name ?? told?.name ?? ''
    const vector = ticket.proof?.vector ?? config.types[ticket.type]?.vector ?? {}
    const at = placeOf(config, { vector, ...machine, name })
    const used = isUsed({ wasActive: false }, told?.report)
    const unit: UnitRow = {
      ...{ id, leaseId: lease.id, holder, state: 'setup', type: ticket.type, name, ...at, image },
      ...{ assignedAt: lease.term.start, since: draft.now, wasActive: used, facts: told?.facts ?? {} },
      ...{ reason: 'it was there before the restore', doing: undefined, pushedEnd: 0, unheardEnd: 0 },
      ...{ forceFrom: undefined, teardownFailures: 0, probedAt: draft.now },
    }
    draft.put('unit', unit)
    const current = draft.get('lease', lease.id)!
    draft.put('lease', { ...current, units: [...current.units, id] })
    const where = machine === undefined ? 'its machine was not found' : `found running, slot ${at.slot}`
    draft.note('unit assigned', id, `${name}, ${where}, for ${holder}: before the store was restored`, {
      ...{ leaseId: lease.id, holder, type: unit.type, image, name, host: at.host, slot: at.slot },
      ...{ vector: at.vector, units: ticket.units, term: ticket.term },
    })
    if (machine !== undefined) return take(unit, told, draft)
    const dead: UnitRow = { ...unit, forceFrom: draft.now, lost: used ? 'died' : undefined }
    units.step(dead, 'died', `the machine ${name} was not found after the restore`, draft)
  }

  /** What its holder has left of a lease that stands is not replaced: nobody knows why he left it. */
  function leftBehind(lease: LeaseRow, told: ReadonlyMap<string, Told>, draft: AuthorityDraft): void {
    const current = draft.get('lease', lease.id)!
    if (current.state !== 'active') return
    const missing = current.ticket.units - unitsOf(current, draft).filter((unit) => unit.past !== true).length
    const left = [...told.values()].filter(
      ({ id, report }) => report === 'ended' && draft.get('unit', id) === undefined,
    )
    const ended = left.slice(0, Math.max(0, missing)).map(
      ({ id, name }): UnitRow => ({
        ...{ id, leaseId: lease.id, holder: lease.holder, state: 'ended', type: lease.ticket.type, name },
        ...{
          slot: 0,
          host: '',
          vector: {},
          image: lease.image,
          assignedAt: lease.term.start,
          since: draft.now,
        },
        ...{ wasActive: true, facts: {}, givenUp: true, reason: 'it ended before the restore' },
        ...{ doing: undefined, pushedEnd: 0, unheardEnd: 0, forceFrom: draft.now, teardownFailures: 0 },
        probedAt: draft.now,
      }),
    )
    for (const unit of ended) draft.put('unit', unit)
    draft.put('lease', { ...current, units: [...current.units, ...ended.map(({ id }) => id)] })
  }
}

/** Its holder was told that he may use it. */
const isUsed = ({ wasActive }: Pick<UnitRow, 'wasActive'>, report: Told['report'] | undefined): boolean =>
  wasActive || report === 'active' || report === 'suspect'
