import type { UnitRow as SiteUnitRow } from '../../actors/authority/rows.ts'
import type { Instant } from '../../actors/runtime/clock.ts'
import { own } from '../../actors/runtime/plain.ts'
import { isPinned } from '../../actors/service-manager/brakes.ts'
import type { GuestRow, PartedJobs } from '../../actors/service-manager/rows.ts'
import { unknownSentence } from '../../actors/service-manager/strays.ts'
import type { BatchPicture, HeldBy, JobState } from '../../adapters/batch-system.ts'
import type { GuestFigures, MemberState } from '../../controllers/controller.ts'
import { isAlarming } from '../../controllers/guests/groc/held.ts'
import { type MissingBroker, missingBrokers } from '../peers/missing-brokers.ts'
import { type OwnKeyReport, ownKeys, type PeerReport, peerReports } from '../peers/peer-reports.ts'
import type { GuestSettings } from '../settings/config.ts'
import { type HostReport, hostsOf } from './host-report.ts'
import { type Approval, approvalsOf, type LeaseReport, type LeaseStanding, leasesOf } from './lease-report.ts'
import { type RecoveryReport, recoveriesOf } from './recovery-report.ts'
import type { SiteView } from './site-view.ts'

/** What is shown of a running site: plain JSON, read from the rows of the last commits. */

export interface NodeReport {
  readonly unitId: string
  readonly name: string
  readonly guest: string
  readonly leaseId: string
  /** Where it stands in the middleware; null once the service manager has forgotten it. */
  readonly membership: MemberState | null
  /** Where it stands at the site; null if the site does not know it. */
  readonly machine: SiteUnitRow['state'] | null
  readonly host: string | null
  readonly image: string | null
  readonly since: Instant
  readonly jobs: readonly string[]
  readonly suspect: string | null
  /** A person keeps it. */
  readonly pinned: { readonly until: Instant; readonly by: string; readonly reason: string } | null
  readonly reason: string
}

export interface GuestReport {
  readonly name: string
  readonly middleware: string
  /** `observe`: what its controller decides is only written down. */
  readonly mode: 'act' | 'observe'
  /** Tasks by state, as of the last look; null before the first. */
  readonly jobs: Readonly<Record<JobState, number>> | null
  /** Tasks that wait for what no machine would cure, in the queues it serves, by what holds them; null before the first look. */
  readonly held: Readonly<Partial<Record<HeldBy, number>>> | null
  readonly lookedAt: Instant | null
  readonly blindSince: Instant | null
  /** A person keeps its controller from asking for units and from giving idle ones back. */
  readonly frozen: { readonly since: Instant; readonly by: string; readonly reason: string } | null
  readonly figures: GuestFigures | null
  /** Where people ask: their units as they are now; null where a policy asks, which says what it counted when it decided. */
  readonly byHand: UnitsByHand | null
  /** Never more units than this, whatever is wanted. */
  readonly unitsMax: number | null
  readonly decidedAt: Instant | null
  /** Units that are ready and not joined, a sentence each: one that would be another lease’s machine. */
  readonly refused: readonly string[]
  /** Marked nodes of leases that nobody here knows, with what to do; null if there is none. */
  readonly unknownNodes: string | null
  /** Jobs on units that had to go: of leases that ended within the hour. */
  readonly parted: PartedReport
  readonly reason: string
}

/** At most twenty of each. */
export interface PartedReport {
  readonly back: readonly { readonly id: string; readonly node: string }[]
  /** Still there, and cut when the site ends their machine. */
  readonly kept: readonly PartedJob[]
  readonly cut: readonly PartedJob[]
}

export interface PartedJob {
  readonly id: string
  readonly node: string
  readonly reason: string
}

export interface UnitsByHand {
  readonly joined: number
  /** Of leases that have begun: on the way into the middleware. */
  readonly coming: number
  /** Granted from some later time on. */
  readonly reserved: number
  /** No broker has granted them yet. */
  readonly asked: number
  /** They take no new work, and may have some still. */
  readonly leaving: number
}

