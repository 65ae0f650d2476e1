import { describe, expect, test } from 'vitest'
import {
  earliestStart,
  leastWithin,
  levelAlways,
  levelAt,
  mostEver,
  nextRise,
  type Profile,
  raisedTo,
  stepsFrom,
  withUnits,
} from '../../actors/leases/profile.ts'
import { seededRandom } from '../../actors/runtime/random.ts'

const LENGTH = 60

describe('units over time', () => {
  test('agree with counting instant by instant, whatever came and went', () => {
    const random = seededRandom(5)
    for (let round = 0; round < 60; round++) {
      let profile: Profile = levelAlways(random.int(4))
      const levels = Array.from({ length: LENGTH + 40 }, () => profile.always)
      const parts: { units: number; start: number; end: number }[] = []
      for (let i = 0; i < 40; i++) {
        const taken = parts.length > 0 && random.next() < 0.4 ? parts.pop() : undefined
        const start = random.int(LENGTH)
        const part = taken ?? { units: random.int(7) - 3, start, end: start + 1 + random.int(20) }
        const units = taken === undefined ? part.units : -part.units
        if (taken === undefined) parts.push(part)
        profile = withUnits(profile, units, part)
        for (let at = part.start; at < part.end; at++) levels[at] = levels[at]! + units
        check(profile, levels, random.int(LENGTH), 1 + random.int(20), random.int(5))
      }
      for (const { units, ...term } of parts) profile = withUnits(profile, -units, term)
      expect(profile.changes, 'nothing is left of what was taken out').toBeUndefined()
    }
  })

  function check(
    profile: Profile,
    levels: readonly number[],
    start: number,
    length: number,
    units: number,
  ): void {
    const term = { start, end: start + length }
    expect(levelAt(profile, start)).toBe(levels[start])
    expect(leastWithin(profile, term)).toBe(Math.min(...levels.slice(start, term.end)))
    const raised = levels.map((level, at) => (at >= start && at < term.end ? Math.max(units, level) : level))
    const raisedProfile = raisedTo(profile, units, term)
    expect(levels.map((_, at) => levelAt(raisedProfile, at))).toEqual(raised)
    expect(mostEver(profile)).toBe(Math.max(...levels))
    const fits = (at: number): boolean => levels.slice(at, at + length).every((level) => level >= units)
    const starts = Array.from({ length: LENGTH - start }, (_, i) => start + i)
    const earliest = starts.find(fits)
    expect(earliestStart(profile, units, length, start, LENGTH - 1)).toBe(earliest)
    const steps = [...stepsFrom(profile, start)]
    for (const [i, { at, level }] of steps.entries()) {
      expect(level).toBe(levels[at])
      if (i > 0) expect(level).not.toBe(steps[i - 1]!.level)
    }
    const rise = levels.findIndex((level, at) => at > start && level > levels[at - 1]!)
    expect(nextRise(profile, start)).toBe(rise < 0 ? undefined : rise)
  }

  test('never change: what is taken is taken from a new profile', () => {
    const before = withUnits(levelAlways(4), -1, { start: 10, end: 20 })
    const after = withUnits(before, -2, { start: 15, end: 30 })
    expect([leastWithin(before, { start: 0, end: 40 }), leastWithin(after, { start: 0, end: 40 })]).toEqual([
      3, 1,
    ])
  })

  test('stay flat as a tree with a hundred thousand steps that come in order', () => {
    let profile = levelAlways(1_000_000)
    for (let i = 0; i < 50_000; i++)
      profile = withUnits(profile, -1, { start: i * 1_000, end: i * 1_000 + 5e7 })
    expect(leastWithin(profile, { start: 0, end: 1e9 })).toBe(950_000)
    const depth = (tree: Profile['changes']): number =>
      tree === undefined ? 0 : 1 + Math.max(depth(tree.before), depth(tree.after))
    expect(depth(profile.changes)).toBeLessThan(60)
  })
})
