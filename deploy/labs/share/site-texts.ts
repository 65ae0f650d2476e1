import type { PublicKey } from '../../../actors/runtime/identity.ts'
import type { GridengineLab } from '../gridengine/lab.ts'
import type { SlurmLab } from '../slurm/lab.ts'
import { machinePrefix } from '../slurm/machine-groups.ts'
import type { SideName } from './outside.ts'

/** Processes: the site with its broker, and a service manager for each middleware. */
export const PLACES = ['rack', 'slurm', 'gridengine'] as const
export type Place = (typeof PLACES)[number]

export interface ShareTexts {
  readonly runId: string
  /** The work folders are DIR/rack, DIR/slurm and DIR/gridengine. */
  readonly dir: string
  /** What both middleware keep, shown to every machine. */
  readonly labDir: string
  readonly netns: string
  readonly hostsFile: string
  readonly slurm: SlurmLab
  readonly gridengine: GridengineLab
  readonly ports: Readonly<Record<Place, number>>
  /** Of each actor. */
  readonly keys: Readonly<Record<'rack' | 'broker' | SideName, PublicKey>>
  readonly guestKey: { readonly privateKeyFile: string; readonly publicKey: string }
  /** As many as there are slots: a name is one place in the rack. */
  readonly machines: number
  readonly weights: Readonly<Record<SideName, number>>
  /** Units that each is sure to get back. */
  readonly min: number
  readonly termSeconds: number
}

/**
 * Three processes over loopback. The broker divides the rack's machines between the two by weight.
 *
 *   slurm (service manager, GROC) ──────┐
 *                                       ├──▶ rack (broker and site): n1 … n4
 *   gridengine (service manager, GROC) ─┘
 */
export function shareTexts(texts: ShareTexts): Readonly<Record<Place, string>> {
  const { ports, keys, dir } = texts
  const head = (place: Place): object => ({
    name: place,
    dir: `${dir}/${place}`,
    skewMax: '500ms',
    listen: { port: ports[place] },
  })
  const peer = (name: keyof typeof keys, role: string, place: Place): object => {
    return { name, role, url: `http://127.0.0.1:${ports[place]}`, key: keys[name] }
  }
  const manager = (place: SideName, guest: object): object => ({
    ...head(place),
    serviceManager: {
      ...{ name: place, leaveBudget: '4s', join: '30s', leave: '30s', retry: '500ms', poll: '1s' },
      lookTimeout: '10s',
    },
    peers: [peer('broker', 'broker', 'rack'), peer('rack', 'site', 'rack')],
    guests: [{ name: 'grid', controller: groc(texts), properties: properties(texts), ...guest }],
  })
  const rack = {
    ...head('rack'),
    broker: { name: 'broker', policy: policyOf(texts), batch: '50ms', quarantine: '10s' },
    site: siteOf(texts),
    peers: [peer('slurm', 'service-manager', 'slurm'), peer('gridengine', 'service-manager', 'gridengine')],
  }
  // JSON is YAML, and every string arrives as it is.
  const text = (value: object): string => `${JSON.stringify(value, null, 2)}\n`
  return {
    rack: text(rack),
    slurm: text(manager('slurm', slurmGuest(texts))),
    gridengine: text(manager('gridengine', gridengineGuest(texts))),
  }
}

const policyOf = ({ weights, min }: ShareTexts): object => ({
  kind: 'weighted-share',
  guests: {
    slurm: { weight: weights.slurm, min },
    gridengine: { weight: weights.gridengine, min },
  },
})

const siteOf = ({ dir, labDir, runId, netns, hostsFile, machines }: ShareTexts): object => ({
  name: 'rack',
  hosts: [{ name: 'this-host', cpu: 2 * machines, memoryMiB: 900 * machines }],
  machines: {
    kind: 'namespace',
    dir: `${dir}/machines`,
    ...{ netns, bridge: 'br0', subnet: '10.88.0.0/24', namePrefix: machinePrefix(runId) },
    images: { worker: { root: 'host', binds: [labDir, '/sys/fs/cgroup'] } },
    sshd: { port: 22 },
    hosts: hostsFile,
    busyProcesses: ['slurmstepd', 'sge_shepherd', 'epilog.sh'],
  },
  types: { worker: { cpu: 2, memoryMiB: 900, image: 'worker', units: machines } },
  probe: [{ run: ['getent', 'hosts', 'head'], timeout: '3s' }],
  terms: { grace: '10m', recallable: true, notice: '1m' },
  names: { prefix: 'n', slots: machines },
  timing: {
    ...{ setup: '30s', sweepEvery: '5s', probeEvery: '20s', retry: '500ms', backoff: '1s', teardown: '30s' },
  },
})

const groc = ({ machines, termSeconds }: ShareTexts): object => ({
  kind: 'groc',
  type: 'worker',
  unit: { cpus: 2, memoryMiB: 900 },
  // A lease is extended whole or not at all: of one machine each, they meet any share.
  ...{ min: 0, max: machines, step: 1 },
  // Requests that may wait are what the broker holds against extensions beyond a share.
  grow: { wait: '0s', target: '10m' },
  shrink: { idle: '1500ms' },
  ...{ term: `${termSeconds}s`, extendMargin: 0.5, settle: '300ms', every: '1s', missing: '10s' },
  retry: { first: '1s', most: '2s' },
  ownNodes: 'ignore',
  // Its jobs are as short as those of a node that swallows them.
  blackHole: { within: '200ms' },
})

const properties = ({ guestKey }: ShareTexts): object => ({
  image: 'worker',
  'ssh.authorizedKey': guestKey.publicKey,
})

const slurmGuest = ({ slurm: lab, netns, guestKey: { privateKeyFile } }: ShareTexts): object => ({
  batch: {
    kind: 'slurm',
    ...{ confFile: lab.confFile, partition: lab.partition, feature: lab.feature, format: 'json' },
    ...{ through: lab.throughHead(), watchPaths: lab.watchPaths, cpusOfMachine: 2, lockFolder: lab.dir },
  },
  join: {
    kind: 'ssh-slurmd',
    ...{ confFile: lab.confFile, feature: lab.feature, logFile: `${lab.dir}/log/%n.log` },
    ssh: { privateKeyFile, netns },
  },
})

const gridengineGuest = ({ gridengine: lab, netns, guestKey: { privateKeyFile } }: ShareTexts): object => ({
  batch: {
    kind: 'gridengine',
    ...{ root: lab.root, queue: lab.queue, hostGroup: lab.hostGroup, bin: lab.bin },
    ...{ through: lab.throughHead(), cpusOfMachine: 2, lockFolder: lab.dir },
    watchPaths: [`${lab.dir}/spooldb`],
  },
  join: { kind: 'ssh-gridengine', root: lab.root, bin: lab.bin, ssh: { privateKeyFile, netns } },
})
