import { describe, expect, test } from 'vitest'
import { idSource } from '../../actors/runtime/ids.ts'
import { seededRandom, systemRandom } from '../../actors/runtime/random.ts'

describe('ids', () => {
  test('say what they are of, and keep the form that messages ask for', () => {
    const ids = idSource(systemRandom())
    for (let i = 0; i < 1_000; i++) expect(ids.next('lease')).toMatch(/^lease-[0-9a-hjkmnp-tv-z]{12}$/)
  })

  test('do not repeat, not even over many lives of a process', () => {
    const seen = new Set<string>()
    for (let life = 0; life < 200; life++) {
      const ids = idSource(systemRandom().child('ids'))
      for (let i = 0; i < 100; i++) seen.add(ids.next('unit'))
    }
    expect(seen.size).toBe(20_000)
  })

  test('repeat for the same seed, and differ for another', () => {
    const three = (seed: string): string[] => {
      const ids = idSource(seededRandom(seed))
      return [ids.next('unit'), ids.next('unit'), ids.next('unit')]
    }
    expect(three('a')).toEqual(three('a'))
    expect(three('a')).not.toEqual(three('b'))
  })
})

describe('chance', () => {
  test.each([
    ['seeded', seededRandom(7)],
    ['from the system', systemRandom()],
  ])('%s is even, and stays in its bounds', (_, random) => {
    const counts = Array<number>(10).fill(0)
    for (let i = 0; i < 20_000; i++) counts[random.int(10)]!++
    for (const count of counts) expect(Math.abs(count - 2_000)).toBeLessThan(300)
    for (let i = 0; i < 5_000; i++) {
      const next = random.next()
      expect(next).toBeGreaterThanOrEqual(0)
      expect(next).toBeLessThan(1)
    }
  })

  test('of a child does not depend on how much was drawn before', () => {
    const drawn = seededRandom(1)
    for (let i = 0; i < 10; i++) drawn.next()
    expect(drawn.child('a').next()).toBe(seededRandom(1).child('a').next())
    expect(drawn.child('a').next()).not.toBe(drawn.child('b').next())
  })
})
