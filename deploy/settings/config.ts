import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { doubtDimensions, type Vector } from '../../actors/leases/resources.ts'
import { own } from '../../actors/runtime/plain.ts'
import { duration, name } from '../../actors/runtime/settings.ts'
import { embeddedBatchConfig } from '../../adapters/embedded/batch-system.ts'
import { type EmbeddedJoinConfig, embeddedJoinConfig } from '../../adapters/embedded/join.ts'
import {
  type ProcessMachinesConfig,
  processMachinesConfig,
} from '../../adapters/embedded/process-machines.ts'
import { sshConfig } from '../../adapters/exec/ssh.ts'
import { gridengineConfig } from '../../adapters/gridengine/config.ts'
import { type GridengineJoinConfig, gridengineJoinConfig } from '../../adapters/gridengine/join.ts'
import type { ProbeCommand } from '../../adapters/handler.ts'
import { type NamespaceMachinesConfig, namespaceMachinesConfig } from '../../adapters/namespace/config.ts'
import { openpbsConfig } from '../../adapters/openpbs/config.ts'
import { type OpenpbsJoinConfig, openpbsJoinConfig } from '../../adapters/openpbs/join.ts'
import { slurmConfig } from '../../adapters/slurm/config.ts'
import { type SlurmJoinConfig, slurmJoinConfig } from '../../adapters/slurm/join.ts'
import { torqueConfig } from '../../adapters/torque/config.ts'
import { type TorqueJoinConfig, torqueJoinConfig } from '../../adapters/torque/join.ts'
import { GUEST_PROPERTY } from '../../controllers/brokers/guests.ts'
import { policyOptions } from '../../controllers/brokers/policies.ts'
import { byHandConfig } from '../../controllers/guests/by-hand/by-hand.ts'
import { type GrocConfig, withUnits, writtenGroc } from '../../controllers/guests/groc/config.ts'
import type { Room } from '../../controllers/guests/groc/needs.ts'
import { byKind } from './by-kind.ts'
import { networkConfig, type PeerSettings, resolvedNetwork } from './network-config.ts'

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

const amount = z.int().min(0)

/** More of them no broker would hear of. */
function checkDimensions(vector: object, context: z.RefinementCtx): void {
  const message = doubtDimensions(Object.keys(vector))
  if (message !== undefined) context.addIssue({ code: 'custom', message })
}

const host = z
  .object({ name, cpu: z.int().min(1), memoryMiB: z.int().min(1) })
  .catchall(amount)
  .superRefine(({ name: _, ...capacity }, context) => checkDimensions(capacity, context))
  .transform(({ name, ...capacity }): { name: string; capacity: Vector } => ({ name, capacity }))

const type = z
  .object({
    ...{ cpu: z.int().min(1), memoryMiB: z.int().min(1), image: name, units: amount },
    /** Who gives them away, if not the configured broker. */
    broker: name.optional(),
  })
  .catchall(amount)
  .superRefine(({ image: _, units: __, broker: ___, ...vector }, context) => checkDimensions(vector, context))
  .transform(({ image, units, broker, ...vector }): LentType => ({ image, units, broker, vector }))

interface LentType {
  readonly image: string
  readonly units: number
  readonly broker: string | undefined
  readonly vector: Vector
}

const probe = z
  .strictObject({
    run: z.tuple([z.string().min(1)], z.string()),
    timeout: duration.default(10 * SECOND),
  })
  .transform(({ run, timeout }): ProbeCommand => ({ argv: run, timeoutMs: timeout }))

const machines = byKind({
  process: processMachinesConfig.extend({ dir: z.string().min(1).optional() }),
  namespace: namespaceMachinesConfig.extend({ dir: z.string().min(1).optional() }),
})

const terms = z.strictObject({
  /** No ticket may be for longer. */
  max: duration.default(24 * HOUR),
  /** How long what is delegated to the broker is good; told anew at half time. Absent: twice `max`, at least 7 days. */
  delegation: duration.optional(),
  /** Whether a machine that served and died is replaced within the term, while at least `repairMin` is left. */
  repair: z.boolean().default(true),
  repairMin: duration.default(10 * MINUTE),
  /** How long after the end running work is let go on. */
  grace: duration.default(72 * HOUR),
  /** Whether a recall binds the holder before the term ends, given this notice. */
  recallable: z.boolean().default(true),
  notice: duration.default(10 * MINUTE),
})

