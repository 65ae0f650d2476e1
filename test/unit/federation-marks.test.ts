import { expect, test } from 'vitest'
import { compareMarks, Sightings } from '../../deploy/labs/federation/marks.ts'
import { ledgerOf, T0 } from './control-site.ts'

const assigned = (unitId: string, leaseId: string, name: string) => ({
  ...{ kind: 'unit assigned', subject: unitId, reason: '', data: { leaseId, name } },
})
const ended = (unitId: string) => ({ kind: 'unit ended', subject: unitId, reason: '' })
const seen = (unitId: string, at: readonly number[], leaseId = 'lease-1', name = 'vm1'): Sightings => {
  const sightings = new Sightings()
  for (const one of at) sightings.look(one, [{ unitId, leaseId, name }])
  return sightings
}

test('machines that say what their site says of them agree', () => {
  const ledger = ledgerOf('site', [assigned('unit-1', 'lease-1', 'vm1'), ended('unit-1')])
  expect(compareMarks(seen('unit-1', [T0]).all(), ledger)).toEqual([])
})

test.each([
  ['unit-2', [T0], 'lease-1', 'vm1', 'unit-2 was there and was never assigned'],
  ['unit-1', [T0], 'lease-2', 'vm1', 'unit-1 says lease-2, its site lease-1'],
  ['unit-1', [T0], 'lease-1', 'vm2', 'unit-1 says vm2, its site vm1'],
  ['unit-1', [T0 - 5, T0], 'lease-1', 'vm1', 'unit-1 was there 5 ms before it was assigned'],
  ['unit-1', [T0, T0 + 7], 'lease-1', 'vm1', 'unit-1 was there 7 ms after it had ended'],
] as const)('a machine of %s seen at %s as %s %s is told', (unitId, at, leaseId, name, sentence) => {
  const ledger = ledgerOf('site', [assigned('unit-1', 'lease-1', 'vm1'), ended('unit-1')])
  expect(compareMarks(seen(unitId, at, leaseId, name).all(), ledger)).toEqual([sentence])
})

test('two machines of one name at once are told, one after the other are not', () => {
  const ledger = ledgerOf('site', [
    assigned('unit-1', 'lease-1', 'vm1'),
    assigned('unit-2', 'lease-1', 'vm1'),
  ])
  const both = (second: number) => [...seen('unit-1', [T0, T0 + 10]).all(), ...seen('unit-2', [second]).all()]
  expect(compareMarks(both(T0 + 11), ledger)).toEqual([])
  expect(compareMarks(both(T0 + 5), ledger)).toEqual(['vm1 was unit-1 and unit-2 at once'])
})

test('looks that fail are not looks that found nothing', () => {
  const sightings = seen('unit-1', [T0, T0 + 1])
  expect(sightings.doubt()).toBeUndefined()
  sightings.failed('the folder cannot be read')
  expect(sightings.doubt()).toBe('1 of 3 looks from outside failed: the folder cannot be read')
  for (let i = 0; i < 7; i++) sightings.look(T0 + i, [])
  expect(sightings.doubt()).toBeUndefined()
  expect(sightings.counts).toEqual({ taken: 9, failed: 1 })
  expect(new Sightings().doubt()).toBe('0 of 0 looks from outside failed: none was taken')
})
