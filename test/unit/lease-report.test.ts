import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { leasesOf } from '../../deploy/reports/lease-report.ts'
import { showLeases, showStatus } from '../../deploy/reports/show.ts'
import type { SiteView } from '../../deploy/reports/site-view.ts'
import { statusOf } from '../../deploy/reports/status.ts'
import { fakeSite, SITE_YAML, T0, yamlIn } from './control-site.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-leases-'))
  writeFileSync(yamlIn(dir), SITE_YAML)
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

const HOUR = 3_600_000
const ticket = {
  site: 'duke',
  type: 'vm.small',
  units: 2,
  term: { start: T0, end: T0 + HOUR },
  issuedAt: T0 - 5,
}

/** A process in which only this one of the three runs, with these rows. */
function alone(role: 'broker' | 'authority', tables: Readonly<Record<string, readonly object[]>>): SiteView {
  const whole = fakeSite(dir, yamlIn(dir))
  const actor = { ...whole[role]!, rows: (table: string) => tables[table] ?? [] }
  const nobody = { serviceManager: undefined, broker: undefined, authority: undefined, guests: {} }
  return { ...whole, ...nobody, [role]: actor } as unknown as SiteView
}

const status = (site: SiteView): string => showStatus(statusOf(site, T0, { pid: 1, startedAt: T0 }))

test('where only a site runs its leases are those that it has assigned units to', () => {
  const lease = {
    ...{ id: 'lease-1', holder: 'manager', state: 'active', ticket, next: undefined, units: ['u1', 'u2'] },
    ...{ term: ticket.term, closeReason: '' },
  }
  const site = alone('authority', {
    lease: [
      lease,
      { ...lease, id: 'lease-2', state: 'pending', waits: 'still to come: 1 of 2 units', units: [] },
    ],
    unit: [
      { id: 'u1', name: 'vm1', state: 'active', type: 'vm.small', host: 'host-a' },
      { id: 'u2', name: 'vm2', state: 'ended', type: 'vm.small', host: 'host-a' },
    ],
  })
  const [first, second] = leasesOf(site)
  expect(first).toMatchObject({ guest: 'manager', state: 'active', units: 2, members: [{ name: 'vm1' }] })
  expect(second).toMatchObject({ state: 'ticketed', reason: 'still to come: 1 of 2 units' })
  expect(showLeases([first!], false, T0)).toMatch(
    /^LEASE .*\nlease-1 +manager +active +2 +vm\.small +(60 min|1 h) +vm1/,
  )
  expect(status(site)).toMatch(/\nleases {4}1 ticketed, 1 active\nmachines {2}1 active\n/)
})

test('where only a broker runs they are what it was asked for and has granted', () => {
  const asked = {
    ...{ units: 3, unitsMin: 3, durationMs: HOUR, start: T0, startBy: T0 },
    approval: { since: T0, reason: '3 units are more than 2' },
  }
  const row = {
    holder: 'manager',
    type: 'vm.small',
    arrivedAt: T0,
    waitReason: '',
    tickets: [],
    asked: undefined,
  }
  const site = alone('broker', {
    ticket: [
      { ...row, id: 'lease-1', state: 'granted', tickets: [ticket] },
      { ...row, id: 'lease-2', state: 'asked', arrivedAt: T0 + 1, asked, waitReason: 'awaits approval' },
      { ...row, id: 'lease-3', state: 'closed', arrivedAt: T0 - 1 },
    ],
  })
  expect(leasesOf(site)).toMatchObject([
    { id: 'lease-2', state: 'requested', units: 3, approval: { reason: '3 units are more than 2' } },
    { id: 'lease-1', state: 'ticketed', guest: 'manager', units: 2, end: T0 + HOUR },
    { id: 'lease-3', state: 'closed' },
  ])
  expect(showLeases(leasesOf(site), true, T0)).toMatch(
    /\nlease-3 .* closed +- .* see sublet explain lease-3$/,
  )
  expect(status(site)).toMatch(/\n\nleases {4}1 requested, 1 ticketed, 1 closed\napprove\?/)
  expect(status(site)).not.toContain('machines')
})

