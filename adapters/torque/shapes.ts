import { type Examination, type Finding, missing } from '../finding.ts'
import type { NodeRecord } from '../pbs/records.ts'
import type { ServerSettings } from '../pbs/settings.ts'
import type { TorqueConfig } from './config.ts'

export interface ShapesAsk {
  readonly config: TorqueConfig
  readonly settings: ServerSettings
  /** Records that are there also while none of our machines is. */
  readonly stay: readonly NodeRecord[]
  readonly examination: Pick<Examination, 'names' | 'machines'>
}

/** A queue with `is_transit` takes whatever is submitted. */
export const takesAnything = ({ queues }: ServerSettings): boolean =>
  [...queues.values()].some((queue) => queue.isTransit || queue.isRoute)

export const takeThem = ({ defaultQueue }: ServerSettings): string =>
  `qmgr -c 'set queue ${defaultQueue || 'QUEUE'} is_transit = True'`

const NAMES_SAID = 3

/**
 * Jobs that our machines could hold, and that qsub refuses while they are not there, as it goes by the list of nodes:
 *
 *   nodes=N              more than there are records, and than resources_available.nodect promises
 *   nodes=N:ppn=P        more than there are records with np of P and more
 *   nodes=N:PROPERTY     more than there are records with it
 *   nodes=NAME           a host without a record
 */
export function refusedShapes({ config, settings, stay, examination }: ShapesAsk): readonly Finding[] {
  if (takesAnything(settings)) return []
  const { names, machines } = examination
  const units = machines.reduce((sum, each) => sum + each.units, 0)
  const promised = Math.max(stay.length, settings.nodesPromised)
  const found: Finding[] = []
  const refuse = (shape: string, why: string, record: string): void =>
    void found.push(
      missing(
        'job shapes',
        `“qsub -l ${shape}” is refused while no machine of ours is there: ${why}. Nobody sees such a job.`,
        `Let the queue take it (${takeThem(settings)}), or keep records like “${record}”, offline (pbsnodes -o NAME).`,
      ),
    )
  const np = Math.max(1, ...machines.map(({ cpus }) => cpus))
  if (promised < units)
    refuse(
      `nodes=${promised + 1}`,
      `there are records of ${stay.length} nodes, and ${units} more may come`,
      `create node NAME np=${np}`,
    )
  for (const { cpus, units } of machines) {
    const wide = stay.filter((node) => node.cpus >= cpus).length
    if (cpus > 1 && wide < units)
      refuse(
        `nodes=${wide + 1}:ppn=${cpus}`,
        `${wide} records have np=${cpus} or more, and ${units} more may come`,
        `create node NAME np=${cpus}`,
      )
  }
  for (const property of new Set([...config.properties, ...machines.flatMap(({ features }) => features)])) {
    const having = stay.filter(({ features }) => features.includes(property)).length
    if (having < units || having === 0)
      refuse(
        `nodes=${having + 1}:${property}`,
        `${having} records have the property ${property}`,
        `create node NAME np=${np},properties="${property}"`,
      )
  }
  const strangers = names.filter((name) => stay.every((node) => node.name !== name))
  if (strangers.length > 0)
    refuse(
      `nodes=${strangers.slice(0, NAMES_SAID).join('”, “nodes=')}`,
      `${strangers.length} of the names that machines may get have no record`,
      `create node ${strangers[0]} np=${np}`,
    )
  return found
}
