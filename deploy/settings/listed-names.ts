import { expandHosts } from '../../adapters/slurm/hostlist.ts'
import { some } from '../../controllers/sentence.ts'
import type { Written } from './config.ts'
import { type CrossComplaint, error, warning } from './cross-complaint.ts'

type Slurm = Extract<Written['guests'][number]['batch'], { readonly kind: 'slurm' }>

interface Listing {
  readonly at: number
  readonly guest: string
  readonly batch: Slurm
  readonly names: ReadonlySet<string>
}

/**
 * A listed name is one machine's, whatever the partition: two guests of one Slurm would take it for a machine each, and
 * the second overwrite the mark of the first.
 */
export function listedTwice({ guests }: Written): readonly CrossComplaint[] {
  const listings = guests.flatMap(({ name, batch }, at): readonly Listing[] =>
    batch.kind === 'slurm' && batch.nodes === 'listed' && batch.names !== undefined
      ? [{ at, guest: name, batch, names: new Set(expandHosts(batch.names)) }]
      : [],
  )
  return listings.flatMap(({ at, batch, names }, i) =>
    listings.slice(0, i).flatMap((before) => {
      const one = clusters(before.batch, batch)
      const both = [...names].filter((name) => before.names.has(name))
      if (one === 'two' || both.length === 0) return []
      const sentence = `has ${both[0]}${both.length === 1 ? '' : ` and ${some(both.length - 1, 'more name')}`} that the guest ${before.guest} takes too${one === 'one' ? '' : ', and its cluster has the same name'}: give each guest names of its own`
      return [(one === 'one' ? error : warning)(['guests', at, 'batch', 'names'], sentence)]
    }),
  )
}

/** Slurm calls a cluster “cluster” unless told, so that two heads with one name may be two or one. */
function clusters(a: Slurm, b: Slurm): 'one' | 'two' | 'alike' {
  if (a.cluster !== undefined && b.cluster !== undefined && a.cluster !== b.cluster) return 'two'
  const head = ({ ssh, confFile }: Slurm): string => JSON.stringify([ssh?.host, ssh?.port, confFile])
  if (head(a) === head(b)) return 'one'
  return a.cluster !== undefined && a.cluster === b.cluster ? 'alike' : 'two'
}
