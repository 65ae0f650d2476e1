import { describe, expect, test } from 'vitest'
import { RECALLS_OF_LEASE_MAX, RECALLS_WAIT_MS } from '../../actors/broker/passed-on.ts'
import type { RecallRow } from '../../actors/broker/rows.ts'
import type { Body } from '../../actors/leases/messages.ts'
import { BrokerDesk, conditions, HOUR, MINUTE, type Said } from './broker-desk.ts'

type Asked = Body<'recall'> & { readonly leaseId: string; readonly at: number }

/** One lease has a hundred units, and its holder agrees to all that it is asked for. */
class Recalled {
  readonly desk = new BrokerDesk({ sites: ['site'] })
  readonly asked: Asked[] = []
  #recalls = 0

  constructor() {
    this.desk.offer(100)
    this.desk.granted('lease-1', { units: 100, durationMs: 20 * HOUR })
  }

  order(by: number, units = 1): string {
    const recallId = `r-${++this.#recalls}`
    this.#hear(
      this.desk.tell('site', 'recall-units', 'offer-t', { recallId, type: 't', units, by, reason: 'more' }),
    )
    return recallId
  }

  /** As many as are passed on at once. */
  spend(by: number): void {
    for (let i = 0; i < RECALLS_OF_LEASE_MAX; i++) this.order(by)
    expect(this.asked.splice(0)).toHaveLength(RECALLS_OF_LEASE_MAX)
  }

  /** Until then everything that is due happens. */
  pass(until: number): void {
    for (;;) {
      const due = [...this.desk.rows.all('recall')].sort((a, b) => a.due! - b.due!)[0]
      if (due === undefined || due.due! > until) break
      this.desk.now = Math.max(this.desk.now, due.due!)
      this.#hear(this.desk.due('recall', due.id))
    }
    this.desk.now = until
  }

  inShort(): string[] {
    return this.asked.map(({ recallId, units, binding }) => `${recallId} ${units}${binding ? '' : ' advice'}`)
  }

  #hear(said: readonly Said[]): void {
    for (const { kind, subject: leaseId, body } of said) {
      if (kind !== 'recall') continue
      const recall = body as Body<'recall'>
      const { recallId, by, binding } = recall
      this.asked.push({ ...recall, leaseId, at: this.desk.now })
      const units = binding ? recall.units : 0
      this.desk.tell('manager', 'recall-plan', leaseId, { recallId, units, by, reason: 'agreed' })
    }
  }
}

describe('recalls of one lease that are more than are passed on in an hour', () => {
  test('wait a little, and are then asked for in one, long before their time', () => {
    const site = new Recalled()
    const by = site.desk.now + 5 * HOUR
    site.spend(by)
    for (let i = 0; i < 10; i++) site.order(by)
    expect(site.asked).toEqual([])
    expect(site.desk.notes.at(-1)).toMatch(
      /^recall delayed r-70: lease-1 asked later: .*\(recalled-too-often\)$/,
    )
    const told = site.desk.now
    site.pass(told + MINUTE)
    expect(site.inShort()).toEqual(['r-61 10'])
    expect(site.asked[0]!.at).toBe(told + RECALLS_WAIT_MS)
    expect(site.desk.notes).toContain('recall passed on r-61: for it and 9 others that waited to lease-1')
    expect(site.desk.row('lease-1').reduced?.units).toBe(70)
  })

  test('are passed on in time where there is little of it', () => {
    const site = new Recalled()
    site.spend(site.desk.now + HOUR)
    const by = site.desk.now + 20_000
    site.order(by, 3)
    site.pass(by)
    expect(site.inShort()).toEqual(['r-61 3'])
  })

  test('trouble its holder once in a while, however often its site recalls', () => {
    const site = new Recalled()
    const end = site.desk.now + 10 * MINUTE
    site.spend(end + HOUR)
    while (site.desk.now < end) {
      site.order(site.desk.now + 30_000)
      site.pass(site.desk.now + 2_000)
      const recalls = [...site.desk.rows.all('recall')] as RecallRow[]
      const over = recalls.filter(({ by }) => by <= site.desk.now)
      // It has them back, it says, and offers as much as before.
      site.desk.offer(100, { settledRecalls: over.map(({ id }) => id) })
    }
    expect(site.asked.length).toBeGreaterThan(20)
    expect(site.asked.length).toBeLessThanOrEqual((10 * MINUTE) / RECALLS_WAIT_MS)
  })

  test('are asked for apart where they are wanted hours apart, and where only some of them bind', () => {
    const site = new Recalled()
    const hour = (n: number) => site.desk.now + n * HOUR
    site.spend(hour(1))
    site.order(hour(9))
    site.order(hour(2))
    site.order(site.desk.now + conditions.noticeMs - 1, 5)
    site.order(hour(2) + MINUTE)
    // The advice is over before it was passed on, and its site has not settled it.
    site.pass(site.desk.now + MINUTE)
    expect(site.inShort()).toEqual(['r-62 2', 'r-61 1', 'r-63 5 advice'])
    expect(site.asked.map(({ at }) => (at - site.asked[0]!.at) / RECALLS_WAIT_MS)).toEqual([0, 1, 2])
  })

  test('are asked for as its own ticket says, whatever its site lends under since', () => {
    const site = new Recalled()
    const { desk } = site
    site.spend(desk.now + HOUR)
    const later = { ...conditions, noticeMs: 10 * MINUTE }
    const claim = desk.claim(100, { conditions: later })
    desk.offer(100, { conditions: later, claim })
    site.order(desk.now + conditions.noticeMs - 1, 5)
    site.order(desk.now + 5 * MINUTE)
    site.pass(desk.now + MINUTE)
    expect(site.inShort()).toEqual(['r-62 1'])
  })

  test('are asked for no more when their site has them', () => {
    const site = new Recalled()
    const by = site.desk.now + HOUR
    site.spend(by)
    const recallId = site.order(by)
    site.desk.offer(99, { settledRecalls: [recallId] })
    site.pass(by - 1)
    expect(site.asked).toEqual([])
  })

  test('are forgotten like others when nobody settles them', () => {
    const site = new Recalled()
    site.spend(site.desk.now + HOUR)
    site.order(site.desk.now + HOUR)
    site.pass(site.desk.now + 40 * 24 * HOUR)
    expect([...site.desk.rows.all('recall')]).toEqual([])
  })
})
