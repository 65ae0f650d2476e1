import { describe, expect, test } from 'vitest'
import { RootClaims } from '../../actors/authority/claims.ts'
import type { AuthorityConfig } from '../../actors/authority/config.ts'
import { offers } from '../../actors/authority/offers.ts'
import { recalls } from '../../actors/authority/recalls.ts'
import type { AuthorityDraft, AuthorityTables, UnitRow } from '../../actors/authority/rows.ts'

import { Draft } from '../../actors/runtime/draft.ts'
import { idSource } from '../../actors/runtime/ids.ts'
import { seededRandom } from '../../actors/runtime/random.ts'
import { RowSet } from '../../actors/runtime/row-set.ts'
import { cheapIdentity, cheapTrust } from '../simulation/identities.ts'

const NOW = 1_700_000_000_000
const config = {
  broker: 'broker',
  types: { 'vm.small': { vector: { cpu: 2 }, image: 'plain', units: 4 } },
  conditions: { recallable: true, noticeMs: 1_000, graceMs: 10_000 },
  answerMs: 3_600_000,
  delegationMs: 3_600_000,
} as const satisfies Partial<AuthorityConfig>

const newDraft = (): AuthorityDraft =>
  new Draft<AuthorityTables>(new RowSet(), 'duke', NOW, idSource(seededRandom(1)))

function partsOf(given: Partial<AuthorityConfig>) {
  const all = given as AuthorityConfig
  const claims = new RootClaims(all, cheapIdentity('duke'), cheapTrust(['duke', 'broker', 'other-broker']))
  return { all, claims, site: offers(all, claims) }
}

/** Four units are lent, one of which cannot be torn down. */
function siteWithOneStuck() {
  const draft = newDraft()
  const { all, claims, site } = partsOf(config)
  const owner = recalls(all, site, claims, { end: () => undefined } as never)
  site.begin(draft)
  draft.put('unit', { id: 'unit-1', type: 'vm.small', state: 'stuck' } as UnitRow)
  site.withhold('vm.small', 1, 'vm1 cannot be torn down', draft)
  const recall = (units: number, by = NOW + 1_000) =>
    owner.recall({ type: 'vm.small', units, by, reason: 'the owner needs them' }, draft)
  const lend = (units: number, type = 'vm.small') =>
    owner.lendAgain({ type, units, reason: 'no longer' }, draft)
  return { draft, owner, recall, lend }
}

describe('what a site lends', () => {
  test('goes without a claim to a broker whose key it does not know, says so, and is told anew once it does', () => {
    const draft = newDraft()
    const all = config as unknown as AuthorityConfig
    const siteWith = (names: readonly string[]) =>
      offers(all, new RootClaims(all, cheapIdentity('duke'), cheapTrust([...names])))
    siteWith(['duke']).begin(draft)
    expect(draft.notes.at(-1)).toMatchObject({
      reason: '4 units: the site has started; without a claim, for no key of broker is known here',
    })
    expect(draft.outgoing.at(-1)?.body).not.toHaveProperty('claim')

    expect(draft.get('offer', 'vm.small')?.due).toBe(NOW + 30_000)
    siteWith(['duke']).offerDue('vm.small', draft)
    expect([draft.outgoing.length, draft.get('offer', 'vm.small')?.due]).toEqual([1, NOW + 30_000])

    siteWith(['duke', 'broker']).offerDue('vm.small', draft)
    expect(draft.notes.at(-1)).toMatchObject({ reason: '4 units: the key of broker is known now' })
    expect(draft.outgoing.at(-1)?.body).toMatchObject({ claim: { holder: 'broker', units: 4 } })
    expect(draft.get('offer', 'vm.small')?.due).toBe(NOW + config.delegationMs / 2)
  })

  test('grows again by what was recalled, and never by what is stuck', () => {
    const { draft, owner, recall, lend } = siteWithOneStuck()
    owner.recallDue(recall(2).recallId, draft)
    expect(draft.get('offer', 'vm.small')).toMatchObject({ units: 4, withheld: 3 })
    expect(() => lend(3)).toThrow('2 of vm.small are withheld since a recall; 3 cannot be lent again')
    expect(lend(1)).toEqual({ lent: 2, withheld: 2 })
    expect(lend(1)).toEqual({ lent: 3, withheld: 1 })
    expect(() => lend(1)).toThrow('0 of vm.small are withheld')
    expect(draft.notes.at(-1)).toMatchObject({
      kind: 'offered',
      reason: '3 units: 1 unit lent again after a recall: no longer',
    })
    expect(draft.outgoing.at(-1)).toMatchObject({ to: 'broker', kind: 'delegation', body: { units: 3 } })
  })

  test('that is withdrawn again without a reason keeps the one that was given; who says so is told to no broker', () => {
    const { draft, owner } = siteWithOneStuck()
    const said = (order: object): string => {
      owner.withdraw({ type: 'vm.small', ...order }, draft)
      return draft.notes.at(-1)!.reason
    }
    expect(said({ orderedBy: 'uid 7' })).toBe(
      '0 units: withdrawn: withdrawn by the operator; ordered by uid 7',
    )
    expect(said({ reason: 'sold', orderedBy: 'uid 7' })).toBe('0 units: withdrawn: sold; ordered by uid 7')
    expect(said({ orderedBy: 'uid 8' })).toBe('0 units: withdrawn already: sold; ordered by uid 8')
    expect(draft.get('offer', 'vm.small')).toMatchObject({ withdrawn: 'sold' })
    expect(draft.notes.at(-1)?.data).toMatchObject({ orderedBy: 'uid 8' })
    expect(JSON.stringify(draft.outgoing)).not.toContain('uid')
    owner.reclaim({ type: 'vm.small', by: NOW + 60_000, orderedBy: 'uid 8' }, draft)
    expect(draft.notes.at(-1)!.reason).toMatch(/^3 of vm.small by .*: sold; ordered by uid 8$/)
    expect(JSON.stringify(draft.outgoing)).not.toContain('uid')
  })

  test('is not lent again before the recall has taken effect, nor by another type', () => {
    const { recall, lend } = siteWithOneStuck()
    recall(2)
    expect(() => lend(1)).toThrow('0 of vm.small are withheld')
    expect(() => lend(1, 'vm.large')).toThrow('this site has no type vm.large')
  })

  test('is told to a broker that lost memory also if others give it away since', () => {
    const draft = newDraft()
    const told = () => draft.outgoing.map(({ to, body }) => [to, (body as { units: number }).units])
    partsOf({ ...config, broker: 'other-broker' }).site.begin(draft)
    const { site } = partsOf(config)
    site.begin(draft)
    expect(told()).toEqual([
      ['other-broker', 4],
      ['other-broker', 0],
      ['broker', 4],
    ])
    site.tellBroker('other-broker', 'it asks what is held', draft)
    expect(told().slice(3)).toEqual([['other-broker', 0]])
    site.tellBroker('a-stranger', 'it asks what is held', draft)
    expect(told()).toHaveLength(4)
  })

  test('is not recalled by a time that is long past', () => {
    const { recall } = siteWithOneStuck()
    expect(() => recall(1, NOW - 3_600_000)).toThrow(/2023-11-14T21:13:20.000Z: that is past/)
    expect(() => recall(1, Date.UTC(9999, 11))).toThrow(/by a time after 9999-01-01T00:00:00.000Z$/)
    expect(() => recall(1, 1.5)).toThrow('that is no time')
    // The order was on its way.
    expect(recall(1, NOW - 1_000)).toMatchObject({ recallId: expect.any(String) })
  })
})
