import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { AuthorityTables } from '../../actors/authority/rows.ts'
import type { PeerView } from '../../actors/runtime/peers.ts'
import { type HostReport, hostsOf } from '../../deploy/reports/host-report.ts'
import { showHosts, showMaintenance } from '../../deploy/reports/show-hosts.ts'
import type { ActorView, SiteView } from '../../deploy/reports/site-view.ts'
import { fakeSite, SITE_YAML, T0, yamlIn } from './control-site.ts'

const HOUR = 3_600_000
let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'sublet-hosts-'))
  writeFileSync(
    yamlIn(dir),
    SITE_YAML.replace('host-a, cpu', 'host-b, cpu: 2, memoryMiB: 2048 }, { name: host-a, cpu'),
  )
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

type Rows = { [K in 'unit' | 'lease' | 'host']?: readonly object[] }

function hosts(rows: Rows, peers: readonly object[] = []): readonly HostReport[] {
  const site = fakeSite(dir, yamlIn(dir))
  const authority: ActorView<AuthorityTables> = {
    ...site.authority!,
    peers: () => peers as PeerView[],
    rows: (table) => (rows[table as keyof Rows] ?? []) as AuthorityTables[typeof table][],
  }
  return hostsOf({ ...site, authority } as SiteView)
}

const unit = (name: string, over: object = {}): object => ({
  ...{ id: `unit-${name}`, name, host: 'host-a', type: 'vm.small', leaseId: 'lease-1', state: 'active' },
  ...{ slot: Number(name.slice(2)), ...over },
})
const lease = (id: string, end: number, conditions: object, over: object = {}): object => ({
  ...{ id, next: undefined, ticket: { term: { start: T0, end }, conditions }, ...over },
})
const recallable = { recallable: true, noticeMs: 60_000, graceMs: 30_000 }
const kept = { recallable: false, noticeMs: 0, graceMs: 10_000 }
const order = { id: 'host-a', by: T0 + HOUR, orderedAt: T0, reason: 'a new disk', withheld: {} }

describe('hosts', () => {
  test('are told in the order of the configuration, with what is held there', () => {
    const found = hosts({
      unit: [
        unit('vm2'),
        unit('vm1', { state: 'teardown' }),
        unit('vm3', { state: 'ended' }),
        unit('vm4', { host: 'old' }),
      ],
    })
    expect(found.map(({ name, state, units }) => [name, state, units.map((one) => one.name)])).toEqual([
      ['host-b', 'in service', []],
      ['host-a', 'in service', ['vm1', 'vm2']],
      ['old', 'unconfigured', ['vm4']],
    ])
    expect(found[1]).toMatchObject({
      capacity: { cpu: 8, memoryMiB: 16_384 },
      maintenance: null,
      emptyBy: null,
    })
  })

  test('that are to be worked on tell when each unit goes, and why not before', () => {
    const [, host] = hosts({
      host: [order],
      unit: [
        unit('vm1'),
        unit('vm2', { leaseId: 'lease-2' }),
        unit('vm3', { leaseId: 'lease-3' }),
        unit('vm4', { state: 'teardown', forceFrom: T0 + 5 }),
      ],
      lease: [
        lease('lease-1', T0 + 2 * HOUR, recallable),
        lease('lease-2', T0 + 2 * HOUR, kept),
        lease('lease-3', T0 + HOUR / 2, kept, {
          next: { term: { start: T0 + HOUR / 2, end: T0 + 3 * HOUR } },
        }),
      ],
    })
    expect(host?.units.map(({ leavesAt, binding }) => [leavesAt, binding])).toEqual([
      [T0 + HOUR, true],
      [T0 + 2 * HOUR, false],
      [T0 + 3 * HOUR, false],
      [T0 + 5, true],
    ])
    expect(host).toMatchObject({ state: 'leaving', emptyBy: T0 + 3 * HOUR + 10_000 })
    expect(showMaintenance(host!)).toBe(
      [
        'host host-a gets no new units; wanted empty by 2023-11-14T23:13:20Z: a new disk',
        '  vm1 of lease-1 leaves by 2023-11-14T23:13:20Z; work that runs there may end until its holder puts it back, about a minute before 2023-11-14T23:13:50Z',
        '  vm2 of lease-2 may stay until 2023-11-15T00:13:20Z: its terms do not let it be recalled by then',
        '  vm3 of lease-3 may stay until 2023-11-15T01:13:20Z: its terms do not let it be recalled by then',
        '  vm4 of lease-1 is being torn down',
      ].join('\n'),
    )
  })

  test('do not tell when they are empty where nobody can know', () => {
    const [, host] = hosts({
      host: [order],
      unit: [unit('vm1'), unit('vm2', { leaseId: 'lease-9' })],
      lease: [lease('lease-1', T0 + HOUR / 2, kept)],
    })
    expect(host).toMatchObject({ emptyBy: null, units: [{ leavesAt: null }, { leavesAt: null }] })
    expect(showMaintenance(host!)).toContain('vm1 of lease-1 may stay until its term ends after that')
  })

  test('do not tell so either where the order has lapsed: nobody is held to it', () => {
    const [, host] = hosts({
      host: [{ ...order, lapsed: true }],
      unit: [unit('vm1')],
      lease: [lease('lease-1', T0 + 2 * HOUR, recallable)],
    })
    expect(host).toMatchObject({
      state: 'leaving',
      emptyBy: null,
      maintenance: { lapsed: true },
      units: [{ leavesAt: null, binding: false }],
    })
    expect(showHosts([host!])).toContain('order lapsed')
    expect(showMaintenance(host!).split('\n')).toEqual([
      'host host-a gets no new units; it was wanted empty by 2023-11-14T23:13:20Z, which came in the time that the site has forgotten; give the order anew: a new disk',
      '  vm1 of lease-1 may stay until the order is given anew',
    ])
  })

  test('nor where the holder cannot be told', () => {
    const [, host] = hosts(
      {
        host: [order],
        unit: [unit('vm1')],
        lease: [lease('lease-1', T0 + 2 * HOUR, recallable, { holder: 'old' })],
      },
      [{ peer: 'old', protocol: 1 }],
    )
    expect(host).toMatchObject({ emptyBy: null, units: [{ leavesAt: null, binding: false }] })
    expect(showMaintenance(host!)).toContain(
      'vm1 of lease-1 may stay as long as its lease goes on: its holder speaks only protocol 1 and is not told',
    )
  })

  test('go on a line each', () => {
    const withheld = { ...order, withheld: { 'vm.small': 2 } }
    const found = hosts({ host: [withheld], unit: [unit('vm1', { host: 'host-b' })] })
    expect(showHosts(found)).toBe(
      [
        'HOST    STATE           UNITS  NODES  SINCE                 WANTED BY             AT THE LATEST  WHY',
        'host-b  in service      1      vm1    -                     -                     -              -',
        'host-a  out of service  0      -      2023-11-14T22:13:20Z  2023-11-14T23:13:20Z  is empty       a new disk',
      ].join('\n'),
    )
    expect(showMaintenance(found[1]!)).toMatch(
      /can be worked on now\n {2}not lent until it is back, .*: 2 units of vm\.small$/,
    )
    expect(showMaintenance(found[0]!)).toBe('host host-b is in service')
  })
})
