import { z } from 'zod'
import { duration, name } from '../../actors/runtime/settings.ts'
import type { EmbeddedJoinConfig } from '../../adapters/embedded/join.ts'
import type { ProcessMachinesConfig } from '../../adapters/embedded/process-machines.ts'
import type { GridengineJoinConfig } from '../../adapters/gridengine/join.ts'
import type { NamespaceMachinesConfig } from '../../adapters/namespace/config.ts'
import type { OpenpbsJoinConfig } from '../../adapters/openpbs/join.ts'
import type { SlurmJoinConfig } from '../../adapters/slurm/join.ts'
import type { TorqueJoinConfig } from '../../adapters/torque/join.ts'
import { policyOptions } from '../../controllers/brokers/policies.ts'
import type { GrocConfig } from '../../controllers/guests/groc/config.ts'
import { byKind } from './by-kind.ts'
import { guest, type ssh } from './guest-schema.ts'
import { networkConfig, type PeerSettings } from './network-config.ts'
import { site } from './site-schema.ts'

/**
 * A site's configuration: one YAML file, read once, frozen.
 *
 *   name, dir            the work folder: databases, keys, socket, log
 *   site                 hosts ── what is lent of them (types) ── how machines are made (machines, probe, timing)
 *   broker               how requests are decided
 *   serviceManager       how units join and leave
 *   guests               each a batch system, a way into its machines, and a controller
 *   listen, dial, peers  actors in other processes, and the ways to them
 *   control, housekeeping, log
 *
 * Which of the three actors run here: a site if there is a site, a service manager if there are guests, a broker
 * if it is described, or if there are both and no peer is one.
 *
 * What a module needs is declared beside its code; here the modules are put together. Lengths of time are
 * written with their unit and become milliseconds. Paths are relative to the file. A secret is a file name.
 */

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE

const broker = z.strictObject({
  name: name.default('broker'),
  policy: byKind(policyOptions, { nameAlone: true }).prefault('first-come'),
  batch: duration.default(50),
  quarantine: duration.default(10 * MINUTE),
  /** After a restore from an older store: how long peers are waited for. */
  recover: duration.default(10 * MINUTE),
  answer: duration.default(HOUR),
  /** Requests that wait until somebody approves them. */
  approval: z
    .strictObject({
      unitsOver: z.int().min(0).optional(),
      durationOver: duration.optional(),
      types: z.array(name).default([]),
    })
    .prefault({}),
})

const serviceManager = z.strictObject({
  name: name.default('service-manager'),
  /** Whom it asks. */
  broker: name.optional(),
  leaveBudget: duration.default(MINUTE),
  join: duration.default(5 * MINUTE),
  leave: duration.default(2 * MINUTE),
  ask: duration.default(2 * MINUTE),
  retry: duration.default(5 * SECOND),
  joinFailuresMax: z.int().min(1).default(3),
  /** A look at the middleware at least this often, and no look may take longer than `lookTimeout`. */
  poll: duration.default(5 * SECOND),
  lookTimeout: duration.default(20 * SECOND),
  quarantine: duration.default(10 * MINUTE),
  /** After a restore from an older store: how long peers are waited for. */
  recover: duration.default(10 * MINUTE),
  answer: duration.default(HOUR),
})

const uid = z
  .int()
  .min(0)
  .max(2 ** 32 - 2)