export interface StatusReport {
  readonly name: string
  readonly dir: string
  readonly pid: number
  readonly now: Instant
  readonly startedAt: Instant
  readonly actors: readonly {
    readonly name: string
    readonly role: string
    readonly running: boolean
    readonly ledger: number
  }[]
  /** Why nothing new is granted or assigned for now. */
  readonly paused: string | null
  /** Most machines of the site were dead at one time, and are set up again. */
  readonly powerCut: {
    readonly since: Instant
    readonly gone: number
    readonly of: number
    readonly until: Instant
  } | null
  readonly recovering: readonly RecoveryReport[]
  readonly guests: readonly GuestReport[]
  readonly leases: Readonly<Record<LeaseStanding, number>>
  /** Units that are held, by state of their machine. */
  readonly machines: Readonly<Record<string, number>>
  readonly offers: readonly {
    readonly type: string
    readonly units: number
    readonly withheld: number
    readonly held: number
    /** Why nothing of it is given away any more; null while it is. */
    readonly withdrawn: string | null
  }[]
  /** Hosts that are to be worked on. */
  readonly maintenance: readonly HostReport[]
  /** Requests that wait at the broker until somebody approves them. */
  readonly approvals: readonly Approval[]
  /** Actors in other processes. */
  readonly peers: readonly PeerReport[]
  /** Brokers that the configuration names, and of whom nothing is known here. */
  readonly missingBrokers: readonly MissingBroker[]
  /** The keys of the actors that run here. */
  readonly keys: readonly OwnKeyReport[]
  readonly recalls: readonly {
    readonly id: string
    readonly type: string
    readonly units: number
    readonly by: Instant
    /** It has taken effect, and there is nothing left of it to be called off; holders may still be at it. */
    readonly taken: boolean
  }[]
}

export function statusOf(
  site: SiteView,
  now: Instant,
  self: { readonly pid: number; readonly startedAt: Instant },
): StatusReport {
  const units = (site.authority?.rows('unit') ?? []).filter(({ state }) => state !== 'ended')
  const roles = {
    'service manager': site.serviceManager,
    broker: site.broker,
    'site authority': site.authority,
  }
  return {
    name: site.settings.name,
    dir: site.settings.dir,
    ...self,
    now,
    recovering: recoveriesOf(site),
    powerCut: powerCutOf(site),
    paused: site.broker?.rows('round')[0]?.paused ?? site.authority?.rows('site')[0]?.paused ?? null,
    actors: Object.entries(roles).flatMap(([role, actor]) =>
      actor === undefined ? [] : [{ name: actor.name, role, running: actor.running, ledger: actor.head.seq }],
    ),
    guests: Object.keys(site.guests).map((name) => guestOf(site, name, now)),
    leases: {
      requested: 0,
      ticketed: 0,
      active: 0,
      closing: 0,
      closed: 0,
      ...tally(leasesOf(site).map(({ state }) => state)),
    },
    machines: tally(units.map(({ state }) => state)),
    offers: (site.authority?.rows('offer') ?? []).map(({ id, units: offered, withheld, withdrawn }) => ({
      type: id,
      units: offered,
      withheld,
      held: units.filter(({ type }) => type === id).length,
      withdrawn: withdrawn ?? null,
    })),
    maintenance: hostsOf(site).filter(({ maintenance }) => maintenance !== null),
    approvals: approvalsOf(site),
    peers: peerReports(site),
    missingBrokers:
      site.federation === undefined ? [] : missingBrokers(site.settings, site.federation.peers()),
    keys: ownKeys(site),
    recalls: (site.authority?.rows('recall') ?? []).map(({ id, type, units: count, by, taken }) => ({
      id,
      type,
      units: count,
      by,
      taken,
    })),
  }
}

function powerCutOf({ authority }: SiteView): StatusReport['powerCut'] {
  const cut = authority?.rows('site')[0]?.powerCut
  if (cut === undefined || cut.over === true) return null
  const { since, gone, of, until } = cut
  return { since, gone, of, until }
}

