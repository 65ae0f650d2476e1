import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import type { GuestReport, StatusReport } from '../reports/status.ts'
import type { Family, Sample } from './exposition.ts'

/** Figures of one instant, and counts since this process began. */
export interface Figures {
  readonly version: string
  readonly status: StatusReport
  /** Lines of the ledgers by actor and kind. */
  readonly lines: ReadonlyMap<string, ReadonlyMap<string, number>>
}

const seconds = (ms: Millis): number => ms / 1_000
const flag = (is: boolean): number => (is ? 1 : 0)

/**
 *   sublet_…            Sublet itself         sublet_guest_…    what a controller sees, counts and holds
 *   sublet_offer_…      what a site lends     sublet_peer_…     actors in other processes
 *
 * What is not known is not there: no sample says 0 for it.
 */
export function familiesOf({ version, status, lines }: Figures): readonly Family[] {
  const { now } = status
  const since = (at: Instant | null): number => (at === null ? 0 : seconds(Math.max(0, now - at)))
  const gauge = (name: string, help: string, samples: readonly Sample[]): Family => ({
    ...{ name, kind: 'gauge', help, samples },
  })
  const each = (read: (guest: GuestReport) => number | undefined): readonly Sample[] =>
    status.guests.flatMap((guest) => {
      const value = read(guest)
      return value === undefined ? [] : [{ labels: { guest: guest.name }, value }]
    })
  const counted = (name: string, of: Readonly<Record<string, number>>): readonly Sample[] =>
    Object.entries(of).map(([label, value]) => ({ labels: { [name]: label }, value }))
  const figures = (guest: GuestReport): Readonly<Record<string, number | undefined>> => ({
    joined: guest.byHand?.joined ?? guest.figures?.unitsJoined,
    coming: guest.byHand?.coming ?? guest.figures?.unitsComing,
    wanted: guest.figures?.unitsWanted,
    max: guest.unitsMax ?? undefined,
  })
  const offer = (read: (one: StatusReport['offers'][number]) => number): readonly Sample[] =>
    status.offers.map((one) => ({ labels: { type: one.type }, value: read(one) }))
  return [
    gauge('sublet_build_info', 'The version that runs; its value is always 1.', [
      { labels: { version, site: status.name }, value: 1 },
    ]),
    gauge('sublet_start_time_seconds', 'When Sublet was started, since the epoch.', [
      { labels: {}, value: seconds(status.startedAt) },
    ]),
    gauge(
      'sublet_actor_running',
      'Whether the actor runs: 0 if it has stopped for an error.',
      status.actors.map(({ name, role, running }) => ({
        labels: { actor: name, role },
        value: flag(running),
      })),
    ),
    gauge('sublet_paused', 'Whether nothing new is granted or assigned for now, as for a nearly full disk.', [
      { labels: {}, value: flag(status.paused !== null) },
    ]),
    gauge('sublet_recovering', 'Actors that ask others, after a restore, what is held.', [
      { labels: {}, value: status.recovering.length },
    ]),
    gauge('sublet_leases', 'Leases by where they stand.', counted('state', status.leases)),
    gauge('sublet_machines', 'Machines that the site holds, by state.', counted('state', status.machines)),
    gauge(
      'sublet_guest_jobs',
      'Jobs of the middleware by state, tasks of arrays one by one, as of the last look.',
      status.guests.flatMap(({ name, jobs }) =>
        counted('state', jobs ?? {}).map(({ labels, value }) => ({
          labels: { guest: name, ...labels },
          value,
        })),
      ),
    ),
    gauge(
      'sublet_guest_held_jobs',
      'Jobs that no machine would help, in the queues that are served, by what holds them; system: the middleware itself, as a rule since their start failed.',
      status.guests.flatMap(({ name, held }) =>
        counted('by', held ?? {}).map(({ labels, value }) => ({ labels: { guest: name, ...labels }, value })),
      ),
    ),
    gauge(
      'sublet_guest_units',
      'Units: in the middleware, on their way, those that would serve all jobs at once, and the most there may be.',
      status.guests.flatMap((guest) =>
        Object.entries(figures(guest)).flatMap(([state, value]) =>
          value === undefined ? [] : [{ labels: { guest: guest.name, state }, value }],
        ),
      ),
    ),
    gauge(
      'sublet_guest_backlog_jobs',
      'Waiting jobs that a machine would help.',
      each(({ figures: seen }) => seen?.backlogJobs),
    ),
    gauge(
      'sublet_guest_oldest_wait_seconds',
      'How long the one of them that has waited longest has waited, as of the last decision.',
      each(({ figures: seen }) => (seen === null ? undefined : seconds(seen.oldestWaitMs))),
    ),
    gauge(
      'sublet_guest_look_age_seconds',
      'How old the last look at the middleware is.',
      each(({ lookedAt }) => (lookedAt === null ? undefined : since(lookedAt))),
    ),
    gauge(
      'sublet_guest_blind_seconds',
      'For how long looks have failed; 0 while they do not.',
      each(({ blindSince }) => since(blindSince)),
    ),
    gauge(
      'sublet_guest_frozen_seconds',
      'For how long a person has kept its controller back; 0 while nobody does.',
      each(({ frozen }) => since(frozen?.since ?? null)),
    ),
    gauge(
      'sublet_offer_units',
      'Units that the site lends now.',
      offer(({ units, withheld, withdrawn }) => (withdrawn === null ? units - withheld : 0)),
    ),
    gauge(
      'sublet_offer_withheld_units',
      'Units that were recalled, or are on hosts that are to be worked on.',
      offer(({ withheld }) => withheld),
    ),
    gauge(
      'sublet_offer_held_units',
      'Units that leases hold, until their machines are gone.',
      offer(({ held }) => held),
    ),
    gauge('sublet_approvals_waiting', 'Requests that wait until a person approves them.', [
      { labels: {}, value: status.approvals.length },
    ]),
    gauge(
      'sublet_peer_silent_seconds',
      'For how long nothing has come back from an actor elsewhere; 0 while it answers.',
      status.peers.map(({ name, silentSince }) => ({ labels: { peer: name }, value: since(silentSince) })),
    ),
    gauge(
      'sublet_peer_waiting_messages',
      'Messages to it that it has not acknowledged.',
      status.peers.map(({ name, waiting }) => ({ labels: { peer: name }, value: waiting })),
    ),
    gauge(
      'sublet_key_end_time_seconds',
      'When the last of the keys of an actor ends, since the epoch; absent if one has no end.',
      [
        ...status.keys.flatMap(({ name, keys }): Sample[] => {
          const ends = keys.map(({ until }) => until)
          if (ends.length === 0 || ends.includes(null)) return []
          return [{ labels: { actor: name }, value: seconds(Math.max(...ends.map((end) => end ?? 0))) }]
        }),
        ...status.peers.flatMap(({ name, keyEndsAt }): Sample[] =>
          keyEndsAt === null ? [] : [{ labels: { actor: name }, value: seconds(keyEndsAt) }],
        ),
      ],
    ),
    {
      name: 'sublet_ledger_lines_total',
      kind: 'counter',
      help: 'Lines written into the ledgers since Sublet was started, by actor and kind: requested, refused, unit lost, ...',
      samples: [...lines].flatMap(([actor, kinds]) =>
        [...kinds].map(([kind, value]) => ({ labels: { actor, kind }, value })),
      ),
    },
  ]
}
