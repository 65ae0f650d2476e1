import { describe, expect, test } from 'vitest'
import type { UnitEffectArgs } from '../../actors/authority/units.ts'
import type { Ticket } from '../../actors/leases/ticket.ts'
import { cheapKey } from '../simulation/identities.ts'
import { conditions, givenBackBy, MINUTE, Stage, wellBehaved } from './authority-stage.ts'

/** A site all of whose machines have work that nobody ends: only force does. */
function busySite(): Stage {
  const site = new Stage()
  site.world = (effect) =>
    effect.verb === 'teardown' && !(effect.args as UnitEffectArgs).force
      ? { kind: 'done', value: { kind: 'busy', what: 'a job' } }
      : wellBehaved(effect)
  return site
}

const longestMs = conditions.graceMs + 5_000

describe('a holder that keeps all units busy at each end', () => {
  test('keeps them for the grace of its terms and no longer: whoever waits has them then, each time', () => {
    const site = busySite()
    for (let i = 0; i < 3; i++) {
      const start = site.now
      const end = start + 10 * MINUTE
      site.lease({ leaseId: `mine-${i}`, units: 6, term: { start, end } })
      expect(site.live(`mine-${i}`)).toHaveLength(6)
      site.now = end
      site.settle()
      const term = { start: end, end: end + 5 * MINUTE }
      const proof = { holderKey: cheapKey('manager-2') } as Ticket['proof']
      const ticket = site.ticket({ leaseId: `other-${i}`, holder: 'manager-2', units: 6, term, proof })
      site.tell('redeem', `other-${i}`, { ticket, properties: {} }, 'manager-2', cheapKey('manager-2'))
      site.settle()
      expect(site.row(`other-${i}`)).toMatchObject({ state: 'pending', short: 6 })
      site.pass(longestMs)
      expect(site.live(`other-${i}`)).toHaveLength(6)
      expect(site.units(`mine-${i}`).filter(({ state }) => state !== 'ended')).toEqual([])
      site.now = term.end
      site.pass(longestMs)
    }
  })

  test('has no longer grace for giving the ticket back as often as it likes, through its broker', () => {
    const site = busySite()
    const { ticket } = site.lease({ units: 6 })
    site.now += MINUTE
    const began = site.now
    const back = (i: number) => {
      const proof = givenBackBy('manager', 'lease-1', began + i)
      const told = { ticketId: ticket.id, leaseId: 'lease-1', until: ticket.term.end, proof }
      site.tell('tickets-returned', 'returned', { tickets: [told] }, 'broker', undefined, i + 1)
      site.settle()
    }
    for (let i = 0; i < 20; i++) {
      back(i)
      site.pass(conditions.graceMs / 10)
    }
    expect(site.units('lease-1').filter(({ state }) => state !== 'ended')).toEqual([])
    expect(site.now).toBeLessThan(began + 3 * conditions.graceMs)
  })
})