/** Why units that their sites call ready are not joined. */
const refusedOf = (site: SiteView, guest: string): readonly string[] =>
  (site.serviceManager?.rows('unit') ?? [])
    .filter((unit) => unit.guest === guest && unit.state === 'awaited' && unit.ready === true)
    .flatMap(({ failures, reason }) => (failures > 0 ? [reason] : []))

const unknownOf = (row: GuestRow | undefined): string | null => {
  const told = row?.unknown?.filter((node) => node.told) ?? []
  return told.length === 0 ? null : unknownSentence(told)
}

const PARTED_MAX = 20

/** The latest first. */
function partedOf(site: SiteView, guest: string): PartedReport {
  const units = (site.serviceManager?.rows('unit') ?? [])
    .filter((unit) => unit.guest === guest && unit.parted !== undefined)
    .toSorted((a, b) => b.since - a.since)
  const all = <Told extends { readonly id: string }>(
    of: (jobs: PartedJobs) => readonly Told[],
  ): (Told & { readonly node: string })[] =>
    units
      .flatMap(({ name, parted }) => of(parted!).map((job) => ({ ...job, node: name })))
      .slice(0, PARTED_MAX)
  return {
    back: all(({ back }) => back.map((id) => ({ id }))),
    kept: all(({ kept }) => kept),
    cut: all(({ cut }) => cut),
  }
}

function guestOf(site: SiteView, name: string, now: Instant): GuestReport {
  const controller = site.settings.guests.find((guest) => guest.name === name)?.controller
  const row = site.serviceManager?.rows('guest').find(({ id }) => id === name)
  const picture = own(site.guests, name)?.lastPicture()
  return {
    name,
    middleware: own(site.guests, name)?.batch.name ?? '',
    mode: site.settings.guests.find((guest) => guest.name === name)?.mode ?? 'act',
    jobs: picture === undefined ? null : jobTally(picture),
    held: picture === undefined ? null : heldTally(picture, controller),
    lookedAt: picture?.at ?? null,
    blindSince: row?.blindSince ?? null,
    frozen: frozenOf(site, name),
    figures: row?.figures ?? null,
    byHand: controller?.kind === 'by-hand' ? unitsByHand(site, name, now) : null,
    unitsMax: maxOf(controller),
    decidedAt: row?.decidedAt ?? null,
    refused: refusedOf(site, name),
    unknownNodes: unknownOf(row),
    parted: partedOf(site, name),
    reason: row?.reason ?? '',
  }
}

function frozenOf(site: SiteView, name: string): GuestReport['frozen'] {
  const brake = site.serviceManager?.rows('brake').find(({ id }) => id === name)
  if (brake === undefined) return null
  const { since, by, reason } = brake
  return { since, by, reason }
}

const ON_THE_WAY: readonly MemberState[] = ['awaited', 'joining']
const ON_THE_WAY_OUT: readonly MemberState[] = ['draining', 'leaving']

/** Nobody decides anything when a unit comes or goes, so what was counted at a decision would be told long after. */
function unitsByHand(site: SiteView, guest: string, now: Instant): UnitsByHand {
  const leases = leasesOf(site).filter((lease) => lease.guest === guest)
  const sum = (some: readonly LeaseReport[], count: (lease: LeaseReport) => number): number =>
    some.reduce((total, lease) => total + count(lease), 0)
  const granted = leases.filter(({ state }) => state === 'ticketed' || state === 'active')
  const isLater = ({ start }: LeaseReport): boolean => start !== null && start > now
  const notYetThere = ({ units, members }: LeaseReport): number =>
    Math.max(0, units - members.filter(({ state }) => !ON_THE_WAY.includes(state)).length)
  return {
    joined: sum(leases, ({ members }) => members.filter(({ state }) => state === 'joined').length),
    coming: sum(
      granted.filter((lease) => !isLater(lease)),
      notYetThere,
    ),
    reserved: sum(granted.filter(isLater), ({ units }) => units),
    asked: sum(
      leases.filter(({ state }) => state === 'requested'),
      ({ units }) => units,
    ),
    leaving: sum(
      leases,
      ({ members }) => members.filter(({ state }) => ON_THE_WAY_OUT.includes(state)).length,
    ),
  }
}

