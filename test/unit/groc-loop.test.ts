import { describe, expect, test } from 'vitest'
import { configOf, jobOf, MINUTE, SECOND, world } from './groc-world.ts'

describe('GROC in a closed loop', () => {
  test('after the work everything goes back to min, lease by lease, and no job is ever cut', () => {
    const pool = world(configOf({ min: 1, shrink: { idle: '60s' } }), { bootMs: 20 * SECOND })
    for (let i = 1; i <= 12; i += 1) pool.submit(jobOf(`${i}`), (2 + (i % 3)) * MINUTE)
    pool.pass(65 * MINUTE)
    expect(pool.ended()).toBe(12)
    expect(pool.joined()).toBe(1)
    expect(pool.killed).toEqual([])
    expect(pool.count('release')).toBeGreaterThan(0)
  })

  test('min is kept with an empty queue, also beyond the end of many terms', () => {
    const pool = world(configOf({ min: 2, term: '10m', shrink: { idle: '60s' } }))
    pool.pass(60 * MINUTE)
    expect(pool.held()).toBe(2)
    expect(pool.joined()).toBe(2)
    expect(pool.asked()).toBe(2)
    expect(pool.count('drain')).toBe(0)
  })

  test('max is never exceeded, at no second', () => {
    const pool = world(configOf({ max: 5, shrink: { idle: '30s' } }))
    for (let i = 1; i <= 60; i += 1) pool.submit(jobOf(`${i}`), 90 * SECOND)
    let most = 0
    pool.pass(40 * MINUTE, () => {
      most = Math.max(most, pool.held())
    })
    expect(most).toBe(5)
    expect(pool.ended()).toBe(60)
  })

  test('a steady flow of short jobs makes no oscillation: units are not given back and ordered again', () => {
    const pool = world(configOf({ grow: { wait: '10s' }, shrink: { idle: '2m' } }))
    for (let i = 1; i <= 120; i += 1) {
      pool.submit(jobOf(`${i}`, { cpusPerNode: 1 }), 45 * SECOND)
      pool.pass(10 * SECOND)
    }
    expect(pool.asked()).toBeLessThanOrEqual(3)
    expect(pool.count('release')).toBe(0)
    pool.pass(10 * MINUTE)
    expect(pool.ended()).toBe(120)
    expect(pool.held()).toBe(0)
  })

  test('jobs longer than the term are carried by extensions and never cut', () => {
    const pool = world(configOf({ term: '10m', termMin: '5m', shrink: { idle: '60s' } }))
    pool.submit(jobOf('long'), 55 * MINUTE)
    pool.submit(jobOf('short'), 5 * MINUTE)
    pool.pass(70 * MINUTE)
    expect(pool.killed).toEqual([])
    expect(pool.ended()).toBe(2)
    expect(pool.asked()).toBe(2)
    expect(pool.held()).toBe(0)
  })

  test('check 7: a broker that refuses for 30 min is asked at most 12 times, and soon after that it is served', () => {
    const opens = 30 * MINUTE
    const pool = world(configOf({ step: 2 }), {
      supply: (now) => (now - Date.parse('2026-03-02T08:00:00Z') >= opens ? 50 : 0),
    })
    for (let i = 1; i <= 10; i += 1) pool.submit(jobOf(`${i}`), 60 * MINUTE)
    pool.pass(opens)
    // The first ask is five leases at once; from then on one lease tries for all.
    expect(pool.count('request')).toBeLessThanOrEqual(12)
    pool.pass(10 * MINUTE + 60 * SECOND)
    expect(pool.joined()).toBe(10)
  })

  test('a partial grant is taken, and the rest is asked for with patience', () => {
    const pool = world(configOf({ step: 10 }), { supply: () => 3 })
    for (let i = 1; i <= 10; i += 1) pool.submit(jobOf(`${i}`), 60 * MINUTE)
    pool.pass(10 * MINUTE)
    expect(pool.joined()).toBe(3)
    expect(pool.count('request')).toBeLessThanOrEqual(8)
  })

  test('a term that ends while extensions are refused cuts only what was told to be at risk', () => {
    const pool = world(configOf({ term: '10m', termMin: '5m' }), { extensions: 'refused' })
    pool.submit(jobOf('endless'), 60 * MINUTE)
    pool.pass(9 * MINUTE)
    expect(pool.reason).toContain('1 job may outlast it: endless of ada')
  })

  test('jobs that come back while a unit drains bring it back into service instead of ordering another', () => {
    const pool = world(configOf({ max: 2, settle: '20s', shrink: { idle: '60s' } }))
    pool.submit(jobOf('a'), 60 * SECOND)
    for (let waited = 0; waited < 300 && pool.count('drain') === 0; waited += 1) pool.pass(SECOND)
    expect(pool.count('drain')).toBe(1)
    pool.submit(jobOf('b'), 60 * SECOND)
    pool.pass(30 * SECOND)
    expect(pool.count('resume')).toBe(1)
    expect(pool.asked()).toBe(1)
  })
})
