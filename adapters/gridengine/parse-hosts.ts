import { SubletError } from '../../actors/runtime/errors.ts'
import { type Element, type Memory, type Records, readPieces } from './parse-xml.ts'
import type { HostRecord, QueueInstance } from './records.ts'
import { memoryMiBOf } from './sizes.ts'

/**
 * Every host with its queue instances and its values. Loads, limits of queues and what else says nothing
 * of a machine is not asked for: a list of five hundred hosts would be two megabytes, new ones each time.
 */
export function hostsArgs(complexes: Iterable<string>): readonly string[] {
  const asked = [...complexes].filter((name) => name === 'mem_total' || !NO_MACHINE.test(name))
  return ['-q', '-F', asked.join(','), '-xml']
}

const NO_MACHINE =
  /^(?:(?:np_)?load_\w+|(?:mem|swap|virtual)_(?:free|used|total|rate|rsvd)|cpu|m_\w+|[sh]_(?:rt|cpu|fsize|data|stack|core|rss|vmem)|calendar|display_\w+|hostname|min_cpu_interval|num_proc|qname|rerun|seq_no|tmpdir)$/

const UNREAD = /<hostvalue name='(?:load_avg|mem_used|swap_\w+|m_\w+)'>[^<]*<\/hostvalue>\s*/g

function queueOf(queue: Element): QueueInstance {
  const values = new Map(queue.all('queuevalue').map((each) => [each.attributes.name ?? '', each.text]))
  const number = (name: string): number => Number(values.get(name) ?? 0) || 0
  return {
    queue: queue.attributes.name ?? '',
    slots: number('slots'),
    slotsUsed: number('slots_used'),
    slotsReserved: number('slots_resv'),
    letters: values.get('state_string') ?? '',
  }
}

function hostOf(host: Element): HostRecord {
  const name = host.attributes.name ?? ''
  if (name === '') throw new SubletError('middleware-garbage', 'it is a host without a name')
  const own = new Map(host.all('hostvalue').map((each) => [each.attributes.name ?? '', each.text]))
  const values = new Map(
    host
      .all('resourcevalue')
      .map((each) => [
        each.attributes.name ?? '',
        { value: each.text, from: each.attributes.dominance ?? '' },
      ]),
  )
  const memory = values.get('mem_total')?.value ?? own.get('mem_total') ?? ''
  return {
    name,
    known: (own.get('arch_string') ?? '-') !== '-',
    memoryMiB: memoryMiBOf(memory),
    processors: Number(own.get('num_proc')) || 0,
    values,
    queues: host.all('queue').map(queueOf),
  }
}

/** The hosts; `global`, which is none, is apart. */
export async function parseHosts(
  printed: string,
  signal?: AbortSignal,
  memory?: Memory<HostRecord>,
): Promise<Records<HostRecord> & { readonly global: HostRecord | undefined }> {
  const pieces = { source: 'qhost -xml', root: 'qhost', piece: 'host', unread: UNREAD }
  const { records, ...rest } = await readPieces(printed, pieces, hostOf, signal, memory)
  return {
    records: records.filter(({ name }) => name !== 'global'),
    ...rest,
    global: records.find(({ name }) => name === 'global'),
  }
}
