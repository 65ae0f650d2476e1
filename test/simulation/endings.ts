import type { LeaseRow as SiteLease } from '../../actors/authority/rows.ts'
import type { TicketRow } from '../../actors/broker/rows.ts'
import { verifyLedger } from '../../actors/ledger/verify.ts'
import type { LeaseRow, UnitRow } from '../../actors/service-manager/rows.ts'
import type { ActorScene, ManagerScene, Scene, SiteScene } from './scene.ts'

/** What would have to end yet, in sentences. */
export function leftOf({ sites, brokers, managers, world }: Scene): string[] {
  return [
    ...managers.flatMap((manager) => [...jobsDone(manager), ...managerEnded(manager)]),
    ...brokers.flatMap(brokerEnded),
    ...sites.flatMap(siteEnded),
    ...[...sites, ...brokers, ...managers].flatMap((actor) => everythingSaid(actor, world.now)),
  ]
}

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

function managerEnded({ name, disk }: ManagerScene): string[] {
  const leases = disk
    .table<LeaseRow>('lease')
    .values()
    .filter((lease) => lease.leaseState !== 'closed' || lease.ticketState !== 'closed')
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

export function ledgerAgrees({ name, disk: { ledger } }: ActorScene): string[] {
  const last = ledger.at(-1)
  return verifyLedger(ledger, { seq: last?.seq ?? 0, hash: last?.hash ?? '' }).map(
    (fault) => `${name}: ${fault.sentence}`,
  )
}
