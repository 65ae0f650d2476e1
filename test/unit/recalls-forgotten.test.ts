import { describe, expect, test } from 'vitest'
import type { Body } from '../../actors/leases/messages.ts'
import { downgrade } from '../../actors/leases/versions.ts'
import { MINUTE, NOW, Stage, wellBehaved } from './authority-stage.ts'
import { BrokerDesk, HOUR, inShort } from './broker-desk.ts'

describe('a recall that its restored site has forgotten', () => {
  test('withholds nothing for ever', () => {
    const desk = new BrokerDesk()
    desk.offer(4)
    recallUnits(desk, 'recall-1', NOW + 10 * MINUTE)
    // The site runs on a copy from before the order. It is ordered anew, takes effect, and its units are lent again.
    desk.offer(4, { openRecalls: [] })
    expect(desk.notes.at(-2)).toBe(
      'recall forgotten recall-1: site was restored and knows nothing of it: it counts no more',
    )
    recallUnits(desk, 'recall-2', NOW + 11 * MINUTE)
    desk.now = NOW + 12 * MINUTE
    desk.offer(0, { settledRecalls: ['recall-2'], openRecalls: [] })
    desk.now = NOW + 48 * HOUR
    desk.offer(4, { settledRecalls: ['recall-2'], openRecalls: [] })
    desk.ask('lease-1', { units: 4 })
    expect(inShort(desk.decide())).toEqual(['lease-1 granted 4'])
  })

  test('is not one that it still has before it, nor one of another type or site', () => {
    const desk = new BrokerDesk()
    desk.offer(4)
    recallUnits(desk, 'recall-1', NOW + MINUTE)
    recallUnits(desk, 'recall-2', NOW + MINUTE, 'other')
    recallUnits(desk, 'recall-3', NOW + MINUTE, 't', 'other-site')
    desk.offer(4, { openRecalls: ['recall-1'] })
    expect(recallsAt(desk)).toEqual(['recall-1', 'recall-2', 'recall-3'])
    desk.offer(4, { openRecalls: [] })
    expect(recallsAt(desk)).toEqual(['recall-2', 'recall-3'])
  })

  test('is none because a site of the program before names none', () => {
    const desk = new BrokerDesk()
    desk.offer(4)
    recallUnits(desk, 'recall-1', NOW + MINUTE)
    desk.offer(4)
    expect(recallsAt(desk)).toEqual(['recall-1'])
  })
})

describe('a recall that its restored broker has forgotten', () => {
  const order = { type: 'vm.small', units: 4, by: NOW + 10 * MINUTE, reason: 'ours' }

  test('is told again with the time at which it was ordered', () => {
    const stage = new Stage()
    stage.command('recall', order)
    stage.now += 9 * MINUTE
    stage.tell('holdings-query', 'holdings-1', { page: 0 }, 'broker')
    const [first, again] = stage.sent.filter(({ kind }) => kind === 'recall-units')
    // A broker of the program before reads no more than it knows.
    expect(first!.body).not.toHaveProperty('orderedAt')
    expect(again!.body).toMatchObject({ by: order.by, orderedAt: NOW })
    const { orderedAt, ...older } = again!.body as Body<'recall-units'>
    expect(downgrade('recall-units', { ...older, orderedAt }, 1)).toEqual(older)
  })

  test('is told again to who asks again and again until it is twice in the outbox, and each question counts', () => {
    const stage = new Stage()
    stage.command('recall', { ...order, units: 1 })
    stage.command('recall', { ...order, units: 2 })
    const told = () => stage.sent.filter(({ kind }) => kind === 'recall-units')
    let kept = 0
    const keep = (generation = 0) => {
      for (const letter of told().slice(kept))
        stage.rows.set('$out', `m-${++kept}`, { id: `m-${kept}`, letter, generation } as never)
    }
    const asks = () => stage.tell('holdings-query', 'holdings-1', { page: 0 }, 'broker')
    keep()
    for (let i = 0; i < 10; i++, keep()) asks()
    expect(told()).toHaveLength(4)
    expect(stage.turnedDown).toBe(10)
    stage.tell('holdings-query', 'holdings-1', { page: 1 }, 'broker')
    expect(stage.turnedDown).toBe(10)
    // What is acknowledged may be forgotten at once.
    stage.rows.set('$out', 'm-1', undefined)
    asks()
    expect(told()).toHaveLength(5)
    keep()
    // The site was put back itself: what it said before comes too late.
    stage.rows.set('$meta', 'meta', { id: 'meta', generation: 7 } as never)
    for (let i = 0; i < 10; i++, keep(7)) asks()
    expect(told()).toHaveLength(9)
  })

  test.each([
    ['binds its holder as before, though its notice is shorter by now', { orderedAt: NOW }, true],
    ['is advice where its site does not say when it was ordered', {}, false],
    [
      'was ordered when it was said at the latest, whatever its site says',
      { orderedAt: NOW + 10 * MINUTE },
      false,
    ],
  ])('%s', (_, change, binding) => {
    const desk = new BrokerDesk()
    const conditions = { recallable: true, noticeMs: 5 * MINUTE, graceMs: 0 }
    desk.offer(4, { conditions, claim: desk.claim(4, { conditions }) })
    desk.granted('lease-1')
    desk.now = NOW + 4 * MINUTE
    const body = {
      recallId: 'recall-1',
      type: 't',
      units: 4,
      by: NOW + 5 * MINUTE,
      reason: 'again',
      ...change,
    }
    const [said] = desk.tell('site', 'recall-units', 'offer-t', body)
    expect(said).toMatchObject({ kind: 'recall', body: { binding } })
    expect((said!.body as Body<'recall'>).order).toMatchObject(change)
  })
})

