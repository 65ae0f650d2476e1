import { expect, test } from 'vitest'
import { drainValue, markValue, readDrain, readMark } from '../../adapters/gridengine/marks.ts'
import { heldByReason, jobWord, queueWord } from '../../adapters/gridengine/states.ts'

test.each([
  ['qw', false, 'pending'],
  ['Rq', false, 'pending'],
  ['hqw', false, 'held'],
  ['hRwq', false, 'held'],
  ['Eqw', false, 'held'],
  ['t', true, 'running'],
  ['r', true, 'running'],
  ['Rr', true, 'running'],
  ['hr', true, 'running'],
  ['s', true, 'running'],
  ['S', true, 'running'],
  ['T', true, 'running'],
  ['dr', true, 'completing'],
  ['dRr', true, 'completing'],
  ['dt', true, 'completing'],
  ['dqw', false, 'ended'],
  ['z', false, 'ended'],
])('a job that GridEngine shows as %s is what we call so (on a host: %s): %s', (word, onNode, state) => {
  expect(jobWord(word, onNode)).toMatchObject({ state, restarted: word.includes('R') })
  expect(jobWord(word, onNode).unknown).toBeUndefined()
})

test('an error is the system’s hold; what nobody knows holds a job, or keeps its host', () => {
  expect(jobWord('Eqw', false).heldBy).toBe('system')
  expect(jobWord('y', false)).toMatchObject({ state: 'held', heldBy: 'unknown', unknown: 'y' })
  expect(jobWord('y', true)).toMatchObject({ state: 'running', unknown: 'y' })
})

test('the scheduler’s words that no machine would cure', () => {
  expect(heldByReason('cannot run because it exceeds limit "root/////" in rule "peruser/1"')).toBe('limit')
  // Of one host: another one has room.
  expect(heldByReason('cannot run because it exceeds limit "////g1/" in rule "perhost/1"')).toBeUndefined()
  expect(heldByReason('(-l licence=1) cannot run globally because it offers only gc:licence=0.000000')).toBe(
    'licence',
  )
  expect(heldByReason('execution time not reached')).toBe('start-time')
  expect(heldByReason('cannot run in PE "two" because it only offers 0 slots')).toBeUndefined()
  expect(heldByReason('queue instance "dyn@g1" dropped because it is full')).toBeUndefined()
  expect(
    heldByReason('(-l NONE) cannot run at host "g1" because it offers only hc:slots=0.000000'),
  ).toBeUndefined()
})

test.each([
  ['', [], 'works', false],
  ['d', ['disabled'], 'refuses', true],
  ['D', ['calendar-disabled'], 'refuses', true],
  ['au', ['load-alarm', 'unheard'], 'silent', false],
  ['adu', ['load-alarm', 'disabled', 'unheard'], 'silent', true],
  ['E', ['error'], 'refuses', false],
  ['o', ['orphaned'], 'refuses', false],
  ['c', ['ambiguous'], 'refuses', false],
  ['C', ['calendar-suspended'], 'refuses', false],
  ['S', ['subordinate'], 'refuses', false],
])('a queue instance that is “%s” is %s', (letters, words, fitness, disabled) => {
  expect(queueWord(letters)).toEqual({ words, fitness, disabled, unknown: [] })
})

test('a letter that is in no table takes no jobs', () => {
  expect(queueWord('x')).toMatchObject({ fitness: 'refuses', unknown: ['x'] })
})

test('marks and reasons survive in values of qconf, whatever they say', () => {
  const mark = { leaseId: 'lease-7f3a', unitId: 'unit-3k9f' }
  expect(readMark(markValue(mark))).toEqual(mark)
  expect(readMark('lease-7f3a')).toBeUndefined()
  expect(readMark(undefined)).toBeUndefined()
  expect(() => markValue({ leaseId: 'a/b', unitId: 'c' })).toThrow(/letters/)
  for (const reason of ['lease ends', 'a=1, “b”_20 *|&', 'ä\n€', '']) {
    const value = drainValue(reason)
    expect(value).toMatch(/^[A-Za-z0-9._-]+$/)
    expect(readDrain(value)).toBe(reason === '' ? 'drained' : reason.replace('\n', ' '))
  }
})
