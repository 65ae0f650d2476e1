import { type Finding, type MachineType, unwise } from '../finding.ts'
import type { ServerSettings } from './settings.ts'

/** Jobs that the machines could hold, and that a queue or the server refuses at their submission, whatever is there. */
export function limitFindings(
  settings: ServerSettings,
  machines: readonly MachineType[],
): readonly Finding[] {
  const units = machines.reduce((sum, each) => sum + each.units, 0)
  const cpus = machines.reduce((sum, each) => sum + each.units * each.cpus, 0)
  const queues = [...settings.queues].filter(([, queue]) => queue.isStarted && !queue.isRoute)
  const places = [
    { place: 'server', what: 'The server', limits: settings },
    ...queues.map(([name, limits]) => ({ place: `queue ${name}`, what: `The queue ${name}`, limits })),
  ]
  return places.flatMap(({ place, what, limits }) => [
    ...beyond(what, place, 'nodect', limits.nodesMax, units, 'nodes'),
    ...beyond(what, place, 'ncpus', limits.cpusMax, cpus, 'processors'),
  ])
}

const beyond = (
  what: string,
  place: string,
  resource: string,
  most: number,
  there: number,
  nouns: string,
): readonly Finding[] =>
  most >= there
    ? []
    : [
        unwise(
          'job shapes',
          `${what} refuses jobs of more than ${most} ${nouns} (resources_max.${resource}), and machines may come for ${there}.`,
          `If that is not meant: qmgr -c 'set ${place} resources_max.${resource} = ${there}'.`,
        ),
      ]
