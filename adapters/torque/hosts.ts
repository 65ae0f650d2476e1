/** `vm01/0-1+vm03/0-1` (6.1), `vm01/0+vm01/1+vm02/0` (4.2): each node once. */
export const hostsOf = (execHost: string): readonly string[] => [
  ...new Set(
    execHost
      .split('+')
      .map((each) => each.trim().split('/')[0] ?? '')
      .filter((name) => name !== ''),
  ),
]

/** How many slots a word such as `0-3`, `5` or `0,2-3` stands for. */
function slotsOf(text: string): number {
  const [, from, to] = /^(\d+)-(\d+)$/.exec(text) ?? []
  return from === undefined || to === undefined ? 1 : Number(to) - Number(from) + 1
}

export interface Occupied {
  /** Ids, each once. */
  readonly jobs: readonly string[]
  /** Taken by them all. */
  readonly slots: number
}

/**
 * A node's `jobs`:
 *
 *   0-1/2.srv,2/3.srv   6.1: ranges of slots          0/0.srv,1/0.srv   4.2: one entry for each slot
 *   0,2-3/7.srv         a job whose slots lie apart   0/1.srv, 1/1.srv  2.x: with blanks
 */
export function occupied(text: string): Occupied {
  const jobs = new Set<string>()
  let slots = 0
  for (const word of text.split(',').map((each) => each.trim())) {
    if (word === '') continue
    const at = word.indexOf('/')
    slots += slotsOf(at < 0 ? word : word.slice(0, at))
    if (at >= 0) jobs.add(word.slice(at + 1))
  }
  return { jobs: [...jobs], slots }
}
