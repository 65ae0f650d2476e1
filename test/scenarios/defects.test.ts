import { describe, expect } from 'vitest'
import { extend, release, request, scene } from './scene.ts'
import type { Stage } from './stage.ts'

/**
 * What went wrong elsewhere: defects that were read in the public code of this family, each as a scene in which it
 * would show. The sentence in each heading says what happens here.
 */
const first = (stage: Stage) => stage.leases()[0]!

async function active(stage: Stage): Promise<void> {
  await stage.wishes([request()])
  await stage.runs(5)
  expect(first(stage).state).toBe('active')
}

describe('numbers and repeats', () => {
  scene('An old update that comes late shortens no lease', async (stage) => {
    await active(stage)
    await stage.wishes([extend(first(stage).id)])
    await stage.runs(5)
    stage.says('The first word of the site on this lease, with its old end, comes once more.')
    expect((await stage.replays('lease-update')).outcome).toBe('noted')
    expect(first(stage).term!.end - first(stage).term!.start).toBe(120_000)
  })

  scene('A number that was used is not taken with another body', async (stage) => {
    await active(stage)
    stage.says('Somebody who has the broker’s key says with a number of before that the ticket is closed.')
    const old = stage.wire.history.find(({ kind }) => kind === 'ticket-update')!
    const body = { ...(old.body as object), outcome: 'closed', ticket: null }
    const ack = await stage.replays('ticket-update', stage.signed({ ...old, body }))
    expect(ack).toMatchObject({ outcome: 'refused', code: 'message-conflict' })
    expect(first(stage).state).toBe('active')
  })

  scene('A request for a ticket that comes twice is granted once', async (stage) => {
    stage.messages('ticket', 'doubled')
    await active(stage)
    expect(first(stage).units).toBe(2)
    await stage.wishes([request()])
    await stage.runs(5)
    expect(stage.leases()).toHaveLength(2)
  })

  scene('A close that comes twice is no error', async (stage) => {
    await active(stage)
    await stage.wishes([release(first(stage).id)])
    await stage.runs(5)
    expect((await stage.replays('close')).outcome).toBe('received')
    await stage.runs(1)
    expect(stage.leases()).toEqual([])
  })

  scene('What was never on disk was never said', async (stage) => {
    stage.says('The power of the manager goes before its request is on disk; then it wants something else.')
    stage.dies('manager', 'before its next commit')
    void stage.wishes([request({ units: 4 })]).catch(() => undefined)
    await stage.runs(1)
    stage.starts('manager')
    await stage.runs(1)
    await stage.wishes([request({ units: 1 })])
    await stage.runs(5)
    expect(first(stage).units).toBe(1)
    expect(stage.ledger('broker').filter(({ kind }) => kind === 'ticket granted')).toHaveLength(1)
  })
})

describe('waits', () => {
  scene('An answer that is lost comes again', async (stage) => {
    stage.messages('ticket-update', 'lost')
    await stage.wishes([request()])
    await stage.runs(20)
    expect(first(stage).state).toBe('active')
  })

  scene('A peer that is away is asked again, less and less often', async (stage) => {
    stage.dies('broker')
    await stage.wishes([request({ startBy: stage.at(60) })])
    await stage.runs(8)
    stage.starts('broker')
    await stage.runs(10)
    expect(first(stage).state).toBe('active')
  })

  scene('A request that nobody answers comes to an end', async (stage) => {
    stage.dies('broker')
    await stage.wishes([request()])
    await stage.runs(30)
    expect(stage.leases().every(({ state }) => state === 'closing')).toBe(true)
    stage.says('The broker is back: what it never heard of is given back all the same.')
    stage.starts('broker')
    await stage.runs(40)
    expect(stage.leases()).toEqual([])
  })

  scene('An extension that is refused ends no lease before its time', async (stage) => {
    await stage.wishes([request({ durationMs: 60_000 })])
    await stage.runs(5)
    await stage.wishes([request({ units: 4, startBy: stage.at(200) })])
    await stage.runs(1)
    stage.says('Somebody took machines away from the offer; the extension does not fit any more.')
    await stage.command('site', 'recall', { type: 'small', units: 4, by: stage.at(58), reason: 'a move' })
    await stage.wishes([extend(first(stage).id)])
    await stage.runs(10)
    expect(first(stage).extendRefused).toBeDefined()
    expect(first(stage).held.map(({ state }) => state)).toEqual(['joined', 'joined'])
  })

  scene('A site that does not answer an extension loses its holder at the old end', async (stage) => {
    await active(stage)
    stage.dies('site')
    await stage.wishes([extend(first(stage).id)])
    await stage.runs(54)
    expect(first(stage).state).toBe('closing')
    stage.starts('site')
    await stage.runs(60)
    expect(stage.leases()).toEqual([])
    expect(stage.machines.site!.running.size).toBe(0)
  })
})

