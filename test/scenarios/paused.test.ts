import { describe, expect, test } from 'vitest'
import type { LedgerEntry } from '../../actors/runtime/commit.ts'
import { extend, release, request } from './scene.ts'
import { Stage } from './stage.ts'

const LOW = 'only 12 MiB are free in work: nothing new is granted until room is made there'

async function staged(): Promise<Stage> {
  const stage = new Stage()
  await stage.begins()
  return stage
}

const said = (stage: Stage, name: string, kind: string): readonly LedgerEntry[] =>
  stage.disks[name]!.ledger.filter((entry) => entry.kind === kind)

/** How much room it takes. */
const written = (stage: Stage, name: string): readonly [lines: number, rows: number] => {
  const { ledger, rows } = stage.disks[name]!
  return [ledger.length, [...rows.values()].filter(({ table }) => !table.startsWith('$')).length]
}

const states = (stage: Stage): readonly string[] => stage.leases().map(({ state }) => state)

describe('a broker that is paused', () => {
  test('takes nothing new and writes nothing of it, until there is room again', async () => {
    const stage = await staged()
    await stage.command('broker', 'pause', LOW)
    const before = written(stage, 'broker')
    await stage.wishes(Array.from({ length: 40 }, () => request({ units: 1, startBy: stage.at(120) })))
    await stage.runs(10)
    expect(stage.transcript).toContainEqual(expect.stringContaining(`broker is busy: ${LOW}`))
    expect(said(stage, 'broker', 'grants nothing')).toMatchObject([{ subject: 'broker', reason: LOW }])
    expect(written(stage, 'broker')).toEqual(before)
    await stage.command('broker', 'pause', undefined)
    await stage.runs(40)
    expect(said(stage, 'broker', 'grants again')).toMatchObject([{ reason: 'there is room' }])
    expect(states(stage)).toContain('active')
  })

  test('grants nothing of what was asked for before, and says why', async () => {
    const stage = await staged()
    await stage.wishes([
      request({ units: 3, startBy: stage.at(30) }),
      request({ units: 3, startBy: stage.at(120) }),
    ])
    await stage.runs(5)
    await stage.command('broker', 'pause', LOW)
    await stage.runs(10)
    expect(said(stage, 'broker', 'waits').at(-1)).toMatchObject({ reason: LOW })
    await stage.runs(60)
    expect(said(stage, 'broker', 'ticket granted')).toHaveLength(1)
    await stage.command('broker', 'pause', undefined)
    await stage.runs(10)
    expect(said(stage, 'broker', 'ticket granted')).toHaveLength(2)
  })

  test('has who asks hear why, where no room is made in time', async () => {
    const stage = await staged()
    await stage.command('broker', 'pause', LOW)
    await stage.wishes([request()])
    await stage.runs(150)
    expect(said(stage, 'manager', 'undelivered')).toMatchObject([
      { reason: expect.stringContaining(`broker did not acknowledge ticket in time: ${LOW}`) },
    ])
    expect(stage.leases()).toEqual([])
  })

  test('takes back what is given back, and what is held goes on to its end', async () => {
    const stage = await staged()
    await stage.wishes([request({ units: 1 }), request({ units: 1 })])
    await stage.runs(5)
    const [one, other] = stage.leases()
    await stage.command('broker', 'pause', LOW)
    await stage.wishes([release(one!.id)])
    await stage.runs(10)
    expect(said(stage, 'broker', 'ticket closed').map(({ subject }) => subject)).toEqual([one!.id])
    expect(stage.leases().map(({ id }) => id)).toEqual([other!.id])
    expect(stage.machines.site!.running.size).toBe(1)
    await stage.wishes([extend(other!.id)])
    await stage.runs(70)
    expect(stage.leases()).toEqual([])
    expect(stage.machines.site!.running.size).toBe(0)
    expect(said(stage, 'broker', 'ticket granted')).toHaveLength(2)
  })

  test('is told once, and is still paused in its next life', async () => {
    const stage = await staged()
    await stage.command('broker', 'pause', LOW)
    await stage.command('broker', 'pause', LOW)
    stage.dies('broker')
    stage.starts('broker')
    await stage.runs(5)
    await stage.wishes([request({ startBy: stage.at(120) })])
    await stage.runs(5)
    expect(said(stage, 'broker', 'grants nothing')).toHaveLength(1)
    expect(said(stage, 'broker', 'ticket granted')).toEqual([])
  })
})

describe('a site that is paused', () => {
  test('assigns nothing new, names the reason to the lease, and goes on when there is room', async () => {
    const stage = await staged()
    await stage.wishes([request({ startAt: stage.at(20), startBy: stage.at(20) })])
    await stage.runs(10)
    expect(said(stage, 'site', 'redeemed')).toHaveLength(1)
    await stage.command('site', 'pause', LOW)
    await stage.runs(20)
    expect(said(stage, 'site', 'assigns nothing')).toMatchObject([{ reason: LOW }])
    expect(said(stage, 'site', 'unit assigned')).toEqual([])
    expect(said(stage, 'site', 'lease waits')).toMatchObject([
      { reason: `still to come: 2 of 2 units: ${LOW}` },
    ])
    await stage.command('site', 'pause', undefined)
    await stage.runs(10)
    expect(said(stage, 'site', 'assigns again')).toHaveLength(1)
    expect(states(stage)).toEqual(['active'])
  })

  test('takes no ticket and writes nothing of it, until there is room again', async () => {
    const stage = await staged()
    await stage.command('site', 'pause', LOW)
    const before = written(stage, 'site')
    await stage.wishes([request({ durationMs: 120_000 })])
    await stage.runs(10)
    expect(stage.transcript).toContainEqual(expect.stringContaining(`site is busy: ${LOW}`))
    expect(written(stage, 'site')).toEqual(before)
    await stage.command('site', 'pause', undefined)
    await stage.runs(40)
    expect(states(stage)).toEqual(['active'])
  })

  test('extends what is held, closes and tears down as ever', async () => {
    const stage = await staged()
    await stage.wishes([request({ units: 1 }), request({ units: 1 })])
    await stage.runs(5)
    const [one, other] = stage.leases()
    await stage.command('site', 'pause', LOW)
    await stage.wishes([extend(one!.id), release(other!.id)])
    await stage.runs(10)
    expect(said(stage, 'site', 'extended').map(({ subject }) => subject)).toEqual([one!.id])
    expect(said(stage, 'site', 'lease closed').map(({ subject }) => subject)).toEqual([other!.id])
    expect(stage.machines.site!.running.size).toBe(1)
    await stage.runs(120)
    expect(stage.leases()).toEqual([])
    expect(stage.machines.site!.running.size).toBe(0)
  })
})