export const configSchema = z.strictObject({
  name,
  dir: z.string().min(1).optional(),
  /** The most that clocks of different machines may differ while nothing was measured. */
  skewMax: duration.default(2 * SECOND),
  site: site.optional(),
  broker: broker.optional(),
  serviceManager: serviceManager.optional(),
  guests: z.array(guest).default([]),
  ...networkConfig,
  control: z
    .strictObject({
      viewers: z.array(uid).default([]),
      operators: z.array(uid).default([]),
      admins: z.array(uid).default([]),
    })
    .prefault({}),
  /** Where Prometheus reads. Absent: nowhere; `sublet metrics` prints the same. */
  metrics: z
    .strictObject({ host: z.string().min(1).max(255).default('127.0.0.1'), port: z.int().min(0).max(65_535) })
    .optional(),
  housekeeping: z
    .strictObject({
      /** Minute, hour, day of month, month, day of week, in local time. */
      at: z.string().default('17 3 * * *'),
      logMiBMax: z.int().min(1).default(64),
      logsKept: z.int().min(1).default(7),
      chartsKept: z.int().min(1).default(30),
      /** With less room on the disk of the work folder nothing new is granted. */
      diskFreeMiBMin: z.int().min(0).default(256),
      /** Lines of the ledgers that are older leave the databases, once they are archived. */
      ledgerKept: duration.default(30 * 24 * HOUR),
    })
    .prefault({}),
  log: z.strictObject({ level: z.enum(['debug', 'info', 'warn', 'error']).default('info') }).prefault({}),
})

export type Written = z.output<typeof configSchema>
type WrittenGuest = Written['guests'][number]

export type MachinesSettings =
  | ({ readonly kind: 'process' } & ProcessMachinesConfig)
  | ({ readonly kind: 'namespace' } & NamespaceMachinesConfig)

export type JoinSettings =
  | ({ readonly kind: 'embedded' } & EmbeddedJoinConfig)
  | ({ readonly kind: 'ssh-slurmd' } & SlurmJoinConfig & { readonly ssh: z.output<typeof ssh> })
  | ({ readonly kind: 'ssh-torque' } & TorqueJoinConfig & { readonly ssh: z.output<typeof ssh> })
  | ({ readonly kind: 'ssh-openpbs' } & OpenpbsJoinConfig & { readonly ssh: z.output<typeof ssh> })
  | ({ readonly kind: 'ssh-gridengine' } & GridengineJoinConfig & { readonly ssh: z.output<typeof ssh> })

type WrittenController = WrittenGuest['controller']

export type ControllerSettings =
  | Exclude<WrittenController, { readonly kind: 'groc' }>
  | ({ readonly kind: 'groc' } & GrocConfig)

export type GuestSettings = Omit<WrittenGuest, 'join' | 'controller'> & {
  readonly join: JoinSettings
  readonly controller: ControllerSettings
}

type WrittenSite = NonNullable<Written['site']>

export type SiteSettings = Omit<WrittenSite, 'machines' | 'broker'> & {
  readonly machines: MachinesSettings
  /** The images that requests may name. */
  readonly images: readonly string[]
  readonly broker: string
}

export type BrokerSettings = NonNullable<Written['broker']>
export type ServiceManagerSettings = Omit<NonNullable<Written['serviceManager']>, 'broker'> & {
  readonly broker: string
}

type Sections = 'dir' | 'site' | 'broker' | 'serviceManager' | 'guests' | 'peers'

/** What everything is assembled from: paths are absolute, defaults are filled in, nothing changes any more. */
export interface Settings extends Readonly<Omit<Written, Sections>> {
  /** The configuration file. */
  readonly file: string
  readonly dir: string
  /** Of the three actors, those that run here. */
  readonly site: Readonly<SiteSettings> | undefined
  readonly broker: Readonly<BrokerSettings> | undefined
  readonly serviceManager: Readonly<ServiceManagerSettings> | undefined
  readonly guests: readonly GuestSettings[]
  /** Those of the file; commands may add others, in the work folder. */
  readonly peers: readonly PeerSettings[]
}

/** The broker that runs here, and the one that is meant where none is named. */
export function brokerOf(written: Pick<Written, 'site' | 'broker' | 'guests' | 'peers'>): {
  readonly here: BrokerSettings | undefined
  readonly name: string | undefined
} {
  const away = written.peers.filter(({ role }) => role === 'broker')
  const isWhole = written.site !== undefined && written.guests.length > 0
  const here = written.broker ?? (isWhole && away.length === 0 ? broker.parse({}) : undefined)
  return { here, name: here?.name ?? (away.length === 1 ? away[0]?.name : undefined) }
}

export const managerOf = (written: Pick<Written, 'serviceManager'>): NonNullable<Written['serviceManager']> =>
  written.serviceManager ?? serviceManager.parse({})
