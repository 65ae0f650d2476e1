import type { Actor } from '../actors/runtime/actor.ts'
import type { Millis } from '../actors/runtime/clock.ts'
import { SubletError } from '../actors/runtime/errors.ts'
import { own } from '../actors/runtime/plain.ts'
import type { Guest } from '../actors/service-manager/config.ts'
import { type MemberEffectArgs, Membership } from '../actors/service-manager/membership.ts'
import type { ServiceManagerTables } from '../actors/service-manager/rows.ts'
import { guestView } from '../actors/service-manager/view.ts'
import { Watcher } from '../actors/service-manager/watcher.ts'
import type { BatchPicture, BatchSystem } from '../adapters/batch-system.ts'
import type { JoinHandler } from '../adapters/join.ts'
import type { GuestDecision } from '../controllers/controller.ts'
import { byHand } from '../controllers/guests/by-hand/by-hand.ts'
import { groc } from '../controllers/guests/groc/groc.ts'
import { batchOf, joinOf, type Parts } from './adapters.ts'
import type { Recording } from './recording/recording.ts'
import type { GuestSettings, ServiceManagerSettings } from './settings/config.ts'

export interface SiteGuest {
  readonly batch: BatchSystem
  lastPicture(): BatchPicture | undefined
  /** What its controller would decide now; nothing is done, and nothing remembered. */
  plan(): GuestDecision<unknown>
  /** In sentences, by id; jobs that the middleware does not show (any more) are not in it. */
  explainJobs(jobIds: readonly string[]): ReadonlyMap<string, readonly string[]>
  explainMachines(): ReadonlyMap<string, string>
}

export interface AssembledGuest extends SiteGuest {
  readonly watcher: Watcher
  readonly membership: Membership
  readonly join: JoinHandler
  /** What happens in its queue, kept for replays. */
  readonly recording: Recording | undefined
}

/** A guest with its middleware, looked at and changed through its adapters. */
export function assembleGuest(
  guest: GuestSettings,
  { poll, lookTimeout }: ServiceManagerSettings,
  parts: Parts,
  manager: Actor<ServiceManagerTables>,
  /** As the configuration says now. */
  controllerNow: () => GuestSettings['controller'],
  recording?: Recording,
): AssembledGuest {
  const { clock } = parts
  const batch = batchOf(guest.batch, parts)
  const join = joinOf(guest, parts)
  const config = {
    guest: guest.name,
    pollMs: poll,
    lookMs: lookTimeout,
    quietMs: batch.capabilities.events ? 10 : 25,
  }
  const watcher = new Watcher(
    config,
    batch,
    (look) => {
      if (look.failure === undefined && look.observation !== undefined)
        recording?.take(look.observation as BatchPicture)
      return manager.command('look', look) as Promise<{ againMs: Millis }>
    },
    clock,
  )
  return {
    batch,
    join,
    watcher,
    membership: new Membership(batch, join, clock),
    recording,
    lastPicture: () => watcher.picture,
    plan: () => {
      const { controller, config: asConfigured } = guestOf(guest, controllerNow)
      const { view, memory = controller.firstMemory } = seen()
      return controller.decide(view, memory, asConfigured, clock.now())
    },
    explainMachines: () => {
      const { controller, config: asConfigured } = guestOf(guest, controllerNow)
      const { view, memory = controller.firstMemory } = seen()
      return controller.explainMachines?.(view, memory, asConfigured, clock.now()) ?? new Map()
    },
    explainJobs: (jobIds) => {
      const { controller, config: asConfigured } = guestOf(guest, controllerNow)
      const { view, memory = controller.firstMemory } = seen()
      const seenNow = [view, memory, asConfigured, clock.now()] as const
      return (
        controller.explainJobs?.(jobIds, ...seenNow) ??
        new Map(
          jobIds.flatMap((id) => {
            const sentences = controller.explainJob(id, ...seenNow)
            return sentences === undefined ? [] : [[id, sentences]]
          }),
        )
      )
    },
  }

  /** What its controller is shown, and what it remembers. */
  function seen() {
    const leases = manager.rows('lease').filter((lease) => lease.guest === guest.name)
    const units = new Map(manager.rows('unit').map((unit) => [unit.id, unit]))
    const row = manager.rows('guest').find((candidate) => candidate.id === guest.name)
    const view = guestView(
      leases,
      (id) => units.get(id),
      row,
      watcher.picture,
      row?.blindSince === undefined ? undefined : 'the latest looks at the middleware failed',
      (lease) => lease.term?.end,
      clock.now(),
      undefined,
      manager.rows('brake').find(({ id }) => id === guest.name),
    )
    return { view, memory: row?.memory }
  }
}

export function memberVerbs(
  guests: Readonly<Record<string, AssembledGuest>>,
  verb: string,
  args: unknown,
  signal: AbortSignal,
): Promise<unknown> {
  const { guest: name } = args as MemberEffectArgs
  const guest = own(guests, name)
  if (guest === undefined)
    return Promise.reject(new SubletError('unknown-id', `the guest ${name} is not configured any more`))
  if (verb !== 'requeue') return guest.membership.perform(verb, args as MemberEffectArgs, signal)
  const { jobIds, reason } = args as { jobIds: readonly string[]; reason: string }
  return guest.batch.requeue(jobIds, reason, signal)
}

const CONTROLLERS = { groc, 'by-hand': byHand } as const

/** The controller is generic in what it sees and remembers; the service manager only hands it through. */
export function guestOf(
  { controller: { kind }, properties, broker, mode }: GuestSettings,
  controllerNow: () => GuestSettings['controller'],
): Guest {
  return {
    controller: CONTROLLERS[kind] as Guest['controller'],
    /** Read at each decision. */
    get config() {
      const { kind: _, ...config } = controllerNow()
      return config
    },
    observe: mode === 'observe',
    properties,
    broker,
  }
}
