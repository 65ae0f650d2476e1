import { expect, test } from 'vitest'
import { recoveriesOf } from '../../deploy/reports/recovery-report.ts'
import { recoveryLine } from '../../deploy/reports/show.ts'
import type { SiteView } from '../../deploy/reports/site-view.ts'

const SINCE = Date.UTC(2026, 0, 5, 8)
const actor = (name: string, row: object) => ({
  name,
  rows: (table: string) => (table === 'recovery' ? [row] : []),
})

test('what recovers is shown, with those who have not answered and how long they are waited for', () => {
  const view = {
    broker: actor('broker', {
      since: SINCE,
      due: SINCE + 600_000,
      peers: { site: { state: 'answered' }, manager: { state: 'asked' }, other: { state: 'silent' } },
    }),
    authority: actor('rack', {
      since: SINCE,
      phase: 'listing',
      until: SINCE + 600_000,
      asked: { broker: { state: 'asked' } },
    }),
    serviceManager: actor('manager', {
      since: SINCE,
      due: SINCE + 600_000,
      asked: {
        'holdings-1': { peer: 'rack', state: 'asked' },
        'holdings-2': { peer: 'broker', state: 'asked' },
      },
    }),
  }
  const found = recoveriesOf(view as unknown as SiteView)
  expect(found.map(({ actor: name, waitsFor }) => [name, waitsFor])).toEqual([
    ['broker', ['manager']],
    ['rack', []],
    ['manager', ['rack', 'broker']],
  ])
  const lines = found.map(recoveryLine).join('\n')
  expect(lines).toMatch(
    /recovering: broker was restored, and asks since .*; manager has not answered; nobody is waited/,
  )
  expect(lines).toMatch(/recovering: rack was restored, and asks since \S+ what it has forgotten$/m)
  expect(lines).toContain('rack, broker have not answered')
})
