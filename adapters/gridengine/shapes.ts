import { type Examination, type Finding, missing, unwise } from '../finding.ts'
import type { GridengineConfig } from './config.ts'
import type { Facts } from './facts.ts'

export interface ShapesAsk {
  readonly config: Pick<GridengineConfig, 'queue'>
  readonly facts: Pick<Facts, 'complexes' | 'environments'>
  readonly examination: Pick<Examination, 'machines'>
  /** The cell’s sge_request: options that every job has. */
  readonly defaults: string
}

/** Jobs that our machines could hold, and that qsub refuses or nobody ever starts. */
export function refusedShapes({
  config: { queue },
  facts,
  examination: { machines },
  defaults,
}: ShapesAsk): readonly Finding[] {
  const found: Finding[] = []
  if (/^[^#\n]*-w\s+e\b/m.test(defaults))
    found.push(
      missing(
        'job shapes',
        'Each job for which there is no host right now is refused: the cell’s sge_request says “-w e”.',
        'Take it out of common/sge_request, or say -w n there.',
      ),
    )
  const names = machines.flatMap(({ consumables, features }) => [
    ...Object.keys(consumables),
    ...features.map((each) => each.split('=')[0] ?? each),
  ])
  for (const name of new Set(names))
    if (!facts.complexes.has(name))
      found.push(
        missing(
          'job shapes',
          `“qsub -l ${name}=…” is refused: there is no complex ${name}, which machines may bring.`,
          `Add a row for ${name} (qconf -mc), such as “${name} ${name} INT <= YES YES 0 0”.`,
        ),
      )
  const [slots, width] = [slotsOf(facts), machines.reduce((sum, each) => sum + each.units * each.cpus, 0)]
  const wide = machines.reduce((sum, { units }) => sum + units, 0) > 1
  if (wide && facts.environments.length === 0)
    found.push(
      unwise(
        'job shapes',
        `Jobs over several machines (qsub -pe) never start: the queue ${queue} is in no parallel environment.`,
        `Put one into its list: qconf -aattr queue pe_list NAME ${queue}.`,
      ),
    )
  else if (facts.environments.length > 0 && slots < width)
    found.push(
      unwise(
        'job shapes',
        `Jobs of more than ${slots} slots never start: no parallel environment of the queue ${queue} has more, and machines may come for ${width}.`,
        `If that is not meant: qconf -mp NAME, slots ${width}.`,
      ),
    )
  return found
}

const slotsOf = ({ environments }: ShapesAsk['facts']): number =>
  Math.max(0, ...environments.map(({ slots }) => slots))
