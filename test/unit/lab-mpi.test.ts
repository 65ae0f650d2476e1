import { expect, test } from 'vitest'
import { readAllReduced } from '../../deploy/labs/slurm/mpi-jobs.ts'

const line = (rank: number, host: string, n = 3, last = 6 + 9 * 9): string =>
  `rank ${rank} of ${n} on ${host}: 10 sums, 6 to ${last}`

test('ranks that all say the right sums are counted, with their machines', () => {
  const output = ['some warning', line(2, 'n2'), line(0, 'n1'), line(1, 'n1'), ''].join('\n')
  expect(readAllReduced(output)).toEqual({ ranks: 3, hosts: ['n1', 'n2'], sums: [6, 87], lost: 0 })
  expect(readAllReduced(`try 1 ended with 139\ntry 2 ended with 124\n${output}`).lost).toBe(2)
})

test.each([
  ['nothing', []],
  ['one rank too few', [line(0, 'n1'), line(1, 'n2')]],
  ['a rank twice', [line(0, 'n1'), line(1, 'n2'), line(1, 'n2')]],
  ['another sum', [line(0, 'n1'), line(1, 'n2'), line(2, 'n3', 3, 88)]],
  // Ranks that did not find each other are worlds of their own.
  ['each its own world', [0, 0, 0].map((rank) => line(rank, 'n1', 1))],
] as const)('%s is an error', (_, lines) => {
  expect(() => readAllReduced(lines.join('\n'))).toThrow('did not all say')
})
