import type { JobPart } from '../batch-system.ts'
import { PARTS_MAX } from '../job-bounds.ts'

/** What `a+b+a` adds up, each once with how often it stands there: some write one part for each of thousands of nodes. */
export function summands<Part>(
  sum: string,
  read: (text: string) => Part,
): readonly (readonly [Part, number])[] {
  if (!sum.includes('+')) return [[read(sum), 1]]
  const times = new Map<string, number>()
  for (const text of sum.split('+')) times.set(text, (times.get(text) ?? 0) + 1)
  return [...times].map(([text, count]) => [read(text), count])
}

/**
 * The parts of a sum, equal ones together; nothing if they are all alike, as those of nearly all jobs are, or if there are
 * more kinds than any cluster has: of those the largest counts.
 */
export function unlike(parts: readonly Required<JobPart>[]): { readonly parts?: readonly JobPart[] } {
  if (parts.length < 2) return {}
  const byText = new Map<string, Required<JobPart>>()
  for (const part of parts) {
    const { nodes, ...each } = part
    if (nodes === 0) continue
    const text = textOf(each)
    const known = byText.get(text)
    byText.set(text, known === undefined ? part : { ...part, nodes: known.nodes + nodes })
  }
  return byText.size < 2 || byText.size > PARTS_MAX ? {} : { parts: [...byText.values()].map(toldOf) }
}

const textOf = ({ consumablesPerNode, features, ...figures }: Omit<Required<JobPart>, 'nodes'>): string =>
  JSON.stringify([figures, Object.entries(consumablesPerNode).sort(), features.toSorted()])

const toldOf = ({ consumablesPerNode, features, ...figures }: Required<JobPart>): JobPart => ({
  ...figures,
  ...(Object.keys(consumablesPerNode).length > 0 && { consumablesPerNode }),
  ...(features.length > 0 && { features }),
})
