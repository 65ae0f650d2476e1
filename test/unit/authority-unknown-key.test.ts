import { describe, expect, test } from 'vitest'
import type { Ticket } from '../../actors/leases/ticket.ts'
import { cheapKey } from '../simulation/identities.ts'
import { held, OldStage } from './authority-old-stage.ts'
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
