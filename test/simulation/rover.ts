import type { Instant, Millis } from '../../actors/runtime/clock.ts'
import { type Random, seededRandom } from '../../actors/runtime/random.ts'
import type { GuestController, GuestIntent, GuestView, HeldLease } from '../../controllers/controller.ts'

export interface RoverConfig {
  readonly seed: string
  readonly types: readonly string[]
}

export interface RoverObservation {
  /** Otherwise nothing new is asked for. */
  readonly wishes: boolean
}

const LEASES_MAX = 5

/**
 * A guest that does whatever a guest may do, at random but in its senses: asks now and for later, elastic and
 * not, extends with and without victims, drains, resumes, gives back early, heeds recalls or does not. It
 * remembers nothing: its chance comes from its seed and the hour.
 */
export const rover: GuestController<RoverObservation, null, RoverConfig> = {
  name: 'rover',
  firstMemory: null,
  decide(view, _memory, config, now) {
    const random = seededRandom(`${config.seed} ${now}`)
    const wishes = view.observation?.wishes === true
    const intents = [
      ...(wishes ? requests(view, config, now, random) : []),
      ...view.leases.flatMap((lease) => forLease(lease, wishes, now, random)),
    ]
    return {
      intents,
      memory: null,
      reason: 'as it pleases',
      figures: { backlogJobs: 0, unitsWanted: 0, unitsJoined: 0, unitsComing: 0, oldestWaitMs: 0 },
      againMs: 60_000,
    }
  },
  explainJob: () => undefined,
}

function requests(
  { leases }: GuestView<RoverObservation>,
  { types }: RoverConfig,
  now: Instant,
  random: Random,
): GuestIntent[] {
  if (leases.length >= LEASES_MAX || random.next() > 0.6) return []
  const units = 1 + random.int(3)
  const later = random.next() < 0.6
  return [
    {
      kind: 'request',
      type: types[random.int(types.length)] ?? 'vm.small',
      units,
      unitsMin: random.next() < 0.5 ? 1 + random.int(units) : units,
      durationMs: lengthMs(random),
      startBy: later ? now + random.int(90_000) : undefined,
      reason: 'it pleases',
    },
  ]
}

function forLease(lease: HeldLease, wishes: boolean, now: Instant, random: Random): GuestIntent[] {
  if (lease.state === 'closing') return []
  if (random.next() < 0.03) return [{ kind: 'release', leaseId: lease.id, reason: 'enough' }]
  if (lease.state !== 'active') return []
  const joined = lease.held.filter(({ state }) => state === 'joined' || state === 'draining')
  const intents: GuestIntent[] = []
  if (lease.recall !== undefined && random.next() < 0.5)
    for (const { id } of joined.slice(0, lease.recall.units))
      intents.push({ kind: 'leave', unitId: id, reason: 'recalled' })
  for (const { id, state } of joined) {
    const chance = random.next()
    if (state === 'joined' && chance < 0.05) intents.push({ kind: 'drain', unitId: id, reason: 'to rest' })
    if (state === 'draining' && chance < 0.3) intents.push({ kind: 'resume', unitId: id, reason: 'rested' })
    if (state === 'draining' && chance > 0.7) intents.push({ kind: 'leave', unitId: id, reason: 'tired' })
  }
  const near = lease.extendBy !== undefined && now < lease.extendBy && lease.extendBy - now < 25_000
  if (near && !lease.extending && wishes && random.next() < 0.5) {
    const victims = random.next() < 0.3 ? lease.held.slice(0, 1).map(({ id }) => id) : []
    intents.push({
      kind: 'extend',
      leaseId: lease.id,
      durationMs: lengthMs(random),
      victims,
      reason: 'it goes on pleasing',
    })
  }
  return intents
}

const lengthMs = (random: Random): Millis => 12_000 + random.int(48_000)
