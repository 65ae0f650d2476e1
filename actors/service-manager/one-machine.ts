import type { NodeMark } from '../../adapters/batch-system.ts'
import type { Properties } from '../leases/properties.ts'
import { coded, ERRORS } from '../runtime/errors.ts'
import type { ServiceManagerDraft, UnitRow } from './rows.ts'

/**
 * Where a machine is, and by which key it is known, its site says, and anybody can say it: what is run there with the
 * guest's own key would be run on another's machine. One machine is one unit at a time: whoever was there first.
 *
 *   both of one guest, at one address and port   ──▶ the second is not joined
 *   of two sites, with one host key              ──▶ the second is not joined, by whatever name it is reached
 *   the first one is out, its node removed       ──▶ a daemon that it left behind there is over
 */
interface Place {
  readonly address: string
  readonly key: string
}

/** Machines that are reached over ssh; others say themselves which unit they are. */
function placeOf({ address = '', sshPort = '22', sshHostKey = '' }: Properties): Place | undefined {
  return address === '' || sshHostKey === ''
    ? undefined
    : { address: `${address} ${sshPort}`, key: sshHostKey }
}

/** The unit of another lease that is in the middleware, or is coming into it, and would be the same machine. */
export function rivalOf(unit: UnitRow, draft: ServiceManagerDraft): UnitRow | undefined {
  const place = placeOf(unit.facts)
  if (place === undefined) return undefined
  return draft.all('unit').find((other) => {
    if (!isIn(other) || other.leaseId === unit.leaseId) return false
    const there = placeOf(other.facts)
    if (there === undefined) return false
    const isSamePlace = other.guest === unit.guest && there.address === place.address
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

/** One that only waits holds nothing yet: two of them would wait for each other. */
const isIn = ({ state, mayBeIn }: UnitRow): boolean =>
  state === 'awaited' ? mayBeIn === true : state !== 'left' && state !== 'lost'

/** Its node is removed. */
const isOver = ({ state, settled }: UnitRow): boolean => state === 'left' || (state === 'lost' && settled)

const siteOf = ({ leaseId }: UnitRow, draft: ServiceManagerDraft): string | undefined =>
  draft.get('lease', leaseId)?.ticket?.site
