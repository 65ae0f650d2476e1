import type { UnitEffectArgs } from '../../actors/authority/units.ts'
import { downgrade } from '../../actors/leases/versions.ts'
import { Actor, type Log } from '../../actors/runtime/actor.ts'
import type { Clock, Millis } from '../../actors/runtime/clock.ts'
import type { Perform } from '../../actors/runtime/effects.ts'
import type { Ack, Envelope } from '../../actors/runtime/envelope.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { Mind } from '../../actors/runtime/mind.ts'
import type { Random } from '../../actors/runtime/random.ts'
import type { Tables } from '../../actors/runtime/rows.ts'
import { type ClockMark, steadyClock } from '../../actors/runtime/steady.ts'
import type { Receiver } from '../../actors/runtime/transport.ts'
import { type MemberEffectArgs, Membership } from '../../actors/service-manager/membership.ts'
import { Watcher } from '../../actors/service-manager/watcher.ts'
import type { Handler } from '../../adapters/handler.ts'
import { type Disk, heardIn } from './disk.ts'
import type { Keys } from './keys.ts'
import type { Middleware } from './middleware.ts'
import type { Plants } from './plants.ts'
import { SKEW_MS_MAX } from './roles.ts'
import type { Weather } from './weather.ts'
import type { World } from './world.ts'
import type { Yard } from './yard.ts'

/** From a start to the next crash. */
export interface Life {
  readonly name: string
  readonly world: World
  readonly weather: Weather
  /** Of this actor's machine: skewed, and silent once it is dead. */
  readonly clock: Clock
  /** What the hour was before. */
  readonly clockMark: ClockMark | undefined
  readonly random: Random
  readonly store: ReturnType<Disk['store']>
  readonly keys: Keys
  readonly isAlive: () => boolean
  /** The actor could not go on: it has stopped by itself. */
  readonly onFailed: (error: unknown) => void
  readonly onStarted: () => void
  /** What is on its disk cannot be read. */
  readonly onUnreadable: (error: unknown) => void
  /** Somebody saw what must never be. */
  readonly saw: (violation: string) => void
  readonly plants: Plants
  /** Of the program of this life. */
  readonly protocols: readonly number[]
  readonly log: Log
}

export function startActor<T extends Tables>(
  life: Life,
  mind: Mind<T>,
  perform: Perform,
  onCommitted?: () => void,
): Actor<T> {
  const { name, keys, weather, clock, clockMark, random, log, isAlive, onFailed } = life
  const { mind: watched, store: marking } = marked(life, mind)
  const trust = keys.trust()
  const actor = new Actor<T>({
    mind: watched,
    store: marking,
    ...{ clock, clockMark },
    identity: keys.identity(name),
    trust: life.plants.trust?.(trust) ?? trust,
    transport: {
      send: (envelope) => (isAlive() ? weather.send(envelope) : new Promise(() => undefined)),
    },
    perform,
    random,
    log,
    protocols: life.protocols,
    downgrade,
    skewMsMax: SKEW_MS_MAX,
    onFailed,
    ...(onCommitted === undefined ? {} : { onCommitted }),
  })
  const receive = (envelope: Envelope): Promise<Ack> => actor.receive(envelope)
  const { plants } = life
  const receiver: Receiver =
    plants.receive === undefined ? actor : { receive: (envelope) => plants.receive!(envelope, receive) }
  // At once: others may be starting, too, and wait to be told what it saw of them.
  weather.attach(name, receiver)
  actor.start().then(
    () => {
      if (isAlive()) life.onStarted()
    },
    (error: unknown) => life.onUnreadable(error),
  )
  return actor
}

