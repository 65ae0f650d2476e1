import { RETIRE_MS, tell } from '../leases/correspondence.ts'
import type { Body } from '../leases/messages.ts'
import { canonical } from '../runtime/canonical.ts'
import type { Instant } from '../runtime/clock.ts'
import type { AuthorityConfig } from './config.ts'
import { lacking } from './fill.ts'
import { powerCutOf } from './power-cut.ts'
import type { AuthorityDraft, LeaseRow, UnitRow } from './rows.ts'
import { isLive, isRecovering, unitsOf } from './standing.ts'

/** What is said besides the state of the lease, once. */
export interface Aside {
  readonly extensionRefused?: string
  readonly modificationRefused?: { readonly modificationId: string; readonly refused: string }
}

/** Tells holders how their leases stand: always the whole of it, so that a lost update is made good by the next. */
export class Reports {
  readonly #config: AuthorityConfig

  constructor(config: AuthorityConfig) {
    this.#config = config
  }

  report(lease: LeaseRow, draft: AuthorityDraft, aside: Aside = {}): void {
    // What an old store says of a lease would end units that serve; all are reported when it is known.
    if (isRecovering(draft)) return
    const { extensionRefused = null, modificationRefused } = aside
    const said = { ...statementOf(this.#config, lease, draft), extensionRefused }
    const body =
      modificationRefused === undefined ? said : { ...said, modified: { ...modificationRefused, failed: [] } }
    tell(draft, lease.holder, 'lease-update', lease.id, body, draft.now + this.#config.answerMs)
  }

  /** The holder was silent for as long as an answer is worth repeating: what it has not heard still holds. */
  tellAgain(leaseId: string, undelivered: unknown, draft: AuthorityDraft): void {
    const lease = draft.get('lease', leaseId)
    if (lease === undefined || lease.state === 'closed') return
    const { extensionRefused: _, ...told } = undelivered as Body<'lease-update'>
    if (canonical(told) === canonical(statementOf(this.#config, lease, draft))) this.report(lease, draft)
  }

  /** Of a lease that is not kept, or not his: nothing else would ever end the numbers of this conversation. */
  lastWord(to: string, leaseId: string, body: Body<'lease-update'>, draft: AuthorityDraft): void {
    tell(draft, to, 'lease-update', leaseId, body, draft.now + this.#config.answerMs)
    if (draft.get('lease', leaseId)?.holder !== to) draft.retire(leaseId, draft.now + RETIRE_MS, to)
  }
}

function statementOf(
  config: AuthorityConfig,
  lease: LeaseRow,
  draft: AuthorityDraft,
): Omit<Body<'lease-update'>, 'extensionRefused'> {
  const units = unitsOf(lease, draft)
  const restoring = restoringUntil(config, lease, units, draft)
  const modified = modifiedOf(lease, units)
  return {
    state: lease.state,
    term: { ...lease.term },
    ticketId: (lease.next ?? lease.ticket).id,
    units: units.map((unit) => ({
      ...{ id: unit.id, name: unit.name, report: reportOf(unit), vector: { ...unit.vector } },
      ...{ facts: { ...unit.facts }, reason: unit.reason.slice(0, 500) },
      ...wantedOf(unit, draft),
    })),
    image: lease.image,
    reason: lease.closeReason.slice(0, 500),
    ...(restoring === undefined ? {} : { restoring }),
    ...(modified === undefined ? {} : { modified }),
  }
}

/** After a power cut, while units that it lost or never had are to come: nobody need order others, or give it up. */
function restoringUntil(
  config: AuthorityConfig,
  lease: LeaseRow,
  units: readonly UnitRow[],
  draft: AuthorityDraft,
): Instant | undefined {
  const cut = powerCutOf(draft.now, draft.get('site', 'site'))
  if (cut === undefined || (lease.state !== 'pending' && lease.state !== 'active')) return undefined
  const { missing, exhausted } = lacking(config, lease, draft)
  const isComing = units.some(({ state }) => state === 'setup' || state === 'probing')
  return isComing || (missing > 0 && !exhausted) ? cut.until : undefined
}

/** Its host is to be worked on. That is said until it has ended: while it is being ended it is no more welcome to stay. */
export function wantedOf(
  unit: UnitRow,
  draft: AuthorityDraft,
): { readonly leaveBy?: Instant; readonly leaveOrderedAt?: Instant } {
  const host = unit.state === 'ended' ? undefined : draft.get('host', unit.host)
  return host === undefined || host.lapsed === true
    ? {}
    : { leaveBy: host.by, leaveOrderedAt: host.orderedAt }
}

/** How the latest modification went; undefined while units are still being told. */
function modifiedOf(lease: LeaseRow, units: readonly UnitRow[]): Body<'lease-update'>['modified'] {
  const { modificationId } = lease
  if (modificationId === undefined) return undefined
  if (units.some((unit) => isLive(unit) && !isTold(unit, modificationId))) return undefined
  const failed = units.filter((unit) => isLive(unit) && unit.failedModification === modificationId)
  return { modificationId, refused: null, failed: failed.map(({ id }) => id) }
}

/** What is set up after the change has it from the start. */
const isTold = (unit: UnitRow, modificationId: string): boolean =>
  unit.pushedModification === modificationId || unit.failedModification === modificationId

/** `ended` is said only when nothing runs there any more, or nothing of the guest ever did. */
export function reportOf(unit: UnitRow): Body<'lease-update'>['units'][number]['report'] {
  switch (unit.state) {
    case 'setup':
    case 'probing':
      return 'coming'
    case 'active':
      return 'active'
    case 'suspect':
      return 'suspect'
    case 'teardown':
    case 'stuck':
      return unit.wasActive ? 'suspect' : 'ended'
    case 'ended':
      return 'ended'
  }
}
