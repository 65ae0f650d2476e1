import { describe, expect } from 'vitest'
import type { Body } from '../../actors/leases/messages.ts'
import { release, request, scene } from './scene.ts'
import type { Stage } from './stage.ts'

const sent = (stage: Stage, kind: string) => stage.wire.history.filter((envelope) => envelope.kind === kind)
const refusals = (stage: Stage) =>
  sent(stage, 'ticket-update').filter(({ body }) => outcome(body) === 'refused')
const outcome = (body: unknown) => (body as Body<'ticket-update'>).outcome
const notes = (stage: Stage, name: string, kind: string) =>
  stage.ledger(name).filter((entry) => entry.kind === kind)

describe('later', () => {
  scene('A reservation for later starts at its time, and no machine before', async (stage) => {
    await stage.wishes([request({ startAt: stage.at(30) })])
    await stage.runs(20)
    expect(stage.machines.site!.running.size).toBe(0)
    stage.says('Whoever would be in its way is refused; whoever is done before is not.')
    await stage.wishes([request({ units: 3 }), request({ units: 4, durationMs: 5_000 })])
    await stage.runs(15)
    expect(refusals(stage)).toHaveLength(1)
    const [reserved] = stage.leases()
    expect(reserved!.term!.start).toBeGreaterThanOrEqual(stage.at(30))
    expect(reserved!.held.map(({ state }) => state)).toEqual(['joined', 'joined'])
  })

  scene('A reservation that is given back before it starts is free for others', async (stage) => {
    await stage.wishes([request({ units: 4, startAt: stage.at(60) })])
    await stage.runs(10)
    await stage.wishes([release(stage.leases()[0]!.id)])
    await stage.runs(5)
    expect(stage.leases()).toEqual([])
    await stage.wishes([request({ units: 4 })])
    await stage.runs(5)
    expect(stage.leases()[0]!.state).toBe('active')
    expect(notes(stage, 'site', 'unit assigned')).toHaveLength(4)
  })

  scene('A deadline that cannot be met is refused with the earliest start', async (stage) => {
    await stage.wishes([request({ units: 4 })])
    await stage.runs(5)
    await stage.wishes([request({ units: 4, startBy: stage.at(30) })])
    await stage.runs(30)
    const [refusal] = refusals(stage)
    expect((refusal!.body as Body<'ticket-update'>).earliest).toBeGreaterThanOrEqual(stage.at(61))
    expect(stage.leases()).toHaveLength(1)
  })
})

describe('where', () => {
  const two = { sites: ['far', 'near'] }
  const prefers = { properties: { 'sites.prefer': 'near far' } }
  const sites = (stage: Stage) => stage.leases().map(({ site, units }) => `${units} at ${site}`)

  scene(
    'A request goes to the site that it prefers, as long as it gets as much and as soon there',
    async (stage) => {
      await stage.wishes([request(prefers)])
      await stage.runs(5)
      stage.says('Two are left there: three are to be had at the other one, and all before a part.')
      await stage.wishes([request({ ...prefers, units: 3, unitsMin: 1 })])
      await stage.runs(5)
      expect(sites(stage)).toEqual(['2 at near', '3 at far'])
    },
    two,
  )

  scene(
    'A request that is to avoid a site gets nothing of it, and is told so',
    async (stage) => {
      const avoids = { properties: { 'sites.avoid': 'far' } }
      await stage.wishes([request({ ...avoids, units: 4 })])
      await stage.runs(5)
      await stage.wishes([request(avoids)])
      await stage.runs(5)
      expect(sites(stage)).toEqual(['4 at near'])
      const [refusal] = refusals(stage)
      expect(refusal!.body).toMatchObject({
        reason: expect.stringContaining('it is to avoid far'),
        unitsNow: 0,
      })
    },
    two,
  )
})

describe('together', () => {
  const pair = (id: string) => ({ group: { id, size: 2 } })

  scene('A group is granted whole, at one common start', async (stage) => {
    await stage.wishes([request({ units: 3, durationMs: 20_000 })])
    await stage.runs(5)
    stage.says('One unit is free; the first member alone would fit.')
    const startBy = stage.at(120)
    await stage.wishes([
      request({ ...pair('pair'), units: 1, startBy }),
      request({ ...pair('pair'), units: 3, startBy }),
    ])
    await stage.runs(30)
    expect(stage.leases().map(({ state }) => state)).toEqual(['active', 'active'])
    expect(new Set(stage.leases().map(({ term }) => term!.start)).size).toBe(1)
  })

  scene('A group of which one member cannot be had does not start', async (stage) => {
    await stage.wishes([request({ ...pair('pair'), units: 1 }), request({ ...pair('pair'), units: 9 })])
    await stage.runs(15)
    expect(stage.leases()).toEqual([])
    expect(notes(stage, 'broker', 'ticket granted')).toEqual([])
    expect(refusals(stage)).toHaveLength(2)
  })

  scene(
    'Of two groups that would each take half, one starts whole and the other waits whole',
    async (stage) => {
      const startBy = stage.at(120)
      stage.says('All four requests are decided together, the members of the two groups in turns.')
      const two = (id: string) => request({ ...pair(id), startBy, durationMs: 30_000 })
      await stage.wishes([two('red')], 'anna')
      await stage.wishes([two('blue')], 'bert')
      await stage.wishes([two('red')], 'anna')
      await stage.wishes([two('blue')], 'bert')
      await stage.runs(10)
      const states = () => ['anna', 'bert'].map((name) => stage.leases(name).map(({ state }) => state))
      expect(states()).toEqual([
        ['active', 'active'],
        ['requested', 'requested'],
      ])
      await stage.runs(30)
      expect(states()[1]).toEqual(['active', 'active'])
    },
    { managers: ['anna', 'bert'], broker: { batchMs: 500 } },
  )
})

