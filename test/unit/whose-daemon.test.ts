import { execFileSync } from 'node:child_process'
import { describe, expect, test } from 'vitest'
import { daemonJoin, marksOf, WHOSE } from '../../adapters/batch/daemon.ts'
import type { NodeMark } from '../../adapters/batch-system.ts'
import type { Executor } from '../../adapters/executor.ts'
import { markValue } from '../../adapters/gridengine/marks.ts'
import type { JoinUnit } from '../../adapters/join.ts'
import { markWord } from '../../adapters/pbs/marks.ts'
import { markFeature } from '../../adapters/slurm/marks.ts'

const ADDRESS = '10.77.1.11'
const never = new AbortController().signal

const kindOf = (mark: string, own: string): string =>
  execFileSync('sh', ['-c', `${WHOSE}\nown=$1\nkind_of "$2"`, 'sh', own, mark], { encoding: 'utf8' }).trim()

const joining = (mark: NodeMark, over: readonly NodeMark[] = []): JoinUnit => ({
  ...{ ...mark, name: 'n', vector: {}, facts: {} },
  ...(over.length > 0 ? { over } : {}),
})

const theirs = { leaseId: 'lease-a', unitId: 'unit-a' }

/** As it stands on a daemon, and as a join knows its own. */
const systems = [
  ['Slurm', markFeature, markFeature],
  ['GridEngine', markValue, markValue],
  ['PBS', (mark: NodeMark) => markWord(mark, ADDRESS), (mark: NodeMark) => markWord(mark, '').slice(0, -1)],
] as const

describe.each(systems)('whose a daemon of %s is', (_, onDaemon, known) => {
  test.each([
    'lease-a',
    'unit-a',
    ADDRESS,
    'sublet',
    'a',
  ])('a unit called %s has no other lease’s', (unitId) => {
    const liar = joining({ leaseId: 'lease-b', unitId })
    expect(kindOf(onDaemon(theirs), marksOf(liar, known))).toBe('foreign')
  })

  test('its own, wherever it was started, and what is over are ours; one without a mark is somebody else’s', () => {
    const own = { leaseId: 'lease-b', unitId: 'unit-b' }
    expect(kindOf(onDaemon(own), marksOf(joining(own), known))).toBe('ours')
    expect(kindOf(onDaemon(theirs), marksOf(joining(own, [theirs]), known))).toBe('ours')
    expect(kindOf('', marksOf(joining(own), known))).toBe('others')
  })
})

test('a join reaches the machine that is named now, by one connection while it is the same, and hangs up the earlier one', async () => {
  const seen: string[] = []
  const script = { script: 'true', words: () => [] }
  const timing = { startTimeoutMs: 1, stopTimeoutMs: 1, cure: '' }
  const join = daemonJoin(
    { name: 'd', env: {}, start: script, end: script, ...timing },
    ({ address = '' }) => {
      seen.push(`to ${address}`)
      const exec: Executor = {
        name: address,
        run: async () => {
          seen.push(address)
          return { exitCode: 1, signal: null, stdout: '', stderr: '' }
        },
        close: async () => void seen.push(`from ${address}`),
      }
      return exec
    },
  )
  const unit = joining(theirs)
  for (const address of ['theirs', 'mine', 'mine'])
    await expect(join.join({ ...unit, facts: { address } }, never)).rejects.toMatchObject({
      code: 'machine-setup',
    })
  expect(seen).toEqual(['to theirs', 'theirs', 'to mine', 'from theirs', 'mine', 'mine'])
  await join.close()
  expect(seen.at(-1)).toBe('from mine')
})
