import { describe, expect, test } from 'vitest'
import { unitMachine } from '../../actors/authority/machines.ts'
import { nextState } from '../../actors/leases/machine.ts'
import { holdsToTable } from './machine-table.ts'

describe('a unit at its site', () => {
  holdsToTable(
    unitMachine,
    ['made', 'passed', 'failed', 'suspect', 'end', 'died', 'gone', 'stuck'],
    [
      ['setup', 'made', 'probing'],
      ['setup', 'failed', 'teardown'],
      ['setup', 'end', 'teardown'],
      ['setup', 'died', 'teardown'],
      ['probing', 'passed', 'active'],
      ['probing', 'failed', 'teardown'],
      ['probing', 'end', 'teardown'],
      ['probing', 'died', 'teardown'],
      ['active', 'passed', 'active'],
      ['active', 'suspect', 'suspect'],
      ['active', 'end', 'teardown'],
      ['active', 'died', 'teardown'],
      ['suspect', 'passed', 'active'],
      ['suspect', 'suspect', 'suspect'],
      ['suspect', 'end', 'teardown'],
      ['suspect', 'died', 'teardown'],
      ['teardown', 'end', 'teardown'],
      ['teardown', 'gone', 'ended'],
      ['teardown', 'stuck', 'stuck'],
      ['stuck', 'end', 'stuck'],
      ['stuck', 'gone', 'ended'],
    ],
  )

  test('only what is proven gone has ended', () => {
    for (const state of ['setup', 'probing', 'active', 'suspect', 'teardown', 'stuck'] as const)
      for (const event of ['made', 'passed', 'failed', 'suspect', 'end', 'died', 'stuck'] as const)
        expect(nextState(unitMachine, state, event), `${state}, ${event}`).not.toBe('ended')
  })
})
