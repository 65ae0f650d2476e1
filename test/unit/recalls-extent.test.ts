import { describe, expect, test } from 'vitest'
import type { Body } from '../../actors/leases/messages.ts'
import type { Intended } from '../../actors/runtime/draft.ts'
import { MINUTE, NOW, Stage, wellBehaved } from './authority-stage.ts'
import { BrokerDesk } from './broker-desk.ts'

describe('a broker asks for no more than is recalled', () => {
  test('of a type that is withdrawn', () => {
    const desk = fourLeases()
    desk.offer(0)
    expect(asked(desk, 'recall-1', 1)).toEqual([['lease-4', 1]])
    expect(asked(desk, 'recall-2', 2)).toEqual([
      ['lease-3', 1],
      ['lease-2', 1],
    ])
  })

  test('of a type that is withdrawn and of which not all is promised', () => {
    const desk = new BrokerDesk()
    desk.offer(4)
    desk.granted('lease-1', { units: 3 })
    desk.offer(0)
    desk.offer(0)
    expect(asked(desk, 'recall-1', 1)).toEqual([])
    expect(asked(desk, 'recall-2', 1)).toEqual([['lease-1', 1]])
  })

  test('while other units are stuck or on a host that is to be worked on', () => {
    const desk = fourLeases()
    desk.offer(2)
    expect(asked(desk, 'recall-1', 1)).toEqual([['lease-4', 1]])
  })

  test('because another recall was turned down', () => {
    const desk = fourLeases()
    expect(asked(desk, 'recall-1', 1)).toEqual([['lease-4', 1]])
    const no = { recallId: 'recall-1', units: 0, by: NOW + 10 * MINUTE, reason: 'work runs there' }
    desk.tell('manager', 'recall-plan', 'lease-4', no)
    expect(asked(desk, 'recall-2', 1)).toEqual([['lease-4', 1]])
  })
})

describe('a site takes no more than was recalled', () => {
  test('while a host is to be worked on later, and leaves the units there to its host', () => {
    const { stage, forced } = busySite()
    stage.command('maintain', { host: 'a', by: NOW + 40 * MINUTE, reason: 'new memory' })
    recall(stage, 1)
    stage.pass(3 * MINUTE)
    expect(forced.map((id) => hostOf(stage, id))).not.toContain('a')
    expect(forced).toHaveLength(1)
    stage.pass(40 * MINUTE)
    expect(stage.live().map(({ host }) => host)).not.toContain('a')
    expect(stage.live()).toHaveLength(3)
  })

  test.each([
    true,
    false,
  ])('where a unit of a host that is to be worked on is given back; it is replaced unless that is for the recall: %s', (isFor) => {
    const stage = new Stage()
    stage.lease({ units: 3, term: { start: NOW, end: NOW + 50 * MINUTE } })
    const unit = stage.live().find(({ host }) => host === 'a')!.id
    stage.command('maintain', { host: 'a', by: NOW + 5 * MINUTE, reason: 'new memory' })
    const before = stage.live().filter(({ host }) => host !== 'a').length
    recall(stage, 1)
    const recalled = isFor ? [unit] : []
    stage.tell('vacate', 'lease-1', { units: [unit], reason: 'wanted back', recalled })
    stage.settle()
    expect(stage.live().filter(({ host }) => host !== 'a')).toHaveLength(isFor ? before : before + 1)
  })

  test('where it lends less than it did, and more is held for that', () => {
    const { stage, forced } = busySite()
    const four = { ...stage.config.types['vm.small']!, units: 4 }
    Object.assign(stage.config, { types: { 'vm.small': four } })
    stage.give({ kind: 'started', epoch: 2 })
    recall(stage, 1)
    stage.pass(3 * MINUTE)
    expect(forced).toHaveLength(1)
  })

  test('and for each of several recalls as many as it was for', () => {
    const { stage, forced } = busySite()
    recall(stage, 1)
    recall(stage, 2)
    stage.pass(MINUTE + 30_000)
    expect(new Set(forced).size).toBe(3)
    expect(stage.live()).toHaveLength(3)
  })
})

function fourLeases(): BrokerDesk {
  const desk = new BrokerDesk()
  desk.offer(4)
  for (const id of ['lease-1', 'lease-2', 'lease-3', 'lease-4']) desk.granted(id, { units: 1 })
  return desk
}

/** Who is asked for how many. */
function asked(desk: BrokerDesk, recallId: string, units: number): unknown[] {
  const recall = { recallId, type: 't', units, by: NOW + 10 * MINUTE, reason: 'needed' }
  return desk
    .tell('site', 'recall-units', 'offer-t', recall)
    .filter(({ kind }) => kind === 'recall')
    .map(({ subject, body }) => [subject, (body as Body<'recall'>).units])
}

/** All that it lends is held, and work runs everywhere. */
function busySite(): { stage: Stage; forced: string[] } {
  const stage = new Stage()
  stage.lease({ units: 6, term: { start: NOW, end: NOW + 50 * MINUTE } })
  const forced: string[] = []
  stage.world = (effect: Intended) => {
    const { onlyIdle, force } = effect.args as { onlyIdle: boolean; force: boolean }
    if (effect.verb === 'probe' && onlyIdle) return { kind: 'done', value: { kind: 'busy' } }
    if (effect.verb !== 'teardown') return wellBehaved(effect)
    if (!force) return { kind: 'done', value: { kind: 'busy', what: 'a job' } }
    forced.push(effect.key)
    return wellBehaved(effect)
  }
  return { stage, forced }
}

const recall = (stage: Stage, units: number): unknown =>
  stage.command('recall', { type: 'vm.small', units, by: NOW + MINUTE, reason: 'ours' })

const hostOf = (stage: Stage, unitId: string): string | undefined =>
  stage.units().find(({ id }) => id === unitId)?.host
