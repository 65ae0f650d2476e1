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
  const type = types[random.int(types.length)] ?? 'vm.small'
  const kind = random.next()
  if (kind < 0.1) return together(type, now, random)
  const named = leases.flatMap(({ label }) => (label === undefined ? [] : [label]))
  const before = named[random.int(named.length)]
  if (kind < 0.25 && before !== undefined) {
    const after = random.next() < 0.5 ? { redeem: before } : { join: before }
    return [{ ...request(type, now, random), after }]
  }
  if (kind < 0.35) return [{ ...request(type, now, random), startAt: now + random.int(60_000) }]
  if (kind < 0.6) return [{ ...request(type, now, random), label: `rover-${now}` }]
  return [request(type, now, random)]
}

/** Two or three at one start, or none; now and then one of them never asks. */
function together(type: string, now: Instant, random: Random): GuestIntent[] {
  const size = 2 + random.int(2)
  const group = { id: `group-${now}`, size }
  const durationMs = lengthMs(random)
  const asking = random.next() < 0.2 ? size - 1 : size
  return Array.from({ length: asking }, () => ({
    ...request(type, now, random),
    ...{ units: 1, unitsMin: 1, durationMs, startBy: now + 60_000, group },
  }))
}

type Request = Extract<GuestIntent, { kind: 'request' }>

function request(type: string, now: Instant, random: Random): Request {
  const units = 1 + random.int(3)
  return {
    kind: 'request',
    type,
    units,
    unitsMin: random.next() < 0.5 ? 1 + random.int(units) : units,
    durationMs: lengthMs(random),
    startBy: random.next() < 0.6 ? now + random.int(90_000) : undefined,
    reason: 'it pleases',
  }
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
  if (random.next() < 0.04)
    intents.push({
      kind: 'modify',
      leaseId: lease.id,
      properties: { colour: random.next() < 0.5 ? 'blue' : '' },
      reason: 'to look better',
    })
  const near = lease.extendBy !== undefined && now < lease.extendBy && lease.extendBy - now < 25_000
  if (near && !lease.extending && wishes && random.next() < 0.5) {
    const victims = random.next() < 0.3 ? lease.held.slice(0, 1).map(({ id }) => id) : []
    const grown = lease.units + random.int(3)
    intents.push({
      kind: 'extend',
      leaseId: lease.id,
      durationMs: lengthMs(random),
      victims,
      reason: 'it goes on pleasing',
      ...(random.next() < 0.3 ? { units: grown, unitsMin: 1 + random.int(grown) } : {}),
    })
  }
  return intents
}

const lengthMs = (random: Random): Millis => 12_000 + random.int(48_000)
