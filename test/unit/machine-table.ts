import { expect, test } from 'vitest'
import { type Machine, nextState } from '../../actors/leases/machine.ts'

/** Holds a machine to its table, written down a second time: every pair that is listed, and no other. */
export function holdsToTable<State extends string, Event extends string>(
  machine: Machine<State, Event>,
  events: readonly Event[],
  table: readonly (readonly [State, Event, State])[],
): void {
  for (const [from, event, to] of table)
    test(`${from}, ${event} → ${to}`, () => expect(nextState(machine, from, event)).toBe(to))
  test('knows no other pair', () => {
    const listed = new Set(table.map(([from, event]) => `${from}, ${event}`))
    for (const from of Object.keys(machine) as State[])
      for (const event of events)
        if (!listed.has(`${from}, ${event}`))
          expect(nextState(machine, from, event), `${from}, ${event}`).toBeUndefined()
  })
  test('has the states of the table, and no other', () => {
    const states = new Set(table.flatMap(([from, , to]) => [from, to]))
    expect(new Set(Object.keys(machine))).toEqual(states)
  })
}