const timing = z.strictObject({
  setup: duration.default(5 * MINUTE),
  probe: duration.default(MINUTE),
  modify: duration.default(15 * SECOND),
  teardown: duration.default(2 * MINUTE),
  probeEvery: duration.default(5 * MINUTE),
  sweepEvery: duration.default(30 * SECOND),
  backoff: duration.default(5 * SECOND),
  retry: duration.default(5 * SECOND),
  answer: duration.default(HOUR),
  /** After a restore from an older store: how long peers are waited for. */
  recover: duration.default(10 * MINUTE),
  failuresMax: z.int().min(1).default(3),
})

const site = z.strictObject({
  name,
  /** Whom it lends to. */
  broker: name.optional(),
  hosts: z.array(host).min(1),
  types: z.record(name, type),
  machines,
  probe: z.array(probe).default([]),
  terms: terms.prefault({}),
  /** Machines are named prefix + slot. */
  names: z
    .strictObject({
      prefix: z
        .string()
        .regex(/^[a-z][a-z0-9-]{0,30}$/, 'expected up to 31 lower-case letters, digits and dashes')
        .default('vm'),
      slots: z.int().min(1).max(60_000).default(100),
    })
    .prefault({}),
  timing: timing.prefault({}),
})

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

const reached = {
  /** Put before each of its commands, such as `nsenter --net=/run/netns/lab`. */
  through: z.array(z.string().min(1)).default([]),
}

/** Its head is reached over ssh; absent: its commands run here. */
const head = { ...reached, ssh: sshConfig.optional() }

const batch = byKind({
  embedded: embeddedBatchConfig,
  slurm: slurmConfig.extend(reached),
  torque: torqueConfig.extend(head),
  openpbs: openpbsConfig.extend(head),
  gridengine: gridengineConfig.extend(head),
})

/** How the machines' sshd is reached; address, port, user and host key come from the machine itself. */
const ssh = z.strictObject({
  privateKeyFile: z.string().min(1),
  /** The network namespace to dial from; absent: that of the machines. */
  netns: z.string().min(1).optional(),
  ready: duration.default(5 * SECOND),
  keepalive: duration.default(5 * SECOND),
  channelsMax: z.int().min(1).max(10).default(10),
})

const joining = byKind({
  embedded: embeddedJoinConfig.extend({ socket: z.string().min(1).optional() }),
  'ssh-slurmd': slurmJoinConfig.extend({ ssh }),
  'ssh-torque': torqueJoinConfig.extend({ ssh }),
  'ssh-openpbs': openpbsJoinConfig.extend({ ssh }),
  'ssh-gridengine': gridengineJoinConfig.extend({ ssh }),
})

