import { few, hour, some } from '../../controllers/sentence.ts'
import type { HostReport, HostUnit } from './host-report.ts'
import { onOneLine } from './printable.ts'
import { table } from './show.ts'

/** Hosts as a person reads of them. */

export const showHosts = (hosts: readonly HostReport[]): string =>
  table(
    ['HOST', 'STATE', 'UNITS', 'NODES', 'SINCE', 'WANTED BY', 'AT THE LATEST', 'WHY'],
    hosts.map((host) => [
      host.name,
      STATES[host.state],
      String(host.units.length),
      few(host.units.map(({ name }) => name)) || '-',
      host.maintenance === null ? '-' : hour(host.maintenance.since),
      host.maintenance === null ? '-' : hour(host.maintenance.by),
      host.maintenance === null ? '-' : emptyBy(host),
      host.maintenance?.reason ?? '-',
    ]),
  )

const STATES: Readonly<Record<HostReport['state'], string>> = {
  'in service': 'in service',
  leaving: 'leaving service',
  empty: 'out of service',
  unconfigured: 'not configured',
}

function emptyBy({ units, maintenance, emptyBy: at }: HostReport): string {
  if (units.length === 0) return 'is empty'
  if (maintenance?.lapsed === true) return 'order lapsed'
  return at === null ? 'not known yet' : hour(at)
}

/** What an order of maintenance comes to. */
export function showMaintenance({ name, units, maintenance }: HostReport): string {
  if (maintenance === null) return `host ${name} is in service`
  const withheld = Object.entries(maintenance.withheld).map(
    ([type, count]) => `${some(count, 'unit')} of ${type}`,
  )
  return [
    `host ${name} gets no new units; ${wanted(maintenance)}: ${maintenance.reason}`,
    ...(units.length === 0 ? ['  nothing is there: it can be worked on now'] : units.map(unitLine)),
    ...(withheld.length === 0
      ? []
      : [`  not lent until it is back, for the other hosts have no room: ${withheld.join(', ')}`]),
  ]
    .map(onOneLine)
    .join('\n')
}

const wanted = ({ by, lapsed }: NonNullable<HostReport['maintenance']>): string =>
  lapsed
    ? `it was wanted empty by ${hour(by)}, which came in the time that the site has forgotten; give the order anew`
    : `wanted empty by ${hour(by)}`

function unitLine({ name, leaseId, machine, leavesAt, latestAt, binding, kept }: HostUnit): string {
  const unit = `  ${name} of ${leaseId}`
  if (machine === 'teardown' || machine === 'stuck') return `${unit} is being torn down`
  if (binding)
    return `${unit} leaves by ${hour(leavesAt!)}; work that runs there may end until its holder puts it back, about a minute before ${hour(latestAt!)}`
  if (kept === null) return `${unit} is there, and when it goes is not known`
  if (kept === 'the order has lapsed') return `${unit} may stay until the order is given anew`
  if (kept === 'its holder is not told')
    return `${unit} may stay as long as its lease goes on: its holder speaks only protocol 1 and is not told`
  const until = leavesAt === null ? 'its term ends after that' : hour(leavesAt)
  return `${unit} may stay until ${until}: its terms do not let it be recalled by then`
}
