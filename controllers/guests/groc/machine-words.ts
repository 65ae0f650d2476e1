import type { Instant } from '../../../actors/runtime/clock.ts'
import { own } from '../../../actors/runtime/plain.ts'
import type { BatchPicture } from '../../../adapters/batch-system.ts'
import type { GuestView, HeldLease } from '../../controller.ts'
import { few, hour, span } from '../../sentence.ts'
import type { GrocConfig } from './config.ts'
import { type Keep, toKeep } from './keep.ts'
import type { Machine } from './machine.ts'
import type { GrocMemory } from './memory.ts'
import { rehearse } from './rehearsal.ts'
import { seasonAt } from './season.ts'
import { idleSince } from './shrink.ts'

/** What each machine that is held is good for now, by unit; in a few words. Costs about as much as a decision. */
export function explainMachines(
  view: GuestView<BatchPicture>,
  memory: GrocMemory,
  config: GrocConfig,
  now: Instant,
): ReadonlyMap<string, string> {
  const picture = view.observation
  if (picture === undefined) return new Map()
  const inSeason = seasonAt(config, now).config
  const { ground, packing, limits, noticed } = rehearse(view, picture, memory, inSeason, now)
  const idle = idleSince(ground, packing.used, noticed, picture.startedAt)
  const keep = toKeep(ground, packing, limits, inSeason)
  return new Map(
    ground.crews.flatMap(({ lease, machines }) =>
      machines.map((machine): [string, string] => {
        const since = own(idle, machine.unit.id)
        const isUsed = packing.used.has(machine.unit.id)
        return [
          machine.unit.id,
          wordsOf(machine, lease, { since, isUsed, keep, still: view.still }, inSeason),
        ]
      }),
    ),
  )
}

interface Role {
  /** Empty and unneeded since then, without a break. */
  readonly since: Instant | undefined
  /** Waiting jobs are packed there. */
  readonly isUsed: boolean
  readonly keep: Keep
  /** Why nothing goes for being idle. */
  readonly still: string | undefined
}

function wordsOf(machine: Machine, lease: HeldLease, role: Role, config: GrocConfig): string {
  const { unit, standing, why } = machine
  switch (standing) {
    case 'serving':
      return servingWords(machine, lease, role, config)
    case 'coming':
      if (unit.state === 'joined')
        return `has joined at ${hour(unit.since)}; no look has begun since that would show it`
      return `${unit.state === 'awaited' ? 'is being set up' : 'joins the batch system'} since ${hour(unit.since)}`
    case 'spare':
      return `drained for being idle since ${hour(unit.since)}: ${role.isUsed ? 'takes work again, for jobs wait' : 'leaves once it is seen without work'}`
    case 'blocked':
      return `takes no new work: ${why}`
    case 'gone':
      if (unit.state === 'leaving') return `is being taken out of the batch system since ${hour(unit.since)}`
      return unit.state === 'lost'
        ? `is lost since ${hour(unit.since)}`
        : `is out of the batch system since ${hour(unit.since)}; paid for until lease ${lease.id} ends or goes on without it`
  }
}

function servingWords(
  { unit, node, empty }: Machine,
  lease: HeldLease,
  { since, isUsed, keep, still }: Role,
  { shrink }: GrocConfig,
): string {
  if (node !== undefined && node.jobs.length > 0) return `works: ${few(node.jobs.map((id) => `job ${id}`))}`
  if (node?.collectingFor !== undefined)
    return `is collected by the batch system for job ${node.collectingFor}`
  if (node?.reservedFor !== undefined) return `is reserved in the batch system: ${node.reservedFor}`
  if (!empty) return 'has no job, and the batch system is not done with the last one'
  if (isUsed) return 'is empty, and waiting jobs are to run there'
  if (unit.pinned !== undefined)
    return `is empty, and kept until ${hour(unit.pinned.until)}: pinned by ${unit.pinned.by} (${unit.pinned.reason})`
  if (since === undefined) return 'is empty'
  const empties = `is empty and unneeded since ${hour(since)}`
  if (still !== undefined) return `${empties}, and stays: ${still}`
  const others = lease.held.filter(({ state }) => state !== 'left' && state !== 'lost').length > 1
  const goes = `goes after ${span(shrink.idle)} of that (shrink.idle)${others ? `, with the rest of lease ${lease.id} or when that is extended` : ''}`
  return keep.units > 0
    ? `${empties}: ${goes}, unless it is one of the ${keep.units} to be kept (${keep.why})`
    : `${empties}: ${goes}`
}
