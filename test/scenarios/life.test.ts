import { describe, expect } from 'vitest'
import { extend, release, request, scene } from './scene.ts'
import type { Stage } from './stage.ts'

const first = (stage: Stage) => stage.leases()[0]!

describe('the life of a lease', () => {
  scene('A lease from the request to the last word', async (stage) => {
    stage.says('The manager wants two machines for a minute.')
    await stage.wishes([request()])
    await stage.runs(5)
    expect(first(stage).held.map((unit) => unit.state)).toEqual(['joined', 'joined'])
    stage.says('Its time is over, and nobody asks for more.')
    await stage.runs(70)
    expect(stage.leases()).toEqual([])
    expect(stage.machines.site!.running.size).toBe(0)
  })

  scene('A lease is extended, and goes on without a gap', async (stage) => {
    await stage.wishes([request()])
    await stage.runs(20)
    stage.says('After twenty seconds the manager asks for another minute, from the old end on.')
    await stage.wishes([extend(first(stage).id)])
    await stage.runs(55)
    expect(first(stage).term!.end).toBe(first(stage).term!.start + 120_000)
    expect(first(stage).held.map((unit) => unit.state)).toEqual(['joined', 'joined'])
  })

  scene('A lease shrinks at the boundary, and its holder chooses who goes', async (stage) => {
    await stage.wishes([request()])
    await stage.runs(20)
    const [victim] = first(stage).held
    stage.says('One of two is enough for the next minute.')
    await stage.wishes([extend(first(stage).id, { victims: [victim!.id] })])
    await stage.runs(60)
    // The extension has begun: the one that left is no more of it.
    expect(first(stage).held.map((unit) => unit.state)).toEqual(['joined'])
    expect(stage.machines.site!.running.size).toBe(1)
  })

  scene('A lease is given back before its end', async (stage) => {
    await stage.wishes([request()])
    await stage.runs(5)
    await stage.wishes([release(first(stage).id)])
    await stage.runs(10)
    expect(stage.leases()).toEqual([])
  })

  scene('An elastic request takes what there is', async (stage) => {
    await stage.wishes([request({ units: 6, unitsMin: 2 })])
    await stage.runs(5)
    expect(first(stage).units).toBe(4)
  })

  scene('A refusal says what would work instead', async (stage) => {
    await stage.wishes([request({ units: 3 })])
    await stage.runs(5)
    await stage.wishes([request({ units: 2 })])
    await stage.runs(1)
    expect(stage.leases()).toHaveLength(1)
  })

  scene('A deferrable request waits for its turn', async (stage) => {
    await stage.wishes([request({ units: 4, durationMs: 30_000 })])
    await stage.runs(5)
    await stage.wishes([request({ units: 4, startBy: stage.at(120) })])
    await stage.runs(45)
    expect(first(stage).state).toBe('active')
  })

  scene('The owner wants back what is free, and no holder hears of it', async (stage) => {
    await stage.wishes([request({ units: 2 })])
    await stage.runs(10)
    await stage.command('site', 'recall', {
      type: 'small',
      units: 2,
      by: stage.at(30),
      reason: 'a course begins',
    })
    await stage.runs(30)
    expect(stage.wire.history.map(({ kind }) => kind)).not.toContain('recall')
    expect(stage.machines.site!.running.size).toBe(2)
  })

  scene('The owner wants machines back by a time, and the holder says what will leave', async (stage) => {
    await stage.wishes([request({ units: 4 })])
    await stage.runs(10)
    const order = { type: 'small', units: 2, by: stage.at(30), reason: 'a course begins' }
    await stage.command('site', 'recall', order)
    await stage.runs(30)
    expect(stage.machines.site!.running.size).toBe(2)
  })

  scene(
    'A recall whose time is over puts back the jobs that may start again, and names those that are cut',
    async (stage) => {
      const { queue } = stage
      await stage.wishes([request({ units: 3 })])
      await stage.runs(10)
      stage.says('17 on vm1 and 19 on vm2 may start again, 18 on vm1 and 20 on vm3 may not.')
      queue.starts('17', 'vm1')
      queue.starts('18', 'vm1', { requeueable: false })
      queue.starts('19', 'vm2')
      queue.starts('20', 'vm3', { requeueable: false })
      await stage.command('site', 'recall', {
        type: 'small',
        units: 3,
        by: stage.at(30),
        reason: 'a course begins',
      })
      await stage.runs(47)
      stage.says('In the grace 20 comes to its end.')
      expect(['17', '18', '19', '20'].map((id) => queue.stateOf(id))).toEqual([
        ...['runs on vm1', 'runs on vm1', 'runs on vm2', 'runs on vm3'],
      ])
      queue.ends('20')
      await stage.runs(60)
      expect(['17', '18', '19'].map((id) => queue.stateOf(id))).toEqual(['waits', 'ended', 'waits'])
      const told = stage.ledger('manager').filter(({ kind }) => kind.startsWith('jobs '))
      expect(told.map(({ kind, reason }) => `${kind}: ${reason}`)).toEqual([
        'jobs put back: back in the queue: 17',
        'jobs not put back: 18 (it was submitted as not rerunable); cut if still there when the site ends vm1',
        'jobs put back: back in the queue: 19',
        'jobs cut: cut with vm1: 18 (it was submitted as not rerunable)',
        'jobs at the end: put back into the queue: 17, 19; cut: 18 (it was submitted as not rerunable)',
      ])
    },
    { works: true },
  )

  scene(
    'A recall that is called off takes nothing, and what was promised back is lent again',
    async (stage) => {
      await stage.wishes([request({ units: 4 })])
      await stage.runs(10)
      const order = { type: 'small', units: 2, by: stage.at(30), reason: 'a course begins' }
      const { recallId } = (await stage.command('site', 'recall', order)) as { recallId: string }
      await stage.runs(5)
      stage.says('The course does not take place. The holder has promised two units, and gives them back.')
      const lent = await stage.command('site', 'call off', { recallId, reason: 'nobody has come' })
      expect(lent).toMatchObject({ lent: 4, withheld: 0 })
      await stage.wishes([request({ units: 2, startBy: stage.at(50) })])
      await stage.runs(30)
      expect(stage.leases()).toMatchObject([{ state: 'active' }, { state: 'active', units: 2 }])
      expect(stage.machines.site!.running.size).toBe(4)
    },
  )
})
