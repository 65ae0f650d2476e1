import type { Envelope } from '../../actors/runtime/envelope.ts'
import { type Copy, Memory } from '../scenarios/memory-store.ts'
import { extend, release, request } from '../scenarios/scene.ts'
import { Stage } from '../scenarios/stage.ts'

/** What the actors knew at an instant, and all that had been said until then. */
export interface Moment {
  readonly name: string
  readonly now: number
  readonly disks: Readonly<Record<string, Copy>>
  readonly history: readonly Envelope[]
}

/** The life of some leases, kept at the instants at which most can go wrong. */
export async function moments(): Promise<Moment[]> {
  const stage = new Stage({ managers: ['manager', 'neighbour'], units: 8 })
  const kept: Moment[] = []
  const keep = (name: string): void => {
    const disks = Object.fromEntries(Object.entries(stage.disks).map(([actor, disk]) => [actor, disk.copy()]))
    kept.push({ name, now: stage.world.now, disks, history: structuredClone(stage.wire.history) })
  }
  await stage.begins()
  keep('nothing is asked for')
  await stage.wishes([request({ units: 2 })])
  await stage.wishes([request({ units: 1 })], 'neighbour')
  keep('two ask')
  await stage.runs(0.04)
  keep('the broker has heard of it')
  await stage.runs(0.1)
  keep('machines boot')
  await stage.runs(5)
  keep('all is active')
  const [lease] = stage.leases()
  await stage.wishes([extend(lease!.id, { victims: [lease!.held[0]!.id] })])
  await stage.runs(0.03)
  keep('an extension is asked for')
  await stage.runs(5)
  keep('an extension is agreed')
  await stage.command('site', 'recall', { type: 'small', units: 7, by: stage.at(40), reason: 'a move' })
  await stage.runs(1)
  keep('units are recalled')
  const course = { type: 'small', units: 2, by: stage.at(60), reason: 'a course' }
  const { recallId } = (await stage.command('site', 'recall', course)) as { recallId: string }
  await stage.runs(0.1)
  await stage.command('site', 'call off', { recallId, reason: 'no course' })
  await stage.runs(1)
  keep('a recall is called off')
  await stage.wishes([release(lease!.id)])
  await stage.runs(0.1)
  keep('one is given back')
  await stage.runs(20)
  keep('one is over')
  return kept
}

/** A disk that holds what was known then. */
export function diskOf(moment: Moment, actor: string): Memory {
  const disk = new Memory()
  disk.restore(moment.disks[actor]!)
  return disk
}
