import { tell } from '../leases/correspondence.ts'
import type { Body } from '../leases/messages.ts'
import type { Properties } from '../leases/properties.ts'
import { someUnits } from '../leases/words.ts'
import type { ServiceManagerConfig } from './config.ts'
import type { LeaseRow, ModificationRow, ServiceManagerDraft } from './rows.ts'
import { isGivenBack } from './steps.ts'

type Modified = NonNullable<Body<'lease-update'>['modified']>

/**
 * Other properties for live units. Whatever comes of it, the lease goes on.
 *
 *   asked ──▶ done │ failed (on some units) │ refused │ unanswered
 */
export function modifications(config: ServiceManagerConfig) {
  return { ask, answered, undelivered, overdue }

  /** One at a time. What is not yet redeemed is changed before it is. */
  function ask(
    lease: LeaseRow | undefined,
    properties: Properties,
    reason: string,
    draft: ServiceManagerDraft,
  ): string | undefined {
    if (lease === undefined || isGivenBack(lease)) return 'it is being given back'
    const modificationId = draft.newId('modification')
    const asked: ModificationRow = {
      ...{ id: modificationId, askedAt: draft.now, properties, state: 'asked', reason: '', failed: [] },
      by: Math.min(draft.now + config.answerMs, lease.term?.end ?? Number.POSITIVE_INFINITY),
    }
    if (lease.modification?.state === 'asked') {
      draft.note('modification refused', lease.id, `another one is under way since it was asked: ${reason}`)
      return 'another modification is under way'
    }
    draft.note('modification asked', lease.id, reason, { modificationId, properties })
    if (lease.leaseState === 'none' || lease.leaseState === 'blocked') {
      const early = 'it is redeemed with them'
      settle({ ...lease, modification: asked }, 'done', early, [], draft)
      return undefined
    }
    draft.put('lease', { ...lease, modification: asked, due: Math.min(lease.due ?? asked.by, asked.by) })
    tell(
      draft,
      lease.ticket!.site,
      'modify-lease',
      lease.id,
      { modificationId, properties: { ...properties } },
      asked.by,
    )
    return undefined
  }

  function answered(
    lease: LeaseRow,
    { modificationId, refused, failed }: Modified,
    draft: ServiceManagerDraft,
  ): void {
    if (lease.modification?.state !== 'asked' || lease.modification.id !== modificationId) return
    if (refused !== null) return settle(lease, 'refused', refused, [], draft)
    if (failed.length === 0) return settle(lease, 'done', 'on all units', [], draft)
    settle(lease, 'failed', `on ${someUnits(failed.length)}, which kept what they had`, failed, draft)
  }

  function undelivered(lease: LeaseRow, reason: string, draft: ServiceManagerDraft): void {
    if (lease.modification?.state === 'asked') settle(lease, 'refused', reason, [], draft)
  }

  /** The site may have done it; it has not said so. */
  function overdue(lease: LeaseRow, draft: ServiceManagerDraft): LeaseRow {
    const { modification } = lease
    if (modification?.state !== 'asked' || draft.now < modification.by) return lease
    settle(lease, 'unanswered', 'the site has not said in time how it went', [], draft)
    return draft.get('lease', lease.id)!
  }

  function settle(
    lease: LeaseRow,
    state: ModificationRow['state'],
    reason: string,
    failed: readonly string[],
    draft: ServiceManagerDraft,
  ): void {
    const modification = { ...lease.modification!, state, reason, failed }
    const isTrue = state === 'done' || state === 'failed'
    const properties = isTrue ? changed(lease.properties, modification.properties) : lease.properties
    draft.put('lease', { ...lease, modification, properties })
    draft.note(`modification ${state}`, lease.id, reason, { modificationId: modification.id, failed })
  }
}

/** The empty string takes a property away. */
function changed(before: Properties, change: Properties): Properties {
  return Object.fromEntries(Object.entries({ ...before, ...change }).filter(([, value]) => value !== ''))
}
