import { join } from 'node:path'
import type { AuthorityTables } from '../../actors/authority/rows.ts'
import type { BrokerTables } from '../../actors/broker/rows.ts'
import type { Instant } from '../../actors/runtime/clock.ts'
import { chain, type LedgerEntry, type LedgerNote } from '../../actors/runtime/commit.ts'
import { SubletError } from '../../actors/runtime/errors.ts'
import type { Tables } from '../../actors/runtime/rows.ts'
import type { ServiceManagerTables } from '../../actors/service-manager/rows.ts'
import type { ActorView, Ledger, SiteView } from '../../deploy/reports/site-view.ts'
import type { Settings } from '../../deploy/settings/config.ts'
import { loadConfig } from '../../deploy/settings/settings-file.ts'
import { jobOf, pictureOf } from './groc-world.ts'

/** An array of which some run. */
const ARRAY = [
  ...Array.from({ length: 10 }, (_, i) => jobOf(`5_${i}`, { state: 'running' })),
  jobOf('5_[10-20]', { tasks: 11 }),
]

export const T0 = 1_700_000_000_000

export const SITE_YAML = `name: lab
dir: s
site:
  name: duke
  hosts: [{ name: host-a, cpu: 8, memoryMiB: 16384 }]
  types: { vm.small: { cpu: 2, memoryMiB: 2048, image: plain, units: 4 } }
  machines: { kind: process }
guests:
  - name: batch
    batch: { kind: embedded, socket: b/sock }
    join: { kind: embedded }
    controller: { kind: groc, type: vm.small, unit: { cpus: 2, memoryMiB: 2048 }, max: 4 }
`

/** A ledger in memory. */
export function ledgerOf(actor: string, notes: readonly LedgerNote[], at: Instant = T0): LedgerEntry[] {
  const entries: LedgerEntry[] = []
  for (const note of notes) entries.push(chain(note, at, actor, entries.at(-1) ?? { seq: 0, hash: '' }))
  return entries
}

const inMemory = (entries: readonly LedgerEntry[]): Ledger => ({
  entries: ({ afterSeq, limit, subject }) =>
    Promise.resolve(
      entries
        .filter((entry) => entry.seq > afterSeq && (subject === undefined || entry.subject === subject))
        .slice(0, limit),
    ),
})

export interface FakeSite extends SiteView {
  readonly commands: { readonly name: string; readonly args: unknown }[]
  readonly ledger: LedgerEntry[]
  changed(): void
}

/** A site of which only what is looked at is there: one lease with one machine, and one job that waits. */
export function fakeSite(dir: string, file: string, control: Partial<Settings['control']> = {}): FakeSite {
  const loaded = loadConfig(file).settings
  const settings: Settings = { ...loaded, dir, control: { ...loaded.control, ...control } }
  const commands: { name: string; args: unknown }[] = []
  const listeners = new Set<() => void>()
  const ledger = ledgerOf('service-manager', [
    { kind: 'requested', subject: 'lease-1', reason: 'a job waits' },
    { kind: 'ticketed', subject: 'lease-1', reason: '1 unit of vm.small at duke' },
  ])
  const siteLedger = ledgerOf('duke', [
    { kind: 'started', subject: 'duke', reason: 'epoch 1', data: { hosts: settings.site?.hosts } },
    {
      kind: 'unit assigned',
      subject: 'unit-1',
      reason: 'vm1 on host-a',
      data: { leaseId: 'lease-1', host: 'host-a', slot: 1, vector: { cpu: 2, memoryMiB: 2048 }, name: 'vm1' },
    },
  ])

  function actor<T extends Tables>(
    name: string,
    tables: { [K in keyof T]?: readonly object[] },
    entries: readonly LedgerEntry[],
  ): ActorView<T> {
    return {
      name,
      running: true,
      get head() {
        const { seq, hash } = entries.at(-1) ?? { seq: 0, hash: '' }
        return { seq, hash }
      },
      rows: (table) => [...((tables[table] ?? []) as T[typeof table][])],
      command: (command, args) => {
        commands.push({ name: command, args })
        if ((args as { type?: string }).type === 'none')
          return Promise.reject(new SubletError('unknown-type', 'this site has no type none'))
        return Promise.resolve({ recallId: 'delegation-1' })
      },
    }
  }

  const lease = {
    ...{
      id: 'lease-1',
      guest: 'batch',
      ticketState: 'held',
      leaseState: 'active',
      type: 'vm.small',
      unitsAsked: 2,
    },
    ...{
      ticket: { units: 1, site: 'duke' },
      term: { start: T0, end: T0 + 60_000 },
      units: ['unit-1'],
      requestedAt: T0,
    },
    ...{ reason: 'a job waits', closeReason: '' },
  }
  const member = {
    id: 'unit-1',
    leaseId: 'lease-1',
    guest: 'batch',
    name: 'vm1',
    state: 'joined',
    since: T0,
    reason: 'takes jobs',
  }
  const machine = {
    id: 'unit-1',
    leaseId: 'lease-1',
    name: 'vm1',
    state: 'active',
    host: 'host-a',
    image: 'plain',
    type: 'vm.small',
    since: T0,
    assignedAt: T0,
  }
  const figures = { backlogJobs: 1, unitsWanted: 1, unitsJoined: 1, unitsComing: 0, oldestWaitMs: 0 }
  return {
    settings,
    commands,
    ledger,
    serviceManager: actor<ServiceManagerTables>(
      'service-manager',
      {
        lease: [lease],
        unit: [member],
        guest: [{ id: 'batch', figures, reason: '1 job waits', decidedAt: T0 }],
      },
      ledger,
    ),
    broker: actor<BrokerTables>('broker', {}, []),
    authority: actor<AuthorityTables>(
      'duke',
      { unit: [machine], offer: [{ id: 'vm.small', units: 4, withheld: 0 }] },
      siteLedger,
    ),
    stores: [
      { name: 'service-manager', store: inMemory(ledger) },
      { name: 'broker', store: inMemory([]) },
      { name: 'duke', store: inMemory(siteLedger) },
    ],
    guests: {
      batch: {
        batch: {
          name: 'embedded',
          capabilities: { events: true, nodes: 'self', requeue: true, settleMs: 0 },
        } as SiteView['guests'][string]['batch'],
        lastPicture: () => pictureOf({ jobs: ARRAY }),
        explainJobs: (ids) =>
          new Map(
            ids.flatMap((id) => {
              if (id === '17') return [[id, ['Job 17 waits for vm1.']]]
              const job = ARRAY.find((one) => one.id === id)
              return job === undefined
                ? []
                : [[id, [`Job ${id} ${job.state === 'running' ? 'runs' : 'waits'}.`]]]
            }),
          ),
        explainMachines: () => new Map(),
        plan: () => ({
          intents: [
            {
              ...{ kind: 'request', type: 'vm.small', units: 2, unitsMin: 1, durationMs: 3_600_000 },
              ...{ startBy: undefined, reason: 'a job has waited' },
            },
          ],
          memory: {},
          reason: '1 job waits',
          figures: { backlogJobs: 1, unitsWanted: 1, unitsJoined: 0, unitsComing: 0, oldestWaitMs: 5_000 },
          againMs: 1_000,
        }),
      },
    },
    onChange(callback) {
      listeners.add(callback)
      return () => listeners.delete(callback)
    },
    changed() {
      for (const listener of listeners) listener()
    },
  }
}

export const yamlIn = (dir: string): string => join(dir, 'site.yaml')