describe('machines on one switch', () => {
  const hosts = ['a', 'b', 'c', 'd'].map((name) => ({
    ...{ name, capacity: { cpu: 1 } },
    switch: name < 'c' ? 'left' : 'right',
  }))
  scene(
    'A lease that is wanted on one switch is there, or nowhere',
    async (stage) => {
      const together = (units: number) => request({ units, properties: { switchGroup: 'one' } })
      stage.says('There is room for two on each switch, and somebody takes one of them.')
      await stage.wishes([request({ units: 1 })])
      await stage.runs(5)
      await stage.wishes([together(2)])
      await stage.runs(5)
      expect(notes(stage, 'site', 'placed together')).toMatchObject([{ reason: '2 on switch right' }])
      await stage.wishes(stage.leases().map(({ id }) => release(id)))
      await stage.runs(10)
      stage.says('Three are more than a switch has, whatever the broker knows of.')
      await stage.wishes([together(3)])
      await stage.runs(5)
      expect(stage.refusals()).toMatchObject([
        { by: 'site', unitsMin: 3, reason: expect.stringContaining('(no-switch-group)') },
      ])
    },
    { authority: { hosts } },
  )
})

describe('one after the other', () => {
  scene('A node waits for its server, and is told where it is', async (stage) => {
    await stage.wishes([
      request({ units: 1, label: 'server' }),
      request({ units: 2, after: { redeem: 'server' } }),
    ])
    await stage.runs(8)
    const [, node] = sent(stage, 'redeem')
    const { properties } = node!.body as Body<'redeem'>
    expect(properties['predecessor.server.address']).toBe('10.0.0.1')
    expect(stage.leases().map(({ state }) => state)).toEqual(['active', 'active'])
  })

  scene('Nodes boot beside their server, and join after it', async (stage) => {
    stage.machines.site!.setupFailures = 1
    await stage.wishes([
      request({ units: 1, label: 'server' }),
      request({ units: 1, after: { join: 'server' } }),
    ])
    await stage.runs(10)
    const [server, node] = sent(stage, 'ticket').map(({ subject }) => subject)
    const joined = (id: string | undefined) =>
      stage
        .leases()
        .find((lease) => lease.id === id)!
        .held.find(({ state }) => state === 'joined')!.joinedAt!
    expect(joined(node)).toBeGreaterThanOrEqual(joined(server))
    expect(sent(stage, 'redeem').find(({ subject }) => subject === node)!.sentAt).toBeLessThan(joined(server))
  })

  scene('A server that never comes up ends those that wait for it', async (stage) => {
    stage.machines.site!.setupFailures = 99
    await stage.wishes([
      request({ units: 1, label: 'server' }),
      request({ units: 2, after: { redeem: 'server' } }),
    ])
    await stage.runs(30)
    expect(stage.leases()).toEqual([])
    expect(sent(stage, 'redeem')).toHaveLength(1)
    expect(notes(stage, 'broker', 'ticket closed')).toHaveLength(2)
  })
})

describe('questions', () => {
  scene('A question for types and room is answered, and changes nothing', async (stage) => {
    await stage.wishes([request({ units: 3 })])
    await stage.runs(5)
    const ask = async (question: object) => {
      const { queryId } = (await stage.command('manager', 'query', question)) as { queryId: string }
      await stage.runs(1)
      const outcome = await stage.command('manager', 'query outcome', { queryId })
      return (outcome as { answer: Body<'query-answer'> }).answer
    }
    const { types } = await ask({ about: 'types' })
    expect(types).toMatchObject([{ site: 'site', type: 'small', units: 4, free: 1 }])
    const room = await ask({ about: 'availability', type: 'small', units: 2, durationMs: 60_000 })
    expect(room.unitsNow).toBe(1)
    expect(room.earliest).toBe(stage.leases()[0]!.term!.end)
    stage.says('The site is asked as well, and nobody lends what is asked for.')
    expect((await ask({ to: 'site', about: 'types' })).types).toHaveLength(1)
    expect((await ask({ about: 'availability', type: 'large', units: 2, durationMs: 1 })).refused).toMatch(
      /large/,
    )
    expect(stage.leases()).toHaveLength(1)
  })
})

describe('approval', () => {
  scene(
    'A large request waits for the operator: one is approved, one is not, one comes too late',
    async (stage) => {
      const large = (reason: string) =>
        request({ units: 3, startBy: stage.at(30), durationMs: 10_000, reason })
      await stage.wishes([
        large('a course'),
        large('a game'),
        large('a demonstration'),
        request({ units: 1 }),
      ])
      await stage.runs(2)
      const [course, game, demonstration, small] = sent(stage, 'ticket').map(({ subject }) => subject)
      const stateOf = (id: string | undefined) => stage.leases().find((lease) => lease.id === id)?.state
      expect([course, game, demonstration].map(stateOf)).toEqual(['requested', 'requested', 'requested'])
      expect(stateOf(small)).toBe('active')
      await stage.command('broker', 'approve', { leaseId: course, by: 'olga' })
      await stage.command('broker', 'disapprove', { leaseId: game, by: 'olga', reason: 'no games here' })
      await stage.runs(5)
      expect([course, game, demonstration].map(stateOf)).toEqual(['active', undefined, 'requested'])
      stage.says('Nobody looks at the third one.')
      await stage.runs(30)
      expect(refusals(stage).map(({ body }) => (body as Body<'ticket-update'>).reason)).toEqual([
        expect.stringContaining('no games here'),
        expect.stringContaining('nobody approved it in time'),
      ])
    },
    { broker: { approval: { unitsOver: 2 } } },
  )
})