describe('a site', () => {
  test('names the recalls that it has before it once it was restored, until they are taken', () => {
    const stage = new Stage()
    const order = { type: 'vm.small', units: 1, reason: 'ours' }
    stage.command('recall', { ...order, by: NOW + 20 * MINUTE })
    // A broker of the program before reads no more than it knows.
    expect(lastOffer(stage)).not.toHaveProperty('openRecalls')
    restore(stage)
    const [first] = [...stage.rows.all('recall')].map(({ id }) => id)
    expect(lastOffer(stage).openRecalls).toEqual([first])
    stage.command('recall', { ...order, by: NOW + 40 * MINUTE })
    const second = [...stage.rows.all('recall')].map(({ id }) => id).find((id) => id !== first)
    stage.pass(25 * MINUTE, MINUTE)
    expect(lastOffer(stage)).toMatchObject({ units: 5, settledRecalls: [first], openRecalls: [second] })
  })

  test('tells an offer again to a silent broker, whatever was recalled since', () => {
    const stage = new Stage()
    restore(stage)
    const told = lastOffer(stage)
    stage.command('recall', { type: 'vm.small', units: 1, by: NOW + 20 * MINUTE, reason: 'ours' })
    const letter = { to: 'broker', kind: 'delegation', subject: 'offer-vm.small', body: told }
    const reason = 'the broker was silent'
    stage.give({ kind: 'undelivered', envelope: letter as never, code: 'peer-silent', reason })
    expect(lastOffer(stage).reason).toBe('told again, the broker was silent')
    expect(lastOffer(stage).openRecalls).toHaveLength(1)
  })
})

function recallUnits(desk: BrokerDesk, recallId: string, by: number, type = 't', site = 'site'): void {
  desk.tell(site, 'recall-units', `offer-${type}`, { recallId, type, units: 4, by, reason: 'needed' })
}

const recallsAt = (desk: BrokerDesk): string[] => [...desk.rows.all('recall')].map(({ id }) => id).toSorted()

/** Nobody answers what it asks; there are no machines. */
function restore(stage: Stage): void {
  stage.world = (effect) => (effect.verb === 'list' ? { kind: 'done', value: [] } : wellBehaved(effect))
  stage.give({ kind: 'restored', restored: { reason: 'an older copy was put back', seenSeq: 9 } })
  stage.pass(11 * MINUTE, MINUTE)
  expect(stage.rows.get('recovery', 'recovery')).toBeUndefined()
}

const lastOffer = (stage: Stage): Body<'delegation'> =>
  stage.sent.findLast(({ kind }) => kind === 'delegation')!.body as Body<'delegation'>
