import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bestFit } from '../../controllers/authorities/best-fit.ts'
import type { HostRoom } from '../../controllers/controller.ts'

const hostOf = (
  name: string,
  cpu: number,
  memoryMiB: number,
  of = { cpu: 16, memoryMiB: 65_536 },
): HostRoom => ({
  name,
  capacity: of,
  free: { cpu, memoryMiB },
})
const size = { cpu: 2, memoryMiB: 4096 }

describe('best fit', () => {
  test('fills a started host before an empty one', () => {
    expect(bestFit(2, size, [hostOf('empty', 16, 65_536), hostOf('started', 4, 16_384)])).toEqual([
      'started',
      'started',
    ])
  })

  test('goes on to the next host when one is full, and gives fewer when all are', () => {
    expect(bestFit(5, size, [hostOf('a', 4, 65_536), hostOf('b', 16, 9000)])).toEqual(['b', 'b', 'a', 'a'])
  })

  test('looks at every dimension: the host whose largest rest is smallest wins', () => {
    const lopsided = hostOf('a-lopsided', 2, 60_000)
    const even = hostOf('b-even', 6, 24_000)
    expect(bestFit(1, size, [lopsided, even])).toEqual(['b-even'])
  })

  test('equal hosts are taken by name, whatever their order', () => {
    expect(bestFit(1, size, [hostOf('b', 8, 8192), hostOf('a', 8, 8192)])).toEqual(['a'])
  })

  test('a dimension that a host does not have cannot be used there', () => {
    expect(bestFit(1, { ...size, 'gpu:a100': 1 }, [hostOf('a', 16, 65_536)])).toEqual([])
  })

  test('no host is ever given more than it has, and none is left with room for one more', () => {
    const amounts = fc.record({ cpu: fc.nat(32), memoryMiB: fc.nat(1000) })
    fc.assert(
      fc.property(fc.nat(40), amounts, fc.array(amounts, { maxLength: 8 }), (count, need, rooms) => {
        fc.pre(need.cpu + need.memoryMiB > 0)
        const hosts = rooms.map((free, i) => ({
          name: `h${i}`,
          capacity: { cpu: 32, memoryMiB: 1000 },
          free,
        }))
        const chosen = bestFit(count, need, hosts)
        for (const { name, free } of hosts) {
          const units = chosen.filter((host) => host === name).length
          const left = {
            cpu: free.cpu - units * need.cpu,
            memoryMiB: free.memoryMiB - units * need.memoryMiB,
          }
          expect(Math.min(left.cpu, left.memoryMiB)).toBeGreaterThanOrEqual(0)
          if (chosen.length < count) expect(left.cpu < need.cpu || left.memoryMiB < need.memoryMiB).toBe(true)
        }
      }),
      { numRuns: 300 },
    )
  })
})
