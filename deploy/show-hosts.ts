import { few, hour, some } from '../controllers/sentence.ts'
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

const emptyBy = ({ units, emptyBy: at }: HostReport): string =>
  units.length === 0 ? 'is empty' : at === null ? 'not known yet' : hour(at)

/** What an order of maintenance comes to. */
export function showMaintenance({ name, units, maintenance }: HostReport): string {
  if (maintenance === null) return `host ${name} is in service`
  const withheld = Object.entries(maintenance.withheld).map(
    ([type, count]) => `${some(count, 'unit')} of ${type}`,
  )
  return [
    `host ${name} gets no new units; wanted empty by ${hour(maintenance.by)}: ${maintenance.reason}`,
    ...(units.length === 0 ? ['  nothing is there: it can be worked on now'] : units.map(unitLine)),
    ...(withheld.length === 0
      ? []
      : [`  not lent until it is back, for the other hosts have no room: ${withheld.join(', ')}`]),
  ]
    .map(onOneLine)
    .join('\n')
}

function unitLine({ name, leaseId, machine, leavesAt, latestAt, binding }: HostUnit): string {
  const unit = `  ${name} of ${leaseId}`
  if (machine === 'teardown' || machine === 'stuck') return `${unit} is being torn down`
  if (binding)
    return `${unit} leaves by ${hour(leavesAt!)}; work that runs there may end until ${hour(latestAt!)}`
  const until = leavesAt === null ? 'its term ends after that' : hour(leavesAt)
  return `${unit} may stay until ${until}: its terms do not let it be recalled by then`
}
