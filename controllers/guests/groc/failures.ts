import type { Properties } from '../../../actors/leases/properties.ts'
import type { Instant, Millis } from '../../../actors/runtime/clock.ts'
import { decoded } from '../../../actors/runtime/errors.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchPicture } from '../../../adapters/batch-system.ts'
import type { GuestView, HeldLease, Refusal } from '../../controller.ts'
import { few, hour, some } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import type { GrocMemory } from './memory.ts'
import type { Roll } from './roll.ts'
import { compare, inSequence } from './sequence.ts'

/**
 * Machines of one type, image and site that fail one after another:
 *
 *   1st   replaced at once
 *   2nd   a pause, doubled by each further one
 *   breaker-th and on   one unit at a time, once per `retry.most`, until one comes up
 *
 * A site that fails is avoided meanwhile: the broker is asked for units of others. Only if it has none of the type, or
 * nobody knows the site, the pause is one of the whole type.
 */
export interface Failing {
  /** Undefined if that was not told. */
  readonly site: string | undefined
  /** Not before this instant. */
  readonly until: Instant
  readonly latest: Instant
  readonly probing: boolean
  readonly reason: string
  /** A machine that was asked for elsewhere failed there all the same. */
  readonly isGivenAnyway: boolean
}

/** What failures speak against. */
export interface Trouble {
  /** Asking for the type at all. */
  readonly failing: Failing | undefined
  /** Units of these sites. */
  readonly avoid: readonly Failing[]
  /** Of these, the ones of which one unit may be tried now. */
  readonly trials: readonly Failing[]
}

interface Failure {
  readonly at: Instant
  readonly image: string | undefined
  readonly reason: string
  readonly site: string | undefined
  readonly requestedAt?: Instant | undefined
}

const NONE: Trouble = { failing: undefined, avoid: [], trials: [] }

export function troubleOf(
  view: GuestView<BatchPicture>,
  rolls: readonly Roll[],
  memory: GrocMemory,
  config: GrocConfig,
  type: string,
  now: Instant,
): Trouble {
  const failures = failuresOf(view, rolls, memory, type)
  if (failures.length === 0) return NONE
  const good = goodOf(rolls, memory, type)
  const bySite = new Map<string | undefined, Failure[]>()
  for (const failure of failures) {
    const since = failure.site === undefined ? good.latest : good.bySite.get(failure.site)
    if (since !== undefined && failure.at < since) continue
    bySite.set(failure.site, [...(bySite.get(failure.site) ?? []), failure])
  }
  const rows = [...bySite]
    .flatMap(([site, those]) => rowOf(site, those, config) ?? [])
    .sort((a, b) => a.until - b.until || compare(a.site ?? '', b.site ?? ''))
  const [soonest] = rows
  if (soonest === undefined) return NONE
  const unknown = rows.find(({ site }) => site === undefined)
  if (unknown !== undefined) return { ...NONE, failing: unknown }
  const bad = rows.filter(({ until, probing }) => probing || now < until)
  const [first] = bad
  if (first === undefined) return { ...NONE, failing: soonest }
  if (bad.some(({ isGivenAnyway }) => isGivenAnyway))
    return { ...NONE, failing: because(first, 'the broker gave of it although it was to be avoided') }
  if (!mayHaveOthers(view, bad, config, type))
    return {
      ...NONE,
      failing: because(first, 'the broker chooses the site, and knows no other one for this'),
    }
  const isTried = ({ site, latest }: Failing): boolean =>
    view.leases.some(
      (lease) =>
        lease.type === type && (lease.site === site || triedAt(lease) === site) && lease.requestedAt > latest,
    )
  return {
    failing: undefined,
    avoid: bad,
    trials: bad.filter((one) => one.probing && now >= one.until && !isTried(one)),
  }
}

/** What is asked for to try a site is known by its label, until a ticket says of where it is, or if it is of elsewhere. */
export const trialLabel = (site: string, now: Instant, place: number): string =>
  `trial.${site}.${now}.${place}`

const triedAt = ({ label }: HeldLease): string | undefined => /^trial\.(.+)\.\d+\.\d+$/.exec(label ?? '')?.[1]

const because = (failing: Failing, why: string): Failing => ({
  ...failing,
  reason: `${failing.reason}; ${why}`,
})

/** Some other site is known, or has not been asked for since the latest failure. */
function mayHaveOthers(
  { leases, refusals }: GuestView<BatchPicture>,
  bad: readonly Failing[],
  config: GrocConfig,
  type: string,
): boolean {
  const isBad = (name: string): boolean => bad.some(({ site }) => site === name)
  const known = [
    ...(config.sites ?? []),
    ...leases.flatMap((lease) => (lease.type === type ? (lease.site ?? []) : [])),
    ...refusals.flatMap((refusal) => (refusal.type === type ? (refusal.site ?? []) : [])),
  ]
  if (known.some((site) => !isBad(site))) return true
  const latest = bad.reduce((most, one) => Math.max(most, one.latest), 0)
  return !refusals.some((one) => one.by === 'broker' && one.type === type && one.at >= latest)
}