const guest = z.strictObject({
  name,
  /** Whom tickets are asked of for it, if not the broker of all guests. */
  broker: name.optional(),
  /** `observe`: what its controller decides is written down, and nothing is done. */
  mode: z.enum(['act', 'observe']).default('act'),
  batch,
  join: joining,
  controller: byKind({ groc: writtenGroc, 'by-hand': byHandConfig }, { nameAlone: true }),
  properties: z.record(z.string().min(1).max(100), z.string().max(4000)).default({}),
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

/** The names of actors that run here. */
export const namesHere = ({ site, broker, serviceManager }: Settings): readonly string[] =>
  [serviceManager, broker, site].flatMap((section) => section?.name ?? [])

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

/** Fills in what one part takes from another, and makes paths absolute. */
export function resolved(written: Written, file: string): Settings {
  const base = dirname(resolve(file))
  const dir = resolve(base, written.dir ?? join('.sublet', written.name))
  const { here, name: brokerName = '' } = brokerOf(written)
  const manager = managerOf(written)
  return frozen({
    ...written,
    ...resolvedNetwork(written, base),
    file: resolve(file),
    dir,
    site: written.site === undefined ? undefined : resolvedSite(written.site, { base, dir, brokerName }),
    broker: here,
    serviceManager:
      written.guests.length === 0 ? undefined : { ...manager, broker: manager.broker ?? brokerName },
    guests: written.guests.map((guest) => resolvedGuest(named(guest, here), base, written.site)),
  })
}

function resolvedSite(
  written: WrittenSite,
  { base, dir, brokerName }: { readonly base: string; readonly dir: string; readonly brokerName: string },
): SiteSettings {
  const { machines, ...site } = written
  return {
    ...site,
    broker: site.broker ?? brokerName,
    machines: { ...machines, dir: resolve(machines.dir === undefined ? dir : base, machines.dir ?? 'm') },
    images: [...new Set([...Object.keys(machines.images), ...imagesOf(written)])],
  }
}

/** Processes have no root file system: an image is only a name, and any name will do. */
const imagesOf = ({ machines, types }: WrittenSite): readonly string[] =>
  machines.kind === 'process' ? Object.values(types).map(({ image }) => image) : []

/** A broker that keeps something by guest is told which one asks; what one elsewhere keeps is not known here. */
const named = (guest: WrittenGuest, broker: BrokerSettings | undefined): WrittenGuest =>
  broker === undefined || broker.policy.kind === 'priority' || broker.policy.kind === 'weighted-share'
    ? { ...guest, properties: { [GUEST_PROPERTY]: guest.name, ...guest.properties } }
    : guest

function resolvedGuest(
  { batch, join, controller, ...guest }: WrittenGuest,
  base: string,
  site: WrittenSite | undefined,
): GuestSettings {
  const ownSocket = batch.kind === 'embedded' ? batch.socket : ''
  const machines = site?.machines
  return {
    ...guest,
    controller: resolvedController(controller, batch, site),
    batch: resolvedBatch(batch, base),
    join: resolvedJoin(join, base, ownSocket, machines?.kind === 'namespace' ? machines.netns : undefined),
  }
}

function resolvedBatch(batch: WrittenGuest['batch'], base: string): WrittenGuest['batch'] {
  if (batch.kind === 'embedded') return { ...batch, socket: resolve(base, batch.socket) }
  if (batch.kind === 'slurm' || batch.ssh === undefined) return batch
  return { ...batch, ssh: { ...batch.ssh, privateKeyFile: resolve(base, batch.ssh.privateKeyFile) } }
}

/** What a unit of the type offers to jobs, as far as its site says. */
export function roomOfType(site: Pick<WrittenSite, 'types'> | undefined, type: string): Room | undefined {
  const lent = own(site?.types, type)
  if (lent === undefined) return undefined
  const { cpu = 0, memoryMiB = 0, ...consumables } = lent.vector
  return { cpus: cpu, memoryMiB, consumables, features: [] }
}

/** What jobs may ask of all our nodes, as the batch system is told of each. */
function featuresOf(batch: WrittenGuest['batch']): readonly string[] {
  switch (batch.kind) {
    case 'slurm':
      return [batch.feature]
    case 'torque':
      return batch.properties
    case 'openpbs':
      return Object.entries(batch.resources).flatMap(([name, value]) => {
        if (/^true$/i.test(value)) return [name]
        return /^\d|^false$/i.test(value) ? [] : [`${name}=${value}`]
      })
    default:
      return []
  }
}

function resolvedController(
  controller: WrittenController,
  batch: WrittenGuest['batch'],
  site: WrittenSite | undefined,
): ControllerSettings {
  if (controller.kind !== 'groc') return controller
  const { kind, ...written } = controller
  const config = withUnits(written, (type) => roomOfType(site, type))
  // The checks between the sections say so where the person wrote it.
  if (config === undefined) throw new Error('a type of a controller says not what its units offer')
  const types = config.types.map(({ unit, ...type }) => ({
    ...type,
    unit: { ...unit, features: [...new Set([...featuresOf(batch), ...unit.features])] },
  }))
  return { kind, ...config, types }
}

function resolvedJoin(
  join: WrittenGuest['join'],
  base: string,
  socket: string,
  netns: string | undefined,
): JoinSettings {
  if (join.kind === 'embedded') return { ...join, socket: resolve(base, join.socket ?? socket) }
  const privateKeyFile = resolve(base, join.ssh.privateKeyFile)
  return { ...join, ssh: { ...join.ssh, privateKeyFile, netns: join.ssh.netns ?? netns } }
}

function frozen<T>(value: T): T {
  if (typeof value === 'object' && value !== null) {
    for (const part of Object.values(value)) frozen(part)
    Object.freeze(value)
  }
  return value
}

/** Files of a work folder. */
export const inDir = (dir: string) => ({
  socket: join(dir, 'control.sock'),
  auth: join(dir, 'auth'),
  log: join(dir, 'sublet.log'),
  keys: join(dir, 'keys'),
  peers: join(dir, 'peers.json'),
  hour: join(dir, 'hour.json'),
  charts: join(dir, 'charts'),
  recordings: join(dir, 'recordings'),
  archive: join(dir, 'archive'),
  database: (actor: string) => join(dir, `${actor}.db`),
})
