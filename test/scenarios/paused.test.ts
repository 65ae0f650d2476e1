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

const states = (stage: Stage): readonly string[] => stage.leases().map(({ state }) => state)

describe('a broker that is paused', () => {
  test('grants nothing new, and says why, until there is room again', async () => {
    const stage = await staged()
    await stage.command('broker', 'pause', LOW)
    await stage.wishes([request({ startBy: stage.at(120) })])
    await stage.runs(10)
    expect(said(stage, 'broker', 'grants nothing')).toMatchObject([{ subject: 'broker', reason: LOW }])
    expect(said(stage, 'broker', 'waits')).toMatchObject([{ reason: LOW }])
    expect(said(stage, 'broker', 'ticket granted')).toEqual([])
    await stage.command('broker', 'pause', undefined)
    await stage.runs(10)
    expect(said(stage, 'broker', 'grants again')).toMatchObject([{ reason: 'there is room' }])
    expect(states(stage)).toEqual(['active'])
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
    await stage.command('site', 'pause', LOW)
    await stage.wishes([request()])
    await stage.runs(10)
    expect(said(stage, 'site', 'assigns nothing')).toMatchObject([{ reason: LOW }])
    expect(said(stage, 'site', 'redeemed')).toHaveLength(1)
    expect(said(stage, 'site', 'unit assigned')).toEqual([])
    expect(said(stage, 'site', 'lease waits')).toMatchObject([
      { reason: `still to come: 2 of 2 units: ${LOW}` },
    ])
    await stage.command('site', 'pause', undefined)
    await stage.runs(10)
    expect(said(stage, 'site', 'assigns again')).toHaveLength(1)
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
