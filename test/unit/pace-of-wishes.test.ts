import { expect, test } from 'vitest'
import type { GuestIntent } from '../../controllers/controller.ts'
import { Holder } from '../simulation/holder.ts'

test.each([90, 150])('of %i wishes that change nothing each is told once', (units) => {
  const holder = new Holder()
  const id = holder.active({ units, unitsMin: units })
  const wished = holder
    .lease(id)
    .units.map((unitId): GuestIntent => ({ kind: 'resume', unitId, reason: 'so be it' }))
  let told = 0
  for (let i = 0; i < 20; i++) {
    told += holder.wish(wished).notes.filter(({ kind }) => kind === 'changed nothing').length
    holder.desk.now += 500
  }
  expect(told).toBe(units)
})

test('an extension that came before its site named the units is asked for as soon as it has', () => {
  const holder = new Holder()
  const id = holder.ask({ units: 1, unitsMin: 1, durationMs: 100_000 })
  holder.grant(id)
  const extend: GuestIntent = {
    kind: 'extend',
    leaseId: id,
    durationMs: 100_000,
    victims: [],
    reason: 'more',
  }
  holder.wish([extend])
  holder.desk.now += 1_000
  holder.update(id, { state: 'pending' }, holder.reports(id, 'coming'))
  holder.desk.now += 1_000
  expect(holder.lease(id).units).toHaveLength(1)
  holder.wish([extend])
  expect(holder.lease(id).ticketState).toBe('extending')
})

test('a resume that the batch system refuses at once is not tried twice a second for ever', () => {
  const holder = new Holder()
  const id = holder.active({ units: 1, unitsMin: 1, durationMs: 36_000_000 })
  const unitId = holder.lease(id).units[0]!
  holder.wish([{ kind: 'drain', unitId, reason: 'idle' }])
  holder.done(unitId, 'drain', undefined)
  let decided = 0
  for (let i = 0; i < 600; i++) {
    decided += holder
      .wish([{ kind: 'resume', unitId, reason: 'needed' }])
      .notes.filter(({ kind }) => kind === 'decided').length
    if (holder.unit(unitId).doing === 'resume') holder.failed(unitId, 'resume')
    holder.desk.now += 500
  }
  expect(decided).toBeGreaterThan(5)
  expect(decided).toBeLessThan(15)
})

test('a resume that has failed is tried again in time, by hand at once, and what failed before counts no more', () => {
  const holder = new Holder({ retryMs: 10_000 })
  const unitId = holder.lease(holder.active({ units: 1, unitsMin: 1, durationMs: 36_000_000 })).units[0]!
  const resume: GuestIntent = { kind: 'resume', unitId, reason: 'needed' }
  const doing = (): string | undefined => {
    holder.wish([resume])
    return holder.unit(unitId).doing
  }
  const drained = (): void => {
    holder.wish([{ kind: 'drain', unitId, reason: 'idle' }])
    holder.done(unitId, 'drain', undefined)
  }
  drained()
  expect(doing()).toBe('resume')
  holder.failed(unitId, 'resume')
  expect(doing()).toBeUndefined()
  holder.desk.now += 9_999
  expect(doing()).toBeUndefined()
  holder.desk.now += 1
  expect(doing()).toBe('resume')
  holder.failed(unitId, 'resume')
  holder.desk.give({ kind: 'command', name: 'wish', args: { guest: 'g', intent: resume } })
  expect(holder.unit(unitId)).toMatchObject({ doing: 'resume', failures: 2 })
  holder.done(unitId, 'resume', undefined)
  expect(holder.unit(unitId)).toMatchObject({ state: 'joined', failures: 0, resumeFrom: undefined })
  drained()
  expect(doing()).toBe('resume')
})
