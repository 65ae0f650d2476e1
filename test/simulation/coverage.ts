import { leaseMachine as siteLease, unitMachine } from '../../actors/authority/machines.ts'
import { ticketMachine as brokerTicket } from '../../actors/broker/machine.ts'
import { leaseMachine, ticketMachine } from '../../actors/service-manager/machines.ts'

/** Every machine of the roles, as its table is. */
const MACHINES: Readonly<Record<string, object>> = {
  'manager’s ticket': ticketMachine,
  'manager’s lease': leaseMachine,
  'broker’s ticket': brokerTicket,
  'site’s lease': siteLease,
  'site’s unit': unitMachine,
}

const taken = new Map<string, number>()
let watching = false

/**
 * Counts from now on how often each pair of each table is looked up in this process: the tables are those of
 * production, and looking a pair up is what takes it.
 */
export function watchMachines(): void {
  if (watching) return
  watching = true
  for (const [machine, table] of Object.entries(MACHINES))
    for (const [state, events] of Object.entries(table))
      for (const [event, to] of Object.entries(events as Readonly<Record<string, string>>)) {
        const pair = `${machine}: ${state} ─${event}─▶ ${to}`
        taken.set(pair, 0)
        const get = (): string => {
          taken.set(pair, taken.get(pair)! + 1)
          return to
        }
        Object.defineProperty(events, event, { get, enumerable: true })
      }
}

/** How often each pair was taken since it was asked last. */
export function pairsTaken(): Record<string, number> {
  const counts = Object.fromEntries(taken)
  for (const pair of taken.keys()) taken.set(pair, 0)
  return counts
}

/** Adds counts to counts. */
export function addTo(sum: Map<string, number>, counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts)) sum.set(name, (sum.get(name) ?? 0) + count)
}