/** One failure per lease: units that never came are followed by a refusal of the lease itself. */
function failuresOf(
  view: GuestView<BatchPicture>,
  rolls: readonly Roll[],
  memory: GrocMemory,
  type: string,
): readonly Failure[] {
  const failures = new Map<string, Failure>()
  for (const { lease, stillborn } of rolls)
    if (lease.type === type && stillborn !== undefined)
      failures.set(lease.id, {
        ...{ at: stillborn.since, image: undefined, reason: `${stillborn.name} never came up` },
        ...{ site: lease.site, requestedAt: lease.requestedAt },
      })
  for (const refusal of view.refusals)
    if (isFault(refusal) && refusal.type === type) {
      const { at, image, reason, site, requestedAt } = refusal
      failures.set(refusal.leaseId, { at, image, reason, site, requestedAt })
    }
  for (const [unitId, at] of Object.entries(memory.blackHoles)) {
    const site = rolls.find(({ lease }) => lease.held.some(({ id }) => id === unitId))?.lease.site
    failures.set(`unit ${unitId}`, {
      at,
      image: undefined,
      reason: `jobs end at once on unit ${unitId}`,
      site,
    })
  }
  return [...failures.values()]
}

/** Its site has no switch with room for so many: that is no fault of a machine, and no broker can know. */
export const isUngrouped = ({ by, reason }: Refusal): boolean =>
  by === 'site' && decoded(reason).code === 'no-switch-group'

const isFault = (refusal: Refusal): boolean =>
  refusal.by === 'site' && refusal.code !== 'machine-taken' && !isUngrouped(refusal)

/** When a machine of the type last came up, and stayed good. */
function goodOf(
  rolls: readonly Roll[],
  memory: GrocMemory,
  type: string,
): { readonly latest: Instant; readonly bySite: ReadonlyMap<string, Instant> } {
  const bySite = new Map<string, Instant>()
  let latest = Number.NEGATIVE_INFINITY
  for (const { lease, lastJoinedAt } of rolls) {
    if (lease.type !== type) continue
    const site = lease.site ?? ''
    const before = bySite.get(site) ?? Number.NEGATIVE_INFINITY
    if (lastJoinedAt <= before) continue
    let good = before
    for (const { id, joinedAt } of lease.held)
      if (joinedAt !== undefined && joinedAt > good && own(memory.blackHoles, id) === undefined)
        good = joinedAt
    bySite.set(site, good)
    latest = Math.max(latest, good)
  }
  return { latest, bySite }
}

const pauseOf = (count: number, { breaker, retry }: GrocConfig): Millis =>
  count >= breaker ? retry.most : Math.min(retry.most, retry.first * 2 ** (count - 2))

/** Of the image of the newest, as far as that is known. */
function rowOf(
  site: string | undefined,
  failures: readonly Failure[],
  config: GrocConfig,
): Failing | undefined {
  const newestFirst = failures.toSorted((a, b) => b.at - a.at)
  const image = newestFirst.find((failure) => failure.image !== undefined)?.image
  const other = newestFirst.findIndex((failure) => failure.image !== undefined && failure.image !== image)
  const ofImage = other < 0 ? newestFirst : newestFirst.slice(0, other)
  const row = inSequence(
    ofImage.map(({ at }) => at),
    { first: 0, most: config.retry.most },
  )
  if (row === undefined || row.count < 2) return undefined
  const { count, latest } = row
  const where = site === undefined ? '' : `, all at ${site}`
  return {
    ...{ site, latest, until: latest + pauseOf(count, config), probing: count >= config.breaker },
    reason: `${some(count, 'failure')} in a row${image ? ` of image ${image}` : ''}${where}, the last at ${hour(latest)} (${newestFirst[0]?.reason ?? ''})`,
    isGivenAnyway: ofImage.slice(0, count).some(isWhileAvoided(ofImage.slice(0, count), config)),
  }
}

/** It was asked for in the pause after two failures or more, when its site was avoided already. */
const isWhileAvoided =
  (newestFirst: readonly Failure[], config: GrocConfig) =>
  ({ requestedAt, site }: Failure, i: number): boolean => {
    const before = newestFirst.length - 1 - i
    const previous = newestFirst[i + 1]
    if (requestedAt === undefined || site === undefined || previous === undefined || before < 2) return false
    return requestedAt > previous.at + CLOCK_MS && requestedAt < previous.at + pauseOf(before, config)
  }

/** A decision that was under way did not know of it yet. */
const CLOCK_MS: Millis = 1_000

/** `not at west: 3 failures in a row ...`; empty if all sites will do. */
export const avoidedInWords = (avoid: readonly Failing[]): string =>
  avoid.length === 0 ? '' : `; not at ${few(avoid.map(({ site, reason }) => `${site} (${reason})`))}`

/** What is sent with a request to say so, and which sites come first; `only`: this one alone, though it is avoided. */
export function whereAsked(avoid: readonly Failing[], { sites = [] }: GrocConfig, only?: string): Properties {
  const avoided = avoid.flatMap(({ site }) => (site === undefined || site === only ? [] : [site]))
  const preferred = only === undefined ? sites : [only]
  return {
    ...(preferred.length === 0 ? {} : { 'sites.prefer': preferred.join(' ') }),
    ...(avoided.length === 0 ? {} : { 'sites.avoid': avoided.join(' ') }),
  }
}
