import type { NodeMark } from '../../adapters/batch-system.ts'
import { coded, ERRORS } from '../runtime/errors.ts'
import type { ServiceManagerDraft, UnitRow } from './rows.ts'
import { placeOf } from './where.ts'

/**
 * Where a machine is, and by which key it is known, its site says, and anybody can say it: what is run there with the
 * guest's own key would be run on another's machine. One machine is one unit at a time: whoever has joined first. Two
 * guests' machines may be at one address, each in a network of its own.
 *
 *   both of one guest, at one address and port                ──▶ the second is not joined
 *   both of one guest, of two sites, with one host key        ──▶ the second is not joined, by whatever name it is reached
 *   the first one has not joined: its site only says it       ──▶ both try; the daemon that is there first stays
 *   the first one is out, its node removed                    ──▶ a daemon that it left behind there is over
 *
 * The unit of another lease that is in the middleware, and would be the same machine.
 */
export function rivalOf(unit: UnitRow, draft: ServiceManagerDraft): UnitRow | undefined {
  const place = placeOf(unit.facts)
  if (place === undefined) return undefined
  return draft.where('unit', 'guest', unit.guest).find((other) => {
    if (!isIn(other) || other.leaseId === unit.leaseId) return false
    const there = placeOf(other.facts)
    if (there === undefined) return false
    const isSamePlace = there.address === place.address
    return isSamePlace || (there.key === place.key && siteOf(other, draft) !== siteOf(unit, draft))
  })
}

/** For the status and the ledger, with the cure. */
export function takenBy(unit: UnitRow, rival: UnitRow, draft: ServiceManagerDraft): string {
  const site = siteOf(unit, draft) ?? 'its site'
  const sentence = `${unit.name} is not joined: ${site} says that it is at ${unit.facts.address}, and ${rival.name} of lease ${rival.leaseId}, from ${siteOf(rival, draft) ?? 'a site'}, is that machine`
  return `${coded('machine-taken', sentence)}. ${ERRORS['machine-taken'][1]}`
}

const OVER_MAX = 8

/** Units that were the same machine before, the latest ones; what is left of them there may be ended. */
export function overOn(unit: UnitRow, draft: ServiceManagerDraft): readonly NodeMark[] {
  const place = placeOf(unit.facts)
  if (place === undefined) return []
  return draft
    .where('unit', 'guest', unit.guest)
    .filter((other) => other.leaseId !== unit.leaseId && isOver(other))
    .filter((other) => placeOf(other.facts)?.address === place.address)
    .sort((a, b) => b.since - a.since)
    .slice(0, OVER_MAX)
    .map(({ leaseId, id }) => ({ leaseId, unitId: id }))
}

/** It has joined, or may have: one of which its site only says that it is there keeps nobody out. */
const isIn = ({ state, joinedAt, mayBeIn }: UnitRow): boolean =>
  (joinedAt !== undefined || mayBeIn === true) && state !== 'left' && state !== 'lost'

/** Its node is removed. */
const isOver = ({ state, settled }: UnitRow): boolean => state === 'left' || (state === 'lost' && settled)

const siteOf = ({ leaseId }: UnitRow, draft: ServiceManagerDraft): string | undefined =>
  draft.get('lease', leaseId)?.ticket?.site
