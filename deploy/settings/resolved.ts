import { dirname, join, resolve } from 'node:path'
import { own } from '../../actors/runtime/plain.ts'
import { GUEST_PROPERTY } from '../../controllers/brokers/guests.ts'
import { withUnits } from '../../controllers/guests/groc/config.ts'
import type { Room } from '../../controllers/guests/groc/needs.ts'
import {
  type BrokerSettings,
  brokerOf,
  type ControllerSettings,
  type GuestSettings,
  type JoinSettings,
  managerOf,
  type Settings,
  type SiteSettings,
  type Written,
} from './config.ts'
import { resolvedNetwork } from './network-config.ts'

type WrittenGuest = Written['guests'][number]
type WrittenController = WrittenGuest['controller']
type WrittenSite = NonNullable<Written['site']>

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
  if (batch.ssh === undefined) return batch
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
