import { describe, expect } from 'vitest'
import { extend, modify, release, request, scene } from './scene.ts'
import type { Stage } from './stage.ts'

/** Whoever dies goes on with what was under way, in whichever state that was. */
const first = (stage: Stage) => stage.leases()[0]!

async function active(stage: Stage): Promise<void> {
  await stage.wishes([request()])
  await stage.runs(5)
  expect(first(stage).state).toBe('active')
}

/** Each state in which something is on its way, and how the script gets there. */
const pending: readonly {
  readonly state: string
  readonly kind: string
  readonly from: string
  readonly begin: (stage: Stage) => Promise<void>
  readonly check: (stage: Stage) => void
}[] = [
  {
    ...{ state: 'asking for a ticket', kind: 'ticket-update', from: 'broker' },
    begin: (stage) => stage.wishes([request()]),
    check: (stage) => expect(first(stage).state).toBe('active'),
  },
  {
    ...{ state: 'asking for an extension', kind: 'ticket-update', from: 'broker' },
    begin: (stage) => wishesOfActive(stage, (id) => extend(id)),
    check: (stage) => expect(first(stage).term!.end - first(stage).term!.start).toBe(120_000),
  },
  {
    ...{ state: 'waiting for the site to extend', kind: 'lease-update', from: 'site' },
    begin: (stage) => wishesOfActive(stage, (id) => extend(id)),
    check: (stage) => expect(first(stage).term!.end - first(stage).term!.start).toBe(120_000),
  },
  {
    ...{ state: 'redeeming', kind: 'lease-update', from: 'site' },
    begin: (stage) => stage.wishes([request()]),
    check: (stage) => expect(first(stage).state).toBe('active'),
  },
  {
    ...{ state: 'changing properties', kind: 'lease-update', from: 'site' },
    begin: (stage) => wishesOfActive(stage, (id) => modify(id, { note: 'second' })),
    check: (stage) => expect(first(stage).modification).toMatchObject({ state: 'done' }),
  },
  {
    ...{ state: 'closing', kind: 'lease-update', from: 'site' },
    begin: (stage) => wishesOfActive(stage, release),
    check: (stage) => expect(stage.leases()).toEqual([]),
  },
]

async function wishesOfActive(stage: Stage, wish: (id: string) => Parameters<Stage['wishes']>[0][number]) {
  await active(stage)
  await stage.wishes([wish(first(stage).id)])
}

describe('pending states', () => {
  for (const { state, kind, from, begin, check } of pending)
    scene(`A manager that dies while it is ${state} goes on with it`, async (stage) => {
      const opening = state.startsWith('asking for a ticket') || state === 'redeeming'
      if (opening) stage.messages(kind, 'lost', { from, times: 50 })
      await begin(stage)
      if (!opening) stage.messages(kind, 'lost', { from, times: 50 })
      await stage.runs(1)
      stage.dies('manager')
      stage.wire.calm()
      await stage.runs(2)
      stage.starts('manager')
      await stage.runs(15)
      check(stage)
      expect(stage.ledger('broker').filter(({ kind }) => kind === 'asked')).toHaveLength(1)
    })

  scene('A manager that dies while a machine joins joins it again', async (stage) => {
    stage.joinSeconds = 2
    await stage.wishes([request()])
    await stage.runs(3)
    expect(first(stage).held.map(({ state }) => state)).toEqual(['joining', 'joining'])
    stage.dies('manager')
    stage.starts('manager')
    await stage.runs(10)
    expect(first(stage).held.map(({ state }) => state)).toEqual(['joined', 'joined'])
  })

  scene('A site that dies with a close half done ends the rest of it', async (stage) => {
    await active(stage)
    await stage.wishes([release(first(stage).id)])
    await stage.runs(0.3)
    expect(stage.machines.site!.running.size).toBe(2)
    stage.dies('site')
    await stage.runs(2)
    stage.starts('site')
    await stage.runs(10)
    expect(stage.leases()).toEqual([])
    expect(stage.machines.site!.running.size).toBe(0)
  })
})

describe('lives', () => {
  scene('A site that dies while machines boot goes on with them', async (stage) => {
    await stage.wishes([request()])
    await stage.runs(0.5)
    stage.dies('site')
    await stage.runs(2)
    stage.starts('site')
    await stage.runs(10)
    expect(first(stage).held.map(({ state }) => state)).toEqual(['joined', 'joined'])
    expect(stage.machines.site!.running.size).toBe(2)
  })

  scene('A broker that dies before or after it grants gives the same answer once', async (stage) => {
    stage.dies('broker', 'before its next commit')
    await stage.wishes([request()])
    await stage.runs(2)
    stage.starts('broker')
    await stage.runs(10)
    expect(first(stage).state).toBe('active')
    expect(stage.ledger('broker').filter(({ kind }) => kind === 'ticket granted')).toHaveLength(1)
  })

  scene('A row that does not fit its checksum stops its actor', async (stage) => {
    await active(stage)
    stage.dies('site')
    stage.rots('site', 'lease')
    stage.starts('site')
    await stage.runs(5)
    expect(stage.machines.site!.running.size).toBe(2)
  })

  scene('A machine that does not boot is replaced, and the others wait for nobody', async (stage) => {
    stage.machines.site!.setupFailures = 1
    await stage.wishes([request()])
    await stage.runs(10)
    expect(first(stage).held.filter(({ state }) => state === 'joined')).toHaveLength(2)
  })
})
