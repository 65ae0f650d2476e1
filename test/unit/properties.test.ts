import { describe, expect, test } from 'vitest'
import { readRequest } from '../../actors/leases/properties.ts'

describe('the properties of a request', () => {
  test('say nothing: all units, now, whatever image the site chooses', () =>
    expect(readRequest({}, 4)).toEqual({
      elastic: false,
      unitsMin: 4,
      deferrable: false,
      deadline: undefined,
      image: undefined,
      group: undefined,
    }))

  test('elastic without a number means at least one unit', () =>
    expect(readRequest({ elastic: 'true' }, 4).unitsMin).toBe(1))

  test('elastic down to what units.min says', () =>
    expect(readRequest({ elastic: 'true', 'units.min': '3' }, 4).unitsMin).toBe(3))

  test('units.min counts for nothing where fewer will not do', () =>
    expect(readRequest({ elastic: 'false', 'units.min': '3' }, 4).unitsMin).toBe(4))

  test('the names of ORCA mean the same', () =>
    expect(readRequest({ 'request.elasticSize': 'true', 'request.elasticTime': 'true' }, 2)).toMatchObject({
      elastic: true,
      deferrable: true,
    }))

  test.each([
    ['2026-11-21T14:00:00Z', Date.UTC(2026, 10, 21, 14)],
    ['2026-11-21T15:00:00+01:00', Date.UTC(2026, 10, 21, 14)],
    ['1795269600000', 1_795_269_600_000],
  ])('a deadline of %s is an instant', (deadline, at) =>
    expect(readRequest({ deadline }, 1).deadline).toBe(at))

  test('sites are named between blanks or commas', () =>
    expect(readRequest({ 'sites.prefer': 'near, far', 'sites.avoid': 'bad worse' }, 1).sites).toEqual({
      prefer: ['near', 'far'],
      avoid: ['bad', 'worse'],
    }))

  test.each([
    ['sites.avoid', 'x'.repeat(81)],
    ['sites.prefer', 'one\u0000two'],
    ['sites.prefer', Array.from({ length: 65 }, (_, i) => `s${i}`).join(' ')],
    ['elastic', 'yes'],
    ['deferrable', ''],
    ['request.elasticSize', '1'],
    ['units.min', '0'],
    ['units.min', '-1'],
    ['units.min', '1.5'],
    ['units.min', '99999999'],
    ['units.min', '5'],
    ['deadline', 'tomorrow'],
    ['deadline', '2026-11-21'],
    ['deadline', '2026-11-21T14:00:00'],
    ['deadline', '2026-13-41T14:00:00Z'],
    ['deadline', '-1'],
    ['deadline', '9999999999999999'],
  ])('%s of “%s” is refused with its name', (key, value) => {
    const name = key.startsWith('request.') ? 'elastic' : key
    expect(() => readRequest({ [key]: value }, 4)).toThrow(name)
  })

  test('a group has an id and a size, and none of its members is elastic', () => {
    expect(readRequest({ 'group.id': 'mpi-7', 'group.size': '3' }, 2).group).toEqual({ id: 'mpi-7', size: 3 })
    const bad: Record<string, string>[] = [
      { 'group.id': 'mpi-7' },
      { 'group.size': '3' },
      { 'group.id': 'mpi 7', 'group.size': '3' },
      { 'group.id': 'mpi-7', 'group.size': '0' },
      { 'group.id': 'mpi-7', 'group.size': '1001' },
      { 'group.id': 'mpi-7', 'group.size': '3', elastic: 'true' },
    ]
    for (const properties of bad) expect(() => readRequest(properties, 2)).toThrow(/group\.|elastic/)
  })

  test('a value that is refused is not repeated at any length', () =>
    expect(() => readRequest({ elastic: 'x'.repeat(4_000) }, 1)).toThrow(/“x{80}”/))

  test('unknown keys pass, also those that every object has', () =>
    expect(readRequest({ constructor: 'x', toString: 'y', 'site.note': 'z' }, 1).unitsMin).toBe(1))
})