test('units of a guest by hand are counted as they are now, and what is only reserved or asked for apart', () => {
  const file = yamlIn(dir)
  const byHand = SITE_YAML.replace(/controller: .*/, 'controller: by-hand')
  writeFileSync(file, byHand)
  const whole = fakeSite(dir, file)
  const lease = { ...whole.serviceManager!.rows('lease')[0]!, reason: '' }
  const [later, asked] = [
    { ...lease, id: 'lease-2', leaseState: 'redeeming', ticket: { units: 4, site: 'duke' }, units: [] },
    { ...lease, id: 'lease-3', ticketState: 'asked', unitsAsked: 3, ticket: undefined, units: [] },
  ]
  const tables: Readonly<Record<string, readonly object[]>> = {
    lease: [
      { ...lease, ticket: { units: 4, site: 'duke' }, units: ['unit-1', 'unit-2', 'unit-3', 'unit-4'] },
      { ...later, term: { start: T0 + HOUR, end: T0 + 2 * HOUR } },
      asked,
    ],
    unit: ['joined', 'joining', 'lost', 'draining'].map((state, i) => ({
      id: `unit-${i + 1}`,
      name: `vm${i + 1}`,
      state,
    })),
    // What was counted when it was last decided.
    guest: whole.serviceManager!.rows('guest').map((row) => ({ ...row, decidedAt: T0 - HOUR })),
  }
  const serviceManager = { ...whole.serviceManager!, rows: (table: string) => tables[table] ?? [] } as never
  const report = statusOf({ ...whole, serviceManager }, T0, { pid: 1, startedAt: T0 })
  expect(report.guests[0]?.byHand).toEqual({ joined: 1, coming: 1, reserved: 4, asked: 3, leaving: 1 })
  const text = showStatus(report)
  expect(text).toContain('\n  nodes   1 joined, 1 coming, 1 leaving, 4 reserved for later, 3 asked for\n')
  expect(text).toMatch(/\n {2}decided .* \(at 2023-11-14T21:13:20Z\)\n/)
})

test('a site that sets up again what it lost in a power cut says so, until it is over', () => {
  const powerCut = { since: T0, noticedAt: T0, gone: 28, of: 30, until: T0 + HOUR, pacedUntil: T0 + HOUR }
  const site = (over: object) =>
    alone('authority', { site: [{ id: 'site', powerCut: { ...powerCut, ...over } }] })
  expect(status(site({}))).toContain(
    '\npower cut: 28 of 30 machines were gone since 2023-11-14T22:13:20Z, and are set up again; what fails before 2023-11-14T23:13:20Z counts against no lease\n',
  )
  expect(status(site({ over: true }))).not.toContain('power cut')
})

test('why a unit is not joined is one line and not endless, whatever address its site gives it', () => {
  const whole = fakeSite(dir, yamlIn(dir))
  const address = `\u001b[2J\n2026 broker 9 granted ${'x'.repeat(4_000)}`
  const unit = {
    ...{ id: 'unit-1', name: 'vm1', guest: whole.serviceManager!.rows('guest')[0]!.id, state: 'awaited' },
    ...{ ready: true, failures: 1, reason: `it is at ${address}, and vm2 is that machine. Ask both sites.` },
  }
  const rows = (table: string): readonly object[] => (table === 'unit' ? [unit] : [])
  const serviceManager = { ...whole.serviceManager!, rows } as never
  const text = showStatus(statusOf({ ...whole, serviceManager }, T0, { pid: 1, startedAt: T0 }))
  const [line, ...others] = text.split('\n').filter((one) => one.includes('refused'))
  expect(others).toEqual([])
  expect(line).toMatch(/^ {2}refused it is at \\u001b\[2J\\u000a2026 .* … x+, and vm2 .* Ask both sites\.$/)
  expect(line!.length).toBeLessThan(1_000)
})

test('a recall that has taken effect is told from one that may be called off', () => {
  const recall = { id: 'delegation-1', type: 'vm.small', units: 2, by: T0, taken: false }
  const said = (taken: boolean) => status(alone('authority', { recall: [{ ...recall, taken }] }))
  expect(said(false)).toMatch(/^recalled {2}2 units of vm\.small by \S+ \(delegation-1\)$/m)
  expect(said(true)).toMatch(
    /^recalled .* \(delegation-1\), has taken effect: `sublet lend` lends them again$/m,
  )
})
