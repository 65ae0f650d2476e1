import { describe, expect, test } from 'vitest'
import type { UnitRow as SiteUnit } from '../../actors/authority/rows.ts'
import type { TicketRow } from '../../actors/broker/rows.ts'
import type { StoredRow } from '../../actors/runtime/rows.ts'
import { extend, request, scene } from './scene.ts'
import { Stage } from './stage.ts'

const HALF_AN_HOUR = 1_800_000
const HOUR = 3_600_000

/** How long the leases last, and how old the copy is when it is put back. */
interface Times {
  readonly termMs: number
  readonly ageMs: number
}
const SHORT: Times = { termMs: HALF_AN_HOUR, ageMs: 1_000_000 }
const OF_LAST_NIGHT: Times = { termMs: 8 * HOUR, ageMs: 6 * HOUR }

/** The rows of a table as they are on a disk. */
function rowsOf<R>(stage: Stage, name: string, table: string): R[] {
  const stored: readonly StoredRow[] = [...stage.disks[name]!.rows.values()]
  return stored.filter((row) => row.table === table).map(({ json }) => JSON.parse(json!) as R)
}

const running = (stage: Stage): string[] => [...stage.machines.site!.running.keys()].sort()

/** What each unit is to its holder: `unit-1 joined`. */
const held = (stage: Stage): string[] =>
  stage
    .leases()
    .flatMap((lease) => lease.held.map(({ id, state }) => `${id} ${state}`))
    .sort()

/** No unit is held by two leases, and no more is promised at any time than there is. */
function nothingTwice(stage: Stage): void {
  const units = rowsOf<SiteUnit>(stage, 'site', 'unit').filter(({ state }) => state !== 'ended')
  expect(new Set(units.map(({ slot }) => slot)).size).toBe(units.length)
  const tickets = rowsOf<TicketRow>(stage, 'broker', 'ticket')
    .filter(({ state }) => state !== 'closed')
    .flatMap((row) => row.tickets)
  for (const { term } of tickets) {
    const then = tickets.filter((one) => one.term.start <= term.start && term.start < one.term.end)
    expect(then.reduce((sum, { units: count }) => sum + count, 0)).toBeLessThanOrEqual(4)
  }
}

async function putBack(
  stage: Stage,
  name: string,
  noticed: 'mark' | 'peers' | 'late',
  { termMs, ageMs }: Times,
): Promise<void> {
  await stage.wishes([request({ durationMs: termMs })])
  await stage.runs(10)
  const copy = stage.disks[name]!.copy()
  stage.says(
    `A copy is made of what the ${name} knows. After that one lease is extended, and another begins.`,
  )
  await stage.wishes([extend(stage.leases()[0]!.id, { durationMs: termMs }), request({ durationMs: termMs })])
  await stage.runs(ageMs / 1_000)
  const before = { machines: running(stage), units: held(stage) }
  expect(before.machines).toHaveLength(4)
  for (const { name: machine } of stage.machines.site!.running.values())
    stage.machines.site!.work.add(machine)

  stage.says(`The copy is put back under the leases that live (${noticed}).`)
  stage.dies(name)
  stage.disks[name]!.restore(copy)
  if (noticed === 'mark') stage.disks[name]!.mark(stage.world.now)
  if (noticed === 'late') stage.messages('hello', 'lost', { times: 8, from: name })
  stage.starts(name)
  await stage.runs(60)
  expect(running(stage)).toEqual(before.machines)
  expect(held(stage)).toEqual(before.units)
  nothingTwice(stage)

  stage.says('There is room for nobody else; nobody is given what others hold.')
  await stage.wishes([request({ units: 1 })])
  await stage.runs(10)
  expect(running(stage)).toEqual(before.machines)
  nothingTwice(stage)

  stage.says('Work is done. The leases come to their ends, and others begin.')
  stage.machines.site!.work.clear()
  await stage.runs((2 * termMs - ageMs) / 1_000 + 400)
  expect(stage.leases()).toEqual([])
  expect(running(stage)).toEqual([])
  await stage.wishes([request({ units: 4 })])
  await stage.runs(10)
  expect(running(stage)).toHaveLength(4)
  nothingTwice(stage)
}

describe('an older copy of a store is put back under leases that live', () => {
  for (const name of ['site', 'broker', 'manager']) {
    scene(`An older ${name} that is told so asks the others what they hold`, (stage) =>
      putBack(stage, name, 'mark', SHORT),
    )
    scene(`An older ${name} hears from the others that it is older`, (stage) =>
      putBack(stage, name, 'peers', SHORT),
    )
    scene(`An older ${name} hears it late, for nobody answers when it begins`, (stage) =>
      putBack(stage, name, 'late', SHORT),
    )
    for (const noticed of ['mark', 'peers', 'late'] as const)
      test(`a ${name} of six hours ago takes up what lives and gives nothing away twice (${noticed})`, async () => {
        const stage = new Stage({ authority: { termMsMax: 24 * HOUR, delegationMs: 72 * HOUR } })
        await stage.begins()
        await putBack(stage, name, noticed, OF_LAST_NIGHT)
      })
  }
})