describe('giving back', () => {
  scene('The ticket goes back only after the last word of the site', async (stage) => {
    await active(stage)
    const [unit] = first(stage).held
    stage.machines.site!.work.add(unit!.name)
    await stage.wishes([release(first(stage).id)])
    await stage.runs(1)
    stage.says('While the machines are taken down, the broker must not give them to anybody.')
    await stage.wishes([request({ units: 3 })])
    await stage.runs(5)
    const said = stage.wire.history.map(({ kind }) => kind)
    expect(said.indexOf('relinquish')).toBeGreaterThan(said.indexOf('close'))
  })

  scene('A ticket that comes after it was given up is given back at once', async (stage) => {
    stage.messages('ticket-update', 'held')
    await stage.wishes([request()])
    await stage.runs(1)
    await stage.wishes([release(first(stage).id)])
    await stage.runs(1)
    stage.says('The grant was on its way all the time.')
    stage.wire.release()
    await stage.runs(5)
    expect(stage.leases()).toEqual([])
    expect(stage.machines.site!.running.size).toBe(0)
  })

  scene('A lease that is closed wins over its extension', async (stage) => {
    await active(stage)
    stage.messages('ticket-update', 'held')
    await stage.wishes([extend(first(stage).id)])
    await stage.runs(1)
    await stage.wishes([release(first(stage).id)])
    await stage.runs(3)
    stage.wire.release()
    await stage.runs(10)
    expect(stage.leases()).toEqual([])
    expect(stage.ledger('broker').some(({ kind }) => kind === 'ticket closed')).toBe(true)
  })
})

describe('busy', () => {
  scene(
    'An extension that meets a broker which is still greeting is asked again, not dropped',
    async (stage) => {
      await active(stage)
      stage.dies('site')
      stage.dies('broker')
      stage.says('The broker begins, and waits for the site to say what it has seen of it.')
      stage.starts('broker')
      await stage.wishes([extend(first(stage).id)])
      await stage.runs(1)
      stage.starts('site')
      await stage.runs(10)
      expect(first(stage).term!.end - first(stage).term!.start).toBe(120_000)
      expect(stage.ledger('site').some(({ kind }) => kind === 'extended')).toBe(true)
    },
  )

  scene(
    'What is given back while it is still decided on is no duplicate',
    async (stage) => {
      await stage.wishes([request({ units: 3, startBy: stage.at(60) })])
      await stage.runs(2)
      stage.says('The request waits for an approval; the manager does not want it any more.')
      await stage.wishes([release(first(stage).id)])
      await stage.runs(2)
      expect(stage.leases()).toEqual([])
      await stage.wishes([request({ units: 2, durationMs: 20_000 })])
      await stage.runs(5)
      stage.says('So does the extension; then the whole lease is given back.')
      await stage.wishes([extend(first(stage).id, { units: 3 })])
      await stage.runs(2)
      await stage.wishes([release(first(stage).id)])
      await stage.runs(5)
      expect(stage.leases()).toEqual([])
      expect(stage.ledger('broker').filter(({ kind }) => kind === 'ticket closed')).toHaveLength(2)
    },
    { broker: { approval: { unitsOver: 2 } } },
  )

  scene('A site that never answers a close holds nobody for ever', async (stage) => {
    await active(stage)
    await stage.wishes([release(first(stage).id)])
    stage.dies('site')
    await stage.runs(140)
    stage.says('The term, the grace and the quarantine are over.')
    await stage.runs(20)
    expect(stage.leases()).toEqual([])
  })
})
