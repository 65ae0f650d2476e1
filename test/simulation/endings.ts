import type { LeaseRow as SiteLease } from '../../actors/authority/rows.ts'
import type { TicketRow } from '../../actors/broker/rows.ts'
import { chainCheck, NO_LINE } from '../../actors/ledger/chain-check.ts'
import { CheckpointCheck } from '../../actors/ledger/checkpoint-check.ts'
import { holdsCheck } from '../../actors/ledger/holds.ts'
import { LedgerCheck } from '../../actors/ledger/verify.ts'
import type { LeaseRow, UnitRow } from '../../actors/service-manager/rows.ts'
import type { Excuses } from './excuses.ts'
import { remainsOf } from './remains.ts'
import type { ActorScene, ManagerScene, Scene, SiteScene } from './scene.ts'

/** What would have to end yet, in sentences. */
export function leftOf({ sites, brokers, managers, world }: Scene, excuses: Excuses): string[] {
  return [
    ...(isStarved(sites, brokers, excuses) ? [] : managers.flatMap(jobsDone)),
    ...managers.flatMap((manager) => managerEnded(manager, excuses)),
    ...brokers.flatMap(brokerEnded),
    ...sites.flatMap(siteEnded),
    ...[...sites, ...brokers, ...managers].flatMap((actor) => [
      ...everythingSaid(actor, world.now),
      ...remainsOf(actor, world.now, excuses),
    ]),
  ]
}

/** In protocol 1 a site that was set back has no word for recalls that it has forgotten: its broker counts them for long. */
const isStarved = (sites: readonly SiteScene[], brokers: readonly ActorScene[], excuses: Excuses): boolean =>
  sites.some(({ name }) => excuses.wasSetBack(name)) &&
  brokers.some(({ wasOld, disk }) => wasOld && disk.table('recall').values().length > 0)

function jobsDone({ middleware }: ManagerScene): string[] {
  const faults: string[] = []
  for (const task of middleware?.tasks ?? []) {
    if (task.completions === 0 && !task.failed)
      faults.push(
        `job ${task.id} (${task.nodes} nodes, ${task.runMs} ms) is lost: ${task.state}, attempt ${task.attempt}`,
      )
    if (task.completions > 1) faults.push(`job ${task.id} ran ${task.completions} times to its end`)
  }
  for (const node of middleware?.nodes.keys() ?? [])
    faults.push(`the node ${node} is still in the middleware`)
  return faults
}

/** An answer of its broker that was forgotten with the question, and could not be asked for, is waited for longer. */
const waitsForForgotten = ({ name }: ManagerScene, lease: LeaseRow, excuses: Excuses): boolean =>
  lease.ticketState === 'returning' &&
  lease.leaseState === 'closed' &&
  excuses.wasSilent(lease.broker ?? '', name)

function managerEnded(manager: ManagerScene, excuses: Excuses): string[] {
  const { name, disk } = manager
  const leases = disk
    .table<LeaseRow>('lease')
    .values()
    .filter((lease) => lease.leaseState !== 'closed' || lease.ticketState !== 'closed')
    .filter((lease) => !waitsForForgotten(manager, lease, excuses))
    .map((lease) => `${name} holds ${lease.id}: ticket ${lease.ticketState}, lease ${lease.leaseState}`)
  const units = disk
    .table<UnitRow>('unit')
    .values()
    .filter((unit) => unit.state !== 'left' && !(unit.state === 'lost' && unit.settled))
    .map((unit) => `${name} still has the unit ${unit.id}: ${unit.state}`)
  const questions = [...disk.table('query').keys()].map((id) => `${name} still waits for the answer to ${id}`)
  return [...leases, ...units, ...questions]
}

const brokerEnded = ({ name, disk }: ActorScene): string[] =>
  disk
    .table<TicketRow>('ticket')
    .values()
    .filter((ticket) => ticket.state !== 'closed')
    .map((ticket) => `${name} holds ${ticket.id}: ${ticket.state}`)

function siteEnded({ name, disk, machines }: SiteScene): string[] {
  const leases = disk
    .table<SiteLease>('lease')
    .values()
    .filter((lease) => lease.state !== 'closed')
    .map((lease) => `${name} holds ${lease.id}: ${lease.state}`)
  const running = machines
    .running()
    .map(({ spec }) => `the machine ${spec.name} of ${spec.leaseId} runs, and nobody remembers it`)
  return [...leases, ...running]
}

const SAID_WITHIN_MS = 60_000
const sentAtOf = (json: string | undefined): number => Number(/"sentAt":(\d+)/.exec(json ?? '')?.[1] ?? 0)

/** Everybody is there and the network is well: what was said has arrived. */
const everythingSaid = ({ name, disk }: ActorScene, now: number): string[] =>
  [...disk.rows.values()]
    .filter(({ table, json }) => table === '$out' && sentAtOf(json) < now - SAID_WITHIN_MS)
    .map(({ id, json }) => `${name} still has to say ${id}: ${json?.slice(0, 200)}`)

/** Also that it signed in time; who signed is for the tests of signatures. */
export function ledgerAgrees({ name, disk: { ledger } }: ActorScene): string[] {
  const check = new LedgerCheck([chainCheck(), holdsCheck(), new CheckpointCheck(() => true)])
  check.read(ledger)
  return check.end(ledger.at(-1) ?? NO_LINE).map((fault) => `${name}: ${fault.sentence}`)
}
