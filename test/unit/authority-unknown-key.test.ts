import { describe, expect, test } from 'vitest'
import { HEARD_UNKNOWN_CHARS_MAX, UNKNOWN_KEYS_MAX } from '../../actors/authority/amounts.ts'
import type { RecoveryRow } from '../../actors/authority/rows.ts'
import { issueTicket, type Ticket } from '../../actors/leases/ticket.ts'
import { cheapIdentity, cheapKey } from '../simulation/identities.ts'
import { type Holding, held, OldStage } from './authority-old-stage.ts'
import { MINUTE } from './authority-stage.ts'

describe('what is said of a lease to a site whose store was put back, while the key of its broker is not known', () => {
  const begun = (keyOfThen: string | undefined, change: Partial<Ticket> = {}): OldStage => {
    const stage = new OldStage(['manager', 'manager-2'])
    const back = stage.copy()
    const ticket = stage.ticket({ units: 2 })
    stage.tell('redeem', 'lease-1', { ticket, properties: {} })
    stage.settle()
    const said = held(stage, ticket)
    back()
    stage.trust.set('broker', keyOfThen === undefined ? [] : [{ key: cheapKey(keyOfThen) }])
    stage.restored()
    stage.says('manager', [{ ...said, ticket: { ...said.ticket!, ...change } }])
    return stage
  }
  const ends = (stage: OldStage): void => {
    const asked = stage.sent.find(({ to, kind }) => to === 'broker' && kind === 'holdings-query')
    if (asked !== undefined) stage.says('broker', [])
    stage.says('manager-2', [])
    stage.pass(5 * MINUTE)
    expect(stage.rows.get('recovery', 'recovery')).toBeUndefined()
  }
  const notAdopted = (stage: OldStage) => stage.notes.filter(({ kind }) => kind === 'not adopted')

  test.each([
    'old key of broker',
    undefined,
  ])('counts if it is known before the end; before: %s', (before) => {
    const stage = begun(before)
    stage.trust.set('broker', [{ key: cheapKey('broker') }])
    ends(stage)
    expect(stage.row()).toMatchObject({ state: 'active' })
    expect(stage.live()).toHaveLength(2)
    expect(notAdopted(stage)).toEqual([])
  })

  test('has one line if it is not known at the end either', () => {
    const stage = begun('old key of broker')
    expect([...stage.rows.all('heard')]).toHaveLength(1)
    ends(stage)
    expect(stage.row()).toBeUndefined()
    expect(notAdopted(stage)).toMatchObject([
      { subject: 'manager', reason: expect.stringContaining('manager tells of one lease not known here') },
    ])
  })

  test('is not kept where it names a broker that was never one here', () => {
    const stage = begun('old key of broker', { broker: 'nobody-known' })
    expect([...stage.rows.all('heard')]).toEqual([])
    ends(stage)
    expect(notAdopted(stage)).toMatchObject([{ subject: 'manager' }])
  })
})

describe('of leases that a holder invents', () => {
  const stage = (): OldStage => new OldStage(['manager', 'manager-2'])
  const kept = (at: OldStage) => [...at.rows.all('heard')].map(({ id }) => id)
  const refused = (at: OldStage) => at.notes.filter(({ kind }) => kind === 'holdings refused')

  /** A hundred, each with a key of its own or one for so many. */
  const invented = (at: OldStage, ofOneKey: number, signature?: string): Holding[] => {
    const shown = at.ticket()
    return Array.from({ length: 100 }, (_, i) => {
      const key = cheapKey('broker', `invented ${Math.floor(i / ofOneKey)}`)
      const unsigned = { ...shown, chain: undefined, id: `t-${i}`, leaseId: `invented-${i}` }
      const proof = { ...shown.proof!, brokerKey: key }
      const ticket = issueTicket({ ...unsigned, proof }, cheapIdentity('broker', key))
      return { ...held(at, { ...ticket, signature: signature ?? ticket.signature }), units: [] }
    })
  }

  test('nothing is kept that is not signed with the key that it names', () => {
    const at = stage()
    const lies = invented(at, 1, 'none')
    at.restored()
    at.says('manager', lies)
    expect(kept(at)).toEqual([])
  })

  test('so many keys are kept, of each peer, and the rest is refused in one line', () => {
    const at = stage()
    const lies = invented(at, 10)
    at.restored()
    at.says('manager', lies)
    expect(kept(at)).toHaveLength(10 * UNKNOWN_KEYS_MAX)
    expect(refused(at)).toMatchObject([{ subject: 'manager', data: { code: 'too-many-holdings' } }])
    // Their own broker knows nothing of them, and that they are no leases is said once.
    at.says('broker', [])
    at.says('manager-2', [])
    expect(at.notes.filter(({ kind }) => kind === 'not adopted')).toMatchObject([
      { subject: 'manager', reason: expect.stringContaining('manager tells of 100 leases not known here') },
    ])
  })

  test('so many characters are kept, and of leases with a known key as many as ever', () => {
    const at = stage()
    const lies = invented(at, 100)
    const good = held(at, at.ticket({ leaseId: 'lease-9' }))
    at.restored()
    const row = at.rows.get('recovery', 'recovery') as RecoveryRow
    const unknown = { keys: [cheapKey('broker', 'invented 0')], chars: HEARD_UNKNOWN_CHARS_MAX - 5_000 }
    const amounts = { manager: { chars: 0, unproven: 0, names: [], unknown } }
    at.rows.set('recovery', 'recovery', { ...row, amounts } as never)
    at.says('manager', [...lies.slice(1), good])
    expect(kept(at).length).toBeGreaterThan(1)
    expect(kept(at).length).toBeLessThan(10)
    expect(kept(at)).toContain('lease-9 manager')
  })
})
