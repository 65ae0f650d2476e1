import type { FoundMachine } from '../../adapters/handler.ts'
import type { Body } from '../leases/messages.ts'
import type { Instant } from '../runtime/clock.ts'
import { indexOf } from '../runtime/views.ts'
import type { AuthorityConfig } from './config.ts'
import { endPowerCut, noticeGone } from './power-cut.ts'
import type { AuthorityDraft, UnitRow } from './rows.ts'
import type { Units } from './units.ts'

/** Machines of leases that nobody holds, while they are being ended. */
const orphans = indexOf<UnitRow>('unit', ({ holder, state, leaseId }) =>
  holder === '' && state !== 'ended' ? leaseId : undefined,
)

/** When the first of them ends, work there within the grace; undefined if there are none. */
export function orphansEnd(leaseId: string, draft: AuthorityDraft): Instant | undefined {
  const there = draft.having(orphans, leaseId)
  return there.length === 0 ? undefined : Math.min(...there.map(({ pushedEnd }) => pushedEnd || draft.now))
}

/** What is said of a lease that is not known here (any more), while its machines are being ended. */
export const endingWith = (
  end: Instant,
  reason: string,
  { now }: Pick<AuthorityDraft, 'now'>,
): Body<'lease-update'> => ({
  ...{
    state: 'closing',
    term: { start: Math.min(now, end) - 1, end },
    ticketId: 'none',
    units: [],
    image: '',
  },
  reason: `${reason.slice(0, 400)}: its machines are ended, work there within the grace`,
  extensionRefused: null,
})

/** Compares the machines that were found with the rows: neither may be without the other. */
export class Sweep {
  readonly #config: AuthorityConfig
  readonly #units: Units

  constructor(config: AuthorityConfig, units: Units) {
    this.#config = config
    this.#units = units
  }

  /** What entered its state after the list was begun is not judged by it. */
  compare(
    found: readonly FoundMachine[],
    startedAt: Instant,
    lastListedAt: Instant | undefined,
    draft: AuthorityDraft,
  ): void {
    const running = new Set(found.filter((machine) => machine.running).map((machine) => machine.unitId))
    const judged = draft
      .all('unit')
      .filter(({ state, since }) => ['probing', 'active', 'suspect'].includes(state) && since < startedAt)
    const dead = judged.filter(({ id }) => !running.has(id))
    const unexpected = dead.filter((unit) => this.#units.endOf(unit, draft) > draft.now)
    noticeGone(this.#config, unexpected, judged.length - dead.length, lastListedAt, draft)
    for (const { id } of dead) this.#died(draft.get('unit', id)!, draft)
    for (const machine of found) {
      const row = draft.get('unit', machine.unitId)
      // A machine that was torn down while they were listed is still in the list.
      if (row !== undefined && (row.state !== 'ended' || row.since >= startedAt)) continue
      const reason = `the machine ${machine.name} of lease ${machine.leaseId} was found, but nobody holds it`
      draft.note('orphan found', machine.unitId, reason)
      this.#tearDownOrphan(machine, draft)
    }
    endPowerCut(this.#config, startedAt, draft)
  }

  /** The list is over: orphans that ended while it was made need not be known any more. */
  forget(draft: AuthorityDraft): void {
    for (const { id, leaseId, state } of draft.all('unit'))
      if (state === 'ended' && draft.get('lease', leaseId)?.units.includes(id) !== true)
        draft.remove('unit', id)
  }

  #died(unit: UnitRow, draft: AuthorityDraft): void {
    if (unit.doing !== undefined) draft.endEffect(unit.id)
    // Should the list be wrong, work that runs there after all is not cut off.
    const forceFrom = this.#units.endOf(unit, draft) + this.#units.graceOf(unit, draft)
    const dead: UnitRow = { ...unit, doing: undefined, forceFrom, lost: unit.wasActive ? 'died' : undefined }
    this.#units.step(dead, 'died', `the machine ${unit.name} no longer runs`, draft)
  }

  /** Nobody remembers it, but its guest may still work there: that is let end within the site's grace. */
  #tearDownOrphan(machine: FoundMachine, draft: AuthorityDraft): void {
    const { unitId: id, leaseId, name } = machine
    // As long as it was told, or from now. Also if it is said not to run: should the list be wrong, work that runs there
    // after all is not cut off.
    const end = Math.max(draft.now, machine.endsAt ?? draft.now)
    const forceFrom = end + (machine.graceMs ?? this.#config.conditions.graceMs)
    const lost: UnitRow = {
      ...{ id, leaseId, name, holder: '', state: 'teardown', type: '' },
      ...placeOf(this.#config, machine),
      ...{ image: '', assignedAt: draft.now, since: draft.now, wasActive: false, facts: {} },
      ...{ reason: 'an orphan', doing: undefined, pushedEnd: end, unheardEnd: 0, forceFrom },
      ...{ teardownFailures: 0, probedAt: draft.now },
    }
    draft.put('unit', lost)
    this.#units.tend(lost, draft)
  }
}

/** What a machine takes up, by its marks; its name tells the slot, and an only host is the one. */
export function placeOf(
  { namePrefix, hosts }: AuthorityConfig,
  { name, slot, host, vector }: Partial<FoundMachine> & { readonly name: string },
): Pick<UnitRow, 'slot' | 'host' | 'vector'> {
  const [only, another] = hosts
  return {
    slot: slot ?? slotOf(name, namePrefix),
    host: host ?? (another === undefined ? only?.name : undefined) ?? '',
    vector: vector ?? {},
  }
}

/** The slot that a machine of this name takes; 0 if it is none of this site's names. */
function slotOf(name: string, namePrefix: string): number {
  const slot = name.startsWith(namePrefix) ? Number(name.slice(namePrefix.length)) : 0
  return Number.isInteger(slot) && slot > 0 ? slot : 0
}
