import { expect, test } from 'vitest'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { Executor, Finished } from '../../adapters/executor.ts'
import type { JoinUnit } from '../../adapters/join.ts'
import { nodeLine, slurmJoin, slurmJoinConfig } from '../../adapters/slurm/join.ts'

const never = new AbortController().signal
const config = slurmJoinConfig.parse({})
const unit: JoinUnit = {
  unitId: 'unit-3k9f',
  leaseId: 'lease-7f3a',
  name: 'n1',
  vector: { cpu: 2, memoryMiB: 1000 },
  facts: { rack: 'r7' },
}

const machine = (answer: Partial<Finished> | Error) => {
  const seen: string[][] = []
  let closed = 0
  const exec: Executor = {
    name: 'n1',
    async run(argv) {
      seen.push([...argv])
      if (answer instanceof Error) throw answer
      return { exitCode: 0, signal: null, stdout: '', stderr: '', ...answer }
    },
    close: async () => {
      closed += 1
    },
  }
  return { exec, seen, closed: () => closed }
}

test('the node’s line carries its size, its feature, its mark, and is born drained', () => {
  expect(nodeLine(config, unit)).toBe(
    'CPUs=2 RealMemory=1000 Feature=dynf,sublet_lease-7f3a_unit-3k9f State=DRAIN',
  )
  const own = slurmJoinConfig.parse({ conf: 'CPUs={cpu} Feature={rack},{mark}', feature: 'burst' })
  expect(nodeLine(own, unit)).toBe('CPUs=2 Feature=r7,sublet_lease-7f3a_unit-3k9f')
})

test('a line without a mark, or with a word that the unit does not have, is refused', () => {
  expect(slurmJoinConfig.safeParse({ conf: 'CPUs={cpu}' }).success).toBe(false)
  const lacking = slurmJoinConfig.parse({ conf: 'Gres=gpu:{gpu} Feature={mark}' })
  expect(() => nodeLine(lacking, unit)).toThrow('asks for {gpu}')
})

test('arguments reach the machine as arguments, never as shell words', async () => {
  const { exec, seen } = machine({})
  await slurmJoin(config, () => exec).join(unit, never)
  // No program takes a word with one.
  expect(seen[0]?.join('')).not.toContain('\0')
  expect(seen[0]?.slice(3)).toEqual([
    'sh',
    'n1',
    'sublet_lease-7f3a_unit-3k9f',
    'sublet_lease-7f3a_unit-3k9f',
    nodeLine(config, unit),
    '/var/log/slurm/slurmd.log',
    '50',
    'self',
  ])
})

test('a slurmd that does not start says why', async () => {
  const { exec } = machine({
    exitCode: 1,
    stderr: 'slurmd ended with status 1\nerror: bind: Address already in use\n',
  })
  await expect(slurmJoin(config, () => exec).join(unit, never)).rejects.toThrow(
    'slurmd did not start on n1: slurmd ended with status 1 | error: bind: Address already in use',
  )
})

test('leaving a machine that cannot be reached resolves, any other failure does not', async () => {
  const gone = machine(new SubletError('ssh-unreachable', 'no route'))
  await slurmJoin(config, () => gone.exec).leave(unit, never)
  expect(gone.closed()).toBe(1)
  const slow = machine(new SubletError('exec-timeout', 'too slow'))
  await expect(slurmJoin(config, () => slow.exec).leave(unit, never)).rejects.toMatchObject({
    code: 'exec-timeout',
  })
  const stuck = machine({ exitCode: 1, stderr: 'slurmd does not end: 17' })
  await expect(slurmJoin(config, () => stuck.exec).leave(unit, never)).rejects.toThrow(
    'slurmd does not end: 17',
  )
})

test('connections are kept between verbs and closed at the end', async () => {
  const { exec, closed } = machine({})
  let connects = 0
  const handler = slurmJoin(config, () => {
    connects += 1
    return exec
  })
  await handler.join(unit, never)
  await handler.join(unit, never)
  expect([connects, closed()]).toEqual([1, 0])
  await handler.close()
  expect(closed()).toBe(1)
})
