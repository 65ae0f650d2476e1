import { expect, test } from 'vitest'
import { BrokerDesk, MINUTE, NOW } from './broker-desk.ts'

const order = (change: object = {}) => ({
  ...{ recallId: 'recall-1', type: 't', units: 2, by: NOW + MINUTE, reason: 'mine' },
  ...change,
})
const plan = { recallId: 'recall-1', units: 2, by: NOW + MINUTE, reason: 'yes' }

/** A lease that was asked for units by a recall of its own site, which the broker has forgotten since. */
function askedBefore(): BrokerDesk {
  const desk = new BrokerDesk({ sites: ['site', 'other-site'] })
  desk.offer(4)
  desk.granted('lease-1')
  desk.tell('site', 'recall-units', 'offer-t', order())
  expect(desk.row('lease-1').askedBack).toEqual({ 'recall-1': 2 })
  desk.due('recall', 'recall-1')
  return desk
}

test.each([
  ['of another site', 'other-site', 't'],
  ['of another type', 'site', 'other'],
])('a plan for a recall %s is refused, and counts', (_, site, type) => {
  const desk = askedBefore()
  desk.tell(site, 'recall-units', `offer-${type}`, order({ type }))
  const recall = desk.rows.get('recall', 'recall-1')
  expect(recall).toMatchObject({ site, type })
  const { turnedDown } = desk.hear('manager', 'recall-plan', 'lease-1', plan)
  expect(desk.notes.at(-1)).toBe(
    `message refused lease-1: manager gives 2 units back: recall-1 is a recall of ${type} at ${site}, and of no ticket of this lease`,
  )
  expect(turnedDown).toBe(1)
  expect(desk.row('lease-1').reduced).toBeUndefined()
  expect(desk.rows.get('recall', 'recall-1')).toEqual(recall)
})

test('a plan for the recall of its own site is taken', () => {
  const desk = askedBefore()
  desk.tell('site', 'recall-units', 'offer-t', order())
  desk.tell('manager', 'recall-plan', 'lease-1', plan)
  expect(desk.notes.at(-1)).toMatch(/^recall planned lease-1: manager gives 2 units back/)
})

test('a site that recalls another type under the same id is refused', () => {
  const desk = new BrokerDesk({ sites: ['site'] })
  desk.offer(4)
  desk.granted('lease-1')
  desk.tell('site', 'recall-units', 'offer-t', order())
  desk.tell('site', 'recall-units', 'offer-other', order({ type: 'other', units: 3 }))
  expect(desk.notes.at(-1)).toBe('message refused recall-1: site: recall-1 is a recall of t')
  desk.tell('manager', 'recall-plan', 'lease-1', plan)
  expect(desk.notes.at(-1)).toMatch(/^recall planned lease-1/)
})