/** Sees to it that a message is marked as heard in the very commit that its mind made of it. */
function marked<T extends Tables>(
  { store, saw, name }: Life,
  mind: Mind<T>,
): { mind: Mind<T>; store: Life['store'] } {
  let taken: Envelope[] = []
  return {
    mind: {
      handle(input, draft) {
        const value = mind.handle(input, draft)
        if (input.kind === 'message') taken.push(input.envelope)
        return value
      },
    },
    store: {
      ...store,
      commit(commit) {
        const heard = taken
        taken = []
        for (const { from, subject, number, kind } of heard) {
          const link = commit.rows.find(({ table, id }) => table === '$link' && id === `${from} ${subject}`)
          if (link?.json === undefined || heardIn(link.json) < number)
            saw(`${name} takes ${kind} ${subject} #${number} of ${from} and does not mark it`)
        }
        return store.commit(commit)
      },
    },
  }
}

export const unreachable: Perform = () => Promise.reject(new Error('a broker has no effects'))

/** The authority's effects, as in production. */
export function handling(handler: Handler): Perform {
  return (verb, _key, args, signal) => {
    if (verb === 'list') return handler.list(signal)
    const { spec, onlyIdle, force } = args as UnitEffectArgs
    if (verb === 'setup') return handler.setup(spec, signal)
    if (verb === 'probe') return handler.probe(spec, { onlyIdle }, signal)
    if (verb === 'modify') return handler.modify(spec, signal)
    return handler.teardown(spec, { force }, signal)
  }
}

/** A manager whose guest is a batch system, watched by the production watcher. */
export function startWithMiddleware<T extends Tables>(
  life: Life,
  mind: Mind<T>,
  middleware: Middleware,
  guestIsThere: boolean,
): Actor<T> {
  // What a look is compared with is written in believed time, so looks are, too.
  const clock = steadyClock(life.clock, SKEW_MS_MAX, () => undefined, life.clockMark)
  const batch = middleware.batch(clock)
  const membership = new Membership(batch, middleware.join(clock), clock)
  const perform: Perform = (verb, _key, args, signal) => {
    if (!guestIsThere) return Promise.reject(gone())
    if (verb !== 'requeue') return membership.perform(verb, args as MemberEffectArgs, signal)
    const { jobIds, reason } = args as { jobIds: readonly string[]; reason: string }
    return batch.requeue(jobIds, reason, signal)
  }
  const actor = startActor(life, mind, perform, () => guestIsThere && watcher.poke())
  const config = { guest: 'groc', pollMs: 5_000, lookMs: 2_000, quietMs: 20 }
  const watcher: Watcher = new Watcher(
    config,
    batch,
    (look) => actor.command('look', look) as Promise<{ againMs: number }>,
    clock,
  )
  life.world.after(50, () => life.isAlive() && guestIsThere && watcher.start())
  return actor
}

const LOOK_MS: Millis = 6_000

/** A manager whose guest sees nothing but whether it still has wishes, every few seconds. */
export function startWithYard<T extends Tables>(
  life: Life,
  mind: Mind<T>,
  yard: Yard,
  guestIsThere: boolean,
  wishes: () => boolean,
): Actor<T> {
  const perform: Perform = (verb, _key, args, signal) => {
    if (!guestIsThere) return Promise.reject(gone())
    if (verb === 'requeue') return Promise.resolve([])
    return yard.perform(life.clock, verb, args as MemberEffectArgs, signal)
  }
  const actor = startActor(life, mind, perform)
  const random = life.random.child('looks')
  const look = (): void => {
    if (!life.isAlive() || !guestIsThere) return
    const blind = random.next() < 0.02 ? 'nothing was seen' : undefined
    const seen = { guest: 'rover', observation: { wishes: wishes() }, failure: blind, traces: undefined }
    // An actor that stops under the look says so by itself.
    actor.command('look', seen).catch(() => undefined)
    life.clock.after(LOOK_MS / 2 + random.int(LOOK_MS), look)
  }
  life.clock.after(50 + random.int(LOOK_MS), look)
  return actor
}

const gone = (): SubletError => new SubletError('unknown-id', 'the guest is not configured any more')
