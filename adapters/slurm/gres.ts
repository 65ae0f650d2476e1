import type { Vector } from '../../actors/leases/resources.ts'
import { SubletError } from '../../actors/runtime/errors.ts'

/** What a job asks for besides processors and memory, per node, for all of it, per task, per socket. */
export interface GresRequest {
  readonly perNode: Vector
  readonly perJob: Vector
  readonly perTask: Vector
  readonly perSocket: Vector
}

export const NO_GRES: GresRequest = { perNode: {}, perJob: {}, perTask: {}, perSocket: {} }

const NOTHING: Vector = {}

const TIMES: Readonly<Record<string, number>> = { '': 1, K: 1024, M: 1024 ** 2, G: 1024 ** 3, T: 1024 ** 4 }

/**
 *   gres:gpu                        1 gpu                     what a job asks for
 *   gres:gpu:a100:2,gres:fpga:1     2 gpu:a100, 1 fpga
 *   gpu:a100:2(S:0-1),fpga:4        2 gpu:a100, 4 fpga        what a node has
 *   gpu:a100:1(IDX:0,2)             1 gpu:a100                what is taken of it
 *   lustre:no_consume:4G            nothing, for it is not used up
 */
export function gresOf(printed: string): Vector {
  // Most jobs ask for none, in six fields each.
  if (printed === '') return NOTHING
  const found: Record<string, number> = {}
  for (const part of printed.replaceAll(/\([^()]*\)/g, '').split(',')) {
    const words = part.trim().split(':')
    if (words[0] === 'gres') words.shift()
    const isCounted = words.length > 1 && /^\d+[KMGT]?$/i.test(words.at(-1) ?? '')
    const amount = isCounted ? amountOf(words.pop() ?? '') : 1
    const name = words.join(':')
    if (name === '' || words.includes('no_consume')) continue
    if (!/^[A-Za-z][\w.:-]*$/.test(name))
      throw new SubletError('middleware-garbage', `its generic resources are “${printed.slice(0, 60)}”`)
    found[name] = (found[name] ?? 0) + amount
  }
  return found
}

function amountOf(text: string): number {
  const [, amount = '0', unit = ''] = /^(\d+)([KMGT]?)$/i.exec(text) ?? []
  return Number(amount) * (TIMES[unit.toUpperCase()] ?? 1)
}

/** How it lies on each of so many nodes, if it is spread evenly. */
export function gresPerNode(
  request: GresRequest,
  { nodes, tasks, sockets }: { readonly nodes: number; readonly tasks: number; readonly sockets: number },
): Vector {
  const found: Record<string, number> = { ...request.perNode }
  const atLeast = (asked: Vector, times: (amount: number) => number): void => {
    for (const [name, amount] of Object.entries(asked))
      found[name] = Math.max(found[name] ?? 0, times(amount))
  }
  atLeast(request.perJob, (amount) => Math.ceil(amount / nodes))
  atLeast(request.perTask, (amount) => amount * Math.ceil(tasks / nodes))
  atLeast(request.perSocket, (amount) => amount * sockets)
  return found
}