const maxOf = (controller: GuestSettings['controller'] | undefined): number | null =>
  controller?.kind === 'groc' ? controller.max : null

export function jobTally(picture: BatchPicture): Record<JobState, number> {
  const counts: Record<JobState, number> = { pending: 0, held: 0, running: 0, completing: 0, ended: 0 }
  for (const { state, tasks } of picture.jobs) counts[state] += tasks
  return counts
}

/** Whatever the batch system calls it, one whose start failed is held by the batch system itself: somebody has to look. */
function heldTally(
  picture: BatchPicture,
  controller: GuestSettings['controller'] | undefined,
): Partial<Record<HeldBy, number>> {
  const queues = controller?.kind === 'groc' ? controller.queues : undefined
  const counts: Partial<Record<HeldBy, number>> = { system: 0 }
  for (const job of picture.jobs) {
    if (job.state !== 'held' || queues?.some(({ name }) => name === job.queue) === false) continue
    const by = isAlarming(job) ? 'system' : (job.heldBy ?? 'unknown')
    counts[by] = (counts[by] ?? 0) + job.tasks
  }
  return counts
}

/** Units that are held by the site or known to the service manager and not yet gone, by name. */
export function nodesOf(site: SiteView, now: Instant): readonly NodeReport[] {
  const atSite = new Map((site.authority?.rows('unit') ?? []).map((unit) => [unit.id, unit]))
  const members = new Map((site.serviceManager?.rows('unit') ?? []).map((unit) => [unit.id, unit]))
  const inPictures = new Map(
    Object.values(site.guests).flatMap(
      (guest) =>
        guest
          .lastPicture()
          ?.nodes.flatMap((node) => (node.mark === undefined ? [] : [[node.mark.unitId, node] as const])) ??
        [],
    ),
  )
  return [...new Set([...atSite.keys(), ...members.keys()])]
    .map((unitId): NodeReport => {
      const [machine, member] = [atSite.get(unitId), members.get(unitId)]
      return {
        unitId,
        name: member?.node ?? member?.name ?? machine?.name ?? '',
        guest: member?.guest ?? '',
        leaseId: member?.leaseId ?? machine?.leaseId ?? '',
        membership: member?.state ?? null,
        machine: machine?.state ?? null,
        host: machine?.host ?? null,
        image: machine?.image ?? null,
        since: member?.since ?? machine?.since ?? 0,
        jobs: inPictures.get(unitId)?.jobs ?? [],
        suspect: member?.suspect ?? null,
        pinned: member !== undefined && isPinned(member, now) ? (member.pinned ?? null) : null,
        reason: member?.reason || machine?.reason || '',
      }
    })
    .toSorted(
      (a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }) || (a.unitId < b.unitId ? -1 : 1),
    )
}

/** A machine that is in the middleware, and how its sshd is reached. */
export interface JoinedMachine {
  readonly guest: string
  readonly name: string
  readonly facts: Readonly<Record<string, string>>
}

const REACH = ['address', 'sshPort', 'sshUser', 'sshHostKey'] as const

export const joinedOf = ({ serviceManager }: SiteView): readonly JoinedMachine[] =>
  (serviceManager?.rows('unit') ?? [])
    .filter(({ state }) => state === 'joined')
    .map(({ guest, name, facts }) => ({
      ...{ guest, name },
      facts: Object.fromEntries(
        REACH.flatMap((key) => (facts[key] === undefined ? [] : [[key, facts[key]]])),
      ),
    }))

/** Neither in the middleware nor held by the site. */
export const isGone = ({ membership, machine }: NodeReport): boolean =>
  (membership === null || membership === 'left' || membership === 'lost') &&
  (machine === null || machine === 'ended')

function tally(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1
  return counts
}
