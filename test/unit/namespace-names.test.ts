import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { addressOf, groupName, interfaceName, markOf, readMark } from '../../adapters/namespace/names.ts'

describe('names of namespace machines', () => {
  test('a mark tells unit and lease again', () => {
    const ids = { unitId: 'unit-3k9f', leaseId: 'lease-7f3a' }
    expect(markOf(ids)).toBe('unit-3k9f@lease-7f3a')
    expect(readMark(markOf(ids))).toEqual(ids)
  })

  test('what cannot be a file name is no id, and what is no mark is not read as one', () => {
    for (const unitId of ['../x', 'a/b', 'a@b', '', '.', '-x'])
      expect(() => markOf({ unitId, leaseId: 'lease-1' })).toThrow(TypeError)
    for (const name of ['unit-1', 'a@b@c', '@', 'a@', '..@x', 'lost+found'])
      expect(readMark(name)).toBeUndefined()
  })

  test('slot k has the address number 100 + k, and a MAC made of it', () => {
    expect(addressOf('10.88.0.0/24', 3)).toEqual({
      address: '10.88.0.103',
      withBits: '10.88.0.103/24',
      mac: '02:53:0a:58:00:67',
    })
    expect(addressOf('10.88.0.17/16', 200).address).toBe('10.88.1.44')
  })

  test('a slot outside the subnet is refused with both names', () => {
    expect(() => addressOf('10.88.0.0/24', 155)).toThrow(
      'The subnet 10.88.0.0/24 has no address for slot 155',
    )
    expect(addressOf('10.88.0.0/24', 154).address).toBe('10.88.0.254')
    expect(() => addressOf('10.88.0.0/24', -1)).toThrow()
  })

  test('an interface’s name fits the kernel, and differs between units and between sites', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z][a-z0-9]{0,5}$/), fc.string(), (prefix, mark) => {
        expect(interfaceName(prefix, '/srv/site', mark)).toMatch(/^[a-z0-9]{15}$/)
      }),
    )
    const names = ['unit-1@lease-1', 'unit-2@lease-1'].flatMap((mark) => [
      interfaceName('sublet', '/srv/one', mark),
      interfaceName('sublet', '/srv/two', mark),
    ])
    expect(new Set(names).size).toBe(4)
    expect(groupName('sublet', '/srv/one')).not.toBe(groupName('sublet', '/srv/two'))
  })
})
